"""NWB files for people who ask a server for them: another process exports them, the server sends what is finished.

The server neither imports what exports nor waits for it: whoever asks too early is told to ask again.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.settings import settings

AT_ONCE = 2
"""Exports that run at the same time."""
FRESH = 60.0  # s for which a finished export is sent without another look at the tables
PATIENCE = 3.0  # s that a request waits for an export to end
_EID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COMMAND = "import sys; from neurojoint.cli import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class Answer:
    """What to tell who asked.

    Attributes:
        path: the finished file; None while there is none.
        problem: why there will be none, as a sentence.
        busy: too many others are being made.
    """

    path: Path | None = None
    problem: str = ""
    busy: bool = False


@dataclass
class _Run:
    process: subprocess.Popen
    log: Path
    ended: float | None = None  # monotonic, s


class NwbFiles:
    """The exports of one server.

    Parameters
    ----------
    folder : where files are kept; by default `nwb` in the home of the settings.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._runs: dict[str, _Run] = {}
        self._lock = threading.Lock()

    @property
    def folder(self) -> Path:
        """Where the files are kept."""
        return self._folder or settings().home / "nwb"

    def get(self, eid: str) -> Answer:
        """The NWB file of a session that exists; who may have it is decided before.

        Raises
        ------
        ValueError : it is no eid.
        """
        if not is_eid(eid):
            raise ValueError(f"{eid[:60]!r} is no eid")
        with self._lock:
            run = self._runs.get(eid)
            if run is None or (run.ended is not None and time.monotonic() - run.ended > FRESH):
                if sum(item.process.poll() is None for item in self._runs.values()) >= AT_ONCE:
                    return Answer(busy=True)
                run = self._runs[eid] = self._start(eid)
        try:
            code = run.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return Answer()
        run.ended = run.ended or time.monotonic()
        files = sorted((self.folder / eid).glob("*.nwb"))
        if code == 0 and files:
            return Answer(files[0])
        return Answer(problem=_reason(run.log) or "the export ended without a file")

    def _start(self, eid: str) -> _Run:
        target = self.folder / eid
        target.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = target / "export.log"
        chosen = settings()
        told = {"NEUROJOINT_HOME": str(chosen.home), "NEUROJOINT_PREFIX": chosen.prefix}
        for name in ("database_url", "database_password"):  # in the environment, which other users cannot see
            if (secret := getattr(chosen, name)) is not None:
                told[f"NEUROJOINT_{name.upper()}"] = secret.get_secret_value()
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-c", _COMMAND, "nwb", "export", eid, str(target)],
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=os.environ | told,
            )  # fmt: skip
        return _Run(process, log)


def is_eid(text: str) -> bool:
    """Whether a text can be an eid.

    >>> is_eid("638e9bf5-a5db-3344-a80c-be9e0d6da8cd"), is_eid("../x")
    (True, False)
    """
    return _EID.fullmatch(text) is not None


def _reason(log: Path) -> str:
    """The sentence with which an export failed."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    for line in lines:
        for start in ("failed ", "neurojoint: "):
            if line.startswith(start):
                return line.removeprefix(start).strip()
    return ""
