"""Whatever is killed or cut off, at whatever moment: each task is done once, each output registered once and whole."""

from __future__ import annotations

import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from ingest.agent import sessions
from ingest.agent.agent import Agent
from ingest.agent.desk import HttpDesk, Unreachable
from pipeline.schemas import data, task
from pipeline.tasks import states
from pipeline.tasks.queue import Queue
from tests.ingest.agent.labs import Link, agent, run_agent, session, the_task, thing, wait_for
from tests.one_bridge.serving import accounts

# One backend: what differs between them is in the tests of the queue and of the server.
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True, scope="session")]


def test_a_killed_agent_takes_its_processes_with_it_and_the_next_one_does_the_task_once(central, tmp_path, module):
    folder = thing(tmp_path, "slow")
    first = run_agent(central, tmp_path, "--module", "mylab_tasks")
    wait_for(lambda: (folder / "runs.txt").exists())
    children = [int(part) for part in Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert the_task()["task_state"] == "Started" and not (folder / "alf").exists()
    (folder / "mode.txt").write_text("quick")
    second = run_agent(central, tmp_path, "--module", "mylab_tasks")
    try:
        wait_for(lambda: the_task()["task_state"] == "Complete")
    finally:
        second.terminate()
        second.wait(30)
    assert (folder / "alf/made.thing.txt").read_text() == "made" and the_task()["task_version"] == "3"
    assert (folder / "runs.txt").read_text() == "xx"
    assert not [path for path in (tmp_path / "lab_a_scratch").iterdir() if path.is_dir()]


@pytest.mark.soak
def test_an_agent_that_is_killed_each_second_ends_every_task_once(central, tmp_path, module):
    """Killed at 20 random moments, then left alone: all sessions done, each output registered once."""
    rng = np.random.default_rng(7)
    folders = [session(tmp_path / "lab_a", "lab_a", number) for number in range(1, 9)]
    for folder in folders:
        (folder / "mode.txt").write_text("quick")
        (folder / sessions.FLAG).touch()
    for _ in range(20):
        worker = run_agent(central, tmp_path, "--module", "mylab_tasks")
        time.sleep(3 + rng.uniform(0.5, 1.5))  # it takes some seconds to begin
        worker.kill()
        worker.wait()
    worker = run_agent(central, tmp_path, "--module", "mylab_tasks")
    try:
        wait_for(lambda: len(task.Task & {"task_name": "make_thing", "task_state": "Complete"}) == 8, 400)
    finally:
        worker.terminate()
        worker.wait(30)
    made = task.TaskOutput().to_dicts()
    assert len(made) == len({row["task_uuid"] for row in made}) == 8
    assert {(folder / "alf/made.thing.txt").read_text() for folder in folders} == {"made"}
    assert len(data.Dataset & {"rel_path": "alf/made.thing.txt"}) == 8
    assert not list(tmp_path.rglob("*.part")) and not [
        path for path in (tmp_path / "lab_a_scratch").iterdir() if path.is_dir()
    ]


class Server:
    """`neurojoint serve` in a process of its own, which is killed (-9) and started again."""

    def __init__(self, home: Path, root: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        code = "import mylab_tasks; from neurojoint.command import run; run()"
        self.command = [sys.executable, "-c", code, "serve", "--port", str(self.port), "--root", str(root)]
        self.environment = os.environ | {"NEUROJOINT_HOME": str(home)}
        self.kills, self.log = 0, root.parent / "server.log"
        self.begin()

    def begin(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, env=self.environment, stdout=log, stderr=log)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)
        self.kills += 1
        self.begin()

    def is_up(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 5):
            return True
        return False

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


class Deadly(HttpDesk):
    """An agent's requests; while some of them are under way, the server is killed."""

    def __init__(self, server: Server, token: str, choose, within: float) -> None:
        super().__init__(f"http://127.0.0.1:{server.port}", token)
        self.server, self.choose, self.within = server, choose, within
        self.rng = np.random.default_rng(11)

    def _answer(self, ask, path):
        wait_for(self.server.is_up)  # one that only begins is not worth killing
        if not self.choose(path.rpartition("/")[2], self.server.kills):
            return super()._answer(ask, path)
        timer = threading.Timer(self.rng.uniform(0, self.within), self.server.kill)
        timer.start()
        try:
            return super()._answer(ask, path)
        finally:
            timer.join()


def each_second(rng):
    """Choose requests of every kind, 12 in all."""
    return lambda name, kills: kills < 12 and rng.random() < 0.2


@pytest.mark.parametrize(
    ("n_sessions", "choose", "within"),
    [pytest.param(1, lambda name, kills: name == "finish" and kills < 1, 0.03, id="once"),
     pytest.param(8, each_second(np.random.default_rng(5)), 0.1, id="again and again", marks=pytest.mark.soak)],
)  # fmt: skip
def test_a_server_that_is_killed_registers_every_output_once(
    central, database, server, tmp_path, module, n_sessions, choose, within
):
    """kill -9 of `neurojoint serve` while it answers; the next one goes on where it was."""
    folders = [session(tmp_path / "lab_a", "lab_a", number) for number in range(1, n_sessions + 1)]
    for folder in folders:
        (folder / "mode.txt").write_text("quick")
        (folder / sessions.FLAG).touch()
    home = Path(str(server["home"]))
    (home / "bridge").mkdir(exist_ok=True)
    users = accounts(home / "bridge" / "users.sqlite")
    program = Server(home, central.root)
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    worker.desk = Deadly(program, users.issue_token("mia", "agent", labs=["lab_a"]), choose, within)
    worker.delivery.desk = worker.desk
    over = threading.Event()
    thread = threading.Thread(target=worker.run, args=(over.is_set,))
    thread.start()
    try:
        done = task.Task & {"task_name": "make_thing", "task_state": "Complete"}
        wait_for(lambda: len(done) == n_sessions, 240 + 60 * n_sessions)
    finally:
        over.set()
        thread.join(120)
        worker.stop()
        program.stop()
    assert program.kills >= min(n_sessions, 12)
    assert {(folder / "runs.txt").read_text() for folder in folders} == {"x"}, "none was done twice"
    assert set(done.to_arrays("task_attempts")) == {1}
    assert len(task.TaskOutput()) == len(data.Dataset & {"rel_path": "alf/made.thing.txt"}) == n_sessions
    assert {path.read_text() for path in central.root.rglob("made.thing.txt")} == {"made"}
    assert not list(tmp_path.rglob("*.part")) and not list((home / "tasks").rglob("received/*/*"))


def test_a_link_that_is_cut_again_and_again_loses_nothing_and_does_nothing_twice(central, tmp_path, module):
    """Cut when a task begins, while outputs are delivered, and between: each is registered once, by one attempt."""
    folders = [session(tmp_path / "lab_a", "lab_a", number) for number in range(1, 4)]
    for folder, mode in zip(folders, ("quick", "quick", "doubt"), strict=True):
        (folder / "mode.txt").write_text(mode)
        (folder / sessions.FLAG).touch()
    link = Link(int(central.url.rpartition(":")[2]))
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    worker.desk = HttpDesk(link.url, central.users.issue_token("mia", "agent", labs=["lab_a"]))
    worker.delivery.desk = worker.desk
    over = threading.Event()
    cuts = 0

    def send(*words, send=worker.desk.send):
        nonlocal cuts
        if cuts % 2 == 0 and cuts < 6:  # every second delivery breaks off
            link.cut()
        cuts += 1
        return send(*words)

    worker.desk.send = send
    thread = threading.Thread(target=worker.run, args=(over.is_set,))
    thread.start()
    try:
        done = task.Task & {"task_name": "make_thing", "task_state": "Complete"}
        until = time.monotonic() + 240
        while len(done) < len(folders):
            assert time.monotonic() < until, [row["task_message"] for row in task.Task().to_dicts()]
            time.sleep(0.3)
            link.is_up = True
    finally:
        over.set()
        thread.join(60)
        worker.stop()
        link.listener.close()
    assert cuts >= 4, "the link was cut"
    rows = (task.Task & {"task_name": "make_thing"}).to_dicts()
    assert {row["task_attempts"] for row in rows} == {1}
    assert sorted(row["task_message"] for row in rows) == ["", "", "a person said so"]
    made = (data.Dataset & {"rel_path": "alf/made.thing.txt"}).to_dicts()
    assert [row["dataset_qc"] for row in sorted(made, key=lambda row: row["session_number"])] == [
        "NOT_SET", "NOT_SET", "WARNING"]  # fmt: skip
    assert {(folder / "runs.txt").read_text() for folder in folders} == {"x"}, "none was done twice"
    assert len(task.TaskOutput()) == len(data.Dataset & {"rel_path": "alf/made.thing.txt"}) == len(folders)
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("waits", [False, pytest.param(True, marks=pytest.mark.soak)])
def test_a_cut_longer_than_the_lease_wastes_no_work_that_nobody_else_has(central, tmp_path, module, monkeypatch, waits):
    """One task runs on during the cut, one ends in it: both are in the queue again, and their computer reports them.

    `waits`: the lease ends by itself; otherwise the test moves its end into the past.
    """
    monkeypatch.setattr(states, "_WAITS_S", (60.0 if waits else 0.0,) * 3)
    folders = [session(tmp_path / "lab_a", "lab_a", number) for number in (1, 2)]
    for folder in folders:
        (folder / "mode.txt").write_text("wait")
        (folder / sessions.FLAG).touch()
    link = Link(int(central.url.rpartition(":")[2]))
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    worker.desk = HttpDesk(link.url, central.users.issue_token("mia", "agent", labs=["lab_a"]))
    worker.delivery.desk = worker.desk
    (tmp_path / "lab_b").mkdir()
    other = agent(central, tmp_path, "lab_b", modules=("mylab_tasks",))
    over = threading.Event()
    thread = threading.Thread(target=worker.run, args=(over.is_set,))
    thread.start()
    things = task.Task & {"task_name": "make_thing"}

    def is_waiting() -> bool:
        """Whether both tasks are in the queue again, and could be had: another lab's computer asks meanwhile."""
        if not waits:
            for row in (things & {"task_state": "Started"}).proj().to_dicts():
                task.Task.update1(row | {"lease_until": Queue().now() - datetime.timedelta(seconds=1)})
        other.claim()
        now = Queue().now()
        return all(row["task_exit"] == "lost" and row["task_not_before"] < now for row in things.to_dicts())

    try:
        wait_for(lambda: all((folder / "runs.txt").exists() for folder in folders))
        link.cut()
        (folders[0] / "go.txt").touch()
        wait_for(is_waiting, 600)
        link.is_up = True
        (folders[1] / "go.txt").touch()
        wait_for(lambda: len(things & {"task_state": "Complete"}) == 2)
    finally:
        over.set()
        thread.join(120)
        worker.stop()
        other.stop()
        link.listener.close()
    assert {(folder / "runs.txt").read_text() for folder in folders} == {"x"}, "none was done twice"
    assert len(task.TaskOutput()) == len(data.Dataset & {"rel_path": "alf/made.thing.txt"}) == 2
    assert not list(tmp_path.rglob("*.part"))


def test_an_answer_that_is_lost_and_a_kill_while_delivering_register_once(central, tmp_path, module):
    thing(tmp_path, "quick")
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    finish = worker.desk.finish

    def lost(*words):
        finish(*words)
        raise Unreachable("the answer was lost", "")

    worker.desk.finish = lost
    until = time.monotonic() + 120

    def ended() -> bool:
        stages = {json.loads(path.read_text())["stage"] for path in worker.options.scratch.glob("*/job.json")}
        return time.monotonic() > until or (bool(task.TaskOutput()) and stages == {"delivering"})

    worker.run(ended)
    folders = [path for path in worker.options.scratch.iterdir() if path.is_dir()]
    assert folders, "nobody knows yet whether the outputs have arrived"
    assert {json.loads((folder / "job.json").read_text())["stage"] for folder in folders} == {"delivering"}
    worker._lock.close()
    again = Agent(worker.desk, worker.options)
    again.desk.finish = finish
    assert again.recover() == len(folders)
    again.stop()
    assert the_task()["task_state"] == "Complete" and len(task.TaskOutput()) == 1
    shutil.rmtree(tmp_path / "lab_a")
