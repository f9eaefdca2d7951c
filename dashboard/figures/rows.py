"""Rows as the figures take them: pyarrow table, data frame, mapping of arrays or list of dicts, all as columns."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Rows = Any
"""What `columns` takes: pyarrow Table, pandas DataFrame, mapping of arrays, list of dicts, or None for no rows."""


class Columns(dict[str, np.ndarray]):
    """Column name -> 1-D array, all of one length. What is absent is NaN, NaT or an empty text."""

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(next(iter(self.values()))) if self else 0

    def numbers(self, name: str) -> np.ndarray:
        """A column as float64; NaN where there is no value or no such column."""
        if name not in self:
            return np.full(self.n, np.nan)
        values = self[name]
        if values.dtype == object:
            values = np.array([np.nan if value is None else value for value in values])
        return values.astype(np.float64)

    def texts(self, name: str) -> np.ndarray:
        """A column as text; empty where there is no value or no such column."""
        if name not in self:
            return np.full(self.n, "", dtype=object)
        return np.array(["" if value is None or value != value else str(value) for value in self[name]], dtype=object)

    def dates(self, name: str) -> np.ndarray:
        """A column as datetime64[D]; NaT where there is no value or no such column."""
        if name not in self:
            return np.full(self.n, np.datetime64("NaT", "D"))
        values = self[name]
        if values.dtype == object:
            values = np.array([np.datetime64("NaT") if value is None else value for value in values], "datetime64[us]")
        return values.astype("datetime64[D]")

    def lists(self, name: str) -> list[np.ndarray]:
        """A column of lists (or of JSON text) as arrays of float64; empty where there is no value."""
        return [_numbers(value) for value in self.get(name, [None] * self.n)]

    def where(self, which: np.ndarray) -> Columns:
        """The rows of a mask, or in the order of an index."""
        return Columns({name: values[which] for name, values in self.items()})

    def ordered(self, *names: str) -> Columns:
        """The rows in ascending order of some columns, the first of them counting most."""
        if not self.n:
            return self
        return self.where(np.lexsort([self[name] for name in reversed(names)]))


def columns(rows: Rows) -> Columns:
    """Any kind of rows as columns.

    Raises
    ------
    TypeError : what was given has no rows.
    ValueError : the columns differ in length.

    Examples
    --------
    >>> table = columns([{"n_trials": 3, "session_date": None}, {"n_trials": None, "session_date": "2026-01-05"}])
    >>> table.numbers("n_trials"), table.dates("session_date")
    (array([ 3., nan]), array([       'NaT', '2026-01-05'], dtype='datetime64[D]'))
    """
    if isinstance(rows, Columns):
        return rows
    if rows is None:
        return Columns()
    if hasattr(rows, "column_names"):  # pyarrow
        table = Columns({name: _arrow(rows[name]) for name in rows.column_names})
    elif hasattr(rows, "reset_index"):  # pandas, whose index may hold the key
        frame = rows.reset_index() if any(name is not None for name in rows.index.names) else rows
        table = Columns({str(name): _array(frame[name].to_numpy()) for name in frame.columns})
    elif isinstance(rows, Mapping):
        table = Columns({name: _array(values) for name, values in rows.items()})
    elif isinstance(rows, Sequence) and not isinstance(rows, str | bytes):
        names = dict.fromkeys(name for row in rows for name in row)
        table = Columns({name: _objects([row.get(name) for row in rows]) for name in names})
    else:
        raise TypeError(f"rows are a table, a mapping of arrays or a list of dicts, not {type(rows).__name__}")
    if len({len(values) for values in table.values()}) > 1:
        raise ValueError(f"columns of unequal length: { {name: len(values) for name, values in table.items()} }")
    return table


def iso(dates: np.ndarray) -> list[str]:
    """Dates as plotly's date axes take them.

    >>> iso(np.array(["2026-01-05"], "datetime64[D]"))
    ['2026-01-05']
    """
    return np.datetime_as_string(np.asarray(dates, "datetime64[D]")).tolist()


def _arrow(column: Any) -> np.ndarray:
    kind = str(column.type)
    if kind.startswith(("date", "timestamp")):
        return column.to_numpy().astype("datetime64[us]" if kind.startswith("timestamp") else "datetime64[D]")
    if kind.startswith(("int", "uint", "float", "double", "halffloat")):
        return column.to_numpy()  # null becomes NaN
    return _objects(column.to_pylist())


def _array(values: Any) -> np.ndarray:
    if hasattr(values, "to_numpy") and not isinstance(values, np.ndarray):
        values = values.to_numpy()
    if isinstance(values, np.ndarray) and values.ndim == 1:
        return values
    return _objects(list(values))


def _objects(values: list[Any]) -> np.ndarray:
    """Python values as an array with one entry each, numbers and dates kept as such where all are."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    kinds = {type(value) for value in values}
    if kinds <= {int, float, bool} and kinds:
        return array.astype(np.float64) if float in kinds else array.astype(np.int64)
    return array


def _numbers(value: Any) -> np.ndarray:
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return np.empty(0)
    if isinstance(value, str | bytes):
        value = json.loads(value)
    return np.array([np.nan if item is None else item for item in value], dtype=np.float64)
