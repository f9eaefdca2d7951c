"""The copies of datasets on this computer, as they were registered; what is only elsewhere comes from the cache."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import datajoint as dj

from pipeline.alf import disks
from pipeline.alf.aliases import names_of
from pipeline.alf.columns import compressed_form, raw_form
from pipeline.alf.reasons import refuse
from pipeline.database import registry
from pipeline.database.prepared import Prepared
from pipeline.database.together import once
from pipeline.errors import InvalidData
from pipeline.schemas.inputs import remote_files

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")
ephys = registry.tables_of("ephys")

try:
    import fcntl
except ModuleNotFoundError:  # Windows: no such locks
    fcntl = None  # type: ignore[assignment]

ONLINE = {"file_state": "online"}
INGEST = "run `neurojoint ingest` on the folder that holds it"
_COPIES = Prepared(lambda: _copies(), order_by="rel_path, repository")
_REPOSITORIES = Prepared(lambda: data.Repository.proj(...))


def path_of(key: Mapping[str, Any], rel_path: str) -> Path:
    """The file of a dataset on this computer; of a raw recording the form that it has now, compressed or not.

    Raises
    ------
    InvalidData : there is no copy here.
    """
    session = session_of(key)
    raw = raw_form(rel_path)
    forms = {rel_path, raw, compressed_form(raw)}
    rows = (data.Dataset & session & [{"rel_path": form} for form in sorted(forms)]).proj(
        "dataset_hash", "rel_path"
    ) * (data.FileRecord & ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    datasets = rows.to_dicts()
    for with_path in with_paths(datasets, hashes_of_raw(datasets)):
        if with_path["path"] is not None:
            return with_path["path"]
    raise InvalidData(f"{session_path(key)}/{rel_path}", "missing", "no copy is online here", INGEST)


def paths_of(key: Mapping[str, Any], hashes: Mapping[str, str]) -> dict[str, Path]:
    """The files of some datasets of a session on this computer, each with the content that is asked for.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored).
    hashes : path below the session -> md5 of the content.

    Raises
    ------
    InvalidData : no copy of a file is here, or it is not as it was registered.
    """
    if not hashes:
        return {}
    session = session_of(key)
    chosen = (data.Dataset & session & [{"rel_path": path} for path in sorted(hashes)]).proj("rel_path", "dataset_hash")
    records = (data.FileRecord & ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    by_path = {
        with_path["rel_path"]: with_path
        for with_path in with_paths((chosen * records).to_dicts(order_by="rel_path, repository"))
    }
    for path, md5 in hashes.items():
        one = by_path.get(path)
        if one is None or one["path"] is None or one["record_hash"] != md5:
            raise InvalidData(f"{session_path(key)}/{path}", "missing", "no copy is online here", INGEST)
        check_unchanged(one)
    return {path: by_path[path]["path"] for path in hashes}


def shared_lock(path: Path) -> int:
    """Open a file that is going to be read for long, so that `neurojoint free` leaves it alone; close what is returned.

    Raises
    ------
    InvalidData : the file is gone since it was registered.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise refuse(str(path), "vanished", "the file is gone since it was registered") from None
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def of_object(key: Mapping[str, Any], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The default, online datasets of the object, each with its path here (None where it has none)."""
    wanted = {"collection": row["object_collection"], "alf_object": names_of(row["object_name"])}
    return with_paths(_COPIES.rows(session_of(key) | wanted))


def hashes_of_raw(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Dataset -> md5 of the raw file, for recordings that are compressed; a copy elsewhere may still be raw."""
    ids = [{"dataset_id": row["dataset_id"]} for row in rows if row["rel_path"].endswith(".cbin")]
    hashes = (ephys.Compression & ids & "raw_hash <> ''").proj("raw_hash").to_dicts() if ids else []
    return {row["dataset_id"]: row["raw_hash"] for row in hashes}


def with_paths(rows: list[dict[str, Any]], raw_hashes: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
    """One row a dataset, with `path`: a copy that has the registered content and is on this computer, else None."""
    raw_hashes = raw_hashes or {}
    roots = _local_roots()
    chosen: dict[str, dict[str, Any]] = {}
    for row in rows:
        root = roots.get(row["repository"])
        same = row["record_hash"] in (row["dataset_hash"], raw_hashes.get(row["dataset_id"]))
        here = root if root is not None and same and not disks.is_cut_off(root, row["file_path"]) else None
        row["root"], row["path"] = root, None if here is None else here / row["file_path"]
        if here is not None:
            disks.use(here)
        before = chosen.get(row["rel_path"])
        if before is None or _n_beside(row["path"]) > _n_beside(before["path"]):
            chosen[row["rel_path"]] = row
    _fetch_remote(rows, chosen, raw_hashes)
    return list(chosen.values())


def _n_beside(path: Path | None) -> int:
    """How complete a copy is: -1 where there is none here; of a recording, how many of its header files are with it."""
    if path is None:
        return -1
    if not path.name.endswith((".cbin", ".bin")):
        return 0
    return sum(path.with_suffix(ending).is_file() for ending in (".meta", ".ch"))


def _fetch_remote(rows: list[dict[str, Any]], chosen: dict[str, dict[str, Any]], raw_hashes: Mapping[str, str]) -> None:
    """Give the rows without a file here one from the cache of what is online elsewhere."""
    absent = {row["dataset_id"]: row for row in chosen.values() if row["path"] is None}
    wanted = [
        row
        for row in rows
        if row["dataset_id"] in absent
        and row["record_hash"] in (row["dataset_hash"], raw_hashes.get(row["dataset_id"]))
    ]
    for dataset_id, path in (remote_files.fetch(wanted) if wanted else {}).items():
        found = path.stat()
        absent[dataset_id] |= {
            "root": remote_files.cache_root(), "path": path, "record_size": found.st_size,
            "modified_ns": found.st_mtime_ns,
        }  # fmt: skip


def _local_roots() -> dict[str, Path]:
    return once(registry.connection(), "local roots", None, _ask_for_local_roots)


def _ask_for_local_roots() -> dict[str, Path]:
    rows = _REPOSITORIES.rows({"repository_kind": "local"})
    roots = {row["repository"]: Path(row["repository_root"]) for row in rows}
    return {name: root for name, root in roots.items() if disks.is_there(root)}


def _copies() -> dj.expression.QueryExpression:
    """The online copies of the default datasets."""
    datasets = data.Dataset & {"default_dataset": True}
    records = (data.FileRecord & ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    names = ("collection", "rel_path", "alf_object", "alf_attribute", "dataset_hash")
    return datasets.proj(*acquisition.Session.primary_key, *names) * records


def check_unchanged(one: Mapping[str, Any], inside: dict[str, bool] | None = None) -> None:
    """Refuse a file that is not as it was registered; `inside` says of folders that were looked at whether they are.

    A folder is inside where no symbolic link of its path leads out of the data root.
    """
    inside = {} if inside is None else inside
    path = one["path"]
    try:
        found = path.lstat()
        is_link = stat.S_ISLNK(found.st_mode)
        place = os.fspath(path if is_link else path.parent)
        if place not in inside:
            root = os.path.realpath(one["root"])
            inside[place] = os.path.commonpath([root, os.path.realpath(place)]) == root
        if not inside[place]:
            raise refuse(str(path), "symlink_outside", "it leads out of the data root")
        found = path.stat() if is_link else found
    except FileNotFoundError:
        raise refuse(str(path), "vanished", "the file is gone since it was registered") from None
    except PermissionError:
        raise refuse(str(path), "permission_denied", "this account may not read it") from None
    if (found.st_size, found.st_mtime_ns) != (one["record_size"], one["modified_ns"]):
        raise refuse(str(path), "changed", "the file has changed since it was registered")


def session_of(key: Mapping[str, Any]) -> dict[str, Any]:
    """The primary key of the session."""
    return {name: key[name] for name in acquisition.Session.primary_key}


def session_path(key: Mapping[str, Any]) -> str:
    """The folder of the session, as messages name it."""
    return f"{key['lab']}/Subjects/{key['subject']}/{key['session_date']}/{key['session_number']:03d}"
