"""Which of the tasks of a session is meant, what is known of it, and its trials as they are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.analysis import protocols
from pipeline.database import registry
from pipeline.database.bulk import to_numpy
from pipeline.database.prepared import Prepared
from pipeline.errors import NeurojointError

acquisition = registry.tables_of("acquisition")
behavior = registry.tables_of("behavior")

_TASKS = Prepared(lambda: behavior.TrialSet.proj("task_kind", "columns_present", "paradigm", "trials_fingerprint"))
_TRIALS = Prepared(lambda: behavior.TrialSet.Trial.proj(...), order_by="trial_id")


def row_of(key: Mapping[str, Any]) -> dict[str, Any]:
    """What is known of the task that `behavior.task_of` finds: its key, kind, columns and description."""
    names = acquisition.Session.primary_key
    missing = [name for name in names if name not in key]
    wanted = {name: key[name] for name in behavior.TrialSet.primary_key if name in key}
    tasks = _TASKS.rows(wanted)
    if missing and len(tasks) != 1:
        raise NeurojointError(
            f"{len(tasks)} sessions with trials fit: the key lacks {', '.join(missing)}",
            "name one session by lab, subject, session_date and session_number; `pipeline.session(eid)` gives its key",
        )
    if not tasks:
        named = "/".join(str(wanted[name]) for name in behavior.TrialSet.primary_key if name in wanted)
        raise NeurojointError(
            f"{named} has no trials in the tables", "see `behavior.TrialSet` for the sessions that do"
        )
    order = sorted(tasks, key=lambda row: (row["task_kind"] in protocols.NOT_TRAINING, row["task_collection"]))
    return order[0]


def key_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The primary key of `behavior.TrialSet`."""
    return {name: row[name] for name in behavior.TrialSet.primary_key}


def trials_of(row: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The columns of `Trial` that the task has."""
    present = row["columns_present"]
    trials = to_numpy(_TRIALS.columns(key_of(row))) if present else {}
    return {name: trials[name] for name in present}
