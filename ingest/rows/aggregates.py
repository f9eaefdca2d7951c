"""Files over many sessions, in the folder `aggregates/` of a data root, e.g. aggregates/Subjects/lab/KS014."""

from __future__ import annotations

import hashlib
import re
import uuid
from pathlib import Path
from typing import Any

from ingest.files import scan
from ingest.files.scan import AGGREGATES, Problem
from ingest.rows.writing import Writer
from pipeline.alf import columns
from pipeline.alf.identity import NAMESPACE
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data

COLUMNS = ("aggregate_id", "repository", "aggregate_path", "aggregate_relation", "aggregate_identifier",
           "aggregate_revision", "aggregate_hash", "aggregate_size", "aggregate_modified_ns", "aggregate_default",
           "aggregate_registered")  # fmt: skip


def register(writer: Writer, repository: str, root: Path) -> list[Problem]:
    """Bring data.Aggregate up to what is in the folder: new and changed files are hashed, rows of lost ones go.

    What another repository holds under the same path stays that one's.

    Returns
    -------
    What is refused, for the quarantine. What was registered there before stays registered.
    """
    rows = fetch_columns(data.Aggregate, *COLUMNS).to_pylist()
    known = {row["aggregate_path"]: row for row in rows if row["repository"] == repository}
    elsewhere = {row["aggregate_path"] for row in rows if row["repository"] != repository}
    files, problems = scan.list_files(root, AGGREGATES) if (root / AGGREGATES).is_dir() else ([], [])
    rows_by_path = {}
    for file in files:
        path = f"{AGGREGATES}/{file.path}"
        if path in elsewhere:
            continue
        try:
            if wrong := _wrong(path):
                problems.append(Problem(scan.printable(path), "not_alf", wrong))
            else:
                rows_by_path[path] = _row(writer, repository, path, file, root, known.get(path))
        except OSError as error:
            problems.append(scan.os_problem(path, error))
    newest = {
        _without_revision(path): path
        for path in sorted(rows_by_path, key=lambda p: rows_by_path[p]["aggregate_revision"])
    }
    for path, row in rows_by_path.items():
        row["aggregate_default"] = newest[_without_revision(path)] == path
    refused = tuple(problem.path for problem in problems)
    gone = [row for path, row in known.items() if path not in rows_by_path and not f"{path}/".startswith(refused)]
    _write(writer, known, rows_by_path, gone)
    return problems


def _write(writer: Writer, known: dict[str, dict], rows_by_path: dict[str, dict], gone: list[dict]) -> None:
    changed = [row for path, row in rows_by_path.items() if row != known.get(path)]
    for row in changed:
        before, path = known.get(row["aggregate_path"]), row["aggregate_path"]
        if before is None or before["aggregate_hash"] != row["aggregate_hash"]:
            old = before["aggregate_hash"] if before else ""
            writer.change("replaced" if before else "registered", path, "", old, row["aggregate_hash"])
    for row in gone:
        writer.change("deleted", row["aggregate_path"], "the file is gone", row["aggregate_hash"])
    if gone and not writer.dry_run:
        (data.Aggregate & [{"aggregate_id": row["aggregate_id"]} for row in gone]).delete_quick()
    writer.put(data.Aggregate, COLUMNS, [tuple(row[name] for name in COLUMNS) for row in changed], "update")


def _wrong(path: str) -> str:
    """What is wrong with the path of a file, if anything is.

    >>> _wrong("aggregates/Subjects/simlab/KS014/_ibl_subjectTraining.table.pqt")
    ''
    >>> _wrong("aggregates/Subjects/trials.table.pqt")
    'it lies in no folder aggregates/relation/identifier'
    """
    *folders, name = path.split("/")
    parsed = columns.parse_name(name)
    if parsed is None or parsed.uuid:
        return "it is not named object.attribute.extension"
    if any(not re.fullmatch(r"#[\w.-]+#" if folder[0] == "#" else r"[\w.-]+", folder) for folder in folders):
        return "a folder is not named with letters, digits and _ . -"
    if len([folder for folder in folders if folder[0] != "#"]) < 3:
        return "it lies in no folder aggregates/relation/identifier"
    if any(folder[0] == "#" for folder in folders[:-1]):
        return "#revision# is not the last folder"
    return "its path is longer than 255 characters" if len(path) > 255 else ""


def _row(
    writer: Writer, repository: str, path: str, file: scan.File, root: Path, before: dict | None
) -> dict[str, Any]:
    *folders, last = path.split("/")[1:-1]
    revision = last.strip("#") if last[0] == "#" else ""
    same = before and (before["aggregate_size"], before["aggregate_modified_ns"]) == (file.size, file.modified_ns)
    return {
        "aggregate_id": str(uuid.uuid3(NAMESPACE, path)),
        "repository": repository,
        "aggregate_path": path,
        "aggregate_relation": folders[0].casefold(),
        "aggregate_identifier": "/".join([*folders[1:], *([] if revision else [last])]),
        "aggregate_revision": revision,
        "aggregate_hash": before["aggregate_hash"] if before and same else _md5(root / path),
        "aggregate_size": file.size,
        "aggregate_modified_ns": file.modified_ns,
        "aggregate_registered": before["aggregate_registered"] if before else writer.now,
    }


def _without_revision(path: str) -> str:
    return re.sub(r"#[^/]*#/", "", path)


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
