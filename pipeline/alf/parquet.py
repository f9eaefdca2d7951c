"""Parquet files from outside: read only where what they unpack into has room."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

LIMIT = 4 << 30  # byte


def read(source: str | os.PathLike[str] | bytes, columns: Sequence[str] | None = None, limit: int = LIMIT) -> pa.Table:
    """The table of a Parquet file that takes at most about `limit` byte in memory.

    What repeats takes no room in the file, however many rows it has: in memory a number takes 8 bytes a row, and of a
    text each row has a copy.

    Parameters
    ----------
    source : path of the file, or its bytes.
    columns : to be read; by default all.

    Raises
    ------
    ValueError : it is too large.
    pyarrow.ArrowException, OSError : it cannot be read.
    """
    file = _open(source)
    if _least_size(file) > limit or any(_text_size(source, path) > limit for path in _repeated_texts(file, limit)):
        raise ValueError(f"unpacked it is larger than {limit} bytes")
    return file.read(columns=None if columns is None else list(columns), use_threads=False)


def _open(source: str | os.PathLike[str] | bytes, **options: Any) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(io.BytesIO(source) if isinstance(source, bytes) else source, **options)


def _least_size(file: Any) -> int:
    """Bytes that it takes at least, from its footer."""
    about = file.metadata
    groups = [about.row_group(number) for number in range(about.num_row_groups)]
    size: int = max(sum(group.total_byte_size for group in groups), 8 * about.num_rows * about.num_columns)
    for index in range(about.num_columns):
        n_values = sum(group.column(index).num_values for group in groups)
        size = max(size, n_values * max(8, about.schema.column(index).length))
    return size


def _repeated_texts(file: Any, limit: int) -> list[str]:
    """Columns of text that could be larger than `limit`, were each value as long as all that is stored of them."""
    about, repeated = file.metadata, []
    for index in range(about.num_columns):
        chunks = [about.row_group(number).column(index) for number in range(about.num_row_groups)]
        largest = sum(chunk.num_values * chunk.total_uncompressed_size for chunk in chunks)
        if largest > limit and about.schema.column(index).physical_type == "BYTE_ARRAY":
            repeated.append(about.schema.column(index).path)
    return repeated


def _text_size(source: str | os.PathLike[str] | bytes, path: str) -> int:
    """Bytes of the text of a column, from its distinct values and how often each is there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    total = 0
    for part in _open(source, read_dictionary=[path]).read(columns=[path], use_threads=False).column(0).chunks:
        while pa.types.is_nested(part.type):
            part = part.flatten()[0] if pa.types.is_struct(part.type) else part.flatten()
        if pa.types.is_dictionary(part.type):
            lengths = pc.take(pc.binary_length(part.dictionary), part.indices)
            total += pc.sum(lengths.cast("int64")).as_py() or 0
        else:
            total += part.nbytes
    return total
