"""Columns of Parquet tables as `.npy`, for clients that cannot read Parquet: MATLAB, GNU Octave."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from one_bridge.server.endpoint_model import BadInput

LARGEST = 1 << 31  # byte of one column, unpacked


def names(path: Path) -> list[str]:
    """The columns of a table, in order.

    Raises
    ------
    BadInput : the file is no Parquet table.
    """
    return list(_opened(path).schema_arrow.names)


def as_npy(path: Path, column: str) -> bytes:
    """One column as the content of a `.npy` file.

    Numbers and truth values keep their type; with missing values they are float64 with NaN. Text is fixed-width
    Unicode, empty where it is missing. Times of day are float64, seconds since 1970 (UTC). Lists of equal length
    become rows.

    Raises
    ------
    BadInput : there is no such column, it is too large, or its values fit into no array.
    """
    file = _opened(path)
    listed = file.schema_arrow.names
    if column not in listed:
        raise BadInput("column", f"The table has no column {column!r}; it has {', '.join(listed)}.")
    number = listed.index(column)
    groups = (file.metadata.row_group(place) for place in range(file.metadata.num_row_groups))
    sizes = [
        group.column(at).total_uncompressed_size
        for group in groups
        for at in range(group.num_columns)
        if group.column(at).path_in_schema.split(".")[0] == column
    ]
    if sum(sizes) > LARGEST:
        raise BadInput("column", f"The column {column} is larger than {LARGEST >> 30} GB: download the table.")
    values = _array(file.read(columns=[column]).column(0), file.schema_arrow.field(number).type)
    if values is None:
        raise BadInput("column", f"The values of {column} fit into no array: download the table.")
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowInvalid):
        raise BadInput("column", "Only Parquet tables have columns.") from None


def _array(values: pa.ChunkedArray, kind: pa.DataType) -> np.ndarray | None:
    if pa.types.is_dictionary(kind):
        return _array(values.cast(kind.value_type), kind.value_type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return np.array([item or "" for item in values.to_pylist()], dtype=np.str_)
    if pa.types.is_timestamp(kind):
        return values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()).to_numpy() / 1e6
    if pa.types.is_boolean(kind) and values.null_count:
        values = values.cast(pa.int8())
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        if values.null_count and not pa.types.is_floating(kind):
            values = values.cast(pa.float64())
        return values.to_numpy()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        rows = values.to_pylist()
        if rows and all(row is not None and len(row) == len(rows[0]) for row in rows):
            stacked = np.array(rows)
            return stacked if stacked.dtype.kind in "biuf" else None
    return None
