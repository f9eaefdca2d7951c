"""What a lab's description of a task says of its rows: kind, hash, fingerprint, and what the trials lack."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import paradigms
from pipeline.analysis import protocols, trial_checks
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.database.prepared import Prepared
from pipeline.paradigms import outcomes
from pipeline.provenance import fingerprints

acquisition = registry.tables_of("acquisition")

_PROTOCOLS = Prepared(lambda: acquisition.SessionTask.proj("protocol") * acquisition.Session.proj("task_protocol"))


def facts_of(key: Mapping[str, Any]) -> dict[str, Any]:
    """What session and task say of the protocol."""
    return _PROTOCOLS.rows({name: key[name] for name in acquisition.SessionTask.primary_key})[0]


def with_descriptions(table: pa.Table, key: Mapping[str, Any]) -> pa.Table:
    """Key and fingerprint of tasks; where the lab describes a task, the fingerprint is extended by the description.

    Parameters
    ----------
    table : the primary key of SessionTask, and `fingerprint`.
    key : to which the tasks were restricted.
    """
    if not paradigms.described():
        return table
    names = acquisition.SessionTask.primary_key
    facts = acquisition.SessionTask.proj("protocol") * acquisition.Session.proj("task_protocol") & {
        name: value for name, value in key.items() if name in names
    }
    rows = fetch_columns(facts, *names, "protocol", "task_protocol").to_pylist()
    digests = {tuple(row[name] for name in names): digest(row) for row in rows}
    keys = zip(*(table[name].to_pylist() for name in names), strict=True)
    told = [
        fingerprints.extend(one, said) if (said := digests.get(place)) else one
        for one, place in zip(table["fingerprint"].to_pylist(), keys, strict=True)
    ]
    return table.set_column(table.column_names.index("fingerprint"), "fingerprint", pa.array(told, pa.string()))


def kind_of(protocol: str, task: paradigms.TaskDescription | None) -> str:
    """The kind of a protocol; of a task that the lab describes, `passive` or `other`."""
    if task is None or task.is_built_in:
        return protocols.kind(protocol)
    return "passive" if task.design == "passive" else protocols.OTHER


def digest(row: Mapping[str, Any]) -> str:
    """The hash of the lab's description of a task; empty where it does not describe it."""
    protocol = protocols.of_task(row["task_protocol"], row["protocol"], row["task_collection"])
    task = paradigms.of_protocol(protocol)
    return "" if task is None or task.is_built_in else task.digest


def findings(trials: dict[str, np.ndarray], task: paradigms.TaskDescription) -> list[trial_checks.Finding]:
    """What the trials lack that their description names."""
    notes = outcomes.read_outcomes(trials, task).notes
    size = len(next(iter(trials.values()), ()))
    return [trial_checks.Finding("description", "WARNING", size, note) for note in notes]
