"""Psychometric curves: counts per signed contrast, the erf model with two lapse rates, and its maximum-likelihood fit.

The fit is deterministic and fits any number of sessions and blocks in one call.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, overload

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis._psychometric_kernels import THRESHOLD_FLOOR, fit_packed
from pipeline.analysis.arrays import AnyArray, Booleans, Floats, Integers

PARAMETERS = ("bias", "threshold", "lapse_low", "lapse_high")
"""Order of the parameters; bit i of an ``at_bound`` mask belongs to parameter i."""

INTERVAL_LEVEL = 0.68
"""Coverage of every interval in the behaviour analyses, about one standard error to each side."""

Problem = tuple[ArrayLike, ArrayLike, ArrayLike]
"""Signed contrasts (percent), number of trials and number of choices to the right at each of them."""


@dataclass(frozen=True)
class Box:
    """Bounds of a fit and its first start, in the order of `PARAMETERS`; contrasts in percent, lapses 0-1.

    None for the bias stands for the smallest contrast shown (lower), the largest (upper) and the mean of the distinct
    contrasts (start). A lower threshold of 0 is tried down to 0.01 %, which is a step for any contrasts of the task.
    """

    lower: tuple[float | None, float, float, float]
    upper: tuple[float | None, float, float, float]
    start: tuple[float | None, float, float, float]


STATUS = Box(lower=(None, 0.0, 0.0, 0.0), upper=(None, 100.0, 1.0, 1.0), start=(None, 20.0, 0.05, 0.05))
"""Box of the published training status (ibllib ``brainbox.behavior.training``)."""

PLOTTING = Box(lower=(-50.0, 10.0, 0.0, 0.0), upper=(50.0, 50.0, 0.2, 0.2), start=(0.0, 40.0, 0.1, 0.1))
"""Box of the published session plots: smoother curves, lapses of at most 0.2."""


@dataclass(frozen=True)
class Fit:
    """One fitted curve; NaN parameters where there was nothing to fit (fewer than two contrasts with trials)."""

    bias: float
    """Contrast at the middle of the rise (percent, right positive)."""
    threshold: float
    """Width of the rise (percent), smaller is steeper; the Gaussian SD is threshold / sqrt(2)."""
    lapse_low: float
    """P(right) far to the left, 0-1."""
    lapse_high: float
    """1 - P(right) far to the right, 0-1."""
    log_likelihood: float
    """Binomial log likelihood (natural log) without the binomial coefficients."""
    at_bound: int
    """Bit mask over `PARAMETERS` of those on an edge of the box; `bound_names` names them."""
    identifiable: bool
    """Whether the data determine bias and threshold; see `fit_batch`."""
    standard_errors: tuple[float, float, float, float]
    """From the Fisher information; NaN for a parameter on a bound or without information."""

    @property
    def parameters(self) -> tuple[float, float, float, float]:
        """(bias, threshold, lapse_low, lapse_high)."""
        return self.bias, self.threshold, self.lapse_low, self.lapse_high


@dataclass(frozen=True, eq=False)
class Fits:
    """Fitted curves of a batch: arrays of shape (n_problems,), ``standard_errors`` (n_problems, 4); see `Fit`.

    Indexing with an integer gives a `Fit`, with a slice or a mask the `Fits` of that part.
    """

    bias: Floats
    threshold: Floats
    lapse_low: Floats
    lapse_high: Floats
    log_likelihood: Floats
    at_bound: NDArray[np.uint8]
    identifiable: Booleans
    standard_errors: Floats

    def __len__(self) -> int:
        return len(self.bias)

    @overload
    def __getitem__(self, index: int) -> Fit: ...
    @overload
    def __getitem__(self, index: slice | AnyArray) -> "Fits": ...
    def __getitem__(self, index: Any) -> Any:
        parts = [getattr(self, field.name)[index] for field in fields(self)]
        if np.ndim(parts[0]):
            return Fits(*parts)
        bias, threshold, lapse_low, lapse_high, likelihood, at_bound, identifiable, errors = parts
        return Fit(
            float(bias), float(threshold), float(lapse_low), float(lapse_high), float(likelihood), int(at_bound),
            bool(identifiable), tuple(errors.tolist()),
        )  # fmt: skip


def counts(signed_contrast: ArrayLike, right: ArrayLike) -> tuple[Floats, Integers, Integers]:
    """Trials and choices to the right at every contrast shown.

    Parameters
    ----------
    signed_contrast : array_like, shape (n_trials,)
        Percent, right positive.
    right : array_like of bool or float, shape (n_trials,)
        Whether the choice was right; NaN (no choice) leaves the trial out, as does a NaN contrast.

    Returns
    -------
    contrasts : ndarray of float64, shape (n_contrasts,)
        Ascending, percent.
    n, n_right : ndarray of int64, shape (n_contrasts,)

    Raises
    ------
    ValueError
        If the two differ in length.

    Examples
    --------
    >>> counts([-25, 0, 0, 25, 25], [False, True, False, True, np.nan])
    (array([-25.,   0.,  25.]), array([1, 2, 1]), array([0, 1, 1]))
    """
    contrast = np.asarray(signed_contrast, dtype=np.float64)
    chosen = np.asarray(right, dtype=np.float64)
    if contrast.shape != chosen.shape or contrast.ndim != 1:
        raise ValueError(f"contrasts and choices must be 1-D and alike, got {contrast.shape} and {chosen.shape}")
    known = np.isfinite(contrast) & np.isfinite(chosen)
    contrasts, level = np.unique(contrast[known], return_inverse=True)
    n = np.bincount(level, minlength=contrasts.size)
    n_right = np.bincount(level, weights=chosen[known], minlength=contrasts.size)
    return contrasts, n.astype(np.int64), np.rint(n_right).astype(np.int64)


def curve(
    contrast: ArrayLike, bias: ArrayLike, threshold: ArrayLike, lapse_low: ArrayLike, lapse_high: ArrayLike
) -> Floats:
    """P(right) of the model; all arguments broadcast.

    ``lapse_low + (1 - lapse_low - lapse_high) * (erf((contrast - bias) / threshold) + 1) / 2``, the function
    ``erf_psycho_2gammas`` of psychofit.

    Examples
    --------
    >>> curve([-100, 0, 100], 0, 20, 0.1, 0.05).round(3)
    array([0.1  , 0.525, 0.95 ])
    """
    x, centre, width = (np.asarray(values, dtype=np.float64) for values in (contrast, bias, threshold))
    low, high = np.asarray(lapse_low), np.asarray(lapse_high)
    rise = (scipy.special.erf((x - centre) / width) + 1) / 2
    probability: Floats = low + (1 - low - high) * rise
    return probability


def fit(contrasts: ArrayLike, n: ArrayLike, n_right: ArrayLike, box: Box = STATUS) -> Fit:
    """Fit one curve; see `fit_batch`.

    Examples
    --------
    >>> fitted = fit([-100, -25, -6.25, 0, 6.25, 25, 100], [90] * 7, [5, 9, 31, 44, 58, 80, 84])
    >>> round(fitted.bias, 1), round(fitted.threshold, 1), bound_names(fitted.at_bound), fitted.identifiable
    (0.1, 21.0, (), True)
    """
    return fit_batch([(contrasts, n, n_right)], box)[0]


def fit_batch(problems: Sequence[Problem], box: Box = STATUS) -> Fits:
    """Maximum-likelihood fits of `curve` inside a box, the same result every time.

    For a given bias and threshold the log likelihood is concave in the two lapses, so a grid over the first two, with
    the lapses solved for, finds every hill; the best of them and the published start are climbed by Fisher scoring.

    The box is the published one, in which the lapses may sum to more than 1: a curve that falls, from a mouse that
    answers against the stimulus. No training criterion can pass such a fit (``lapse_low + lapse_high > 1`` shows it),
    and forbidding it would put a flat line through data that are not flat.

    Parameters
    ----------
    problems : sequence of (contrasts, n, n_right)
        Each three arrays of one length, in any order; levels with n = 0 are ignored, repeated contrasts are pooled.
    box : Box
        `STATUS` or `PLOTTING`, or any other.

    Returns
    -------
    Fits
        One entry per problem. All NaN, not at a bound and not identifiable where fewer than two contrasts have trials.
        ``identifiable`` is False where the data cannot tell bias and threshold: fewer contrasts than parameters, a
        threshold below the smallest distance of two contrasts (any steeper curve fits as well), the bias at an edge,
        the threshold at the upper one, or a standard error of the threshold above the threshold (a flat curve).

    Raises
    ------
    ValueError
        If lengths differ, a value is not finite, or n_right is not between 0 and n.
    """
    x, n, k, offsets = _pack(problems)
    lower, upper, start = _bounds(box, x, offsets)
    parameters, errors, likelihood = fit_packed(x, n, k, offsets, lower, upper, start)
    margin = 1e-6 * (upper - lower)
    with np.errstate(invalid="ignore"):
        edge = (parameters <= lower + margin) | (parameters >= upper - margin)
        at_bound = (edge * (1 << np.arange(4))).sum(axis=1).astype(np.uint8)
        threshold = parameters[:, 1]
        steepest_allowed = threshold <= (lower + margin)[:, 1]
        identifiable = (np.diff(offsets) >= 4) & (threshold >= _smallest_step(x, offsets))
        identifiable &= np.isfinite(errors[:, 0]) & (steepest_allowed | (errors[:, 1] < threshold))
    bias, threshold, lapse_low, lapse_high = parameters.T
    return Fits(bias, threshold, lapse_low, lapse_high, likelihood, at_bound, identifiable, errors)


def bound_names(at_bound: int) -> tuple[str, ...]:
    """Names of the parameters in an ``at_bound`` mask.

    Examples
    --------
    >>> bound_names(0b0110)
    ('threshold', 'lapse_low')
    """
    return tuple(name for bit, name in enumerate(PARAMETERS) if int(at_bound) >> bit & 1)


def wilson_interval(n_right: ArrayLike, n: ArrayLike, level: float = INTERVAL_LEVEL) -> tuple[Floats, Floats]:
    """Wilson score interval of a proportion: within 0-1, holds the proportion itself, NaN for n = 0.

    Parameters
    ----------
    n_right, n : array_like
        Successes and trials.
    level : float
        Coverage, 0-1; default 0.68.

    Returns
    -------
    lower, upper : ndarray

    References
    ----------
    Wilson (1927), J. Am. Stat. Assoc. 22, 209-212.

    Examples
    --------
    >>> lower, upper = wilson_interval([0, 5, 10], 10)
    >>> lower.round(3), upper.round(3)
    (array([0.  , 0.35, 0.91]), array([0.09, 0.65, 1.  ]))
    """
    n = np.asarray(n, dtype=np.float64)
    z = scipy.special.ndtri(0.5 + level / 2)
    with np.errstate(invalid="ignore", divide="ignore"):
        p = np.where(n > 0, np.asarray(n_right, dtype=np.float64) / n, np.nan)
        centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    # At p = 0 and p = 1 rounding can put an end on the wrong side of the estimate, by 1e-16.
    return np.clip(np.minimum(centre - half, p), 0, 1), np.clip(np.maximum(centre + half, p), 0, 1)


def block_bias_shift(fits: Mapping[float, Fit]) -> float | None:
    """Bias in blocks with probability_left 0.8 minus bias in blocks with 0.2 (percent).

    Positive in a mouse that uses the blocks: with the stimulus mostly on the left it takes more contrast on the right
    to make it choose right. None without a fit of both blocks.

    Parameters
    ----------
    fits : mapping of probability_left (0-1) to Fit
    """
    bias = {round(float(probability), 3): fitted.bias for probability, fitted in fits.items()}
    shift = bias.get(0.8, np.nan) - bias.get(0.2, np.nan)
    return None if np.isnan(shift) else float(shift)


def _pack(problems: Sequence[Problem]) -> tuple[Floats, Floats, Floats, Integers]:
    """All problems one after the other, contrasts ascending, distinct and with trials; offsets[b] is where b starts."""
    columns = [tuple(np.asarray(part, dtype=np.float64) for part in problem) for problem in problems]
    for b, parts in enumerate(columns):
        if len(parts) != 3 or parts[0].ndim != 1 or not parts[0].shape == parts[1].shape == parts[2].shape:
            raise ValueError(f"problem {b} needs three 1-D arrays of one length, got {[part.shape for part in parts]}")
    sizes = np.array([parts[0].size for parts in columns], dtype=np.int64)
    x, n, k = (np.concatenate([parts[i] for parts in columns] or [np.empty(0)]) for i in range(3))
    owner = np.repeat(np.arange(sizes.size), sizes)
    wrong = ~(np.isfinite(x) & np.isfinite(n) & np.isfinite(k) & (k >= 0) & (k <= n))
    if wrong.any():
        raise ValueError(f"problem {owner[wrong][0]} has values that are not finite or n_right outside 0 to n")
    keep = n > 0
    x, n, k, owner = x[keep], n[keep], k[keep], owner[keep]
    same = owner[1:] == owner[:-1]
    if np.any(same & (x[1:] <= x[:-1])):
        order = np.lexsort((x, owner))
        x, n, k, owner = x[order], n[order], k[order], owner[order]
        first = np.flatnonzero(np.r_[True, (owner[1:] != owner[:-1]) | (x[1:] != x[:-1])])
        x, owner, n, k = x[first], owner[first], np.add.reduceat(n, first), np.add.reduceat(k, first)
    offsets = np.searchsorted(owner, np.arange(sizes.size + 1)).astype(np.int64)
    return x, n, k, offsets


def _bounds(box: Box, x: Floats, offsets: Integers) -> tuple[Floats, Floats, Floats]:
    """Lower, upper and start of every problem, shape (n_problems, 4)."""
    size = offsets.size - 1
    filled = np.diff(offsets) > 0
    shown = np.full((3, size), np.nan)
    first, last = offsets[:-1][filled], offsets[1:][filled]
    if filled.any():
        shown[:, filled] = x[first], x[last - 1], np.add.reduceat(x, first) / (last - first)
    edges = []
    for row, values in zip(shown, (box.lower, box.upper, box.start), strict=True):
        edge = np.tile(np.array([0.0 if value is None else value for value in values]), (size, 1))
        if values[0] is None:
            edge[:, 0] = row
        edges.append(edge)
    lower, upper, start = edges
    lower[:, 1] = np.maximum(lower[:, 1], THRESHOLD_FLOOR)
    return lower, upper, np.clip(start, lower, upper)


def _smallest_step(x: Floats, offsets: Integers) -> Floats:
    """Smallest distance of two contrasts in each problem, inf where there are fewer than two."""
    smallest = np.full(offsets.size - 1, np.inf)
    owner = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    inside = owner[1:] == owner[:-1]
    np.minimum.at(smallest, owner[1:][inside], np.diff(x)[inside])
    return smallest
