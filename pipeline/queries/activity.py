"""Activity of units on request: rasters, cross-correlograms, the rate of the population, and how many respond where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.analysis import correlograms, peths, responses
from pipeline.analysis.correlograms import Correlograms
from pipeline.database.bulk import fetch_columns, to_numpy
from pipeline.electrophysiology import clusterings, spikes
from pipeline.electrophysiology import peths as peth_store
from pipeline.electrophysiology.selectivity import ALPHA, PeriodSelectivity, compare
from pipeline.errors import NotFoundError
from pipeline.schemas import behavior, ephys, ephys_analysis, histology, selection

MODULATIONS = {"response": "response_p_corrected"} | {name: f"{name}_p" for name in peth_store.NAMES}
"""What a unit may tell -> column of ephys_analysis.Peth.Response with its corrected p-value."""

PARCELLATIONS = {"allen": "region_id", "beryl": "beryl_id", "cosmos": "cosmos_id"}
"""How finely the brain is divided -> column of histology.BrainRegion."""


@dataclass(frozen=True)
class Raster:
    """The spikes of one unit around events of the trials."""

    trials: np.ndarray  # (m,) int64, which trial, from 0
    times: np.ndarray  # (m,) s from the event of that trial, ascending within each
    conditions: np.ndarray  # (n_trials,) condition of each trial; empty where it has none, or no event in the recording


def raster(
    insertion: str | Mapping[str, Any],
    cluster: int | str,
    event: str = "stim_on",
    split: str | Sequence[str] | np.ndarray | None = None,
    window: tuple[float, float] | None = None,
    clustering: str | None = None,
    condition: str | None = None,
) -> Raster:
    """The spikes of one unit around an event; parameters and errors as in `unit_peths`."""
    row, rule = clusterings.find(insertion, clustering), peth_store.event_rule(event)
    source = peth_store.aligned(row, event)
    trials, grouped = source.columns(), spikes.grouped(row)
    events = peth_store.in_good_periods(row, peth_store.within_recording(grouped, source.times()))
    labels = np.full(len(events), "all") if split is None else peth_store.labels_of(trials, split)
    labels = np.where(np.isfinite(events), labels, "")
    if condition is not None:
        labels = np.where(selection.TrialCondition.read(condition).holds(trials), labels, "")
    start, end = window or (rule["window_start"], rule["window_end"])
    used = np.where(labels == "", np.nan, events)
    return Raster(*peths.raster(grouped.times_of(spikes.unit_numbers(row, cluster)[0]), used, -start, end), labels)


def selectivity(
    insertion: str | Mapping[str, Any],
    first: str,
    second: str,
    period: str,
    clusters: Iterable[int | str] | None = None,
    clustering: str | None = None,
) -> PeriodSelectivity:
    """How the rate of each unit in a period differs between the trials of two conditions.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.
    first, second : conditions (docs/conditions.md), by name or as expressions; trials that fulfil both are left out.
    period : its name in `selection.Period`.
    clusters : units, by number or by the sorter's name; by default all.
    clustering : by default the default of the insertion.

    Raises
    ------
    NeurojointError : no such insertion, condition or period, or the trials lack their columns.
    """
    row = clusterings.find(insertion, clustering)
    trials, grouped = behavior.fetch_trials(row), spikes.grouped(row)
    is_first, is_second = (selection.TrialCondition.read(item).holds(trials) for item in (first, second))
    groups = np.where(is_first == is_second, -1, is_second.astype(int))
    chosen = None if clusters is None else spikes.unit_numbers(row, clusters)
    return compare(row, grouped, trials, groups, period, chosen)


def cross_correlograms(
    insertion: str | Mapping[str, Any],
    cluster: int | str,
    others: Iterable[int | str] | None = None,
    window: float = 0.05,
    bin_size: float = 0.0005,
    clustering: str | None = None,
) -> tuple[np.ndarray, Correlograms]:
    """At which lags the spikes of other units follow those of one unit.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.
    cluster : the unit that the lags count from.
    others : units; by default all. The row of the unit itself is its autocorrelogram.
    window : s, largest lag, a whole number of bins.
    bin_size : s.
    clustering : by default the default of the insertion.

    Returns
    -------
    cluster_ids : (k,) the other units.
    correlograms : `lags` (n_bins,) s, `counts` (k, n_bins) pairs of spikes, `rates` Hz.

    Raises
    ------
    NeurojointError : no such insertion or clustering, or the unit has no spikes.
    """
    row = clusterings.find(insertion, clustering)
    grouped = spikes.grouped(row)
    cluster = spikes.unit_numbers(row, cluster)[0]
    ids = grouped.cluster_ids if others is None else np.array(spikes.unit_numbers(row, others), np.int32)
    if not len(grouped.times_of(cluster)):
        raise NotFoundError(f"unit {cluster} has no spikes", "ephys.ClusterSet.Cluster lists those that have")
    times, offsets = grouped.select([cluster, *ids.tolist()])
    made = correlograms.cross_correlograms(times, offsets, 0, window, bin_size)
    counts = made.counts[1:]
    counts[ids == cluster] = made.counts[0]
    return ids, Correlograms(made.lags, counts, made.n_spikes[1:], made.bin)


def population_rate(
    insertion: str | Mapping[str, Any], bin_size: float = 0.1, clustering: str | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Spikes of all units together over the recording, a second.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.
    bin_size : s.
    clustering : by default the default of the insertion.

    Returns
    -------
    times : (n,) centres of the bins, s from session start.
    rate : (n,) Hz.
    """
    all_spikes = spikes.spikes(insertion, clustering=clustering)
    if len(all_spikes) < 2 or all_spikes.times[0] == all_spikes.times[-1]:
        return np.empty(0), np.empty(0)
    return peths.population_rate(all_spikes.times, all_spikes.times[0], all_spikes.times[-1], bin_size)


def task_modulated_by_region(
    event: str = "stim_on",
    restriction: object = None,
    min_units: int = 1,
    modulation: str = "response",
    parcellation: str = "allen",
) -> pa.Table:
    """The share of units that the task modulates, by brain region; of each insertion its default clustering counts.

    Parameters
    ----------
    event : in AlignmentEvent.
    restriction : of the insertions, anything that restricts ephys.ProbeInsertion.
    min_units : regions with fewer units are left out.
    modulation : `response` (the rate differs from the baseline), or what the rate tells apart: `side`, `choice`,
        `feedback`, `block`. Units for which that was not tested do not count.
    parcellation : `allen` (each structure by itself, without those below it), `beryl` or `cosmos`.

    Returns
    -------
    A table in the order of the atlas with region_id, acronym, n_units, n_modulated (corrected p-value below 0.05),
    fraction (0-1), p_value (that as many are called modulated by chance, see `responses.more_than_chance`) and
    p_corrected (Benjamini-Hochberg over the regions of the table).

    Raises
    ------
    NeurojointError : no such event, modulation or parcellation.
    """
    for value, known in ((modulation, MODULATIONS), (parcellation, PARCELLATIONS)):
        if value not in known:
            raise NotFoundError(f"there is no {value!r} here", f"known are {', '.join(known)}")
    if not ephys_analysis.AlignmentEvent & {"event": event}:
        names = ", ".join(ephys_analysis.AlignmentEvent.to_arrays("event"))
        raise NotFoundError(f"there is no event {event!r}", f"known are {names}")
    chosen = ephys.Clustering & {"default_clustering": True}
    if restriction is not None:
        chosen = chosen & (ephys.ProbeInsertion & restriction).proj()
    column = MODULATIONS[modulation]
    located = (histology.ClusterLocation.Cluster & "region_id IS NOT NULL").proj("region_id")
    tested = (ephys_analysis.Peth.Response & {"event": event} & f"{column} IS NOT NULL" & chosen.proj()).proj(column)
    units = to_numpy(fetch_columns(tested * located, "region_id", column))
    regions = fetch_columns(histology.BrainRegion, "region_id", "acronym", "graph_order", "beryl_id", "cosmos_id")
    by_id = {row["region_id"]: row for row in regions.to_pylist()}
    own = np.array([by_id[item][PARCELLATIONS[parcellation]] for item in units["region_id"].tolist()], np.int64)
    ids, n_units, fraction = responses.modulated_fraction(units[column] < ALPHA, own)
    order = np.argsort([by_id[item]["graph_order"] for item in ids.tolist()], kind="stable")
    order = order[n_units[order] >= min_units]
    ids, n_units, fraction = ids[order], n_units[order], fraction[order]
    n_modulated = np.rint(fraction * n_units).astype(np.int64)
    p_value = responses.more_than_chance(n_modulated, n_units, ALPHA)
    return pa.table(
        {
            "region_id": pa.array(ids, pa.int64()),
            "acronym": pa.array([by_id[item]["acronym"] for item in ids.tolist()], pa.string()),
            "n_units": pa.array(n_units, pa.int64()),
            "n_modulated": n_modulated,
            "fraction": fraction,
            "p_value": p_value,
            "p_corrected": responses.benjamini_hochberg(p_value),
        }
    )
