"""Trials that stay in the memory of the worker that wrote or read them, for the tables that are made from them next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.database import registry
from pipeline.database.columns import arrow_type
from pipeline.database.together import recalled, remember, remembered

behavior = registry.tables_of("behavior")

Columns = dict[str, np.ndarray]

_MOST = 250  # tasks, each about 100 kB


def keep(row: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> None:
    """Keep the columns of `Trial` of one task, which were just written, as the database would give them back.

    Parameters
    ----------
    row : key and fingerprint of the row of TrialSet; the fingerprint determines the trials.
    columns : the columns that the task has.
    """
    heading = behavior.TrialSet.Trial().heading

    def stored() -> Columns:
        return {name: _as_stored(values, arrow_type(heading[name])) for name, values in columns.items()}

    remember(registry.connection(), "trials", _about(row), stored, _MOST)


def _as_stored(values: np.ndarray, kind: pa.DataType) -> np.ndarray:
    """A copy in the type that `to_numpy` gives: that of the column, and of float64 where NULL stands among others."""
    has_gaps = values.dtype.kind == "f" and not pa.types.is_floating(kind) and np.isnan(values).any()
    return values.astype(np.float64 if has_gaps else kind.to_pandas_dtype())


def of_task(row: Mapping[str, Any], read: Callable[[], Columns]) -> Columns:
    """The columns of `Trial` of the task of a row of TrialSet; read where they are not in memory."""
    return dict(remembered(registry.connection(), "trials", _about(row), read, _MOST))


def of_tasks(rows: Sequence[Mapping[str, Any]]) -> list[Columns] | None:
    """The same of several tasks; None where one of them is not in memory."""
    known = [recalled(registry.connection(), "trials", _about(row)) for row in rows]
    return None if any(trials is None for trials in known) else known


def _about(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(row[name] for name in behavior.TrialSet.primary_key), row["trials_fingerprint"])
