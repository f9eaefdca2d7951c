"""From a key to arrays: the registered files of a session, read only as registration accepted them."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cbin
import numpy as np

from pipeline.alf.aliases import heading, meaning
from pipeline.alf.objects import Assembled, assemble
from pipeline.alf.reader import load
from pipeline.alf.reasons import REASONS
from pipeline.database import registry
from pipeline.database.prepared import Prepared
from pipeline.database.together import remembered
from pipeline.electrophysiology import raw_formats
from pipeline.errors import AmbiguousError, InvalidData
from pipeline.schemas.inputs import local_copies

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")
ephys = registry.tables_of("ephys")

if TYPE_CHECKING:
    from cbin import Recording

__all__ = [
    "AlfData",
    "Assembled",
    "assemble",
    "load",
    "open_recording",
    "read_attribute",
    "read_content",
    "read_object",
    "read_trials",
]

_OBJECTS = Prepared(lambda: data.AlfObject.proj(...))
_SMALL = 4 << 20  # byte


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
    datasets = local_copies.of_object(key, row)
    contents: dict[str, Any] = {}
    wanted = set(row["accepted"])
    inside: dict[str, bool] = {}
    for dataset in datasets:
        if dataset["path"] is None:  # without it the object would be read with fewer columns than it has
            raise InvalidData(
                f"{local_copies.session_path(key)}/{dataset['rel_path']}",
                "missing",
                "no copy is online here",
                local_copies.INGEST,
            )
        local_copies.check_unchanged(dataset, inside)
        contents[dataset["rel_path"]] = _small(dataset) if with_other else dataset["path"]
    assembled = assemble(row["object_name"], contents)
    refused = {name: why for name, why in (row["refused"] | assembled.refused).items() if name not in assembled.values}
    values = {name: array for name, array in assembled.values.items() if name in wanted}
    for name in required:
        if name not in values:
            reason = refused.get(name)
            detail = f"the column {name} is " + (f"in quarantine ({REASONS[reason][0]})" if reason else "not there")
            remedy = REASONS[reason][1] if reason else "add its file, then run `neurojoint ingest`"
            raise InvalidData(
                local_copies.session_path(key), reason or "missing", f"{row['object_name']}: {detail}", remedy, name
            )
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
    about = (*local_copies.session_of(key).values(), row["object_collection"], row["object_fingerprint"])
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
        raise InvalidData(local_copies.session_path(key), reason, detail, REASONS[reason][1], attribute)
    for dataset in local_copies.of_object(key, row):
        if (
            meaning(dataset["alf_object"], dataset["alf_attribute"]).attribute == attribute
            and dataset["path"] is not None
        ):
            local_copies.check_unchanged(dataset)
            return load(dataset["path"], dataset["rel_path"])
    raise InvalidData(
        local_copies.session_path(key),
        "missing",
        f"{alf_object}.{attribute} is not online here",
        "ingest the folder that holds it",
    )


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
    records = (data.FileRecord & local_copies.ONLINE).proj("file_path", "record_hash", "record_size", "modified_ns")
    rows = ((ephys.Recording & chosen).proj() * datasets * records).to_dicts(order_by="rel_path, repository")
    candidates = [
        with_path
        for with_path in local_copies.with_paths(rows, local_copies.hashes_of_raw(rows))
        if with_path["path"] is not None
    ]
    what = f"recording {key['dataset_id']}" if "dataset_id" in key else f"{band} recording of {label or 'any probe'}"
    where = local_copies.session_path(key) if len(session) == len(acquisition.Session.primary_key) else what
    if not candidates:
        raise InvalidData(where, "missing", f"no {what} is online here", local_copies.INGEST)
    if len(candidates) > 1:
        names = ", ".join(item["rel_path"] for item in candidates)
        raise AmbiguousError(f"several recordings of {where} fit: {names}", "name the probe, or the dataset_id")
    lock = local_copies.shared_lock(candidates[0]["path"])
    try:
        local_copies.check_unchanged(candidates[0])
        if raw_formats.format_of(candidates[0]["rel_path"]):
            recording = raw_formats.open_raw(candidates[0]["path"], candidates[0]["rel_path"])
        else:
            recording = cbin.open(candidates[0]["path"])
    except BaseException:
        os.close(lock)
        raise
    weakref.finalize(recording, os.close, lock)
    return recording


def _object_row(
    key: Mapping[str, Any], alf_object: str, required: Iterable[str], collection: str | None = None
) -> dict[str, Any]:
    """The row of data.AlfObject to read: the one with all that is required, in `alf` if possible."""
    chosen = local_copies.session_of(key)
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
        raise InvalidData(
            local_copies.session_path(key), "missing", f"the session has no {alf_object}", local_copies.INGEST
        )
    return rows[0]
