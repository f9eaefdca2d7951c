"""What becomes of an NWB file: a session folder that is written as a whole, and a line on each object or file."""

from __future__ import annotations

import hashlib
import re
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import InvalidData, NeurojointError


@dataclass
class Line:
    """What became of one object or file: `state` is `equal`, `values` (written again), `mapped` or `left out`."""

    name: str
    state: str
    detail: str = ""


@dataclass
class Intake:
    """What became of one NWB file.

    Attributes:
        state: `written`, `equal` (the session was there), `failed`.
        session: lab/Subjects/subject/date/number.
        lines: object by object, or for files of our own, file by file.
    """

    path: Path
    state: str
    session: str = ""
    is_own: bool = False
    lines: list[Line] = field(default_factory=list)
    problem: str = ""

    def counts(self) -> dict[str, int]:
        """How many lines have each state."""
        counts: dict[str, int] = {}
        for line in self.lines:
            counts[line.state] = counts.get(line.state, 0) + 1
        return counts


@dataclass(frozen=True)
class Choices:
    """What a person states about files of others; see `foreign.read`."""

    lab: str | None = None
    subject: str | None = None
    number: int | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """ALF attribute of trials -> column of the trials table."""


def session_path(name: str, path: Path) -> str:
    """lab/Subjects/subject/date/number from lab/subject/date/number.

    Raises
    ------
    InvalidData : it is none.

    >>> session_path("simlab/KS014/2024-01-31/001", Path("x.nwb"))
    'simlab/Subjects/KS014/2024-01-31/001'
    """
    match = re.fullmatch(r"(\w+)/([\w.-]+)/(\d{4}-\d\d-\d\d)/(\d{3})", name, re.ASCII)
    if match is None or match[2].strip(".") == "":
        raise InvalidData(
            str(path), "not_alf", f"{name[:80]!r} is no lab/subject/date/number", "give --lab and --subject"
        )
    return f"{match[1]}/Subjects/{match[2]}/{match[3]}/{match[4]}"


def place(root: Path, session: str, write: Callable[[Path], None]) -> str:
    """Make the folder of a session as a whole; where it is there, compare.

    Returns
    -------
    `written`, or `equal` where all files are there already.

    Raises
    ------
    NeurojointError : the session is there with other content.
    """
    target = root / session
    part = root / f".nwb_{uuid.uuid4().hex[:8]}.part"
    try:
        part.mkdir()
        write(part)
        if target.exists():
            differs = sorted(name for name in _names(part) if not _same(part / name, target / name))
            if differs:
                some = ", ".join(differs[:3]) + (", …" if len(differs) > 3 else "")
                raise NeurojointError(
                    f"{session} is there with other content ({some})", "move it away, or give another number (--number)"
                )
            return "equal"
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        return "written"
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]


def _same(one: Path, other: Path) -> bool:
    return other.is_file() and one.stat().st_size == other.stat().st_size and file_md5(one) == file_md5(other)


def file_md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
