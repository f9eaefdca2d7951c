"""Labs' computers for the tests: session folders, agents over HTTP, a kind of a lab's own, a network that can fail."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from ingest.agent import sessions
from ingest.agent.agent import Agent, Options
from ingest.agent.desk import HttpDesk
from pipeline.schemas import task

DAY = "2019-07-01"
LABS = ("lab_a", "lab_b", "lab_c")


def session(root: Path, name: str, number: int = 1) -> Path:
    folder = root / name / "Subjects/m" / DAY / f"{number:03d}"
    folder.mkdir(parents=True)
    return folder


def agent(served, tmp_path: Path, name: str, **more) -> Agent:
    token = served.users.issue_token("mia", "agent", labs=[name])
    options = Options(tmp_path / name, tmp_path / f"{name}_scratch", name, f"{name}_rig", cores=2, memory=60_000,
                      quiet=0.0, heartbeat=0.2, **more)  # fmt: skip
    return Agent(HttpDesk(served.url, token), options)


def thing(tmp_path, mode: str) -> Path:
    folder = session(tmp_path / "lab_a", "lab_a")
    (folder / "mode.txt").write_text(mode)
    (folder / sessions.FLAG).touch()
    return folder


def the_task() -> dict:
    return (task.Task & {"task_name": "make_thing"}).fetch1()


def run_agent(central, tmp_path, *more: str, name: str = "lab_a") -> subprocess.Popen:
    """The command `neurojoint agent` of a lab, as a process that knows the server's address and nothing else."""
    token = central.users.issue_token("mia", "agent", labs=[name])
    command = [sys.executable, "-c", "from neurojoint.command import run; run()"]
    command += ["agent", "--root", str(tmp_path / name), "--server", central.url, "--repository", f"{name}_rig",
                "--name", f"{name}_computer", "--scratch", str(tmp_path / f"{name}_scratch"), "--quiet", "0",
                "--memory", "60000", *more]  # fmt: skip
    home = tmp_path / f"{name}_home"
    environment = os.environ | {"NEUROJOINT_SERVER_TOKEN": token, "NEUROJOINT_HOME": str(home)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(what, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)


class Link:
    """The network between an agent and the server; cut, what is under way breaks off, and nothing new begins."""

    def __init__(self, port: int) -> None:
        self.port, self.is_up, self.sockets = port, True, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        self.is_up = False
        self._end(*self.sockets)

    @staticmethod
    def _end(*sockets: socket.socket) -> None:
        for item in sockets:
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # the test is over
            if not self.is_up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.port))
            self.sockets |= {near, far}
            if not self.is_up:  # cut since it was looked at: nobody else ends this connection
                self._end(near, far)
                continue
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                target.sendall(block)
        self._end(source, target)


SLOW = """
import time, pathlib
from pipeline.tasks import Kind, register

def run(job):
    count = job.folder / "runs.txt"
    with count.open("a") as file:
        file.write("x")
    mode = (job.folder / "mode.txt").read_text()
    if mode == "slow":
        time.sleep(600)
    while mode == "wait" and not (job.folder / "go.txt").exists():
        time.sleep(0.1)
    if mode == "memory":
        hog = bytearray(700 << 20)
        time.sleep(600)
    if mode == "outside":
        job.output("../../../evil.txt")
    if mode == "strange":
        job.output("alf/other.thing.npy").write_bytes(b"x")
    if mode == "link":
        job.output("alf/made.thing.txt").symlink_to("/etc/passwd")
        return
    if mode == "doubt":
        job.doubt("alf/made.thing.txt", "a person said so")
    if mode == "nothing":
        return
    print("done by", job.arguments)
    job.output("alf/made.thing.txt").write_text("made")

KIND = Kind("make_thing", "3", run, outputs=("alf/made.thing.txt",), required=("alf/made.thing.txt",))
register(KIND)
"""
