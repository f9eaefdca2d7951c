"""Files over many sessions, in the folder `aggregates/` of a data root, e.g. aggregates/Subjects/lab/KS014."""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator
from pathlib import Path

from ingest.identity import NAMESPACE
from ingest.scan import AGGREGATES
from ingest.writing import Writer
from pipeline import alf
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data

COLUMNS = ("aggregate_id", "repository", "aggregate_path", "aggregate_relation", "aggregate_identifier",
           "aggregate_revision", "aggregate_hash", "aggregate_size", "aggregate_modified_ns", "aggregate_default",
           "aggregate_registered")  # fmt: skip


def register(writer: Writer, repository: str, root: Path) -> None:
    """Bring data.Aggregate up to what is in the folder: new and changed files are hashed, rows of lost ones go.

    What another repository holds under the same path stays that one's.
    """
    rows = fetch_columns(data.Aggregate, *COLUMNS).to_pylist()
    known = {row["aggregate_path"]: row for row in rows if row["repository"] == repository}
    elsewhere = {row["aggregate_path"] for row in rows if row["repository"] != repository}
    found = {}
    for path in _files(root):
        if path.relative_to(root).as_posix() in elsewhere:
            continue
        stat, before = path.stat(), known.get(path.relative_to(root).as_posix())
        row = _row(repository, path.relative_to(root).as_posix())
        unchanged = before and (before["aggregate_size"], before["aggregate_modified_ns"]) == (
            stat.st_size, stat.st_mtime_ns,
        )  # fmt: skip
        row["aggregate_size"], row["aggregate_modified_ns"] = stat.st_size, stat.st_mtime_ns
        row["aggregate_hash"] = before["aggregate_hash"] if unchanged else _md5(path)
        row["aggregate_registered"] = before["aggregate_registered"] if before else writer.now
        found[row["aggregate_path"]] = row
    newest = {_without_revision(path): path for path in sorted(found, key=lambda p: found[p]["aggregate_revision"])}
    for path, row in found.items():
        row["aggregate_default"] = newest[_without_revision(path)] == path
    changed = [row for path, row in found.items() if row != known.get(path)]
    for row in changed:
        before, path = known.get(row["aggregate_path"]), row["aggregate_path"]
        if before is None or before["aggregate_hash"] != row["aggregate_hash"]:
            old = before["aggregate_hash"] if before else ""
            writer.change("replaced" if before else "registered", path, "", old, row["aggregate_hash"])
    gone = [row for path, row in known.items() if path not in found]
    for row in gone:
        writer.change("deleted", row["aggregate_path"], "the file is gone", row["aggregate_hash"])
    if gone and not writer.dry_run:
        (data.Aggregate & [{"aggregate_id": row["aggregate_id"]} for row in gone]).delete_quick()
    writer.put(data.Aggregate, COLUMNS, [tuple(row[name] for name in COLUMNS) for row in changed], "update")


def _files(root: Path) -> Iterator[Path]:
    """The files with ALF names, at least two folders deep, that really lie below the root."""
    for path in sorted((root / AGGREGATES).rglob("*")):
        depth, parsed = len(path.relative_to(root).parts), alf.parse_name(path.name)
        is_alf = parsed is not None and not parsed.uuid and len(path.relative_to(root).as_posix()) <= 255
        if depth > 3 and is_alf and path.is_file() and path.resolve().is_relative_to(root.resolve()):
            yield path


def _row(repository: str, path: str) -> dict:
    """What a path says.

    >>> row = _row("local", "aggregates/Subjects/simlab/KS014/#r1#/x.y.pqt")
    >>> row["aggregate_relation"], row["aggregate_identifier"], row["aggregate_revision"]
    ('subjects', 'simlab/KS014', 'r1')
    """
    folders = path.split("/")[1:-1]
    revision = next((one.strip("#") for one in folders if one.startswith("#")), "")
    return {
        "aggregate_id": str(uuid.uuid3(NAMESPACE, path)),
        "repository": repository,
        "aggregate_path": path,
        "aggregate_relation": folders[0].casefold(),
        "aggregate_identifier": "/".join(one for one in folders[1:] if not one.startswith("#")),
        "aggregate_revision": revision,
    }


def _without_revision(path: str) -> str:
    return re.sub(r"#[^/]*#/", "", path)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
