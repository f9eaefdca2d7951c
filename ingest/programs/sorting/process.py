"""Runs an external program to its end: no shell, no secrets, its words in a file, nothing of it left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

LOG, PROCESS = "log.txt", "process.json"
TAIL_LINES, TAIL_CHARACTERS = 20, 4000
PATIENCE = 5.0  # s between the request to end and the end by force
TICK = 30.0  # s
_HIDDEN = ("NEUROJOINT_", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "__PYVENV")


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    exit_code: int | None  # negative: ended by this signal; None: it could not be started, or its time was over
    seconds: float
    problem: str  # empty where all is well
    tail: str  # the last lines of what it said


def run(
    argv: Sequence[str],
    folder: Path,
    timeout: float,
    environment: Mapping[str, str] | None = None,
    tick: Callable[[], None] = lambda: None,
) -> Ended:
    """Run a program in `folder`, with what it says in the file `log.txt` there.

    It gets this process's environment without our settings (which hold passwords) and without what belongs to our
    Python. When it has ended, by itself or not, its children are ended too.

    Parameters
    ----------
    timeout : s after which it is ended.
    environment : variables that are added.
    tick : called every half minute.
    """
    variables = {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
    begin = time.monotonic()
    with (folder / LOG).open("wb") as log:
        try:
            program = subprocess.Popen(
                list(argv), cwd=folder, env=variables | dict(environment or {}), stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            return Ended(None, 0.0, f"{argv[0]} cannot be started ({reason})", "")
        try:
            with contextlib.suppress(psutil.Error):
                _note(folder, program.pid, psutil.Process(program.pid).create_time())
            in_time = _wait(program, begin + timeout, tick)
        finally:
            _end(program)
    seconds = time.monotonic() - begin
    (folder / PROCESS).unlink(missing_ok=True)
    said = tail(folder / LOG)
    if not in_time:
        return Ended(None, seconds, f"it had not ended after {timeout:g} s", said)
    code = program.returncode
    how = f"it was ended by the signal {-code}" if code < 0 else f"it ended with exit code {code}"
    return Ended(code, seconds, how if code else "", said)


def end_left_over(folder: Path) -> None:
    """End the program that a run began in `folder` which was itself killed; nothing where that is not running."""
    try:
        noted = json.loads((folder / PROCESS).read_text(encoding="utf-8"))
        process = psutil.Process(int(noted["pid"]))
        if abs(process.create_time() - float(noted["created"])) < 0.1 and os.getpgid(process.pid) == process.pid:
            os.killpg(process.pid, signal.SIGKILL)
            until = time.monotonic() + PATIENCE
            while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
                time.sleep(0.05)
    except (OSError, ValueError, KeyError, TypeError, psutil.Error):
        return


def tail(path: Path) -> str:
    """The last lines of a log, as text that a database takes.

    A progress bar that rewrites its line counts once.
    """
    with path.open("rb") as log:
        log.seek(max(0, path.stat().st_size - 64 * 1024))
        text = log.read().decode("utf-8", "replace")
    lines = [line.rstrip().rpartition("\r")[2] for line in text.replace("\r\n", "\n").split("\n")]
    clean = ["".join(c for c in line if c.isprintable() or c == "\t") for line in lines if line.strip()]
    return "\n".join(clean[-TAIL_LINES:])[-TAIL_CHARACTERS:]


def _wait(program: subprocess.Popen, until: float, tick: Callable[[], None]) -> bool:
    """Wait for the end; False where the time is over before."""
    while True:
        left = until - time.monotonic()
        if left <= 0:
            return False
        try:
            program.wait(min(left, TICK))
            return True
        except subprocess.TimeoutExpired:
            tick()


def _end(program: subprocess.Popen) -> None:
    """End the program, if it has not, and what it started."""
    if program.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            program.wait(PATIENCE)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)
    program.wait()


def _note(folder: Path, pid: int, created: float) -> None:
    (folder / PROCESS).write_text(json.dumps({"pid": pid, "created": created}), encoding="utf-8")
