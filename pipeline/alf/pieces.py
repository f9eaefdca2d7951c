"""One column as one file of an ALF object gives it: taken from an array or a table, decoded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pipeline import paradigms
from pipeline.alf import columns as alf
from pipeline.alf.columns import Column
from pipeline.alf.reasons import refuse
from pipeline.errors import InvalidData

if TYPE_CHECKING:
    import pyarrow as pa


class Piece(NamedTuple):
    """One column as one file gives it."""

    column: Column
    path: str
    attribute: str  # as the file names it
    revision: str
    values: np.ndarray


def pieces_of(
    columns: tuple[Column, ...], content: np.ndarray | pa.Table, path: str, attribute: str, revision: str
) -> list[Piece]:
    """The columns of one attribute; a two-dimensional one has a column for each index."""
    if not isinstance(content, np.ndarray):
        arrays = [array_of(content[i]) for i in range(content.num_columns)]
        content = arrays[0] if len(arrays) == 1 else np.column_stack(arrays) if arrays else np.empty((0, 0))
    is_table_name = any(attribute == f"{column.attribute}_{column.index}" for column in columns)
    width = 1 if is_table_name or columns[0].index is None else len(columns)
    if content.ndim == 2 and content.shape[1] == 1 and width == 1:
        content = content[:, 0]
    if content.ndim == 2 and content.shape[1] == 2 and attribute == "timestamps":
        return [Piece(columns[0], path, attribute, revision, content)]  # points between which is interpolated
    if content.ndim != (1 if width == 1 else 2) or (width > 1 and content.shape[1] != width):
        wanted = "(n,)" if width == 1 else f"(n, {width})"
        raise refuse(path, "unequal_length", f"shape {content.shape} where {wanted} is expected", attribute)
    if width == 1:
        return [Piece(columns[0], path, attribute, revision, content)]
    return [Piece(column, path, attribute, revision, content[:, column.index]) for column in columns]


def array_of(column: pa.ChunkedArray) -> np.ndarray:
    """A column as an array; null is NaN, what is neither number nor bool stays an array of objects."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type) and column.null_count:
        column = column.cast(pa.int8())
    if pa.types.is_decimal(column.type):
        column = column.cast(pa.float64())
    values: np.ndarray = column.to_numpy()
    return values


def decode(piece: Piece, codes: Mapping[float, float]) -> np.ndarray:
    """The values of a layout that codes them in its own way, by the convention; NaN stays.

    Raises
    ------
    InvalidData
        A value is none of the codes of the layout.
    """
    values = piece.values
    if values.dtype.kind not in "bfiu":
        return values  # refused later, with the others of a wrong type
    values = values.astype(np.float64)
    decoded = np.full(values.shape, np.nan)
    for code, means in codes.items():
        decoded[values == code] = means
    unknown = np.flatnonzero(np.isnan(decoded) & ~np.isnan(values))
    if unknown.size:
        listed = ", ".join(f"{code:g}" for code in codes)
        detail = f"row {unknown[0]} (from 0) is {values[unknown[0]]:g}, the codes of this layout are {listed}"
        raise refuse_piece(piece, "value_range", detail)
    return decoded


def last_revisions(pieces: list[Piece]) -> list[Piece]:
    """Of each column those of its last revision."""
    last: dict[str, str] = {}
    for piece in pieces:
        last[piece.column.name] = max(piece.revision, last.get(piece.column.name, ""))
    return [piece for piece in pieces if piece.revision == last[piece.column.name]]


def check(piece: Piece) -> np.ndarray:
    """The values in the type of the column, if they keep its rules."""
    column, values = piece.column, piece.values
    if values.dtype.kind not in "bfiu" or values.ndim != 1:
        raise refuse_piece(piece, "value_range", f"values of type {values.dtype} where numbers are expected")
    is_finite = values.dtype.kind != "f" or bool(np.isfinite(values).all())
    if column in alf.WHEEL and not is_finite:
        # a sample without a number is left out, as one without a time
        values = np.where(np.isinf(values), np.array(np.nan, values.dtype), values)
        piece = piece._replace(values=values)
    known = np.ones(len(values), bool) if is_finite else ~np.isnan(values)
    if not is_finite or column.has_rules:
        _check_values(piece, known)
    if column.ordered and not column.tolerance:
        times = values if is_finite else values[known]
        backwards = np.flatnonzero(times[1:] < times[:-1])
        if backwards.size:
            row, before = np.flatnonzero(known)[backwards[0] + 1], times[backwards[0]]
            detail = f"row {row} (from 0) is {values[row]:.10g} after {before:.10g}"
            raise refuse_piece(
                piece, "time_backwards", detail + (f", and {backwards.size - 1} more" * (backwards.size > 1))
            )
    if column.kind == "float" or not known.all():
        return np.array(values, np.float64)
    return np.array(values, np.int64 if column.kind == "int" else np.bool_)


def _check_values(piece: Piece, known: np.ndarray) -> None:
    column, values = piece.column, piece.values
    bad = np.isinf(values) if values.dtype.kind == "f" else np.zeros(len(values), bool)
    rule = "a finite number"
    if column.values is not None:
        allowed = sorted({*column.values, *(paradigms.choice_codes() if column.name == "choice" else ())})
        bad |= known & ~np.isin(values, allowed)
        rule = "one of " + ", ".join(f"{value:g}" for value in allowed)
    elif column.kind == "int":
        with np.errstate(invalid="ignore"):
            bad |= known & ((np.abs(values.astype(np.float64)) >= 2**31) | (values != np.trunc(values)))
        rule = "a whole number below 2^31"
    with np.errstate(invalid="ignore"):
        if column.low is not None and (low := known & (values < column.low)).any():
            bad, rule = bad | low, f"not below {column.low:g}"
        if column.high is not None and (high := known & (values > column.high)).any():
            bad, rule = bad | high, f"not above {column.high:g}"
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        detail = f"row {row} (from 0) is {values[row]:g}, expected is {rule}"
        more = int(bad.sum()) - 1
        raise refuse_piece(piece, "value_range", detail + (f"; and {more} more rows" if more else ""))


def n_digits(piece: Piece) -> int:
    """How many decimal digits the type of the values in the file holds; 15 or more where it loses none."""
    return np.finfo(piece.values.dtype).precision if piece.values.dtype.kind == "f" else 15


def refuse_piece(piece: Piece, reason: str, detail: str) -> InvalidData:
    """Why a column cannot be used, with the path of its file."""
    return refuse(piece.path, reason, detail, piece.column.name)
