"""Columns between Python, Arrow and the heading of a table: which type they have there, and what NULL is."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_ARROW_TYPES = {
    "int8": pa.int8(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float32": pa.float32(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "json": pa.string(),
    "smallint": pa.int16(),
    "integer": pa.int32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(),
    "double precision": pa.float64(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "jsonb": pa.string(),
}


def to_arrow(table: dj.Table, columns: pa.Table | Mapping[str, Any]) -> pa.Table:
    """The columns with the types of the table, scalars repeated."""
    names = list(columns.column_names if isinstance(columns, pa.Table) else columns)
    for name in names:
        if name not in table.heading:
            raise KeyError(f"`{name}` is not in the table heading")
    given = {name: columns[name] for name in names}
    lengths = {name: len(value) for name, value in given.items() if not is_scalar(value)}
    if len(set(lengths.values())) > 1:
        raise dj.DataJointError(f"columns of unequal length: {lengths}")
    n_rows = next(iter(lengths.values())) if lengths else 1
    arrays, fields = [], []
    for name in table.heading.names:  # in the table's order
        if name not in given:
            continue
        attribute = table.heading[name]
        kind = arrow_type(attribute)
        if kind is None:
            raise dj.DataJointError(f"`{name}` has the codec <{attribute.codec.name}>: use insert()")
        if is_scalar(given[name]):
            column = pa.repeat(_column(name, attribute, [given[name]], kind)[0], n_rows)
        else:
            column = _column(name, attribute, given[name], kind)
        if column.null_count and not attribute.nullable and attribute.default is None:
            row = column.to_pylist().index(None)
            raise dj.errors.MissingAttributeError(f"`{name}` has no value in row {row}, and no default")
        arrays.append(column)
        fields.append(pa.field(name, kind))
    return pa.Table.from_arrays(arrays, schema=pa.schema(fields))


def is_scalar(value: Any) -> bool:
    """Whether a value is one for all rows."""
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return False
    if isinstance(value, str | bytes | Mapping) or not hasattr(value, "__len__"):
        return True
    return isinstance(value, np.ndarray) and value.ndim == 0


def _column(name: str, attribute: Any, value: Any, kind: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if _is_json(attribute) and not isinstance(value, pa.Array | pa.ChunkedArray):
        return pa.array([None if item is None else _dump_json(name, item) for item in value], pa.string())
    try:
        array = value if isinstance(value, pa.Array | pa.ChunkedArray) else pa.array(value, from_pandas=True)
        is_done = isinstance(value, np.ndarray) and value.dtype.kind == "f"  # of these NaN is null already
        if pa.types.is_floating(array.type) and not is_done:
            array = pc.if_else(pc.is_nan(array), None, array)
        if pa.types.is_boolean(kind) and not pa.types.is_boolean(array.type):
            array = array.cast(pa.int8()).cast(pa.bool_()) if not pa.types.is_null(array.type) else array
        return array if array.type == kind else array.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        raise dj.DataJointError(f"`{name}` of {attribute.type}: {error}") from error


def _dump_json(name: str, value: Any) -> str:
    if not isinstance(value, list | dict | tuple):
        raise dj.DataJointError(f"`{name}` is json and takes lists and dicts, not {type(value).__name__}")
    return json.dumps(_without_nan(value), allow_nan=False)


def _without_nan(value: Any) -> Any:
    """The same structure with None for NaN, which JSON does not have, and Python numbers for numpy's."""
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_without_nan(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def _is_json(attribute: Any) -> bool:
    return attribute.json or attribute.original_type == "json"


def arrow_type(attribute: Any) -> pa.DataType | None:
    """The Arrow type of a column, string where nothing else is known; None for columns with a codec."""
    if attribute.codec:
        return None
    declared = str(attribute.original_type or attribute.type or "").lower()
    if declared.startswith(("datetime", "timestamp")):
        return pa.timestamp("us")
    if declared.startswith("tinyint"):
        return pa.int8()
    if declared.startswith(("decimal", "numeric")):
        return pa.float64()
    return _ARROW_TYPES.get(re.sub(r"\(.*", "", declared).strip(), pa.string())


def from_python(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """What a cursor returned for a column, in the type of that column."""
    if pa.types.is_boolean(kind):
        values = [None if value is None else bool(value) for value in values]
    elif pa.types.is_string(kind):
        values = [value if value is None or isinstance(value, str) else str(value) for value in values]
    return pa.array(values, kind, from_pandas=False)
