"""Trials that stay in the memory of the worker that wrote or read them, for the tables that are made from them next."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.database import registry
from pipeline.database.bulk import to_numpy
from pipeline.database.columns import to_arrow
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
    remember(
        registry.connection(),
        "trials",
        _about(row),
        lambda: to_numpy(to_arrow(behavior.TrialSet.Trial(), columns)),
        _MOST,
    )


def of_task(row: Mapping[str, Any], read: Callable[[], Columns]) -> Columns:
    """The columns of `Trial` of the task of a row of TrialSet; read where they are not in memory."""
    return dict(remembered(registry.connection(), "trials", _about(row), read, _MOST))


def of_tasks(rows: Sequence[Mapping[str, Any]]) -> list[Columns] | None:
    """The same of several tasks; None where one of them is not in memory."""
    known = [recalled(registry.connection(), "trials", _about(row)) for row in rows]
    return None if any(trials is None for trials in known) else known


def _about(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return (*(row[name] for name in behavior.TrialSet.primary_key), row["trials_fingerprint"])
