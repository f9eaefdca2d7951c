"""How one file of a session lies in an NWB file, and how it is made again from there: to the byte wherever possible.

A file is cut into *cells*: columns or series of NWB objects, named `object:field`. Its `Form` says which cells, in
which type, shape and order; `rebuild` turns cells back into the content of the file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.reader import NpyHeader, npy_header

Get = Callable[[str], np.ndarray]
"""From the name of a cell to its values."""

Orders = dict[tuple[str, int, int], np.ndarray]
"""The order of the spikes that was found last: all files of a sorting have the same."""


@dataclass
class Form:
    """One file of the session.

    Attributes:
        kind: `array` (npy), `table` (columns), `copy` (kept as bytes), `beside` (a file next to the NWB file),
            `recording` (samples of an electrical series), `absent` (not in the NWB file).
        cells: names of the cells; of an array, its columns. None: all NaN.
        columns: names of the columns of a table, one a cell.
        dtype, shape, fortran: of the array, as in its npy header.
        rows: first and last row (excluded) of the cells that belong to this file; all where there is none.
        spikes: the cells hold one entry a spike, unit by unit: name of the units table.
        why: for `absent`.
    """

    kind: str
    cells: list[str | None] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    dtype: str = ""
    shape: list[int] = field(default_factory=list)
    fortran: bool = False
    rows: list[int] | None = None
    spikes: str = ""
    why: str = ""

    def dumped(self) -> str:
        """As text."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if value not in ("", [], None, False)}
        return json.dumps(given)

    @classmethod
    def loaded(cls, text: str) -> Form:
        """From text; ValueError where it is none of ours."""
        given = json.loads(text)
        names = {item.name for item in dataclasses.fields(cls)}
        if not isinstance(given, dict) or not given.keys() <= names or given.get("kind") not in KINDS:
            raise ValueError(f"no form of a file: {text[:80]!r}")
        return cls(**given)


KINDS = ("array", "table", "copy", "beside", "recording", "absent")


def header_of(path: Path) -> NpyHeader | None:
    """The header of an npy file if numpy would write the same one today, so that the file can be made again."""
    with path.open("rb") as file:
        start = file.read(1 << 12)
    header = npy_header(start, path.name, path.stat().st_size)
    return header if start[: header.offset] == header_bytes(header.dtype, header.shape, header.fortran) else None


def header_bytes(dtype: np.dtype, shape: tuple[int, ...], fortran: bool) -> bytes:
    """The first bytes of an npy file, as numpy writes them."""
    out = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(out, {"descr": descr, "fortran_order": fortran, "shape": tuple(shape)})
    return out.getvalue()


def rebuild(form: Form, get: Get, orders: Orders | None = None) -> tuple[bytes, np.ndarray]:
    """The header and the values of an npy file of which the cells are known.

    Parameters
    ----------
    orders : given to all calls for one NWB file; spares them from sorting the same spikes again.

    Raises
    ------
    KeyError, ValueError, TypeError : a cell is not there, or does not have the rows that the form says.
    """
    dtype, shape = np.dtype(form.dtype), tuple(form.shape)
    if dtype.hasobject:
        raise ValueError(f"{form.dtype} is no type of numbers or text")
    if form.spikes and form.cells[0] is not None:
        columns = [in_order(form, get, {} if orders is None else orders)]
        if columns[0].shape != shape[:1]:
            raise ValueError(f"{form.cells[0]} has {columns[0].shape[0]} values where {shape} are expected")
    else:
        columns = [_rows(form, cell, get, shape) for cell in form.cells]
    if len(shape) == 2 and len(columns) == shape[1] and columns[0].ndim == 1:
        values = np.empty(shape, dtype, "F" if form.fortran else "C")
        for index, column in enumerate(columns):
            values[:, index] = column
    else:
        values = columns[0][tuple(slice(0, length) for length in shape[: columns[0].ndim])]
        values = values.astype(dtype, order="F" if form.fortran else "C", copy=False).reshape(shape)
    return header_bytes(dtype, shape, form.fortran), np.require(values, requirements="F" if form.fortran else "C")


def _rows(form: Form, cell: str | None, get: Get, shape: tuple[int, ...]) -> np.ndarray:
    n_rows = shape[0] if shape else 1
    if cell is None:
        return np.full(n_rows, np.nan)
    values = np.asarray(get(cell))
    if form.rows:
        values = values[form.rows[0] : form.rows[1]]
    if len(values) < n_rows:
        raise ValueError(f"{cell} has {len(values)} rows where {n_rows} are expected")
    return values[:n_rows]


def in_order(form: Form, get: Get, orders: Orders) -> np.ndarray:
    """Values of the spikes in the order of the file; in the NWB file they are unit by unit.

    The order is that of the column `spike_row`; without it spikes are in order of time, then of their units.
    """
    table, (first, last) = form.spikes, form.rows or [0, 0]
    ends = np.asarray(get(f"{table}:spike_times_index"), dtype=np.int64)[:last]
    begin = int(ends[first - 1]) if first else 0
    span = slice(begin, int(ends[-1]) if len(ends) else 0)
    if form.cells[0] == f"{table}:cluster_id":
        counts = np.diff(np.concatenate([[begin], ends[first:]]))
        values = np.repeat(np.asarray(get(form.cells[0]))[first:last], counts)
    else:
        values = np.asarray(get(str(form.cells[0]))[span])
    try:
        rows = np.asarray(get(f"{table}:spike_row")[span])
    except KeyError:
        return values[_order_of_time(get, table, span, orders)]
    ordered = np.empty_like(values)
    ordered[rows] = values
    return ordered


def _order_of_time(get: Get, table: str, span: slice, orders: Orders) -> np.ndarray:
    """The order of the spikes in time."""
    key = (table, span.start, span.stop)
    if key not in orders:
        orders.clear()
        orders[key] = np.argsort(np.asarray(get(f"{table}:spike_times")[span]), kind="stable")
    return orders[key]


def md5(header: bytes, values: np.ndarray) -> str:
    """Of an npy file."""
    digest = hashlib.md5(header, usedforsecurity=False)
    digest.update(values.ravel(order="K").data.cast("B") if values.size else b"")
    return digest.hexdigest()


def write_npy(path: Path, header: bytes, values: np.ndarray) -> None:
    """Write an npy file."""
    with path.open("wb") as file:
        file.write(header)
        if values.size:
            file.write(values.ravel(order="K").data.cast("B"))


def array_form(header: NpyHeader, cells: list[str | None], **more: Any) -> Form:
    """The form of an npy file."""
    return Form("array", cells, dtype=header.dtype.str, shape=list(header.shape), fortran=header.fortran, **more)
