"""From the key of a session to an NWB file in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from hdmf.common import DynamicTable, VectorData
from pynwb import NWBFile
from pynwb.core import ScratchData

from exchange.nwb import as_read, ecephys, forms, metadata, recordings, rows, rules, source, wheels
from exchange.nwb.containers import Builder, Wrap
from pipeline import policy
from pipeline.schemas import data as data_schema

LARGEST_COPY = 1 << 26  # byte; larger files that no NWB object stands for are not kept in the file


def nwbfile(
    key: Mapping[str, Any] | str, *, raw: bool = False, public: bool = False, incomplete: bool = False
) -> NWBFile:
    """A session as an NWB file in memory, for notebooks; `export` writes files.

    Parameters
    ----------
    key : primary key of the session, or its eid.
    raw : with the raw recordings, which are read from their files when the NWB file is written.
    public : leave out what only the lab needs: rows of the tables, copies of files of the rig.
    incomplete : also where birth date, species or start time are not known.

    Raises
    ------
    NeurojointError : there is no such session, or something that NWB needs is not known.
    """
    session_source = source.read({"eid": key} if isinstance(key, str) else key)
    return build(session_source, raw=raw, public=public, incomplete=incomplete).nwbfile


def build(
    session_source: source.Source,
    *,
    raw: bool = False,
    public: bool = False,
    incomplete: bool = False,
    wrap: Wrap = lambda values: values,
    samples: Callable[..., Any] | None = None,
) -> Builder:
    """The same, with all that `export` has to know."""
    session_source = session_source.under(policy.current()) if public else session_source
    builder = Builder(metadata.create(session_source, incomplete), session_source, wrap)
    objects = sorted(session_source.objects(), key=lambda one: (one.collection != "alf", one.collection, one.name))
    objects, notes = as_read.objects(session_source.key, objects)
    builder.notes += notes
    rest, probes = ecephys.add_all(builder, objects)
    for item in rest:
        builder.add(item)
    for object_ in objects:
        wheels.add_velocity(builder, object_)
    recordings.add_lines(builder, raw)
    if raw:
        recordings.add(builder, probes, samples)
    _keep_files(builder, raw, public)
    _add_provenance(builder, public)
    return builder


def _keep_files(builder: Builder, raw: bool, public: bool) -> None:
    """Settle for each file whether its objects give it back; where they do not, keep its bytes if that is allowed."""
    for file in builder.source.files:
        form = builder.forms.get(file.rel_path)
        if form is not None and form.kind in ("beside", "recording"):
            continue
        if file.path is None:
            builder.forms[file.rel_path] = forms.Form("absent", why=file.problem or "no copy is here")
            continue
        if form is not None and form.kind == "array" and _is_exact(builder, form, file.md5):
            continue
        is_raw = file.rel_path.endswith((*source.RECORDINGS, ".ch", *source.VIDEOS))
        if is_raw or file.size > LARGEST_COPY or public:
            if form is None or form.kind == "copy":
                why = (
                    "raw: export with --raw"
                    if is_raw
                    else "only in files for the lab"
                    if public
                    else "too large to keep"
                )
                builder.forms[file.rel_path] = forms.Form("absent", why=why)
            continue
        name = f"{rules.SCRATCH}_file_{len(builder.cells)}"
        content = np.frombuffer(file.path.read_bytes(), np.uint8)
        builder.cells[name] = content
        text = f"The file {file.rel_path} as it is."
        builder.nwbfile.add_scratch(ScratchData(name=name, description=text, data=builder.wrap(content)))
        builder.forms[file.rel_path] = forms.Form("copy", [name])


def _is_exact(builder: Builder, form: forms.Form, md5: str) -> bool:
    """Whether a file can be made again to the byte."""
    try:
        return forms.md5(*forms.rebuild(form, builder.cells.__getitem__, builder.orders)) == md5
    except (KeyError, ValueError, TypeError, IndexError):
        return False


def _add_provenance(builder: Builder, public: bool) -> None:
    """Which files, in which versions, the content comes from; for the lab also the rows around the session."""
    files = builder.source.files
    tags = _tags(builder.source.key)
    columns: dict[str, tuple[str, Any]] = {
        "dataset_id": ("Identifier of the dataset.", [file.dataset_id for file in files]),
        "path": ("Path below the session folder.", [file.rel_path for file in files]),
        "md5": ("Hash of the content.", [file.md5 for file in files]),
        "size": ("Size (byte).", np.asarray([file.size for file in files], np.int64)),
        "revision": ("Version of the dataset; empty for the first.", [file.revision for file in files]),
        "qc": ("Quality of the dataset, as people judged it.", [file.qc for file in files]),
        "tags": ("Releases that hold it, separated by commas.", [tags.get(file.dataset_id, "") for file in files]),
    }
    if len(files) == 1:  # a table of one row is what inspectors object to
        one = {
            name: (values[0].item() if hasattr(values[0], "item") else values[0])
            for name, (_, values) in columns.items()
        }
        _text(builder, "dataset", "The file that this content comes from, as JSON.", json.dumps(one))
    elif files:
        made = [VectorData(name=name, description=text, data=values) for name, (text, values) in columns.items()]
        text = "Files that this content comes from."
        builder.nwbfile.add_scratch(DynamicTable(name=f"{rules.SCRATCH}_datasets", description=text, columns=made))
    dumped = "\n".join(f"{path}\t{form.dumped()}" for path, form in sorted(builder.forms.items()))
    _text(builder, "forms", "How each file lies in this one: path, tab, form.", dumped)
    if not public:
        _text(builder, "rows", "Rows of the tables around the session, one JSON object a line.", rows.dumped(rows.collect(builder.source.key)))  # noqa: E501  # fmt: skip


def _text(builder: Builder, name: str, description: str, text: str) -> None:
    """Text of any length, which HDF5 can compress."""
    data = np.frombuffer(text.encode() or b"\n", np.uint8)
    builder.nwbfile.add_scratch(
        ScratchData(name=f"{rules.SCRATCH}_{name}", description=description, data=builder.wrap(data))
    )


def add_mark(builder: Builder, mark: str) -> None:
    """Say which program wrote the file, and what stands for its content."""
    builder.mark = mark
    said = [
        mark,
        f"neurojoint {version('neurojoint')}",
        f"layout {rules.FORMAT}",
        builder.source.shown_name,
        builder.source.session["eid"],
    ]
    text = "Fingerprint of the content, program, layout of what follows, session, eid."
    data = np.frombuffer("\n".join(said).encode(), np.uint8)
    builder.nwbfile.add_scratch(ScratchData(name=rules.SCRATCH, description=text, data=data))


def _tags(key: Mapping[str, Any]) -> dict[str, str]:
    tags_by_dataset: dict[str, list[str]] = {}
    for row in (data_schema.DatasetTag & (data_schema.Dataset & key).proj()).to_dicts(order_by="tag"):
        tags_by_dataset.setdefault(row["dataset_id"], []).append(row["tag"])
    return {dataset: ",".join(tags) for dataset, tags in tags_by_dataset.items()}
