"""The life of an animal in order: its sessions and their trials, as the summaries over many sessions take them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa

from pipeline import paradigms
from pipeline.analysis import protocols
from pipeline.analysis.records import session_record
from pipeline.analysis.training import SessionRecord
from pipeline.analysis.trial_checks import UNUSABLE
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, json_column, to_numpy
from pipeline.database.prepared import Prepared
from pipeline.database.together import once, remembered
from pipeline.paradigms import outcomes
from pipeline.provenance import fingerprints
from pipeline.schemas.inputs import written_trials

acquisition = registry.tables_of("acquisition")
behavior = registry.tables_of("behavior")
subject = registry.tables_of("subject")

# What of a session goes into its animal's summaries, apart from the trials.
_FACTS = ("task_protocol", "rig", "start_delay", "protocol")
# What of its trials does, apart from their columns.
_OF_TRIALS = ("n_trials", "columns_present", "trials_qc", "task_kind", "paradigm")

_ANIMALS = 2  # whose trials stay in memory, so that tables that sum up one after the other read them once

_OUTCOMES = ("choice", "feedback_type", "response_times")


class PerSubject:
    """What the summaries over all sessions of an animal have in common: who has one, and when it is stale.

    They are `rolling`: a worker makes them again by itself whenever a session was added, changed or removed, so that the
    order in which sessions arrive does not matter.
    """

    rolling = True
    inputs = ("behavior.TrialSet",)
    """While jobs of these tables wait for an animal, its summary waits too."""
    fingerprint: str
    """The column that holds the fingerprint of all sessions."""

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Animals with trials."""
        return subject.Subject.proj() & behavior.TrialSet.proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every animal (of `key`) that should have a row now."""
        names = behavior.TrialSet.primary_key
        parts = [*names[2:], "trials_fingerprint", *_FACTS]
        return fingerprints.combine(_SESSIONS.columns(key or {}), names[:2], parts)

    def _fingerprint_of(self, key: dict) -> dict[str, str]:
        """The fingerprint column of the row that `make` is about to insert."""
        return {self.fingerprint: self.current_fingerprints(key)["fingerprint"][0].as_py()}


@dataclass(frozen=True)
class PastSession:
    """One task of a session of an animal: its key, what is known of it, and its trials (without columns it lacks)."""

    key: dict[str, Any]
    facts: dict[str, Any]
    trials: dict[str, np.ndarray]
    _records: dict[str, SessionRecord] = field(default_factory=dict, repr=False, compare=False)

    @property
    def is_training(self) -> bool:
        """Does the session count as a day of training? Habituation, passive and unusable sessions do not."""
        own = _own_task(self.facts)
        does_task = self.task_kind not in protocols.NOT_TRAINING if own is None else own.is_training
        return does_task and self.is_usable

    @property
    def protocol(self) -> str:
        """The protocol of the task whose trials these are."""
        return protocols.of_task(self.facts["task_protocol"], self.facts["protocol"], self.key["task_collection"])

    @property
    def task_kind(self) -> str:
        """The kind of the protocol, see `pipeline.analysis.protocols`."""
        own = _own_task(self.facts)
        return protocols.kind(self.protocol) if own is None else self.facts["task_kind"]

    @property
    def is_usable(self) -> bool:
        """Whether the trials tell what the animal did: their checks found nothing that makes them worthless."""
        return self.facts["trials_qc"] != UNUSABLE

    @property
    def judged_trials(self) -> dict[str, np.ndarray]:
        """The trials; of unusable ones only the columns that do not tell what the animal did: they count as trials."""
        if self.is_usable:
            return self.trials
        rest = {name: values for name, values in self.trials.items() if name not in _OUTCOMES}
        return rest or {"": np.empty(self.facts["n_trials"])}

    def record(self, no_go: str) -> SessionRecord:
        """The session as training criteria see it that take trials without a response for `no_go`; counted once."""
        if no_go not in self._records:
            self._records[no_go] = self._counted(no_go)
        return self._records[no_go]

    def _counted(self, no_go: str) -> SessionRecord:
        delay = self.facts["start_delay"]
        return session_record(
            self.trials,
            self.key["session_date"],
            self.key["session_number"],
            task_protocol=self.protocol,
            trials_qc=self.facts["trials_qc"],
            task_collection=self.key["task_collection"],
            on_ephys_rig="ephys" in self.facts["rig"].lower(),
            start_delay=float("nan") if delay is None else delay,
            no_go=no_go,
        )


def sessions_of(key: dict) -> list[PastSession]:
    """All tasks with trials of one animal, in order of date, number and task, read in two queries."""
    animal = {name: key[name] for name in subject.Subject.primary_key}
    return once(registry.connection(), "sessions of", animal, lambda: _sessions_of(animal))


def _sessions_of(key: dict) -> list[PastSession]:
    table = _SESSIONS.columns(key)
    about = tuple(zip(*table.to_pydict().values(), strict=True))
    connection = registry.connection()
    return remembered(connection, "sessions of", about, lambda: _with_trials(key, table), _ANIMALS)


def _with_trials(key: dict, table: pa.Table) -> list[PastSession]:
    """The sessions of an animal with their trials; `table`: what is known of each, in their order."""
    names = behavior.TrialSet.primary_key
    rows, present = table.to_pylist(), json_column(table, "columns_present")
    trials = written_trials.of_tasks(rows) or _read_trials(key, table, present)
    return [
        PastSession(
            key={name: row[name] for name in names},
            facts={name: row[name] for name in (*_FACTS, *_OF_TRIALS)},
            trials=_by_description(row, {name: columns[name] for name in has}),
        )
        for row, has, columns in zip(rows, present, trials, strict=True)
    ]


def _read_trials(key: dict, table: pa.Table, present: list[list[str]]) -> list[dict[str, np.ndarray]]:
    """The trials of each session of an animal, from one query."""
    names = sorted({name for item in present for name in item})
    trials = fetch_columns(behavior.TrialSet.Trial & key, *names, order_by=f"{_ORDER}, trial_id") if names else None
    arrays = {} if trials is None else to_numpy(trials)
    ends = np.cumsum(table["n_trials"].to_numpy())
    starts = ends - table["n_trials"].to_numpy()
    return [
        {name: arrays[name][start:end] for name in has} for has, start, end in zip(present, starts, ends, strict=True)
    ]


def _own_task(row: dict[str, Any]) -> paradigms.TaskDescription | None:
    """The description of the task, where it is the lab's own."""
    return paradigms.named(row["paradigm"]) if row["paradigm"] else None


def _by_description(row: dict[str, Any], trials: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The trials in the columns and codes that the summaries take."""
    task = _own_task(row)
    if task is None:
        return trials
    key = {name: row[name] for name in behavior.TrialSet.primary_key}
    return outcomes.conventional(trials | behavior.TrialSet.fetch_other_columns(key), task)


_ORDER = "session_date, session_number, task_collection"
_SESSIONS = Prepared(lambda: _facts() * behavior.TrialSet.proj(*_OF_TRIALS, "trials_fingerprint"), order_by=_ORDER)


def _facts() -> dj.expression.QueryExpression:
    """What of session and task goes into the summaries."""
    return acquisition.Session.proj(*_FACTS[:-1]) * acquisition.SessionTask.proj(_FACTS[-1])


def times_lookup(table: pa.Table, lookup: type[dj.Table], rows: Sequence[Mapping[str, Any]], text: str) -> pa.Table:
    """Each row of fingerprints with each of some rows of a lookup table, whose column `text` goes into it."""
    key = [name for name in table.column_names if name != "fingerprint"]
    pairs = [
        {name: value for name, value in row.items() if name in lookup.primary_key}
        | {name: known[name] for name in key}
        | {"fingerprint": known["fingerprint"], "text": json.dumps(row[text], sort_keys=True)}
        for known in table.to_pylist()
        for row in rows
    ]
    names = [*key, *lookup.primary_key, "fingerprint", "text"]
    columns = {name: [pair[name] for pair in pairs] for name in names}
    return fingerprints.combine(pa.table(columns), names[:-2], names[-2:])
