"""Clocks of recording devices: changes of digital lines, pulses that two devices saw, conversion of times between them.

Devices that record one session count time by themselves: they begin at different moments and run at rates that differ
by some millionths and change with temperature. A line that all of them record tells how one counts against another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis.arrays import Floats, Integers

__all__ = ["Alignment", "Clock", "align", "level_changes", "line_changes", "match_pulses", "two_levels"]

SEGMENT = 60.0
"""Length of the straight pieces of an alignment, s."""
LARGEST_DRIFT = 1e-3
"""Largest relative difference of two rates that is believed; crystals differ by less than a tenth of that."""
WINDOW, RECENT = 30.0, 4
"""Pulses are matched in windows of so many s; where they are expected follows from so many windows before."""
AT_ENDS = 2  # pieces from which the slope beyond an end is taken
_FEWEST = 4  # pulses that can be matched
_PER_SEGMENT = 10  # pulses that a piece needs


@dataclass(frozen=True)
class Clock:
    """A piecewise linear relation between two ways to count time; beyond its ends with the slope of the last pieces.

    Attributes
    ----------
    source : (k,) ascending, e.g. samples of a recording
    target : (k,) ascending, e.g. s from session start

    Examples
    --------
    >>> clock = Clock(np.array([0.0, 30_000.0]), np.array([0.5, 1.5]))
    >>> clock.convert([0, 15_000, 60_000]).tolist(), clock.invert([1.0]).tolist()
    ([0.5, 1.0, 2.5], [15000.0])
    """

    source: Floats
    target: Floats

    def __post_init__(self) -> None:
        for name in ("source", "target"):
            values = np.asarray(getattr(self, name), np.float64)
            if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
                raise ValueError(f"the {name} of a clock must be two or more ascending numbers")
            object.__setattr__(self, name, values)

    @classmethod
    def uniform(cls, rate: float, start: float = 0.0) -> Clock:
        """The clock of a device that counts evenly: `rate` samples a second, the first one at `start` (s)."""
        return cls(np.array([0.0, rate]), np.array([start, start + 1.0]))

    def convert(self, values: ArrayLike) -> Floats:
        """Values of the source in the target, float64."""
        return _interpolate(np.asarray(values, np.float64), self.source, self.target)

    def invert(self, values: ArrayLike) -> Floats:
        """Values of the target in the source, float64."""
        return _interpolate(np.asarray(values, np.float64), self.target, self.source)

    @property
    def slope(self) -> float:
        """Target per source from the first to the last point."""
        return float((self.target[-1] - self.target[0]) / (self.source[-1] - self.source[0]))


@dataclass(frozen=True)
class Alignment:
    """How the clock of one device relates to that of another, and how well that is known.

    Attributes
    ----------
    clock : of the source's s to the target's s, in pieces of about a minute
    offset : of the straight line through all pulses, s of the target at 0 s of the source
    drift : relative difference of the rates by that line, millionths (ppm)
    linear_residual, residual : largest distance of a pulse from the line, and from the pieces, s
    residual_rms : root mean square of the latter, s
    n_pulses : pulses that both have
    n_source, n_target : pulses that each has
    """

    clock: Clock
    offset: float
    drift: float
    linear_residual: float
    residual: float
    residual_rms: float
    n_pulses: int
    n_source: int
    n_target: int


def line_changes(
    words: ArrayLike, first: int = 0, before: int | None = None
) -> dict[int, tuple[Integers, NDArray[np.int8]]]:
    """When the lines of a digital word change.

    Parameters
    ----------
    words : (n,) integers, one a sample; each bit is a line.
    first : sample of the first word.
    before : the word before the first one; by default the first word itself, so that nothing changes at its sample.

    Returns
    -------
    dict of line (from 0) to samples (int64, ascending) and polarities (int8; 1 rises, -1 falls), of lines that change.

    Examples
    --------
    >>> {line: [values.tolist() for values in changes] for line, changes in line_changes([0, 1, 1, 64, 64]).items()}
    {0: [[1, 3], [1, -1]], 6: [[3], [1]]}
    """
    values = np.asarray(words)
    if not values.size:
        return {}
    if values.dtype.kind not in "iu":
        raise ValueError(f"digital words are integers, not {values.dtype}")
    bits = 8 * values.dtype.itemsize
    values = values.view(np.dtype(f"u{values.dtype.itemsize}")) if values.dtype.kind == "i" else values
    mask = (1 << bits) - 1
    previous = np.asarray([values[0] if before is None else before & mask], values.dtype)
    changed = np.bitwise_xor(values, np.concatenate([previous, values[:-1]]))
    at = np.flatnonzero(changed)
    changes = {}
    for line in range(bits):
        own = at[(changed[at] >> line) & 1 == 1]
        if len(own):
            changes[line] = (own + first, np.where((values[own] >> line) & 1, 1, -1).astype(np.int8))
    return changes


def two_levels(values: ArrayLike) -> tuple[float, float] | None:
    """The two levels between which an analog line switches; None where it takes other values, too.

    Parameters
    ----------
    values : (n,) samples from all over the recording.

    Returns
    -------
    The low and the high level: medians of the samples below and above the middle of the range, of which 97 % must lie
    within a fifth of the swing from one of the two.

    Examples
    --------
    >>> two_levels([0.0, 0.1, 5.0, 4.9, 0.0, 5.0]), two_levels(np.sin(np.arange(100)))
    ((0.0, 5.0), None)
    """
    samples = np.asarray(values, np.float64)
    if samples.size < _FEWEST:
        return None
    middle = (samples.min() + samples.max()) / 2
    below, above = samples[samples <= middle], samples[samples > middle]
    if not len(above):
        return None
    low, high = float(np.median(below)), float(np.median(above))
    near = np.minimum(np.abs(samples - low), np.abs(samples - high)) <= 0.2 * (high - low)
    return (low, high) if near.mean() >= 0.97 else None


def level_changes(
    values: ArrayLike, low: float, high: float, first: int = 0, before: bool | None = None
) -> tuple[Integers, NDArray[np.int8], bool]:
    """When an analog line switches between two levels; it rises at 60 % of the swing and falls at 40 %.

    Parameters
    ----------
    values : (n,) samples of the line.
    low, high : its levels.
    first : sample of the first value.
    before : whether the line was high before; by default as it is at the first value.

    Returns
    -------
    samples (int64), polarities (int8; 1 rises, -1 falls), and whether the line is high at the end.

    Examples
    --------
    >>> samples, polarities, is_high = level_changes([0, 0, 2.4, 5, 5, 2.6, 1, 0], 0.0, 5.0)
    >>> samples.tolist(), polarities.tolist(), is_high
    ([3, 6], [1, -1], False)
    """
    samples = np.asarray(values, np.float64)
    state = np.zeros(len(samples), np.int8)
    state[samples >= low + 0.6 * (high - low)] = 1
    state[samples <= low + 0.4 * (high - low)] = -1
    known = np.flatnonzero(state)
    if before is None:
        before = bool(state[known[0]] > 0) if len(known) else False
    states = np.concatenate([[1 if before else -1], state[known]])
    at = np.flatnonzero(np.diff(states))
    return known[at] + first, states[at + 1].astype(np.int8), bool(states[-1] > 0)


def match_pulses(source: ArrayLike, target: ArrayLike, tolerance: float = 0.005) -> tuple[Integers, Integers]:
    """Which pulses of two devices are the same.

    Parameters
    ----------
    source, target : (n,), (m,) ascending times of the pulses, s, each in the device's own time. Pulses may be missing
        in either. Where the intervals between pulses vary, these tell which pulse is which, whatever the offset;
        regular pulses are taken to be those nearest in time, so that the devices must begin within half an interval.
    tolerance : largest difference of two intervals that are one, s.

    Returns
    -------
    Indices into source and target, ascending; empty where too few go together.
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    nothing = np.empty(0, np.int64)
    if len(source) < _FEWEST or len(target) < _FEWEST:
        return nothing, nothing
    offset = _offset(source, target, tolerance)
    if offset is None:
        return nothing, nothing
    reach = 0.45 * float(min(np.median(np.diff(source)), np.median(np.diff(target))))
    return _track(source, target, offset, reach, tolerance)


def align(source: ArrayLike, target: ArrayLike, tolerance: float = 0.005, segment: float = SEGMENT) -> Alignment | None:
    """How the time of one device becomes that of another, from the pulses that both recorded.

    Parameters
    ----------
    source, target, tolerance : as in `match_pulses`.
    segment : length of the straight pieces, s; each needs ten pulses, else it is longer.

    Returns
    -------
    None where fewer than four pulses go together.

    Examples
    --------
    >>> pulses = np.cumsum(np.random.default_rng(0).uniform(0.5, 1.5, 600))
    >>> alignment = align(pulses, 12.5 + pulses * (1 + 30e-6))
    >>> round(alignment.drift, 3), round(alignment.offset, 6), alignment.n_pulses, alignment.residual < 1e-9
    (30.0, 12.5, 600, True)
    """
    source, target = np.asarray(source, np.float64), np.asarray(target, np.float64)
    a, b = match_pulses(source, target, tolerance)
    if len(a) < _FEWEST:
        return None
    x, y = source[a], target[b]
    slope, intercept = _line(x - x[0], y - x)
    linear = y - x - (slope * (x - x[0]) + intercept)
    knots = _knots(x, segment)
    values = _spline(x, linear, knots)
    clock = Clock(knots, knots + slope * (knots - x[0]) + intercept + values)
    residual = y - clock.convert(x)
    return Alignment(
        clock,
        float(intercept - slope * x[0]),
        float(slope * 1e6),
        float(np.abs(linear).max()),
        float(np.abs(residual).max()),
        float(np.sqrt(np.mean(residual**2))),
        len(x),
        len(source),
        len(target),
    )


def _interpolate(values: Floats, source: Floats, target: Floats) -> Floats:
    if len(source) == 2:  # divided last, so that samples of an even clock become exactly samples / rate
        straight: Floats = target[0] + (values - source[0]) * (target[1] - target[0]) / (source[1] - source[0])
        return straight
    interpolated = np.interp(values, source, target)
    below, above = values < source[0], values > source[-1]
    if below.any() or above.any():
        k = min(AT_ENDS, len(source) - 1)
        first = (target[k] - target[0]) / (source[k] - source[0])
        last = (target[-1] - target[-1 - k]) / (source[-1] - source[-1 - k])
        interpolated = np.where(below, target[0] + (values - source[0]) * first, interpolated)
        interpolated = np.where(above, target[-1] + (values - source[-1]) * last, interpolated)
    return interpolated


def _offset(source: Floats, target: Floats, tolerance: float) -> float | None:
    """About what is added to the time of the first pulses of the source to get that of the target, s."""
    steps, others = np.diff(source), np.diff(target)
    middle = float(np.median(steps))
    spread = float(np.subtract(*np.percentile(steps, [90, 10])))
    if spread < max(4 * tolerance, 0.02 * middle):  # regular: the nearest
        begin = float(target[0] - source[0])
        return begin - middle * float(np.round(begin / middle))
    return _by_intervals(source, target, steps, others, tolerance)


def _by_intervals(source: Floats, target: Floats, steps: Floats, others: Floats, tolerance: float) -> float | None:
    """The offset on which most intervals of the first minutes of the source agree."""
    n = min(len(steps), 400)
    order = np.argsort(others)
    low = np.searchsorted(others[order], steps[:n] - tolerance)
    high = np.searchsorted(others[order], steps[:n] + tolerance)
    counts = high - low
    if not counts.sum():
        return None
    rows = np.repeat(np.arange(n), counts)
    at = np.repeat(low - np.concatenate([[0], np.cumsum(counts)[:-1]]), counts) + np.arange(counts.sum())
    offsets = target[order[at]] - source[rows]
    width = 4 * tolerance + LARGEST_DRIFT * 0.1 * float(source[n] - source[0])
    offsets.sort()
    inside = np.searchsorted(offsets, offsets + width, side="right") - np.arange(len(offsets))
    best = int(inside.argmax())
    if inside[best] < _FEWEST - 1:
        return None
    return float(np.median(offsets[best : best + inside[best]]))


def _track(source: Floats, target: Floats, offset: float, reach: float, tolerance: float) -> tuple[Integers, Integers]:
    """Pairs of pulses that are nearest to each other, window by window, each foreseen from the windows before it."""
    window = max(WINDOW, 50 * float(np.median(np.diff(source))))
    bounds = np.searchsorted(source, np.arange(source[0], source[-1] + window, window))
    at, line = float(source[0]), np.array([0.0, offset])  # of target - source over source - at
    matched: list[tuple[Integers, Integers]] = []
    near = reach  # how far from where it is expected a pulse may be; once a line is known, only the tolerance
    for first, last in zip(bounds, [*bounds[1:], len(source)], strict=True):
        some = source[first:last]
        if not len(some):
            continue
        rows, pairs = _nearest(some + line[0] * (some - at) + line[1], target, near)
        near = min(near + LARGEST_DRIFT * window, reach)  # as long as no pulses are found
        if len(rows) >= _FEWEST:
            away = target[pairs] - some[rows]
            local = _robust_line(some[rows] - at, away)
            fits = np.abs(away - local[0] * (some[rows] - at) - local[1]) <= tolerance
            rows, pairs = rows[fits], pairs[fits]
            near = min(tolerance, reach)
        matched.append((rows + first, pairs))
        x = np.concatenate([source[one] for one, _ in matched[-RECENT:]])
        y = np.concatenate([target[other] - source[one] for one, other in matched[-RECENT:]])
        if len(x) >= _FEWEST:
            at = float(some[-1])
            line = _robust_line(x - at, y)
            line[0] = np.clip(line[0], -LARGEST_DRIFT, LARGEST_DRIFT)
    ours = np.concatenate([one for one, _ in matched])
    theirs = np.concatenate([other for _, other in matched])
    later = np.concatenate([[True], np.diff(np.maximum.accumulate(theirs)) > 0]) if len(theirs) else theirs > 0
    return ours[later], theirs[later]


def _nearest(expected: Floats, target: Floats, reach: float) -> tuple[Integers, Integers]:
    """Pairs that are nearest to each other, and within reach."""
    at = np.searchsorted(target, expected).clip(1, len(target) - 1)
    at = at - (expected - target[at - 1] < target[at] - expected)
    away = np.abs(target[at] - expected)
    order = np.lexsort((away, at))
    first = np.ones(len(order), bool)
    first[1:] = at[order][1:] != at[order][:-1]
    rows = np.sort(order[first])
    rows = rows[away[rows] <= reach]
    return rows, at[rows]


def _line(x: Floats, y: Floats) -> Floats:
    """Slope and intercept of the straight line of least squares."""
    middle, mean = x.mean(), y.mean()
    away = x - middle
    spread = float(away @ away)
    slope = float(away @ (y - mean)) / spread if spread > 0 else 0.0
    return np.array([slope, mean - slope * middle])


def _robust_line(x: Floats, y: Floats) -> Floats:
    """The same; points that are far from the line of the others do not count."""
    line = _line(x, y)
    for _ in range(3):
        away = np.abs(y - line[0] * x - line[1])
        kept = away <= max(3 * float(np.median(away)), 1e-4)
        if kept.sum() < 2 or kept.all():
            break
        line = _line(x[kept], y[kept])
    return line


def _knots(x: Floats, segment: float) -> Floats:
    """Points between the pieces, each with enough pulses."""
    n = max(1, min(int((x[-1] - x[0]) / segment), len(x) // _PER_SEGMENT))
    if n == 1:
        return np.array([x[0], x[-1]])
    knots: Floats = x[np.linspace(0, len(x) - 1, n + 1).round().astype(int)]
    return knots


def _spline(x: Floats, y: Floats, knots: Floats) -> Floats:
    """Values at the knots of the continuous piecewise line that fits best (tridiagonal normal equations)."""
    piece = np.searchsorted(knots, x, side="right").clip(1, len(knots) - 1) - 1
    right = (x - knots[piece]) / (knots[piece + 1] - knots[piece])
    left = 1 - right
    n = len(knots)
    diagonal = np.bincount(piece, left**2, n) + np.bincount(piece + 1, right**2, n)
    beside = np.bincount(piece, left * right, n)
    total = np.bincount(piece, left * y, n) + np.bincount(piece + 1, right * y, n)
    normal = np.vstack([np.concatenate([[0.0], beside[:-1]]), diagonal + 1e-12])
    values: Floats = scipy.linalg.solveh_banded(normal, total)
    return values
