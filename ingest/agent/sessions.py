"""Session folders below a root that are ready to be worked on: with a flag, or quiet for long enough."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import InvalidData
from pipeline.tasks import description as descriptions
from pipeline.unfinished import unfinished

FLAG = "raw_session.flag"
PLANNED = ".neurojoint_planned.json"
QUIET_S = 3600.0
_SETTINGS = "_iblrig_taskSettings.raw.json"


@dataclass(frozen=True)
class Found:
    """A session folder: what its path says, and what lies in it."""

    folder: Path
    lab: str
    subject: str
    date: str
    number: int
    files: dict[str, int]
    newest: float

    @property
    def signature(self) -> str:
        """Changes when its raw files do."""
        raw = {path: size for path, size in self.files.items() if path.startswith(("raw_", "_ibl_experiment"))}
        return json.dumps(sorted(raw.items()))


def ready(root: Path, quiet: float = QUIET_S, now: float | None = None) -> Iterator[Found]:
    """The sessions `lab/Subjects/subject/date/number` below a root that are ready and were not planned as they are.

    Parameters
    ----------
    quiet : s without any change after which a session without a flag counts as ready.
    """
    now = time.time() if now is None else now
    for folder in sorted(root.glob("*/Subjects/*/????-??-??/[0-9]*")):
        if not folder.is_dir() or folder.is_symlink() or not folder.name.isdigit():
            continue
        session = look(folder)
        if session is None or not session.files:
            continue
        flagged = (folder / FLAG).exists()
        if not flagged and now - session.newest < quiet:
            continue
        if _planned(folder) == session.signature:
            continue
        yield session


def look(folder: Path) -> Found | None:
    """A session folder as it is; None where it goes away meanwhile."""
    files: dict[str, int] = {}
    newest = 0.0
    try:
        for path, folders, names in os.walk(folder):
            folders[:] = [item for item in folders if not item.startswith(".")]
            for name in names:
                if name.startswith(".") or name.endswith(".part") or name == FLAG:
                    continue
                stat = os.lstat(os.path.join(path, name))  # noqa: PTH118 - of thousands of files
                files[os.path.relpath(os.path.join(path, name), folder)] = stat.st_size  # noqa: PTH118
                newest = max(newest, stat.st_mtime)
    except OSError:
        return None
    number, date, mouse, _, lab = (part.name for part in [folder, *list(folder.parents)[:4]])
    return Found(folder, lab, mouse, date, int(number), files, newest)


def report(session: Found) -> dict[str, Any]:
    """What the server is told of a session.

    Raises
    ------
    InvalidData : its description cannot be read.
    """
    told: dict[str, Any] = {
        "lab": session.lab, "subject": session.subject, "date": session.date, "number": session.number,
        "files": session.files,
    }  # fmt: skip
    path = session.folder / descriptions.FILE
    if path.is_file():
        if path.stat().st_size > descriptions.LARGEST:
            raise InvalidData(descriptions.FILE, "description", "it is too large", "correct the file")
        told["description"] = descriptions.parse_yaml(path.read_text(encoding="utf-8", errors="replace"))
    for name in sorted(session.files):
        if name.endswith(_SETTINGS):
            try:
                settings = json.loads((session.folder / name).read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            told.setdefault(
                "protocol", f"{settings.get('PYBPOD_PROTOCOL', '')}{settings.get('IBLRIG_VERSION_TAG', '')}"
            )
    return told


def note_planned(session: Found) -> None:
    """Note that the session was planned as it is, and take its flag away: that comes last."""
    with unfinished(session.folder / PLANNED) as partial:
        partial.write_text(json.dumps({"signature": session.signature}))
        partial.replace(session.folder / PLANNED)
    (session.folder / FLAG).unlink(missing_ok=True)


def _planned(folder: Path) -> str:
    try:
        return str(json.loads((folder / PLANNED).read_text()).get("signature", ""))
    except (OSError, ValueError):
        return ""
