"""Activity around events of the trials, for all units and any split of the trials; kept by content once computed."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.alf import columns as alf
from pipeline.analysis import conventions, peths, responses
from pipeline.database import registry
from pipeline.electrophysiology import array_cache, clusterings
from pipeline.electrophysiology import spikes as store
from pipeline.electrophysiology.spikes import GroupedSpikes
from pipeline.errors import UserError

acquisition = registry.tables_of("acquisition")
behavior = registry.tables_of("behavior")
ephys = registry.tables_of("ephys")
ephys_analysis = registry.tables_of("ephys_analysis")
selection = registry.tables_of("selection")
event_series = registry.tables_of("inputs.events")

LAYOUT = 1
"""Goes into the names of kept results: a change of what is computed raises it."""

NAMES = {
    "side": ("left", "right"),
    "choice": ("left", "right"),
    "feedback": ("error", "correct"),
    "block": ("left", "right"),
}
"""Split of the trials -> its conditions, in the order of `pipeline.analysis.responses.trial_groups`."""

SPLITS = (*NAMES, "contrast", "probability")

_NO_TRIALS = ("the session has no trials in the tables", "ingest its trials, then `neurojoint work`")


@dataclass(frozen=True)
class UnitPeths:
    """Firing rates around an event."""

    cluster_ids: np.ndarray  # (k,) int32
    times: np.ndarray  # (n_bins,) centres of the bins, s from the event
    mean: np.ndarray  # (k, c, n_bins) Hz; NaN for a condition without events
    sem: np.ndarray  # (k, c, n_bins) standard error over trials, Hz
    n: np.ndarray  # (c,) events of each condition
    conditions: list[str]  # (c,) e.g. left, right; `all` where the trials are not split

    @property
    def population(self) -> np.ndarray:
        """Mean over the units, (c, n_bins) Hz."""
        return self.mean.mean(axis=0)


def compute(
    spikes: GroupedSpikes,
    events: np.ndarray,
    labels: np.ndarray | None = None,
    window: tuple[float, float] = (-0.5, 1.0),
    bin_size: float = 0.02,
    smoothing: float = 0.02,
    cluster_ids: Sequence[int] | None = None,
) -> UnitPeths:
    """Peri-event time histograms of units, from grouped spikes; nothing is kept.

    Parameters
    ----------
    spikes : the spikes.
    events : (n_trials,) s from session start; NaN, and times outside of the recording, are left out.
    labels : (n_trials,) condition of each trial, strings; trials whose label is empty are left out. None: no split.
    window : start and end, s from the event.
    bin_size, smoothing : s; width of a bin, standard deviation of the Gaussian (0: none).
    cluster_ids : units, by default all.
    """
    ids = spikes.cluster_ids if cluster_ids is None else np.asarray(list(cluster_ids), np.int32)
    times, offsets = spikes.select(ids.tolist())
    events = within_recording(spikes, events)
    names, codes = np.array(["all"]), None
    if labels is not None:
        names, codes = np.unique(labels, return_inverse=True)
        events = np.where(labels == "", np.nan, events)
        names = names[np.isin(np.arange(len(names)), codes[np.isfinite(events)])]
    result = peths.peths(times, offsets, events, -window[0], window[1], bin_size, smoothing, codes)
    shape = (len(ids), len(names), len(result.bins))
    return UnitPeths(
        ids, result.bins, result.mean.reshape(shape), result.sem.reshape(shape), np.atleast_1d(result.n), names.tolist()
    )


def unit_peths(
    insertion: str | Mapping[str, Any],
    event: str = "stim_on",
    split: str | Sequence[str] | np.ndarray | None = None,
    clusters: Iterable[int | str] | None = None,
    window: tuple[float, float] | None = None,
    bin_size: float | None = None,
    smoothing: float | None = None,
    clustering: str | None = None,
    condition: str | None = None,
) -> UnitPeths:
    """Firing rates around an event of the trials, computed when they are first asked for.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.
    event : a name in AlignmentEvent, or a column of the trials with times, also one that only this task has; or a
        series of events of another ALF object, e.g. `licks.times` or `opto.intervals` (docs/events.md), whose rows
        then stand for the trials.
    split : `side`, `choice`, `feedback`, `block`, `contrast` (signed, percent), `probability` (of left), any other
        column of the trials, several of them (`["side", "feedback"]`: each combination that occurs), or an array with
        one label a trial (strings, numbers or bool; "" and NaN leave it out).
    clusters : units, by number or by the sorter's name; by default all.
    window, bin_size, smoothing : s; by default those of the event.
    clustering : by default the default of the insertion.
    condition : only trials that fulfil it: a name in selection.TrialCondition, or an expression over their columns.

    Raises
    ------
    NeurojointError : no such insertion, event, split or condition, or the session has no trials or lacks the columns.
    """
    row = clusterings.find(insertion, clustering)
    rule = event_rule(event)
    source = aligned(row, event)
    window = (rule["window_start"], rule["window_end"]) if window is None else (float(window[0]), float(window[1]))
    bin_size = rule["event_bin"] if bin_size is None else float(bin_size)
    smoothing = rule["event_smoothing"] if smoothing is None else float(smoothing)
    ids = None if clusters is None else store.unit_numbers(row, clusters)
    given = _own_labels(split).tolist() if isinstance(split, np.ndarray) else split
    only = None if condition is None else selection.TrialCondition.read(condition)
    parts: list[Any] = [
        LAYOUT, store.content_key(row), source.fingerprint, rule["trials_column"], given, ids, window, bin_size,
        smoothing,
    ]  # fmt: skip
    if only is not None:
        parts.append(only.expression)
    if good := ephys.GoodPeriod.text(row):
        parts.append(f"good{good}")
    key = hashlib.md5(json.dumps(parts).encode(), usedforsecurity=False).hexdigest()

    def build() -> dict[str, np.ndarray]:
        trials, events = source.columns(), in_good_periods(row, source.times())
        labels = None if split is None else labels_of(trials, split)
        if only is not None:
            events = np.where(only.holds(trials), events, np.nan)
        made = compute(store.grouped(row), events, labels, window, bin_size, smoothing, ids)
        values = {name: getattr(made, name) for name in ("cluster_ids", "times", "n")}
        values |= {name: getattr(made, name).astype(np.float32) for name in ("mean", "sem")}
        return values | {"conditions": np.array(made.conditions, dtype=np.str_)}

    kept = array_cache.arrays("peths", key, build)
    return UnitPeths(**kept | {"conditions": kept["conditions"].tolist()})


@dataclass(frozen=True)
class Aligned:
    """What activity is aligned to: read when it is asked for."""

    fingerprint: str  # of the files
    columns: Callable[[], dict[str, np.ndarray]]  # of the trials, or of the object of the series: (n, …) each
    times: Callable[[], np.ndarray]  # (n,) s from session start


def aligned(row: Mapping[str, Any], event: str) -> Aligned:
    """The events of a session, of its trials or of another ALF object.

    Raises
    ------
    NeurojointError : there is no such event, or the session does not have it.
    """
    if event_series.is_event(event):
        series = event_series.read(row, event)
        return Aligned(series.fingerprint, lambda: series.columns, lambda: series.times)
    column = event_rule(event)["trials_column"]
    task = _task_of(row)
    trials = functools.cache(lambda: trials_with({**row, **task}, column))
    return Aligned((behavior.TrialSet & task).fetch1("trials_fingerprint"), trials, lambda: trials()[column])


def trials_with(row: Mapping[str, Any], column: str) -> dict[str, np.ndarray]:
    """The trials of a task of a session (or of an insertion in it), which have this column; see `behavior.task_of`.

    Raises
    ------
    NeurojointError : the session has no trials, or they lack the column.
    """
    trials = behavior.fetch_trials(_task_of(row))
    if column not in trials:
        raise UserError(f"the trials have no {column}", "choose another event")
    return trials


def _task_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The key of the trials of a session, see `behavior.task_of`."""
    if not behavior.TrialSet & {name: row[name] for name in acquisition.Session.primary_key}:
        raise UserError(*_NO_TRIALS)
    return behavior.task_of(row)


def labels_of(trials: Mapping[str, np.ndarray], split: str | Sequence[str] | np.ndarray) -> np.ndarray:
    """The condition of each trial as a string, empty where it has none.

    Raises
    ------
    NeurojointError : no such split, or the trials lack its columns.

    Examples
    --------
    >>> labels_of({"choice": [1, -1, 0], "feedback_type": [1, -1, -1]}, ["choice", "feedback"]).tolist()
    ['left correct', 'right error', '']
    """
    if isinstance(split, np.ndarray):
        size = len(next(iter(trials.values()), ()))
        if split.shape != (size,):
            raise UserError(f"{split.shape} labels for {size} trials", "one for each")
        return _own_labels(split)
    each = [_labels(trials, name) for name in ([split] if isinstance(split, str) else split)]
    together = [" ".join(parts) if all(parts) else "" for parts in zip(*each, strict=True)]
    return np.array(together, dtype=np.str_)


def event_rule(event: str) -> dict[str, Any]:
    """The row of AlignmentEvent, or for a column of the trials the row of stim_on with that column.

    Raises
    ------
    NeurojointError : it is neither.
    """
    rows = {row["event"]: row for row in ephys_analysis.AlignmentEvent.to_dicts()}
    if event in rows:
        return rows[event]
    columns = {column.name for column in alf.TRIALS if column.unit == "s" and column.ordered}
    if event_series.is_event(event):
        return rows["stim_on"] | {"event": event, "trials_column": event}
    if event in columns or (event.endswith("_times") and event in selection.known_columns()):
        return rows["stim_on"] | {"event": event, "trials_column": event}
    raise UserError(f"there is no event {event!r}", f"known are {', '.join([*rows, *sorted(columns)])}")


def in_good_periods(row: Mapping[str, Any], events: np.ndarray) -> np.ndarray:
    """The events, NaN where they are not in a good period of the probe (`ephys.GoodPeriod`), (n,) s."""
    return np.where(ephys.GoodPeriod.holds(row, events), events, np.nan)


def within_recording(spikes: GroupedSpikes, events: np.ndarray) -> np.ndarray:
    """The events, NaN where they lie before the first or after the last spike of all units, (n,) s."""
    events = np.array(events, np.float64)
    if not len(spikes):
        return np.full(len(events), np.nan)
    filled = np.flatnonzero(spikes.n_spikes)
    first = min(spikes.times[spikes.offsets[i]] for i in filled)
    last = max(spikes.times[spikes.offsets[i + 1] - 1] for i in filled)
    with np.errstate(invalid="ignore"):
        return np.where((events >= first) & (events <= last), events, np.nan)


def _own_labels(given: np.ndarray) -> np.ndarray:
    """Labels of any type as strings, empty for NaN."""
    if given.dtype.kind == "f":
        return np.array([f"{value:g}" if np.isfinite(value) else "" for value in given.ravel().tolist()], dtype=np.str_)
    return given.astype(np.str_)


def _labels(trials: Mapping[str, np.ndarray], name: str) -> list[str]:
    """The conditions of one split."""
    if name in NAMES:
        codes = responses.trial_groups(trials).get(name)
        labels = None if codes is None else [NAMES[name][code] if code >= 0 else "" for code in codes.tolist()]
    elif name in SPLITS:
        values = conventions.trial_signed_contrast(trials) if name == "contrast" else trials.get("probability_left")
        labels = None if values is None else _own_labels(np.asarray(values, float)).tolist()
    elif name in trials and np.asarray(trials[name]).ndim == 1:
        values = np.asarray(trials[name])
        text = values.dtype.kind == "O"
        labels = (
            ["" if value is None else str(value) for value in values.tolist()] if text else _own_labels(values).tolist()
        )
    else:
        listed = ", ".join(dict.fromkeys([*SPLITS, *trials]))
        raise UserError(f"trials are not split by {name!r}", f"known are {listed}")
    if labels is None:
        raise UserError(f"the trials lack the columns for {name}", "choose another split")
    return labels
