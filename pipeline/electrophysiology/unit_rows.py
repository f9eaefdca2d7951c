"""Which unit each row of the clusters object is: decided once for all of its files, and by what."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pipeline.electrophysiology.reading import BY_NAME, BY_ROW, BY_ROW_FROM_ONE, UNKNOWN


class Rows(NamedTuple):
    """The decision."""

    rule: str  # `row`, `row from 1`, `name`, or empty where none fits
    why: str  # in words
    metrics: bool  # the metrics can be assigned to units


def decide(
    used: np.ndarray,
    n_rows: int | None,
    named: np.ndarray | None,
    counts: np.ndarray | None = None,
    named_counts: np.ndarray | None = None,
) -> Rows:
    """Whether `spikes.clusters` holds rows of the clusters object or the names that its metrics list.

    Sorters number units with gaps after curation, so the numbers alone do not tell. Where the metrics name as many
    units as there are rows, the used numbers are names if all of them are named. If they would fit as rows, too,
    numbers of spikes in the metrics decide. Rows that are all named but the first, up to one more than the last, count
    from 1.

    Parameters
    ----------
    used : (k,) numbers in spikes.clusters, ascending.
    n_rows : rows of the arrays of the clusters object; None without arrays.
    named : (m,) `cluster_id` of each row of the metrics; None without them.
    counts : (k,) spikes of each used number.
    named_counts : (m,) spikes of each row as the metrics state them; None where they do not.

    Examples
    --------
    >>> decide(np.arange(3), 3, np.array([3, 7, 9])).rule  # SpikeInterface: rows, and names elsewhere
    'row'
    >>> decide(np.array([5, 9]), 12, np.r_[5, 9, 20:30]).rule
    'name'
    >>> decide(np.array([1, 2, 3]), 3, None).rule
    'row from 1'
    >>> decide(np.array([40]), 3, None).rule
    ''
    """
    largest = int(used[-1]) if len(used) else -1
    smallest = int(used[0]) if len(used) else 0
    if named is None:
        if n_rows is None or largest < n_rows:
            return Rows(BY_ROW, "no metrics name the units: they are rows of the clusters object", True)
        if largest == n_rows and smallest >= 1:
            return Rows(BY_ROW_FROM_ONE, _counted_from_one(n_rows), True)
        why = f"the numbers go up to {largest}, but the object clusters has {n_rows} rows"
        return Rows(UNKNOWN, f"{why}, and no metrics list a cluster_id for each of them", False)
    one_each = n_rows is None or len(named) == n_rows
    length = len(named) if n_rows is None else n_rows
    fits_rows, fits_names = largest < length, bool(np.isin(used, named).all())
    if not one_each:
        return _some_named(smallest, largest, length, named)
    if fits_names and fits_rows and not np.array_equal(named, np.arange(length)):
        return _by_counts(used, named, counts, named_counts)
    if fits_names:
        return Rows(BY_NAME, "all units that have spikes are named in clusters.metrics", True)
    if fits_rows:
        strange = used[~np.isin(used, named)]
        why = f"clusters.metrics does not name {_listed(strange)}, so the numbers in spikes.clusters are rows"
        return Rows(BY_ROW, why, True)
    if largest == length and smallest >= 1 and np.array_equal(named, np.arange(length)):
        return Rows(BY_ROW_FROM_ONE, _counted_from_one(length), True)
    why = f"the numbers go up to {largest}, but the object clusters has {length} rows"
    return Rows(UNKNOWN, f"{why}, and clusters.metrics does not name {_listed(used[~np.isin(used, named)])}", False)


def ids_of(rule: str, n_rows: int, named: np.ndarray | None) -> np.ndarray:
    """The unit of each row, as `spikes.clusters` numbers it; -1 where it is not known."""
    if rule == BY_NAME and named is not None and len(named) == n_rows:
        return named
    if rule in (BY_ROW, BY_ROW_FROM_ONE):
        return np.arange(n_rows) + (rule == BY_ROW_FROM_ONE)
    return np.full(n_rows, -1)


def metrics_ids(rows: Rows, n_rows: int | None, named: np.ndarray | None) -> np.ndarray | None:
    """The unit of each row of the metrics; None where that cannot be told."""
    if named is None or not rows.metrics:
        return None
    if n_rows in (None, len(named)) and rows.rule in (BY_ROW, BY_ROW_FROM_ONE):
        return ids_of(rows.rule, len(named), named)
    return named


def _counted_from_one(n_rows: int) -> str:
    return f"the units count from 1: none is 0, and the last is {n_rows}, the number of rows of the clusters object"


def _some_named(smallest: int, largest: int, n_rows: int, named: np.ndarray) -> Rows:
    """Metrics of some of the rows only: their names are rows, or they cannot be assigned."""
    if largest == n_rows and smallest >= 1 and named.min(initial=1) >= 1 and named.max(initial=0) <= n_rows:
        return Rows(BY_ROW_FROM_ONE, _counted_from_one(n_rows), True)
    if largest >= n_rows:
        why = f"the numbers go up to {largest}, but the object clusters has {n_rows} rows"
        return Rows(UNKNOWN, f"{why}, and no metrics list a cluster_id for each of them", False)
    if len(named) and int(named.max()) >= n_rows:
        why = f"clusters.metrics has {len(named)} rows for {n_rows} of the clusters object and names {named.max()}"
        return Rows(BY_ROW, f"{why}: which unit each of its rows is cannot be told", False)
    return Rows(BY_ROW, "clusters.metrics names rows of the clusters object", True)


def _by_counts(used: np.ndarray, named: np.ndarray, counts: np.ndarray | None, named_counts: np.ndarray | None) -> Rows:
    """Both readings fit: the numbers of spikes tell; without them the names count."""
    if counts is not None and named_counts is not None:
        stated = np.asarray(named_counts, float)
        order = np.argsort(named)
        by_name = stated[order][np.searchsorted(named, used, sorter=order)]
        if np.array_equal(stated[used], counts) and not np.array_equal(by_name, counts):
            return Rows(BY_ROW, "the numbers of spikes in clusters.metrics are those of the rows", True)
        if np.array_equal(by_name, counts):
            return Rows(BY_NAME, "the numbers of spikes in clusters.metrics are those of the units named", True)
    return Rows(BY_NAME, "all units that have spikes are named in clusters.metrics", True)


def _listed(ids: np.ndarray) -> str:
    """The first of some numbers.

    >>> _listed(np.arange(9))
    '0, 1, 2, …'
    """
    return ", ".join(map(str, ids[:3].tolist())) + (", …" if len(ids) > 3 else "")
