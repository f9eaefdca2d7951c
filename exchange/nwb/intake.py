"""NWB files to sessions: each becomes an ALF session below a data root, which is then registered like any other."""

from __future__ import annotations

import getpass
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

import ingest as registration
from exchange.nwb import foreign, forms, reading, rows
from exchange.nwb.placing import Choices, Intake, Line, file_md5, place, session_path
from exchange.nwb.reading import Cells, Own
from pipeline import entry
from pipeline.alf import columns as alf
from pipeline.alf import identity
from pipeline.errors import InvalidData, NeurojointError, explain

Progress = Callable[[str, int, int], None]
"""Called with the path of a file of the session, how many are written, and how many there are."""


def ingest(
    paths: Iterable[Path | str], root: Path | str, choices: Choices | None = None, *, register: bool = True,
    progress: Progress | None = None,
) -> list[Intake]:  # fmt: skip
    """Write NWB files as ALF sessions below a data root, and register them; needs `pipeline.connect()` before.

    A session appears whole or not at all. What cannot be read costs only its file.

    Parameters
    ----------
    paths : NWB files, HDF5 or Zarr.
    root : data root; made where it is not there.
    choices : lab, animal and so on of files that other programs wrote.
    register : also register the root, with what the files say of sessions and animals.

    Raises
    ------
    NeurojointError : the root cannot be registered.
    """
    root, choices = Path(root), choices or Choices()
    root.mkdir(parents=True, exist_ok=True)
    intakes, metadata, after = [], [], []
    for path in map(Path, paths):
        try:
            with reading.opened(path) as nwbfile:
                about = reading.own(nwbfile, path)
                if about is not None:
                    one, late = _own(path, nwbfile, about, root, progress)
                    after.append((about, late))
                else:
                    one, files = foreign.read(path, nwbfile, root, choices)
                    metadata += files
            intakes.append(one)
        except (NeurojointError, OSError) as error:
            intakes.append(Intake(path, "failed", problem=explain(error)))
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RuntimeError) as error:
            words = " ".join(str(error).split())[:200]
            detail = f"{path}: its content is not as the NWB standard says ({type(error).__name__}: {words})"
            intakes.append(Intake(path, "failed", problem=f"{detail}: `neurojoint nwb check` says more"))
    if register and any(item.state != "failed" for item in intakes):
        registration.register(root, metadata=metadata)
        for about, late in after:
            _finish(about, late)
    return intakes


def _own(
    path: Path, nwbfile: Any, about: Own, root: Path, progress: Progress | None
) -> tuple[Intake, list[dict[str, Any]]]:
    """Make the session of a file that this program wrote."""
    session = session_path(about.session, path)
    lines: list[Line] = []
    content = rows.loaded(about.rows)
    get = Cells(nwbfile)

    def write(folder: Path) -> None:
        for count, (name, form) in enumerate(sorted(about.forms.items()), 1):
            if form.kind == "absent":
                lines.append(Line(name, "left out", form.why))
            else:
                target = folder / _file_name(session, name, about)
                target.parent.mkdir(parents=True, exist_ok=True)
                lines.append(_write_file(target, name, form, get, about.datasets.get(name, {}), path))
            if progress is not None:
                progress(name, count, len(about.forms))

    state = place(root, session, write)
    late = {name for name in {item["table"] for item in content} if rows.need_datasets(name)}
    n_rows, said = rows.store([item for item in content if item["table"] not in late])
    lines.append(
        Line(
            "rows of the tables", "mapped" if content else "left out", f"{n_rows} new" if content else "not in the file"
        )
    )
    lines += [Line("rows of the tables", "left out", sentence) for sentence in said]
    return Intake(path, state, session, True, lines), [item for item in content if item["table"] in late]


def _file_name(session: str, name: str, about: Own) -> str:
    """Where a file goes below the session; one whose identifier is not that of its path carries it in its name."""
    pure = PurePosixPath(name)
    parsed = alf.parse_folder(pure.parent.as_posix() if len(pure.parts) > 1 else "")
    if pure.is_absolute() or ".." in pure.parts or parsed is None or not re.fullmatch(r"[\w.-]+", pure.name):
        raise InvalidData(name, "not_alf", "it is no path below a session", "export the session again")
    given = str(about.datasets.get(name, {}).get("dataset_id", ""))
    if given and given != identity.dataset_id(session, name) and alf.parse_name(pure.name):
        stem, _, ending = pure.name.rpartition(".")
        return str(pure.with_name(f"{stem}.{uuid.UUID(given)}.{ending}"))
    return name


def _write_file(target: Path, name: str, form: forms.Form, get: Cells, dataset: Mapping[str, Any], nwb: Path) -> Line:
    """Write one file of the session, and compare it with the one that was exported."""
    if form.kind == "copy":
        target.write_bytes(np.asarray(get(str(form.cells[0])), np.uint8).tobytes())
    elif form.kind == "array":
        header, values = forms.rebuild(form, get, get.orders)
        forms.write_npy(target, header, values)
        if forms.md5(header, values) == dataset.get("md5"):
            return Line(name, "equal")
        return Line(name, "values", "the values are those of the file; its bytes are not")
    elif form.kind == "table":
        _write_table(target, form, get)
    elif form.kind == "recording":
        _write_samples(target, form, get)
    elif form.kind == "beside":
        beside = (
            nwb.parent
            / f"{nwb.name.removesuffix('.zarr').removesuffix('.nwb')}_videos"
            / PurePosixPath(str(form.cells[0])).name
        )
        if not beside.is_file():
            return Line(name, "left out", f"the video {beside.name} is not beside the NWB file")
        shutil.copyfile(beside, target)
    if not dataset or file_md5(target) == dataset["md5"]:
        return Line(name, "equal")
    return Line(name, "values", "the values are those of the file; its bytes are not")


def _write_table(target: Path, form: forms.Form, get: Cells) -> None:
    """Columns as Parquet or text, in the form that the name says."""
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet

    n_rows = max(len(get(cell)) for cell in form.cells if cell is not None)
    span = slice(*form.rows) if form.rows else slice(0, n_rows)
    columns = {
        name: np.full(span.stop - span.start, np.nan) if cell is None else get(cell)[span]
        for name, cell in zip(form.columns, form.cells, strict=True)
    }
    table = pa.table(
        {name: pa.array(values.tolist() if values.dtype == object else values) for name, values in columns.items()}
    )
    if target.suffix == ".pqt":
        pyarrow.parquet.write_table(table, target)
    else:
        mark = {".tsv": "\t", ".htsv": "\t", ".ssv": " "}.get(target.suffix, ",")
        pyarrow.csv.write_csv(table, target, pyarrow.csv.WriteOptions(delimiter=mark, quoting_style="needed"))


def _write_samples(target: Path, form: forms.Form, get: Cells) -> None:
    """Samples of a recording, piece by piece, in the order of its channels; compressed where the name says so."""
    n_samples, n_channels = form.shape
    sources = [get.lazy(str(cell)) for cell in form.cells]
    channels = [int(column) for column in form.columns]
    raw = target.with_suffix(".bin")
    step = max(1, (1 << 25) // max(1, n_channels * np.dtype(form.dtype).itemsize))
    with raw.open("wb") as file:
        for first in range(0, n_samples, step):
            last = min(first + step, n_samples)
            block = np.empty((last - first, n_channels), np.dtype(form.dtype))
            at = 0
            for source in sources:
                values = np.asarray(source[first:last])
                values = values[:, None] if values.ndim == 1 else values
                block[:, channels[at : at + values.shape[1]]] = values
                at += values.shape[1]
            file.write(block.data.cast("B"))


def _finish(about: Own, late: list[dict[str, Any]]) -> None:
    """What can only be written once the files are registered: releases and quality of datasets."""
    rows.store(late)
    quality = [
        {"dataset_id": dataset["dataset_id"], "dataset_qc": dataset["qc"]}
        for dataset in about.datasets.values()
        if dataset.get("qc", "NOT_SET") != "NOT_SET"
    ]
    # a file that was refused has no dataset
    entry.write("data.Dataset", quality, user=getpass.getuser(), source="nwb", action="update", on_error="skip_row")
