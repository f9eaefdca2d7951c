"""Which units tell two groups of trials apart in a period, within the recording and its good periods."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis import responses
from pipeline.database import registry
from pipeline.electrophysiology import peths as peth_store
from pipeline.electrophysiology.spikes import GroupedSpikes

ephys = registry.tables_of("ephys")
selection = registry.tables_of("selection")

ALPHA = 0.05
"""Level at which a unit counts as selective, after correction over the units of its insertion."""


@dataclass(frozen=True)
class PeriodSelectivity:
    """Which units tell two conditions apart in a period of the trials; arrays (k,)."""

    cluster_ids: np.ndarray
    n_0: int  # trials of the first condition
    n_1: int  # trials of the second
    rate_0: np.ndarray  # Hz
    rate_1: np.ndarray  # Hz
    index: np.ndarray  # -1 to 1, positive where the second condition has the higher rate
    p_value: np.ndarray  # rank-sum test over trials
    p_corrected: np.ndarray  # after Benjamini and Hochberg over the units
    selective: np.ndarray  # bool: p_corrected below ALPHA


def compare(
    key: Mapping[str, Any],
    spikes: GroupedSpikes,
    trials: Mapping[str, np.ndarray],
    groups: np.ndarray,
    period: str,
    clusters: Iterable[int] | None = None,
) -> PeriodSelectivity:
    """Compare the rates of units in a period between two groups of trials.

    Parameters
    ----------
    key : with the primary key of the insertion.
    groups : (n trials,) 0, 1, or -1 for trials that are left out.
    period : its name in `selection.Period`.

    Raises
    ------
    UserError : there is no such period, or the trials lack a column of it.
    """
    intervals = selection.Period.intervals(period, trials)
    known = [np.isfinite(peth_store.within_recording(spikes, edge)) for edge in intervals.T]
    good = ephys.GoodPeriod.holds(key, intervals).all(axis=1)
    intervals[~(known[0] & known[1] & good)] = np.nan
    groups = np.where(np.isnan(intervals).any(axis=1), -1, groups)
    ids = spikes.cluster_ids if clusters is None else np.array([int(cluster) for cluster in clusters], np.int32)
    made = responses.period_selectivity(*spikes.select(ids.tolist()), intervals, groups, ALPHA)
    return PeriodSelectivity(ids, int(np.sum(groups == 0)), int(np.sum(groups == 1)), **vars(made))
