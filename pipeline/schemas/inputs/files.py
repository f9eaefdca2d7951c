"""From a key to arrays: the registered files of a session, read only as registration accepted them."""

from __future__ import annotations

import contextlib
import os
import stat
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cbin
import datajoint as dj
import numpy as np

from pipeline.alf import disks
from pipeline.alf.aliases import heading, meaning, names_of
from pipeline.alf.columns import compressed_form, raw_form
from pipeline.alf.objects import Assembled, assemble
from pipeline.alf.reader import load
from pipeline.alf.reasons import REASONS, refuse
from pipeline.database import registry
from pipeline.database.prepared import Prepared
from pipeline.database.together import once, remembered
from pipeline.electrophysiology import raw_formats
from pipeline.errors import AmbiguousError, InvalidData
from pipeline.schemas.inputs import remote_files

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")
ephys = registry.tables_of("ephys")

try:
    import fcntl
except ModuleNotFoundError:  # Windows: no such locks
    fcntl = None  # type: ignore[assignment]

if TYPE_CHECKING:
    from cbin import Recording

__all__ = [
    "AlfData",
    "Assembled",
    "assemble",
    "load",
    "open_recording",
    "path_of",
    "read_attribute",
    "read_content",
    "read_object",
    "read_trials",
]

_ONLINE = {"file_state": "online"}
_OBJECTS = Prepared(lambda: data.AlfObject.proj(...))
_COPIES = Prepared(lambda: _copies(), order_by="rel_path, repository")
_REPOSITORIES = Prepared(lambda: data.Repository.proj(...))
_SMALL = 4 << 20  # byte
_INGEST = "run `neurojoint ingest` on the folder that holds it"


@dataclass
class AlfData:
    """One ALF object of one session.

    Attributes:
        values: column of `pipeline.alf.columns` -> 1-D array, all of one length.
        other: attributes that no column stands for.
        absent: columns that no file gives.
        refused: column -> reason, for what is in quarantine.
        fingerprint: md5 over the hashes of the files and over what was refused.
        collection: folder of the files below the session.
        paths: the files that were read.
        dropped: rows that were left out, since their time is missing or not after the time before.
        other_values: attribute of `other` -> its values, one a row, where they were asked for; text as objects.
    """

    values: dict[str, np.ndarray]
    other: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)
    fingerprint: str = ""
    collection: str = ""
    paths: list[Path] = field(default_factory=list)
    dropped: int = 0
    other_values: dict[str, np.ndarray] = field(default_factory=dict)


def read_object(
    key: Mapping[str, Any],
    alf_object: str,
    required: Iterable[str] = (),
    collection: str | None = None,
    with_other: bool = False,
) -> AlfData:
    """Read the columns of one ALF object of a session; of several collections, `alf`, then the first by name.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored).
    alf_object : name of the object, e.g. `trials`; `*` stands for anything (`*Camera`) and must match one object.
    required : columns without which there is nothing to return.
    collection : folder below the session; by default that of `key["task_collection"]`, if it is there.
    with_other : also read the attributes that no column stands for.

    Raises
    ------
    InvalidData : the session has no such object, a required column is absent or refused, or a file is not as it was
        registered, or there is no copy of it here.
    """
    row = _object_row(key, alf_object, required, collection or key.get("task_collection"))
    datasets = _datasets(key, row)
    contents: dict[str, Any] = {}
    wanted = set(row["accepted"])
    inside: dict[str, bool] = {}
    for dataset in datasets:
        if dataset["path"] is None:  # without it the object would be read with fewer columns than it has
            raise InvalidData(
                f"{_session_path(key)}/{dataset['rel_path']}", "missing", "no copy is online here", _INGEST
            )
        _check_unchanged(dataset, inside)
        contents[dataset["rel_path"]] = _small(dataset) if with_other else dataset["path"]
    assembled = assemble(row["object_name"], contents)
    refused = {name: why for name, why in (row["refused"] | assembled.refused).items() if name not in assembled.values}
    values = {name: array for name, array in assembled.values.items() if name in wanted}
    for name in required:
        if name not in values:
            reason = refused.get(name)
            detail = f"the column {name} is " + (f"in quarantine ({REASONS[reason][0]})" if reason else "not there")
            remedy = REASONS[reason][1] if reason else "add its file, then run `neurojoint ingest`"
            raise InvalidData(_session_path(key), reason or "missing", f"{row['object_name']}: {detail}", remedy, name)
    return AlfData(
        values,
        assembled.other,
        [name for name in assembled.absent if name not in refused],
        refused,
        row["object_fingerprint"],
        row["object_collection"],
        [dataset["path"] for dataset in datasets],
        assembled.dropped,
        _other_values(datasets, contents, assembled) if with_other else {},
    )


def read_trials(key: Mapping[str, Any]) -> AlfData:
    """The trials of a task with all their attributes; a worker reads them once for the tables that take them in turn.

    Raises
    ------
    InvalidData : as `read_object`.
    """
    row = _object_row(key, "trials", (), key["task_collection"])
    about = (*_session_of(key).values(), row["object_collection"], row["object_fingerprint"])
    return remembered(registry.connection(), "trial files", about, lambda: read_object(key, "trials", with_other=True))


def _small(dataset: Mapping[str, Any]) -> Path | bytes:
    """The bytes of a file that is looked at twice, for its shape and for its values; its path where they are many."""
    if dataset["record_size"] <= _SMALL:
        with contextlib.suppress(OSError):  # the reader says what is wrong with it
            return dataset["path"].read_bytes()
    return dataset["path"]


def _other_values(
    datasets: list[dict[str, Any]], contents: Mapping[str, Path | bytes], assembled: Assembled
) -> dict[str, np.ndarray]:
    """Attribute -> values, of those that no column stands for and that have a row for each row of the columns."""
    values: dict[str, np.ndarray] = {}
    n_rows = len(next(iter(assembled.values.values()), ()))
    for dataset in datasets:
        is_one = dataset["rel_path"].endswith(".npy")
        if not assembled.other or (is_one and dataset["alf_attribute"] not in assembled.other):
            continue
        content = load(contents[dataset["rel_path"]], dataset["rel_path"])
        if isinstance(content, np.ndarray):
            given = {dataset["alf_attribute"]: content}
        elif isinstance(content, list | dict):
            continue  # text without columns
        else:
            given = {heading(dataset["alf_object"], name): _values_of(content[name]) for name in content.column_names}
        wanted = {name for name in given if name in assembled.other}
        values |= {name: given[name] for name in wanted if not assembled.values or len(given[name]) == n_rows}
    return values


def _values_of(column: Any) -> np.ndarray:
    """A column of a table; numbers and truth values as they are, everything else as objects (None: missing)."""
    array = column.to_numpy()
    if array.dtype.kind in "bfiu":
        return array
    values = np.empty(len(array), object)
    values[:] = [str(row) if array.dtype.kind == "M" and row is not None else row for row in column.to_pylist()]
    return values


def read_attribute(key: Mapping[str, Any], alf_object: str, attribute: str, collection: str | None = None) -> Any:
    """Read one file of an ALF object: an array, a pandas DataFrame, what JSON holds, or a list with an item a line.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored).
    alf_object, attribute : e.g. `channels` and `mlapdv`.
    collection : folder below the session; without it `alf`, then the first by name.

    Raises
    ------
    InvalidData : the session has no such file, it is in quarantine, or it is not as it was registered.
    """
    content = read_content(key, alf_object, attribute, collection)
    return content if isinstance(content, np.ndarray | list | dict) else content.to_pandas()


def read_content(key: Mapping[str, Any], alf_object: str, attribute: str, collection: str | None = None) -> Any:
    """The same as `pipeline.alf.reader.load` gives it: a table as a `pyarrow.Table`."""
    row = _object_row(key, alf_object, (attribute,), collection)
    if attribute in row["refused"] and attribute not in row["accepted"]:
        reason = row["refused"][attribute]
        detail = f"{alf_object}.{attribute} is in quarantine ({REASONS[reason][0]})"
        raise InvalidData(_session_path(key), reason, detail, REASONS[reason][1], attribute)
    for dataset in _datasets(key, row):
        if (
            meaning(dataset["alf_object"], dataset["alf_attribute"]).attribute == attribute
            and dataset["path"] is not None
        ):
            _check_unchanged(dataset)
            return load(dataset["path"], dataset["rel_path"])
    raise InvalidData(
        _session_path(key),
        "missing",
        f"{alf_object}.{attribute} is not online here",
        "ingest the folder that holds it",
    )


def path_of(key: Mapping[str, Any], rel_path: str) -> Path:
    """The file of a dataset on this computer; of a raw recording the form that it has now, compressed or not.

    Raises
    ------
    InvalidData : there is no copy here.
    """
    session = _session_of(key)
    raw = raw_form(rel_path)
    forms = {rel_path, raw, compressed_form(raw)}
    rows = (data.Dataset & session & [{"rel_path": form} for form in sorted(forms)]).proj(
        "dataset_hash", "rel_path"
    ) * (data.FileRecord & _ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    datasets = rows.to_dicts()
    for with_path in _with_paths(datasets, _raw_hashes(datasets)):
        if with_path["path"] is not None:
            return with_path["path"]
    raise InvalidData(f"{_session_path(key)}/{rel_path}", "missing", "no copy is online here", _INGEST)


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
    session = _session_of(key)
    chosen = (data.Dataset & session & [{"rel_path": path} for path in sorted(hashes)]).proj("rel_path", "dataset_hash")
    records = (data.FileRecord & _ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    by_path = {
        with_path["rel_path"]: with_path
        for with_path in _with_paths((chosen * records).to_dicts(order_by="rel_path, repository"))
    }
    for path, md5 in hashes.items():
        one = by_path.get(path)
        if one is None or one["path"] is None or one["record_hash"] != md5:
            raise InvalidData(f"{_session_path(key)}/{path}", "missing", "no copy is online here", _INGEST)
        _check_unchanged(one)
    return {path: by_path[path]["path"] for path in hashes}


def open_recording(key: Mapping[str, Any], band: str = "ap", probe: str | None = None) -> Recording:
    """Open a raw recording of a session, whichever form its file has: an array (n_samples, n_channels) from `cbin`.

    Parameters
    ----------
    key : primary key of the session, or of a row of ephys.Recording (`dataset_id`).
    band : `ap`, `lf`, `nidq` or `obx`.
    probe : label of the insertion, e.g. `probe00`; needed where the session has several.

    Raises
    ------
    InvalidData : there is no such recording, or its file is not as it was registered.
    AmbiguousError : several fit.
    """
    chosen = {"dataset_id": key["dataset_id"]} if "dataset_id" in key else {"band": band}
    session = {name: key[name] for name in acquisition.Session.primary_key if name in key}
    label = probe or key.get("probe_label")
    if label is not None and "dataset_id" not in key:
        chosen["probe_label"] = label
    datasets = (data.Dataset & session & {"default_dataset": True}).proj("rel_path", "dataset_hash")
    records = (data.FileRecord & _ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    rows = ((ephys.Recording & chosen).proj() * datasets * records).to_dicts(order_by="rel_path, repository")
    candidates = [with_path for with_path in _with_paths(rows, _raw_hashes(rows)) if with_path["path"] is not None]
    what = f"recording {key['dataset_id']}" if "dataset_id" in key else f"{band} recording of {label or 'any probe'}"
    where = _session_path(key) if len(session) == len(acquisition.Session.primary_key) else what
    if not candidates:
        raise InvalidData(where, "missing", f"no {what} is online here", _INGEST)
    if len(candidates) > 1:
        names = ", ".join(item["rel_path"] for item in candidates)
        raise AmbiguousError(f"several recordings of {where} fit: {names}", "name the probe, or the dataset_id")
    lock = shared_lock(candidates[0]["path"])
    try:
        _check_unchanged(candidates[0])
        if raw_formats.format_of(candidates[0]["rel_path"]):
            recording = raw_formats.open_raw(candidates[0]["path"], candidates[0]["rel_path"])
        else:
            recording = cbin.open(candidates[0]["path"])
    except BaseException:
        os.close(lock)
        raise
    weakref.finalize(recording, os.close, lock)
    return recording


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


def _object_row(
    key: Mapping[str, Any], alf_object: str, required: Iterable[str], collection: str | None = None
) -> dict[str, Any]:
    """The row of data.AlfObject to read: the one with all that is required, in `alf` if possible."""
    chosen = _session_of(key)
    if collection is not None:
        chosen["object_collection"] = collection
    if "*" in alf_object:
        rows = (data.AlfObject & chosen & f"object_name LIKE '{alf_object.replace('*', '%%')}'").to_dicts()
    else:
        rows = _OBJECTS.rows(chosen | {"object_name": alf_object})
    for row in rows:
        row["accepted"] = [name for name in row["accepted_columns"].split(",") if name]
        row["refused"] = dict(row["refused_columns"])
    rows = sorted(
        rows,
        key=lambda row: (
            not set(required) <= set(row["accepted"]),
            row["object_collection"] != "alf",
            row["object_collection"],
        ),
    )
    if not rows:
        raise InvalidData(_session_path(key), "missing", f"the session has no {alf_object}", _INGEST)
    return rows[0]


def _datasets(key: Mapping[str, Any], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The default, online datasets of the object, each with its path here (None where it has none)."""
    wanted = {"collection": row["object_collection"], "alf_object": names_of(row["object_name"])}
    return _with_paths(_COPIES.rows(_session_of(key) | wanted))


def _raw_hashes(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Dataset -> md5 of the raw file, for recordings that are compressed; a copy elsewhere may still be raw."""
    ids = [{"dataset_id": row["dataset_id"]} for row in rows if row["rel_path"].endswith(".cbin")]
    hashes = (ephys.Compression & ids & "raw_hash <> ''").proj("raw_hash").to_dicts() if ids else []
    return {row["dataset_id"]: row["raw_hash"] for row in hashes}


def _with_paths(rows: list[dict[str, Any]], raw_hashes: Mapping[str, str] | None = None) -> list[dict[str, Any]]:
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


def _session_of(key: Mapping[str, Any]) -> dict[str, Any]:
    """The primary key of the session."""
    return {name: key[name] for name in acquisition.Session.primary_key}


def _copies() -> dj.expression.QueryExpression:
    """The online copies of the default datasets."""
    datasets = data.Dataset & {"default_dataset": True}
    records = (data.FileRecord & _ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    names = ("collection", "rel_path", "alf_object", "alf_attribute", "dataset_hash")
    return datasets.proj(*acquisition.Session.primary_key, *names) * records


def _check_unchanged(one: Mapping[str, Any], inside: dict[str, bool] | None = None) -> None:
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


def _session_path(key: Mapping[str, Any]) -> str:
    return f"{key['lab']}/Subjects/{key['subject']}/{key['session_date']}/{key['session_number']:03d}"
