"""Rows as PostgreSQL's COPY takes them in its binary format: neither side has to write or read numbers as text."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_NUMBERS = {
    pa.int8(): ">i2",  # PostgreSQL has no smaller integer
    pa.int16(): ">i2",
    pa.int32(): ">i4",
    pa.int64(): ">i8",
    pa.float32(): ">f4",
    pa.float64(): ">f8",
    pa.bool_(): "u1",
    pa.date32(): ">i4",
}
_FEWEST = 5_000  # rows; of fewer, text is written in less time than binary saves
_ROWS_AT_ONCE = 10_000
_LONGEST_TEXT = 1000  # byte: each row takes as much room as the longest
_DAYS_TO_2000 = 10_957  # from 1970, from which Arrow counts; PostgreSQL counts from 2000


def binary_rows(table: dj.Table, rows: pa.Table) -> io.BytesIO | None:
    """The rows in binary; None where a column has a type that only its text is known of, and for few rows.

    Parameters
    ----------
    table : the table, whose heading says what the database expects.
    rows : with the types that `columns.arrow_type` gives.
    """
    if rows.num_rows < _FEWEST or not all(_is_known(table.heading[name], rows[name]) for name in rows.column_names):
        return None
    content = io.BytesIO()
    content.write(_HEADER)
    for start in range(0, rows.num_rows, _ROWS_AT_ONCE):
        part = rows.slice(start, _ROWS_AT_ONCE)
        content.write(_records([_encoded(part[name]) for name in part.column_names]))
    content.write(_TRAILER)
    content.seek(0)
    return content


def _is_known(attribute: Any, column: pa.ChunkedArray) -> bool:
    if not pa.types.is_string(column.type):
        return column.type in _NUMBERS
    declared = str(attribute.original_type or attribute.type).lower()
    longest = pc.max(pc.binary_length(column)).as_py() or 0
    return declared.startswith(("char", "varchar")) and longest <= _LONGEST_TEXT


def _records(columns: list[tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Rows of values and their lengths, as `_encoded` gives them, one after the other."""
    kinds: list[Any] = [("n", ">i2")]
    for number, (values, _) in enumerate(columns):
        kinds += [(f"length {number}", ">i4"), (f"value {number}", values.dtype)]
    records = np.empty(len(columns[0][0]), kinds)
    records["n"] = len(columns)
    places: Mapping[str, Any] = records.dtype.fields or {}
    used = np.ones((records.size, records.itemsize), bool)
    for number, (values, lengths) in enumerate(columns):
        records[f"length {number}"], records[f"value {number}"] = lengths, values
        width, start = values.itemsize, places[f"value {number}"][1]
        if (lengths != width).any():
            used[:, start : start + width] = np.arange(width) < lengths[:, None]
    content = records.view(np.uint8).reshape(used.shape)
    return content.tobytes() if used.all() else content[used].tobytes()


def _encoded(column: pa.ChunkedArray) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column, each in the same number of bytes, and how many of them count; -1 for NULL."""
    if pa.types.is_string(column.type):
        coded = column.combine_chunks().dictionary_encode()
        texts = [text.encode() for text in coded.dictionary.to_pylist()]
        places = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
        lengths = np.array([*map(len, texts), -1], np.int32)
        return np.array([*texts, b""], f"S{max(lengths.max(), 1)}")[places], lengths[places]
    kind = np.dtype(_NUMBERS[column.type])
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
        values = column.fill_null(0).to_numpy() - _DAYS_TO_2000
    elif column.null_count:
        values = column.fill_null(False if pa.types.is_boolean(column.type) else 0).to_numpy()
    else:
        values = column.to_numpy()
    lengths = np.full(len(column), kind.itemsize, np.int32)
    if column.null_count:
        lengths[column.is_null().to_numpy()] = -1
    return values.astype(kind), lengths
