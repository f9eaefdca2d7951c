"""Opens NWB files, HDF5 or Zarr, and finds the cells of `forms` in those that this program wrote."""

from __future__ import annotations

import contextlib
import json
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hdmf.common import DynamicTable
from pynwb import NWBFile, TimeSeries

from exchange.nwb import forms, rules, safety
from pipeline.errors import InvalidData, NeurojointError


@contextlib.contextmanager
def opened(path: Path) -> Iterator[NWBFile]:
    """The content of a file that passed `safety.check`; arrays are read when they are asked for.

    Raises
    ------
    InvalidData : it cannot be read; the message is a sentence.
    """
    safety.check(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            io = _io(path)
            nwbfile = io.read()
        except NeurojointError:
            raise
        except Exception as error:
            words = " ".join(str(error).split())[:300]
            raise InvalidData(
                str(path), "unreadable_file", f"pynwb cannot read it ({type(error).__name__}: {words})",
                "run `neurojoint nwb check` on it, and mend what it names",
            ) from error  # fmt: skip
        try:
            yield nwbfile
        finally:
            io.close()


def _io(path: Path) -> Any:
    if path.is_dir():
        try:
            from hdmf_zarr import NWBZarrIO
        except ImportError as error:
            raise NeurojointError(
                f"Zarr files cannot be read here ({error})", 'pip install "hdmf-zarr>=0.13"'
            ) from error
        return NWBZarrIO(str(path), "r")
    from pynwb import NWBHDF5IO

    return NWBHDF5IO(path, "r")


@dataclass
class Own:
    """What a file that this program wrote says of itself.

    Attributes:
        mark: fingerprint of the content.
        program: name and version.
        session: lab/subject/date/number.
        forms: path below the session -> how the file lies here.
        datasets: path -> columns of the table of datasets.
        rows: the rows around the session, as text; empty in files for the public.
    """

    mark: str
    program: str
    session: str
    eid: str
    forms: dict[str, forms.Form]
    datasets: dict[str, dict[str, Any]]
    rows: str


def own(nwbfile: NWBFile, path: Path) -> Own | None:
    """What the file says of itself; None where another program wrote it.

    Raises
    ------
    InvalidData : it says that it is ours, in a way that cannot be.
    """
    if rules.SCRATCH not in nwbfile.scratch:
        return None
    try:
        mark, program, layout, session, eid = _text(nwbfile, "").split("\n")
        number = int(layout.removeprefix("layout "))
        if number > rules.FORMAT:
            raise InvalidData(
                str(path), "unreadable_file", f"{program} wrote it, with a layout that is newer than this program",
                "install that version of neurojoint, or a later one",
            )  # fmt: skip
        pairs = [line.partition("\t") for line in _text(nwbfile, "forms").splitlines() if line]
        return Own(
            mark, program, session, eid,
            {name: forms.Form.loaded(text) for name, _, text in pairs},
            _datasets(nwbfile),
            _text(nwbfile, "rows") if f"{rules.SCRATCH}_rows" in nwbfile.scratch else "",
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise InvalidData(
            str(path), "unreadable_file", f"its notes on its own content are damaged ({error})", "export it again"
        ) from error


def _text(nwbfile: NWBFile, name: str) -> str:
    data = nwbfile.scratch[f"{rules.SCRATCH}_{name}" if name else rules.SCRATCH].data
    return np.asarray(data[:], np.uint8).tobytes().decode()


def _datasets(nwbfile: NWBFile) -> dict[str, dict[str, Any]]:
    if f"{rules.SCRATCH}_dataset" in nwbfile.scratch:
        one = json.loads(_text(nwbfile, "dataset"))
        return {one["path"]: one}
    table = nwbfile.scratch.get(f"{rules.SCRATCH}_datasets")
    if table is None:
        return {}
    columns = {name: _plain(table[name].data[:]) for name in table.colnames}
    return {path: {name: values[row] for name, values in columns.items()} for row, path in enumerate(columns["path"])}


def _plain(values: Any) -> list[Any]:
    return [
        value.decode() if isinstance(value, bytes) else value.item() if isinstance(value, np.generic) else value
        for value in values
    ]


class Cells:
    """The values of the cells of a file; the last array that was read is kept."""

    def __init__(self, nwbfile: NWBFile) -> None:
        self._objects: dict[str, Any] = {}
        for thing in nwbfile.objects.values():
            if isinstance(thing, TimeSeries | DynamicTable) or thing.name.startswith(rules.SCRATCH):
                self._objects.setdefault(thing.name, thing)
        self._last: dict[str, np.ndarray] = {}
        self.orders: forms.Orders = {}

    def __call__(self, cell: str) -> np.ndarray:
        """The values of a cell.

        Raises
        ------
        KeyError : there is no such cell.
        """
        if cell in self._last:
            return self._last[cell]
        values = self._read(cell)
        if values.nbytes > 1 << 20:
            self._last = {
                name: one
                for name, one in self._last.items()
                if name.endswith((":spike_times_index", ":spike_times", ":spike_row"))
            }
        self._last[cell] = values
        return values

    def lazy(self, cell: str) -> Any:
        """The dataset of a cell, not read yet."""
        name, _, part = cell.partition(":")
        return self._objects[name].fields[part]

    def _read(self, cell: str) -> np.ndarray:
        name, _, part = cell.partition(":")
        thing = self._objects[name]
        if isinstance(thing, DynamicTable):
            columns = {column.name: column for column in thing.columns}
            return as_array(columns[part].data)
        if not part:
            return np.asarray(thing.data[:])
        part, _, index = part.partition("@")
        if part == "timestamps":
            return timestamps(thing)
        values = np.asarray(getattr(thing, part)[:])
        return values[:, int(index)] if index else values


def place_in_file(thing: Any) -> str:
    """The names that lead to an object of a file."""
    parts = [thing.name]
    while thing.parent is not None and not isinstance(thing.parent, NWBFile):
        thing = thing.parent
        parts.append(thing.name)
    return "/".join(reversed(parts))


def as_array(data: Any) -> np.ndarray:
    """The values of a column or series as an array; text as objects."""
    values = np.asarray(data[:])
    if values.dtype == object:
        flat = [value.decode() if isinstance(value, bytes) else value for value in values.ravel()]
        values = np.asarray(flat, dtype=object).reshape(values.shape)
    return values


def timestamps(series: TimeSeries) -> np.ndarray:
    """When the samples of a series are, s."""
    if series.timestamps is not None:
        return np.asarray(series.timestamps[:], np.float64)
    n_samples = len(series.data) if series.data is not None else 0
    return (series.starting_time or 0.0) + np.arange(n_samples) / series.rate
