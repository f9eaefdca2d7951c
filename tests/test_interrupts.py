"""Ctrl-C or SIGTERM at any moment of a command ends it with one sentence; nothing is left, and it can be run again."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from neurojoint.cli import commands
from pipeline import settings
from pipeline.alf import identity
from pipeline.web.accounts import Users, store_path
from tests.ingest.tree import write

GO = "import neurojoint.command as c; print('go', flush=True); c.run()"
COMMANDS = [["status"], ["ingest", "{root}"], ["work", "--once", "--processes", "2"], ["quarantine"], ["--help"]]
ALL = [
    *COMMANDS, ["compress", "{root}"], ["refresh", "--yes"], ["retry"], ["check", "--hashes"], ["cache", "{out}/cache"],
    ["qc", "PASS", "--session", "{eid}"], ["tag", "define", "t{n}"], ["tag", "add", "shared", "--lab", "lab"],
    ["revision", "define", "2020-02-{day}"], ["repository", "define", "r{n}", "--kind", "local", "--root", "{out}"],
    ["import", "weights", "{out}/weights.csv"], ["simulate", "{out}/lab{n}", "--mice", "1", "--sessions", "3"],
    ["db", "backup", "{out}/backup{n}"], ["db", "backup", "--to", "{backups}"], ["db", "upgrade"], ["db", "status"],
    ["release", "create", "rel{n}", "--tag", "shared"], ["release", "build", "rel", "{out}/release{n}"],
    ["nwb", "export", "--incomplete", "--lab", "lab", "{out}/nwb"],
    ["capsule", "create", "c{n}", "--tag", "shared", "--out", "{out}/c{n}"],
    ["publish", "--tag", "shared", "--to", "{out}/public", "--root", "{root}"],
    ["transfer", "plan"], ["transfer", "run"],
    ["verify"], ["free", "{root}", "--yes"], ["notify", "--once"], ["user", "token", "ada"], ["user", "list"],
    ["period", "add", "p{n}", "--from", "stim_on_times", "--to", "feedback_times"],
    ["condition", "add", "c{n}", "contrast_left > 0"],
    ["comparison", "add", "c{n}", "contrast_left > 0", "contrast_right > 0"], ["comparison", "list"], ["rules", "list"],
    ["predict"], ["subject", "rename", "lab/{old}", "{new}", "--yes"], ["session", "new", "{root}", "lab", "m1"],
    ["task", "list"], ["find", "sessions"], ["clusterings"], ["session", "changes"], ["where", "{path}"],
    ["clocks", "{session}"], ["import-sorting", "{root}"], ["sort", "{root}", "none"],
    ["retrieve", "--lab", "lab", "--to", "root"],
    ["archive", "discover", "r"], ["module", "list"], ["module", "new", "m{n}", "--in", "{out}"],
    ["client-config", "--url", "http://127.0.0.1:9", "--user", "ada", "--token", "x"],
    ["demo", "--mice", "1", "--sessions", "2", "--root", "{out}/demo{n}"],
]  # fmt: skip
ENDLESS = [["work", "--processes", "1"], ["serve", "--public-read", "--port", "{port}"],
           ["dashboard", "--port", "{port}"], ["agent", "--root", "{root}"]]  # fmt: skip
"""What goes on until a signal comes."""
OTHERS = {"jupyter": "JupyterLab asks at the first interrupt", "shell": "IPython takes interrupts as its own"}
"""Commands that are other people's programs, and what these do."""
LONGEST_START = 6.0  # s
REFUSED = {"archive", "demo", "import-sorting", "predict", "publish", "sort"}
"""Commands that find nothing to do here, and say so: what they would need is not in the few sessions."""
LEFTOVERS = ("*.part", "*.tmp", "*.partial", ".*.tmp*", "*~")


def interrupted(command: list[str], after: float, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and standard error of a command that gets SIGINT, as do all its processes, `after` seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", GO, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=os.environ | environment,
    )  # fmt: skip
    assert process.stdout.readline() == "go\n"
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=120)
    return process.returncode, words


def check(command: list[str], after: float, code: int, words: str) -> None:
    """One sentence, and no traceback."""
    assert "Traceback" not in words and "Exception ignored" not in words, (command, after, words)
    assert code in (0, 130, 1, 2), (command, after, code, words)
    assert code != 130 or "stop" in words or "Aborted" in words, (command, after, words)


def interrupt_many(server: dict, tmp_path: Path, times: int) -> None:
    for day in range(1, 8):
        write(tmp_path, f"lab/Subjects/m1/2020-01-{day:02d}/001")
    environment = {"NEUROJOINT_HOME": str(server["home"])}
    rng = random.Random(7)  # noqa: S311 - a reproducible choice of moments
    for command in COMMANDS:
        filled = [part.format(root=tmp_path) for part in command]
        for _ in range(times):
            after = rng.uniform(0, 4)
            code, words = interrupted(filled, after, environment)
            check(command, after, code, words)
            assert code in (0, 130, 1) and (code == 0 or "stop" in words or "Aborted" in words), (command, code, words)


@pytest.fixture
def postgresql(request, server):
    if "home" not in server or "database_url" in server:
        pytest.skip("once is enough")
    with settings.override(**server):
        yield server


@pytest.mark.slow
def test_an_interrupt_ends_a_command_with_one_sentence(postgresql, tmp_path):
    interrupt_many(postgresql, tmp_path, 2)


class Commands:
    """Commands in forks of one process, each with a signal at some moment."""

    def __init__(self, process: subprocess.Popen, environment: dict[str, str], output: Path) -> None:
        self.process, self.environment, self.output = process, environment, output

    def run(
        self, command: list[str], after: float | None = None, number: int = signal.SIGINT
    ) -> tuple[int, str, float]:
        """Exit code, what was written, and how long it took, of a command that gets a signal after some seconds.

        SIGINT goes to all its processes, as Ctrl-C does; SIGTERM to the command, as of a service manager.
        """
        asked = {"command": command, "environment": self.environment, "output": str(self.output)}
        began = time.monotonic()
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        pid = int(self.process.stdout.readline())
        if after is not None:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):
                (os.killpg if number == signal.SIGINT else os.kill)(pid, number)
        code = int(self.process.stdout.readline())
        took = time.monotonic() - began
        self.wait_for_children(pid, command)
        return code, self.output.read_text(errors="replace"), took

    @staticmethod
    def wait_for_children(session: int, command: list[str]) -> None:
        """All processes of the command end with it; one that is only not reaped yet has ended."""
        end = time.monotonic() + 60
        while left := subprocess.run(
            ["pgrep", "-a", "-r", "D,R,S,T", "-s", str(session)], capture_output=True, text=True
        ).stdout:
            assert time.monotonic() < end, (command, left)
            time.sleep(0.05)


@pytest.fixture(scope="module")
def command_server() -> Iterator[subprocess.Popen]:
    """The process whose forks are the commands."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.command_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "ready\n"
        yield process
        process.stdin.close()
        process.wait(60)


@pytest.fixture
def program(command_server, postgresql, database, tmp_path) -> Commands:
    environment = {"NEUROJOINT_HOME": str(postgresql["home"]), "HOME": str(tmp_path)}
    return Commands(command_server, environment, tmp_path / "output")


def test_every_command_is_interrupted():
    """Those of the program and those that are tried here are the same."""
    known = {name for section in commands.COMMANDS.values() for name in section}
    assert {command[0] for command in (*ALL, *ENDLESS)} - {"--help"} | OTHERS.keys() == known


@pytest.fixture
def places(tmp_path, program) -> dict[str, str]:
    """What the arguments of the commands stand for: some sessions, registered and tagged, and room for what is made."""
    root, out = tmp_path / "root", tmp_path / "out"
    out.mkdir()
    (out / "weights.csv").write_text("lab,subject,weighing_time,weight\nlab,m1,2020-01-01T12:00:00,20\n")
    for day in range(1, 8):
        write(root, f"lab/Subjects/m1/2020-01-{day:02d}/001")
    shared = (["define", "shared", "--public"], ["add", "shared", "--lab", "lab"])
    for prepare in (["ingest", str(root)], *(["tag", *one] for one in shared),
                    ["release", "create", "rel", "--tag", "shared"]):  # fmt: skip
        code, words, _ = program.run(prepare)
        assert code == 0, words
    session = "lab/Subjects/m1/2020-01-01/001"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    Users(store_path()).add("ada", "correct horse", "member")
    backups = Path(program.environment["NEUROJOINT_HOME"]) / "backups"  # which the database can reach
    return {"root": str(root), "out": str(out), "backups": str(backups), "path": session,
            "session": str(root / session), "eid": identity.eid(session), "port": str(port)}  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("command", [*ALL, *ENDLESS], ids=" ".join)
def test_signals_at_many_moments(program, places, tmp_path, command):
    """And in the end the command does what it does when nobody stops it, the database is sound and no file is left.

    NEUROJOINT_INTERRUPTS moments each, 200 if it is not given: SIGINT and SIGTERM in turn, between the start of the
    command (all is imported by then) and a tenth after the end of its work.
    """
    rng = random.Random(7)  # noqa: S311 - a reproducible choice of moments
    has_end = command not in ENDLESS
    took, codes = 1.0 if has_end else LONGEST_START, []
    names = ["m1", "m1b"]  # of the animal: one that was renamed gets its old name again
    for number in range(int(os.environ.get("NEUROJOINT_INTERRUPTS", "200"))):
        day = f"{1 + number % 28:02d}"
        if command[0] == "ingest":
            write(Path(places["root"]), f"lab/Subjects/m1/2021-{1 + number // 28 % 12:02d}-{day}/001")
        filled = [part.format(**places, n=number, day=day, old=names[0], new=names[1]) for part in command]
        after = rng.uniform(0, 1.1 * took) if number or not has_end else None
        code, words, seconds = program.run(filled, after, (signal.SIGINT, signal.SIGTERM)[number % 2])
        check(filled, after or 0.0, code, words)
        names = names[::-1] if code == 0 else names
        took = seconds if code != 130 and has_end else took
        codes.append(code)
    first = codes[0]
    assert first == 0 or command[0] in REFUSED or not has_end, (first, words)
    if has_end:
        filled = [part.format(**places, n="last", day="28", old=names[0], new=names[1]) for part in command]
        code, words, _ = program.run(filled)
        assert code == first and "Traceback" not in words, (code, first, words)
    folders = (tmp_path, Path(places["backups"]))
    left = [path for pattern in LEFTOVERS for folder in folders for path in folder.rglob(pattern)]
    assert not left
    code, words, _ = program.run(["check"])
    assert code == 0, words
    print(command, "stopped", codes.count(130), "of", len(codes), "first", first, words[-200:] if first else "")
