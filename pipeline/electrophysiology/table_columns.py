"""What the tables of ephys_analysis hold of one clustering: functions of spikes and trials that give a row's columns.

A row that lacks something says in a column `..._missing` what the files do not have.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pipeline.analysis import correlograms, drift, responses, units
from pipeline.electrophysiology import clusterings, peths, spikes
from pipeline.electrophysiology.spikes import GroupedSpikes, Spikes

if TYPE_CHECKING:
    import pyarrow as pa

ALPHA = 0.05
"""Level for `is_responsive`, after correction."""
DEPTH_BIN = 80.0
"""Of DepthPeth, um."""
DRIFT_TIME_BIN, DRIFT_DEPTH_BIN, DRIFT_MOST_TIMES = 1.0, 20.0, 7200
"""Of DriftMap: s, um, bins of time; longer recordings have wider bins."""
ACG_WINDOW, ACG_BIN = 0.05, 0.0005
"""Of Autocorrelogram, s."""
SELECTIVITIES = ("side", "choice", "feedback", "block")
"""Splits of the trials that Peth holds apart."""


def metrics(clustering: Mapping[str, Any], unit_spikes: GroupedSpikes) -> tuple[dict[str, np.ndarray], str]:
    """The columns of UnitMetrics.Unit, and what is missing.

    Parameters
    ----------
    clustering : row of ephys.Clustering.
    unit_spikes : its spikes.
    """
    columns = units.unit_metrics(unit_spikes.times, unit_spikes.offsets, unit_spikes.amps, unit_spikes.depths)
    columns["unit_n_spikes"] = columns.pop("n_spikes")
    columns["spike_width"] = np.full(len(unit_spikes.cluster_ids), np.nan)
    missing = []
    if unit_spikes.amps is None:
        why = clusterings.why_absent(clustering, "spikes.amps")
        missing.append(f"{why}: amplitudes, cutoffs, missed_spikes and ibl_label are null")
    if unit_spikes.depths is None:
        missing.append(f"{clusterings.why_absent(clustering, 'spikes.depths')}: drift and drift_ptp are null")
    if unit_spikes.amps is not None and (unlabelled := unknown_labels(columns)):
        missing.append(unlabelled)
    if spikes.has_waveforms(clustering):
        ids, waveforms, _ = spikes.templates(clustering)
        width = units.spike_width(waveforms, spikes.sampling_rate(clustering))
        columns["spike_width"][np.searchsorted(unit_spikes.cluster_ids, ids)] = width
    else:
        missing.append("there are no clusters.waveforms and no templates.waveforms: spike_width is null")
    return columns, "; ".join(missing)


def unknown_labels(columns: Mapping[str, np.ndarray]) -> str:
    """How many units have no ibl_label, and for want of which metrics; empty where all have one.

    >>> unknown_labels({"ibl_label": np.array([1.0, np.nan]), "refractory_confidence": np.array([99.0, 99.0]),
    ...                 "noise_cutoff": np.array([1.0, np.nan]), "amp_median": np.array([80.0, 70.0])})
    'ibl_label of 1 of 2 units is null: too few spikes or amplitudes for noise_cutoff'
    """
    unknown = np.isnan(columns["ibl_label"])
    if not unknown.any():
        return ""
    lacking = [name for name in units.LABEL_CRITERIA if np.isnan(columns[name][unknown]).any()]
    n = f"{unknown.sum()} of {len(unknown)}"
    return f"ibl_label of {n} units is null: too few spikes or amplitudes for {', '.join(lacking)}"


def peth(
    unit_spikes: GroupedSpikes, trials: Mapping[str, np.ndarray], rule: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """The columns of Peth, and those of Peth.Response; without events the second is empty.

    Parameters
    ----------
    rule : row of AlignmentEvent.
    """
    events, missing = _events(unit_spikes, trials, rule)
    n_events = int(np.isfinite(events).sum())
    if not n_events:
        return {"n_events": 0, "peth_missing": missing}, {}
    window = (rule["window_start"], rule["window_end"]), rule["event_bin"], rule["event_smoothing"]
    whole = peths.compute(unit_spikes, events, None, *window)
    known = responses.trial_groups(trials)
    split = {
        name: peths.compute(unit_spikes, events, peths.labels_of(trials, name), *window)
        for name in SELECTIVITIES
        if name in known
    }
    means = [item.mean.transpose(1, 0, 2) for item in split.values()]
    lacking = [f"no split by {name}" for name in SELECTIVITIES if name not in split]
    if rule["baseline_column"] not in trials:
        lacking.append(f"the trials have no {rule['baseline_column']}: no baseline and no response")
    answers = _responses(unit_spikes, events, trials, rule)
    columns = {
        "n_events": n_events,
        "n_responsive": sum(map(bool, answers["is_responsive"])),
        "peth_missing": "; ".join(lacking),
        "condition_names": [f"{name}_{condition}" for name, one in split.items() for condition in one.conditions],
        "condition_n": [int(n) for item in split.values() for n in item.n],
        "condition_mean": np.concatenate(means).astype(np.float32) if means else None,
    }
    columns |= _float32(peth_times=whole.times, peth_mean=whole.mean[:, 0], peth_sem=whole.sem[:, 0])
    columns |= _float32(population_rate=whole.population[0])
    return columns, {"cluster_id": unit_spikes.cluster_ids} | answers


def depth_peth(
    clustering: Mapping[str, Any], unit_spikes: GroupedSpikes, trials: Mapping[str, np.ndarray], rule: Mapping[str, Any]
) -> dict[str, Any]:
    """The columns of DepthPeth; parameters as in `metrics` and `peth`."""
    events, missing = _events(unit_spikes, trials, rule)
    columns: dict[str, Any] = {"n_depth_events": int(np.isfinite(events).sum())}
    if unit_spikes.depths is None:
        missing = clusterings.why_absent(clustering, "spikes.depths")
    if missing:
        return columns | {"depth_peth_missing": missing}
    return columns | _depth_peth(spikes.spikes(clustering), events, trials, rule)


def depth_peths_of_shanks(
    clustering: Mapping[str, Any],
    unit_spikes: GroupedSpikes,
    trials: Mapping[str, np.ndarray],
    rule: Mapping[str, Any],
    units: pa.Table,
) -> list[dict[str, Any]]:
    """The rows of DepthPeth.Shank; none where the units lie on one shank or it is not known on which.

    Parameters
    ----------
    units : columns cluster_id and cluster_shank.
    """
    events, missing = _events(unit_spikes, trials, rule)
    if missing or unit_spikes.depths is None:
        return []
    rows = []
    for shank, own in _of_shanks(spikes.spikes(clustering), units):
        made = _depth_peth(own, events, trials, rule)
        names = {"depth_peth_times", "depth_peth_depths", "depth_peth", "depth_baseline"}
        rows.append({"shank": shank} | {f"shank_{name}": made[name] for name in names})
    return rows


def _depth_peth(
    unit_spikes: Spikes, events: np.ndarray, trials: Mapping[str, np.ndarray], rule: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    assert unit_spikes.depths is not None  # noqa: S101 - both callers looked
    made = drift.depth_peth(
        unit_spikes.times,
        unit_spikes.depths,
        events,
        -rule["window_start"],
        rule["window_end"],
        rule["event_bin"],
        DEPTH_BIN,
        (rule["baseline_start"], rule["baseline_end"]),
        trials.get(rule["baseline_column"], np.full(1, np.nan)),
    )
    return _float32(
        depth_peth_times=made.bins,
        depth_peth_depths=made.depths,
        depth_peth=made.rate,
        depth_baseline=made.baseline,
    )


def drift_map(clustering: Mapping[str, Any], unit_spikes: Spikes) -> dict[str, Any]:
    """The columns of DriftMap; parameters as in `metrics`."""
    if not len(unit_spikes):
        return {"drift_missing": "there are no spikes"}
    if unit_spikes.depths is None:
        return {"drift_missing": clusterings.why_absent(clustering, "spikes.depths")}
    time_bin = max(DRIFT_TIME_BIN, float(unit_spikes.times[-1]) / DRIFT_MOST_TIMES)
    made = drift.drift_map(unit_spikes.times, unit_spikes.depths, unit_spikes.amps, time_bin, DRIFT_DEPTH_BIN)
    columns = _float32(drift_times=made.times, drift_depths=made.depths, drift_rates=made.rate.T)
    if made.amp is None:
        return columns | {"drift_missing": f"{clusterings.why_absent(clustering, 'spikes.amps')}: no drift_amps"}
    return columns | _float32(drift_amps=made.amp.T)


def drift_maps_of_shanks(clustering: Mapping[str, Any], unit_spikes: Spikes, units: pa.Table) -> list[dict[str, Any]]:
    """The rows of DriftMap.Shank; none where the units lie on one shank or it is not known on which.

    Parameters
    ----------
    units : columns cluster_id and cluster_shank.
    """
    if unit_spikes.depths is None:
        return []
    rows = []
    for shank, own in _of_shanks(unit_spikes, units):
        made = drift_map(clustering, own)
        columns = {f"shank_{name}": values for name, values in made.items() if name != "drift_missing"}
        rows.append({"shank": shank, "shank_drift_amps": None} | columns)
    return rows


def _of_shanks(unit_spikes: Spikes, units: pa.Table) -> Iterator[tuple[int, Spikes]]:
    """Each shank and its spikes; nothing where the units lie on one shank or it is not known on which."""
    known = {
        i: shank
        for i, shank in zip(units["cluster_id"].to_pylist(), units["cluster_shank"].to_pylist(), strict=True)
        if shank is not None
    }
    shanks = sorted(set(known.values()))
    if len(shanks) < 2 or unit_spikes.depths is None:
        return
    ids = np.array(sorted(known), np.int64)
    of_unit = np.array([known[value] for value in ids.tolist()])
    at = np.searchsorted(ids, unit_spikes.clusters).clip(0, len(ids) - 1)
    shank_of_spike = np.where(ids[at] == unit_spikes.clusters, of_unit[at], -1)
    for shank in shanks:
        own = shank_of_spike == shank
        if own.any():
            amps = None if unit_spikes.amps is None else unit_spikes.amps[own]
            yield shank, Spikes(unit_spikes.times[own], unit_spikes.clusters[own], amps, unit_spikes.depths[own])


def autocorrelogram(unit_spikes: GroupedSpikes) -> dict[str, Any]:
    """The columns of Autocorrelogram."""
    made = correlograms.autocorrelograms(unit_spikes.times, unit_spikes.offsets, ACG_WINDOW, ACG_BIN)
    positive = made.lags > 0
    counts = made.counts[:, positive].astype(np.int32)
    return {"acg_bin": ACG_BIN, "acg_counts": counts} | _float32(acg_lags=made.lags[positive])


def _events(
    unit_spikes: GroupedSpikes, trials: Mapping[str, np.ndarray], rule: Mapping[str, Any]
) -> tuple[np.ndarray, str]:
    """The events during the recording, NaN for the others; and why there are none, empty where there are."""
    column = rule["trials_column"]
    if column not in trials:
        return np.empty(0), f"the trials have no {column}"
    events = peths.within_recording(unit_spikes, trials[column])
    if np.isfinite(events).any():
        return events, ""
    return events, f"no {column} lies between the first and the last spike" if len(
        unit_spikes
    ) else "there are no spikes"


def _responses(
    unit_spikes: GroupedSpikes, events: np.ndarray, trials: Mapping[str, np.ndarray], rule: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """The columns of Peth.Response, one value a unit."""
    grouped = (unit_spikes.times, unit_spikes.offsets, events)
    before = trials.get(rule["baseline_column"], np.full(len(events), np.nan))
    window = (rule["response_start"], rule["response_end"])
    one = responses.responsiveness(
        *grouped, (rule["baseline_start"], rule["baseline_end"]), window, ALPHA, baseline_events=before
    )
    columns = {
        "baseline_rate": one.baseline_rate,
        "response_rate": one.response_rate,
        "response_p": one.p_value,
        "response_p_corrected": one.p_corrected,
        "is_responsive": np.where(np.isnan(one.p_value), np.array(None), one.responsive),
    }
    for name, groups in responses.trial_groups(trials).items():
        chosen = responses.selectivity(*grouped, groups, window, ALPHA)
        columns |= {f"{name}_selectivity": chosen.index, f"{name}_p": chosen.p_corrected}
    return columns


def _float32(**arrays: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.ascontiguousarray(values, np.float32) for name, values in arrays.items()}
