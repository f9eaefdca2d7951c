"""Whose a folder of results is: the registered session that holds it, and the probe that its path names."""

from __future__ import annotations

import re
from pathlib import Path

from ingest.files.scan import SessionKey
from ingest.rows.repository import repository_of
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, data

_SESSION = re.compile(r"(?P<folder>(?:.*/)?(?P<subject>[^/]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3}))(?:/|$)")


def session_of(folder: Path) -> tuple[str, Path, str, SessionKey]:
    """Repository, its root, the session's folder below it, and the key of the session that holds a folder."""
    repository, base = repository_of(folder, None)
    if not data.Repository & {"repository": repository, "repository_kind": "local"}:
        raise NeurojointError(f"{folder} lies in no folder that is registered", "run `neurojoint ingest` on it first")
    match = _SESSION.match(folder.relative_to(base).as_posix())
    key = match and {"subject": match["subject"], "session_date": match["date"], "session_number": int(match["number"])}
    rows = fetch_columns(acquisition.Session & key, *acquisition.Session.primary_key).to_pylist() if key else []
    if len(rows) > 1 and match:
        rows = [row for row in rows if match["folder"].startswith(f"{row['lab']}/")] or rows
    if not match or len(rows) != 1:
        raise NeurojointError(
            f"{folder} lies in no session that is registered",
            "name the session folder with --session, or run `neurojoint ingest` first",
        )
    row = rows[0]
    session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
    return repository, base, match["folder"], session


def probe_of(path: Path, recorded: set[str]) -> str:
    """The probe that a path names, `probe00` or `imec0`, else the only one that was recorded."""
    for part in reversed(path.parts):
        if match := re.search(r"probe\d+[a-z]?", part):
            return match[0]
        if match := re.search(r"imec(\d+)", part):
            return f"probe{int(match[1]):02d}"
    if len(recorded) == 1:
        return next(iter(recorded))
    raise NeurojointError(f"{path} does not say which probe it is of", "name it with --probe, e.g. --probe probe00")
