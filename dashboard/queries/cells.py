"""The units of one insertion, one at a time: waveform, correlogram, activity around an event, amplitudes.

What belongs to a whole insertion (the list of its units, the arrays over all of them, the trials) is read once and kept
in memory for as long as its fingerprints are the same; the spikes of a unit come from the grouped copy on the disk.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dashboard.queries import insertion as insertions
from pipeline.analysis import peths, responses
from pipeline.analysis.aligned import align
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology import clusterings
from pipeline.electrophysiology import peths as peth_store
from pipeline.electrophysiology import spikes as store
from pipeline.errors import NeurojointError
from pipeline.queries import signals
from pipeline.schemas import acquisition, behavior, data, ephys, ephys_analysis, selection
from pipeline.web.versioned_cache import Kept

SPLITS = ("side", "choice", "feedback", "block")
RAW_SECONDS = 0.02  # of raw samples that are shown
NEAREST_CHANNELS = 14  # of a waveform that are shown

_kept = Kept(48)  # arrays of insertions and trials, by what they are; their version is the fingerprint of the files


@dataclass
class Unit:
    """One unit.

    Attributes
    ----------
    waveform : template (n_samples, n_channels) uV, channels, lateral, axial (um), sampling_rate (Hz); empty: not known
    acg : lags (s), counts; empty: not computed
    peth : times (s), mean, sem (Hz), and conditions: name -> (rate, trials); empty: not computed
    response : the row of Peth.Response; None where there is none
    raster : trials and times (s from the event) of the spikes, groups: condition and its trials; marks: name -> times
    times, amps : of all spikes, s and uV; None where the files are not here
    events : times of the event during the recording, s
    problem : why there are no spikes
    choice_problem : why the trials could not be chosen as asked
    signal : times (n,) s from the event, values (n_trials, n) of the signal beside the spikes; empty: none is asked for
    signal_problem : why it cannot be shown
    """

    waveform: dict[str, Any] = field(default_factory=dict)
    acg: dict[str, np.ndarray] = field(default_factory=dict)
    peth: dict[str, Any] = field(default_factory=dict)
    response: dict[str, Any] | None = None
    raster: dict[str, Any] = field(default_factory=dict)
    times: np.ndarray | None = None
    events: np.ndarray = field(default_factory=lambda: np.empty(0))
    amps: np.ndarray | None = None
    problem: NeurojointError | None = None
    choice_problem: NeurojointError | None = None
    signal: dict[str, np.ndarray] = field(default_factory=dict)
    signal_problem: NeurojointError | None = None


def list_signals(insertion: insertions.Insertion) -> list[str]:
    """The names of the signals of the session, such as features of cameras, that can be shown beside the spikes."""
    session = {name: insertion.key[name] for name in acquisition.Session.primary_key}
    version = _version_of_files(session)
    return _kept.get(("signals", *session.values()), version, lambda: signals.list_signals(session)) or []


def choices() -> tuple[list[str], list[str]]:
    """The names of the conditions and of the periods that there are."""
    conditions = sorted(set(selection.TrialCondition.to_arrays("condition_name")))
    return conditions, sorted(selection.Period.to_arrays("period_name"))


def unit(
    insertion: insertions.Insertion, cluster_id: int, event: str, split: str, condition: str = "", period: str = "",
    signal: str = "",
) -> Unit:  # fmt: skip
    """A unit of the clustering that was chosen for `insertion`.

    Parameters
    ----------
    event : of AlignmentEvent.
    split : of `SPLITS`, or "" for all trials together.
    condition : only trials that fulfil it, a name or an expression; "" for all.
    period : whose start and end are marked in the raster; "" for none.
    signal : of `list_signals`, that is shown trial by trial beside the spikes; "" for none.
    """
    clusters = insertion.clusters or {}  # there are some
    key = {name: clusters[name] for name in ephys.Clustering.primary_key}
    version = clusters["clusters_fingerprint"]
    made = Unit()
    ids = _kept.get(("ids", *key.values()), version, lambda: _ids(key))
    row = int(np.searchsorted(ids, cluster_id))
    has_spikes = row < ids.size and ids[row] == cluster_id
    made.waveform = _waveform(insertion, key, version, cluster_id)
    trials = _trials(key)
    chosen: np.ndarray | None = None
    edges: dict[str, np.ndarray] = {}
    if trials is not None and (condition or period):
        try:
            chosen, edges = _chosen(trials["columns"], condition, period)
        except NeurojointError as error:
            made.choice_problem = error
            return made
    if has_spikes:
        acg = _kept.get(("acg", *key.values()), version, lambda: _acg(key))
        if acg is not None and row < len(acg["counts"]):
            made.acg = {"lags": acg["lags"], "counts": acg["counts"][row]}
        if trials is not None:
            if chosen is None:
                made.peth = _peth(key, f"{version} {trials['fingerprint']}", event, row, split)
            where = {"event": event, "cluster_id": cluster_id}
            made.response = next(iter((ephys_analysis.Peth.Response & key & where).to_dicts()), None)
    try:
        spikes = store.grouped(key, key["clustering"])
        span = spikes.span(cluster_id)
        made.times = np.asarray(spikes.times[span])
        made.amps = None if spikes.amps is None else np.asarray(spikes.amps[span])
    except NeurojointError as error:
        made.problem = error
    if made.times is not None and trials is not None:
        if chosen is not None and has_spikes:
            made.peth = _peth_of_condition(key, trials["columns"], chosen, event, split, spikes, cluster_id)
        made.raster = _raster(spikes, made.times, trials["columns"], event, split, chosen, edges)
        column = peth_store.event_rule(event)["trials_column"]
        if column in trials["columns"]:
            moments = peth_store.within_recording(spikes, trials["columns"][column])
            made.events = np.sort(moments[np.isfinite(moments)])
            if signal and made.raster:
                _add_signal(made, insertion, signal, moments)
    return made


@dataclass
class RawSamples:
    """Raw samples around a moment: times (n,) s, volts (n, n_channels) V, names of the channels, the unit's spikes (s);
    or the problem why there are none."""

    times: np.ndarray = field(default_factory=lambda: np.empty(0))
    volts: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    channels: list[int] = field(default_factory=list)
    spikes: np.ndarray = field(default_factory=lambda: np.empty(0))
    problem: NeurojointError | None = None


def raw_samples(insertion: insertions.Insertion, of: Unit, moment: float) -> RawSamples:
    """The raw samples of the AP band in 20 ms around a moment (s), on the channels of a unit's waveform.

    Each less its median over the piece; where the waveform is not known, on the first channels.
    """
    first, last = moment - RAW_SECONDS / 2, moment + RAW_SECONDS / 2
    try:
        times, volts = ephys.raw_snippet(insertion.key, first, last)
        columns, names = _raw_columns(insertion, of, volts.shape[1])
    except NeurojointError as error:
        return RawSamples(problem=error)
    volts = volts[:, columns]
    spikes = (
        np.empty(0)
        if of.times is None
        else of.times[np.searchsorted(of.times, first) : np.searchsorted(of.times, last)]
    )
    return RawSamples(times, volts - np.median(volts, axis=0) if len(volts) else volts, names, spikes)


def _raw_columns(insertion: insertions.Insertion, of: Unit, n_columns: int) -> tuple[list[int], list[int]]:
    """Columns of the raw samples for the channels of a unit's waveform, and the names of these channels."""
    channels = [int(item) for item in of.waveform.get("channels", ()) if item >= 0] or list(range(NEAREST_CHANNELS))
    raw = None
    if insertion.clusters is not None:
        raw = store.raw_channels({name: insertion.clusters[name] for name in ephys.Clustering.primary_key})
    if raw is not None:
        channels = [channel for channel in channels if channel < len(raw)]
    pairs = [(channel if raw is None else int(raw[channel]), channel) for channel in channels]
    pairs = [pair for pair in pairs if 0 <= pair[0] < n_columns]
    return [column for column, _ in pairs], [name for _, name in pairs]


def _chosen(
    trials: Mapping[str, np.ndarray], condition: str, period: str
) -> tuple[np.ndarray | None, dict[str, np.ndarray]]:
    """Which trials fulfil the condition, None without one; and the edges of the period, s from session start."""
    chosen = selection.TrialCondition.read(condition).holds(trials) if condition else None
    if not period:
        return chosen, {}
    edges = selection.Period.intervals(period, trials)
    return chosen, {f"{period} begins": edges[:, 0], f"{period} ends": edges[:, 1]}


def _peth_of_condition(
    key: Mapping[str, Any], trials: Mapping[str, np.ndarray], chosen: np.ndarray, event: str, split: str,
    spikes: store.GroupedSpikes, cluster_id: int,
) -> dict[str, Any]:  # fmt: skip
    """The rate of one unit in the trials that are chosen, as `_peth` gives it for all."""
    rule = peth_store.event_rule(event)
    if rule["trials_column"] not in trials:
        return {}
    moments = np.where(chosen, trials[rule["trials_column"]], np.nan)
    window = (rule["window_start"], rule["window_end"])
    shape: dict[str, Any] = {"window": window, "bin_size": rule["event_bin"], "smoothing": rule["event_smoothing"]}
    shape["cluster_ids"] = [cluster_id]
    whole = peth_store.compute(spikes, moments, **shape)
    made = {"times": whole.times, "mean": whole.mean[0, 0], "sem": whole.sem[0, 0], "conditions": {}}
    if not whole.n.sum():
        return {}
    if split and split in responses.trial_groups(trials):
        parts = peth_store.compute(spikes, moments, peth_store.labels_of(trials, split), **shape)
        of_name = {name: (parts.mean[0, place], int(parts.n[place])) for place, name in enumerate(parts.conditions)}
        made["conditions"] = {f"{split}_{name}": of_name[name] for name in peth_store.NAMES[split] if name in of_name}
    return made


def _raster(
    spikes: store.GroupedSpikes, times: np.ndarray, trials: Mapping[str, np.ndarray], event: str, split: str,
    chosen: np.ndarray | None, edges: Mapping[str, np.ndarray],
) -> dict[str, Any]:  # fmt: skip
    """The spikes around the events during the recording, and the trials in groups, in each by the time of response."""
    rule = peth_store.event_rule(event)
    column = rule["trials_column"]
    if column not in trials:
        return {}
    moments = peth_store.within_recording(spikes, trials[column])
    if chosen is not None:
        moments = np.where(chosen, moments, np.nan)
    before, after = -rule["window_start"], rule["window_end"]
    valid = np.flatnonzero(np.isfinite(moments))
    which, lags = peths.raster(times, moments[valid], before, after)
    latency = np.asarray(trials.get("response_times", moments), dtype=float) - moments
    groups = [("all trials", valid)]
    if split:
        labels = responses.trial_groups(trials).get(split)
        names = peth_store.NAMES[split]
        if labels is not None:
            numbers = np.asarray(labels, dtype=float)
            groups = [(f"{split}_{name}", valid[numbers[valid] == place]) for place, name in enumerate(names)]
    ordered = [(name, own[np.argsort(latency[own], kind="stable")]) for name, own in groups if own.size]
    mark = "first_movement_times" if column != "first_movement_times" else "stim_on_times"
    marks = {}
    if mark in trials:
        words = mark.removesuffix("_times").replace("_", " ").replace("stim on", "stimulus")
        marks[words] = np.asarray(trials[mark], dtype=float) - moments
    marks |= {name: moment - moments for name, moment in edges.items()}
    return {"trials": valid[which], "times": lags, "groups": ordered, "marks": marks, "window": (-before, after)}


def _add_signal(made: Unit, insertion: insertions.Insertion, name: str, moments: np.ndarray) -> None:
    """The signal around the events of the trials in the window of the raster, in 300 steps at most."""
    session = {item: insertion.key[item] for item in acquisition.Session.primary_key}
    start, end = made.raster["window"]
    try:
        version = _version_of_files(session)
        samples = _kept.get(("signal", *session.values(), name), version, lambda: signals.read_signal(session, name))
        lags, values = align(*samples, moments, (start, end), max(0.005, (end - start) / 300))
    except NeurojointError as error:
        made.signal_problem = error
        return
    made.signal = {"times": lags, "values": values}


def _version_of_files(session: Mapping[str, Any]) -> str:
    """A text that changes with the files of a session."""
    return "".join(sorted((data.AlfObject & session).to_arrays("object_fingerprint")))


def _peth(key: Mapping[str, Any], version: str, event: str, row: int, split: str) -> dict[str, Any]:
    whole = _kept.get(("peth", *key.values(), event), version, lambda: _whole_peth(key, event))
    if whole is None or row >= len(whole["mean"]):
        return {}
    made = {"times": whole["times"], "mean": whole["mean"][row], "sem": whole["sem"][row], "conditions": {}}
    if split and whole["conditions"] is not None:
        for place, (name, n) in enumerate(zip(whole["names"], whole["n"], strict=True)):
            if name.startswith(f"{split}_"):
                made["conditions"][name] = (whole["conditions"][place, row], n)
    return made


def _whole_peth(key: Mapping[str, Any], event: str) -> dict[str, Any] | None:
    rows = (ephys_analysis.Peth & key & {"event": event}).to_dicts()
    if not rows or rows[0]["peth_mean"] is None:
        return None
    row = rows[0]
    return {
        "times": np.asarray(row["peth_times"]),
        "mean": np.asarray(row["peth_mean"]),
        "sem": np.asarray(row["peth_sem"]),
        "names": clusterings.parsed(row["condition_names"]) or [],
        "n": clusterings.parsed(row["condition_n"]) or [],
        "conditions": None if row["condition_mean"] is None else np.asarray(row["condition_mean"]),
    }


def _acg(key: Mapping[str, Any]) -> dict[str, np.ndarray] | None:
    """Lags and counts of all units; None where they are not computed yet."""
    rows = (ephys_analysis.Autocorrelogram & key).to_dicts()
    if not rows or rows[0]["acg_counts"] is None:
        return None
    return {name: np.asarray(rows[0][f"acg_{name}"]) for name in ("lags", "counts")}


def _ids(key: Mapping[str, Any]) -> np.ndarray:
    """The units with spikes in the order of the arrays of the tables."""
    query = ephys.ClusterSet.Cluster & key & "cluster_n_spikes > 0"
    return fetch_columns(query, "cluster_id", order_by="cluster_id")["cluster_id"].to_numpy()


def _waveform(insertion: insertions.Insertion, key: Mapping[str, Any], version: str, cluster_id: int) -> dict[str, Any]:
    """The waveform on the channels with the largest amplitudes."""
    try:
        ids, waveforms, channels = _kept.get(("waveforms", *key.values()), version, lambda: store.templates(key))
    except NeurojointError:
        return {}
    at = np.flatnonzero(ids == cluster_id)
    if not at.size:
        return {}
    template = np.asarray(waveforms[at[0]], dtype=float)
    on = np.arange(template.shape[1]) if channels is None else np.asarray(channels[at[0]], dtype=int)
    lateral, axial = _sites(insertion, on)
    size = np.where(
        (on >= 0) & (np.isfinite(axial) | np.isnan(axial).all()), np.ptp(np.nan_to_num(template), axis=0), -1
    )
    nearest = np.argsort(-size, kind="stable")[:NEAREST_CHANNELS]
    nearest = nearest[size[nearest] >= 0]
    return {"template": template[:, nearest], "channels": on[nearest].tolist(), "lateral": lateral[nearest],
            "axial": axial[nearest]}  # fmt: skip


def _sites(insertion: insertions.Insertion, channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where channels are on the probe, um: as with the regions, else by the sorting's files; NaN where not known."""
    places = np.full((len(channels), 2), np.nan)
    known = {int(one): place for place, one in enumerate(insertion.channels.get("channel", ()))}
    if known and "channel_lateral" in insertion.channels:
        for number, channel in enumerate(channels.tolist()):
            if (place := known.get(channel)) is not None:
                lateral = float(np.nan_to_num(insertion.channels["channel_lateral"][place]))
                places[number] = lateral, float(insertion.channels["channel_axial"][place])
    if np.isnan(places).any() and insertion.clusters is not None:
        own = store.channel_places({name: insertion.clusters[name] for name in ephys.Clustering.primary_key})
        if own is not None:
            missing = np.isnan(places).any(axis=1) & (channels >= 0) & (channels < len(own))
            places[missing] = own[channels[missing]]
    return places[:, 0], places[:, 1]


def _trials(key: Mapping[str, Any]) -> dict[str, Any] | None:
    """The trials of the session and their fingerprint; None where there are none."""
    if not behavior.TrialSet & {name: key[name] for name in acquisition.Session.primary_key}:
        return None
    task = behavior.task_of(key)
    fingerprint = (behavior.TrialSet & task).fetch1("trials_fingerprint")
    columns = _kept.get(("trials", *task.values()), fingerprint, lambda: behavior.fetch_trials(task))
    return {"fingerprint": fingerprint, "columns": columns}
