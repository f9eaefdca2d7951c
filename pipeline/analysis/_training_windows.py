"""Windows of sessions and what is measured in them, for all sessions of a subject at once."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis.arrays import Booleans, Floats, Integers, Texts, group_sums
from pipeline.analysis.criteria import FITTED, Criterion, RuleSet
from pipeline.analysis.psychometrics import STATUS, Fits, fit_batch

COMPARE = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq}


@dataclass(frozen=True)
class Units:
    """What windows count, in order of time: sessions, or dates with their sessions merged. One entry per unit."""

    kinds: Texts  # kind of protocol
    n_trials: Floats
    performance_easy: Floats
    on_ephys_rig: Floats  # 1 or 0
    start_delay: Floats  # s
    zero_contrast_rt: Sequence[Floats]  # s, of the trials at 0 %
    blocks: Floats  # (n_blocks,) probability_left
    contrasts: Floats  # (n_contrasts,) percent
    n: Floats  # (n_units, n_blocks, n_contrasts) trials
    n_right: Floats  # the same, choices to the right


def merge(records: Sequence[Any], groups: Integers, kinds: Sequence[str]) -> Units:
    """Units from sorted session records; `groups` says, rising from 0, which unit each record belongs to."""
    n_units = int(groups[-1]) + 1 if groups.size else 0
    blocks, contrasts, n, n_right = _counts(records, groups, n_units)
    last = np.searchsorted(groups, np.arange(n_units), side="right") - 1
    start_delay = np.full(n_units, -np.inf)
    np.maximum.at(start_delay, groups, np.nan_to_num(_column(records, "start_delay"), nan=-np.inf))
    performance = _column(records, "performance_easy")
    n_easy = np.array([_easy_trials(record) for record in records], dtype=float)
    weight = np.where(np.isnan(performance), 0.0, np.maximum(n_easy, 1e-9))
    total = np.bincount(groups, weight, n_units)
    with np.errstate(invalid="ignore", divide="ignore"):
        merged_performance = np.bincount(groups, np.nan_to_num(performance) * weight, n_units) / total
    edges = np.searchsorted(groups, np.arange(n_units + 1))
    reaction_times = [np.asarray(record.zero_contrast_rt, dtype=float) for record in records]
    return Units(
        kinds=np.array(kinds, dtype=str)[last],
        n_trials=group_sums(groups, _column(records, "n_trials"), n_units),
        performance_easy=merged_performance,
        on_ephys_rig=_column(records, "on_ephys_rig")[last],
        start_delay=np.where(np.isneginf(start_delay), np.nan, start_delay),
        zero_contrast_rt=[np.concatenate(reaction_times[a:b]) for a, b in zip(edges, edges[1:], strict=False)],
        blocks=blocks,
        contrasts=contrasts,
        n=n,
        n_right=n_right,
    )


class Windows:
    """The window that ends with each unit, made of the last `size` units of the given kinds; (): of all."""

    def __init__(self, units: Units, protocols: tuple[str, ...], size: int) -> None:
        self.units = units
        n_units = units.kinds.size
        self.applies = np.isin(units.kinds, protocols) if protocols else np.ones(n_units, dtype=bool)
        members = np.flatnonzero(self.applies)
        # Padding with -1 in front; column -1 is the newest member up to and including the unit.
        padded = np.concatenate([np.full(size, -1), members])
        newest = np.cumsum(self.applies)
        self.index = padded[newest[:, None] + np.arange(size)]
        self.present = self.index >= 0
        self.n_sessions = self.present.sum(axis=1)
        self.members = [tuple(i for i in row if i >= 0) for row in self.index.tolist()]
        self._pooled: dict[str, Floats] = {}

    def pooled(self, name: str) -> Floats:
        """Counts `n` or `n_right` summed over the window, (n_units, n_blocks, n_contrasts)."""
        if name not in self._pooled:
            counts = getattr(self.units, name)
            padded = np.concatenate([counts, np.zeros((1, *counts.shape[1:]), dtype=counts.dtype)])
            self._pooled[name] = padded[self.index].sum(axis=1)
        return self._pooled[name]

    def per_session(self, values: Floats) -> Floats:
        """Values of the sessions of each window, (n_units, size); NaN where the window is not full."""
        by_window: Floats = np.append(values, np.nan)[self.index]
        return by_window

    def block(self, name: str, probability_left: float | None) -> Floats:
        """Pooled counts by contrast in one block, or in all, (n_units, n_contrasts)."""
        counts = self.pooled(name)
        if probability_left is not None:
            counts = counts[:, np.isclose(self.units.blocks, probability_left, atol=1e-3)]
        by_contrast: Floats = counts.sum(axis=1)
        return by_contrast


@dataclass(frozen=True)
class FittedBlock:
    """Fits of one block (None: all trials) in all windows of one kind."""

    windows: Windows
    probability_left: float | None
    n_trials: Floats  # (n_units,)
    fits: Fits  # (n_units,)


class Measures:
    """The measured value of any criterion, for all units, (n_units,)."""

    def __init__(self, units: Units, rules: RuleSet) -> None:
        self.units = units
        cache: dict[tuple[tuple[str, ...], int], Windows] = {}
        self.windows = []
        for level in rules.levels:
            key = (level.protocols, level.window)
            if key not in cache:
                cache[key] = Windows(units, *key)
            self.windows.append(cache[key])
        self.fitted = _fit_all(rules, self.windows)
        self._known_rt = [times[np.isfinite(times)] for times in units.zero_contrast_rt]
        self._median_rt: dict[tuple[int, ...], float] = {}

    def of(self, criterion: Criterion, windows: Windows) -> Floats:
        """Values of a criterion; NaN where there is nothing to measure."""
        values: Floats
        if criterion.scope == "pooled":
            return _POOLED[criterion.measure](self, criterion, windows)
        if criterion.measure == "contrast_trials":
            values = self.units.n.sum(axis=1)[:, _in_range(self.units.contrasts, criterion)].sum(axis=1).astype(float)
        elif criterion.measure == "sessions_of":
            values = np.isin(self.units.kinds, criterion.protocols).astype(float)
        else:
            values = np.asarray(getattr(self.units, criterion.measure), dtype=float)
        if criterion.scope == "current":
            return values
        if criterion.ephys_rig_only:
            values = np.where(self.units.on_ephys_rig > 0, values, np.nan)
        return _worst_or_best(windows.per_session(values), criterion, windows.present)

    def fit(self, windows: Windows, probability_left: float | None, parameter: str) -> Floats:
        """A fitted parameter in one block."""
        fitted: Floats = getattr(self.fitted[id(windows), probability_left].fits, parameter)
        return fitted

    def median_rt(self, windows: Windows) -> Floats:
        """Median reaction time at 0 % contrast over the window, s, (n_units,)."""
        for members in windows.members:
            if members not in self._median_rt:
                times = np.concatenate([self._known_rt[i] for i in members] or [np.empty(0)])
                self._median_rt[members] = float(np.median(times)) if times.size else float("nan")
        return np.array([self._median_rt[members] for members in windows.members], dtype=float)


def _worst_or_best(values: Floats, criterion: Criterion, present: Booleans) -> Floats:
    """Of each row the value that decides: for `each` the worst (NaN if any is unknown), for `any` the best known."""
    smallest = (criterion.comparison[0] in ">=") == (criterion.scope == "each")
    fill = np.inf if smallest else -np.inf
    known = present & ~np.isnan(values)
    decisive = np.where(known, values, fill)
    decisive = decisive.min(axis=1) if smallest else decisive.max(axis=1)
    if criterion.scope == "each" and not criterion.ephys_rig_only:
        decisive = np.where(np.any(present & ~known, axis=1), np.nan, decisive)
    return np.where(known.any(axis=1), decisive, np.nan)


def _in_range(contrasts: Floats, criterion: Criterion) -> Booleans:
    low, high = criterion.contrasts or (-np.inf, np.inf)
    return (np.abs(contrasts) >= low - 1e-6) & (np.abs(contrasts) <= high + 1e-6)


def _fitted(parameter: str) -> Callable[[Measures, Criterion, Windows], Floats]:
    return lambda measures, criterion, windows: measures.fit(windows, criterion.probability_left, parameter)


_POOLED: dict[str, Callable[[Measures, Criterion, Windows], Floats]] = {
    "n_sessions": lambda m, c, w: w.n_sessions.astype(float),
    "sessions_of": lambda m, c, w: _sessions_of(c, w),
    "contrast_trials": lambda m, c, w: (
        w.block("n", c.probability_left)[:, _in_range(m.units.contrasts, c)].sum(axis=1).astype(float)
    ),
    "block_trials": lambda m, c, w: w.block("n", c.probability_left).sum(axis=1).astype(float),
    "side_blocks": lambda m, c, w: sum((w.block("n", p).sum(axis=1) > 0).astype(float) for p in (0.2, 0.8)),
    "bias_size": lambda m, c, w: np.abs(m.fit(w, c.probability_left, "bias")),
    "threshold": _fitted("threshold"),
    "lapse_low": _fitted("lapse_low"),
    "lapse_high": _fitted("lapse_high"),
    "bias_shift": lambda m, c, w: m.fit(w, 0.8, "bias") - m.fit(w, 0.2, "bias"),
    "zero_contrast_rt": lambda m, c, w: m.median_rt(w),
}


def fitted_blocks(criteria: Sequence[Criterion]) -> tuple[float | None, ...]:
    """The blocks (None: all trials) of which these criteria need a fit."""
    asked = [FITTED[c.measure] or (c.probability_left,) for c in criteria if c.measure in FITTED]
    return tuple(dict.fromkeys(block for blocks in asked for block in blocks))


def _fit_all(rules: RuleSet, all_windows: Sequence[Windows]) -> dict[tuple[int, float | None], FittedBlock]:
    """Every fit that a criterion can use, in one batch; the same sessions and block are fitted once."""
    asked: dict[tuple[int, float | None], tuple[Windows, Booleans]] = {}
    for level, windows in zip(rules.levels, all_windows, strict=True):
        needed = _right_protocols(level.criteria, windows)
        for block in fitted_blocks(level.criteria):
            _, before = asked.get((id(windows), block), (windows, np.zeros_like(needed)))
            asked[id(windows), block] = windows, before | needed
    problems: list[tuple[Floats, Floats, Floats]] = []
    place_of: dict[tuple[Any, float | None], int] = {}
    places = []
    for (_, block), (windows, needed) in asked.items():
        n, n_right = windows.block("n", block), windows.block("n_right", block)
        place = np.full(needed.size, -1)
        for i in np.flatnonzero(needed):
            sessions = windows.members[i], block
            if sessions not in place_of:
                place_of[sessions] = len(problems)
                problems.append((windows.units.contrasts, n[i], n_right[i]))
            place[i] = place_of[sessions]
        places.append(place)
    problems.append((np.empty(0), np.empty(0), np.empty(0)))  # place -1: the fit of nothing, NaN
    fits = fit_batch(problems, box=STATUS)
    return {
        key: FittedBlock(windows, key[1], windows.block("n", key[1]).sum(axis=1), fits[place])
        for (key, (windows, _)), place in zip(asked.items(), places, strict=True)
    }


def _right_protocols(criteria: Sequence[Criterion], windows: Windows) -> Booleans:
    """Where a window has the kinds of sessions that the criteria ask for; elsewhere a fit decides nothing."""
    right = np.ones(windows.n_sessions.size, dtype=bool)
    for criterion in criteria:
        if criterion.measure == "sessions_of" and criterion.scope == "pooled":
            right &= COMPARE[criterion.comparison](_sessions_of(criterion, windows), criterion.threshold)
    return right


def _sessions_of(criterion: Criterion, windows: Windows) -> Floats:
    wanted = np.isin(windows.units.kinds, criterion.protocols).astype(float)
    n_wanted: Floats = (windows.per_session(wanted) == 1).sum(axis=1).astype(float)
    return n_wanted


def _column(records: Sequence[Any], name: str) -> Floats:
    return np.array([getattr(record, name) for record in records], dtype=float)


def _easy_trials(record: Any) -> float:
    contrast = np.asarray(record.signed_contrast, dtype=float)
    return float(np.asarray(record.n, dtype=float)[np.abs(contrast) >= 50].sum())


def _counts(records: Sequence[Any], groups: Integers, n_units: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Distinct blocks and contrasts of a life, and the dense counts by unit, block and contrast."""
    sizes = [len(record.n) for record in records]
    joined = {
        name: np.concatenate([np.asarray(getattr(record, name), dtype=float) for record in records] or [np.empty(0)])
        for name in ("probability_left", "signed_contrast", "n", "n_right")
    }
    blocks, block = np.unique(np.round(joined["probability_left"], 4), return_inverse=True)
    contrasts, contrast = np.unique(np.round(joined["signed_contrast"], 4) + 0.0, return_inverse=True)
    shape = (n_units, blocks.size, contrasts.size)
    flat = (np.repeat(groups, sizes) * blocks.size + block) * contrasts.size + contrast
    size = int(np.prod(shape))
    n, n_right = (group_sums(flat, joined[name], size).reshape(shape) for name in ("n", "n_right"))
    return blocks, contrasts, n, n_right
