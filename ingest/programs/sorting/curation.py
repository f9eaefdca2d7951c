"""What a curation changed: which units were merged, split, relabelled, from the units of the same spikes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

SMALL = 0.01
"""Share of a unit's spikes that may go elsewhere without being called a merge or a split."""


def difference(
    before: tuple[np.ndarray, np.ndarray],
    now: tuple[np.ndarray, np.ndarray],
    labels_before: Mapping[int, str] | None = None,
    labels_now: Mapping[int, str] | None = None,
) -> dict[str, Any]:
    """What became of the units of a sorting.

    Parameters
    ----------
    before, now : samples and units of the spikes, (n,) each, in order of the samples.
    labels_before, labels_now : unit -> label.

    Returns
    -------
    merged : list of {"from": units, "to": unit}.
    split : list of {"from": unit, "to": units}.
    renumbered : list of {"from": unit, "to": unit}: the same spikes under another number.
    relabelled : list of {"unit": unit, "from": label, "to": label}.
    gone, new : units without a counterpart.
    n_spikes_gone, n_spikes_new : spikes that only one of the two has.

    Examples
    --------
    >>> at = np.arange(6)
    >>> before, now = np.array([0, 0, 1, 1, 2, 2]), np.array([5, 5, 5, 5, 2, 2])
    >>> changes = difference((at, before), (at, now), {2: "mua"}, {2: "good"})
    >>> changes["merged"], changes["relabelled"]
    ([{'from': [0, 1], 'to': 5}], [{'unit': 2, 'from': 'mua', 'to': 'good'}])
    """
    rows_before, rows_now = _common(before[0], now[0])
    pairs, counts = np.unique(
        np.column_stack([before[1][rows_before], now[1][rows_now]]).reshape(-1, 2), axis=0, return_counts=True
    )
    sizes_before, sizes_now = _sizes(before[1]), _sizes(now[1])
    forward: dict[int, list[int]] = {}
    backward: dict[int, list[int]] = {}
    for (old, new), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        if count > SMALL * sizes_before[old] or count > SMALL * sizes_now[new]:
            forward.setdefault(old, []).append(new)
            backward.setdefault(new, []).append(old)
    single = [(old, news[0]) for old, news in forward.items() if len(news) == 1 and len(backward[news[0]]) == 1]
    labels_before, labels_now = labels_before or {}, labels_now or {}
    relabelled = [
        {"unit": new, "from": labels_before.get(old, ""), "to": labels_now.get(new, "")}
        for old, new in single
        if labels_before.get(old, "") != labels_now.get(new, "")
    ]
    return {
        "merged": [{"from": sorted(olds), "to": new} for new, olds in sorted(backward.items()) if len(olds) > 1],
        "split": [{"from": old, "to": sorted(news)} for old, news in sorted(forward.items()) if len(news) > 1],
        "renumbered": [{"from": old, "to": new} for old, new in single if old != new],
        "relabelled": relabelled,
        "gone": sorted(set(sizes_before) - set(forward)),
        "new": sorted(set(sizes_now) - set(backward)),
        "n_spikes_gone": int(len(before[0]) - len(rows_before)),
        "n_spikes_new": int(len(now[0]) - len(rows_now)),
    }


def is_empty(changes: Mapping[str, Any]) -> bool:
    """Whether nothing changed."""
    return not any(changes.values())


def in_words(changes: Mapping[str, Any]) -> str:
    """A difference in one line.

    >>> in_words({"merged": [{"from": [0, 1], "to": 5}], "split": [], "relabelled": [{"unit": 2}], "n_spikes_new": 0})
    '1 merged (0+1 -> 5), 1 relabelled'
    """
    parts = []
    for name in ("merged", "split", "renumbered", "relabelled"):
        entries = changes.get(name) or []
        if entries and name in ("merged", "split"):
            shown = [f"{_joined(entry['from'])} -> {_joined(entry['to'])}" for entry in entries[:5]]
            parts.append(f"{len(entries)} {name} ({', '.join(shown)}{', …' if len(entries) > 5 else ''})")
        elif entries:
            parts.append(f"{len(entries)} {name}")
    for name, text in (("gone", "units gone"), ("new", "units new")):
        if changes.get(name):
            parts.append(f"{len(changes[name])} {text}")
    for name, text in (("n_spikes_gone", "spikes gone"), ("n_spikes_new", "spikes new")):
        if changes.get(name):
            parts.append(f"{changes[name]:,} {text}")
    return ", ".join(parts) or "nothing changed"


def _joined(units: Any) -> str:
    return "+".join(map(str, units)) if isinstance(units, list) else str(units)


def _common(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the spikes that both have; of several at one sample the first of one goes with the first of the other."""
    if np.array_equal(before, now):
        rows = np.arange(len(before))
        return rows, rows
    keyed = [np.column_stack([values, _place(values)]) for values in (before, now)]
    joined = [np.ascontiguousarray(item).view([("sample", item.dtype), ("place", item.dtype)])[:, 0] for item in keyed]
    _, rows_before, rows_now = np.intersect1d(joined[0], joined[1], assume_unique=True, return_indices=True)
    return rows_before, rows_now


def _place(samples: np.ndarray) -> np.ndarray:
    """How many earlier spikes of an ascending list are at the same sample."""
    rows = np.arange(len(samples))
    return rows - np.searchsorted(samples, samples)


def _sizes(units: np.ndarray) -> dict[int, int]:
    ids, counts = np.unique(units, return_counts=True)
    return dict(zip(ids.tolist(), counts.tolist(), strict=True))
