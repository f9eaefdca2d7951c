"""Psychometric curves on any axis, by the name of their function: erf, logistic, Gumbel; two lapses or a guess rate.

The curves of the IBL task, in percent contrast and by its published bounds, are in `psychometrics`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Booleans, Floats

__all__ = ["FUNCTIONS", "PARAMETERS", "Curve", "axis_positions", "evaluate", "fit", "level_at"]

PARAMETERS = ("centre", "width", "lapse_low", "lapse_high")


class Rise(NamedTuple):
    """How a curve rises from 0 to 1."""

    value: Callable[[Floats], Floats]
    slope: Callable[[Floats], Floats]


FUNCTIONS: dict[str, Rise] = {
    "erf": Rise(lambda z: (scipy.special.erf(z) + 1) / 2, lambda z: np.exp(-(z**2)) / np.sqrt(np.pi)),
    "logistic": Rise(lambda z: scipy.special.expit(z), lambda z: scipy.special.expit(z) * scipy.special.expit(-z)),
    "gumbel": Rise(
        lambda z: -np.expm1(-np.exp(np.minimum(z, 50.0))),
        lambda z: np.exp(np.minimum(z, 50.0) - np.exp(np.minimum(z, 50.0))),
    ),
}
"""Name -> how the curve rises, by (position - centre) / width. Gumbel on a log axis is Weibull's function."""

MOST_LAPSE = 0.5
"""Lapses beyond this would be another curve."""


@dataclass(frozen=True)
class Curve:
    """A fitted curve; NaN where there were fewer than two levels with trials."""

    function: str
    centre: float  # position at the middle of the rise (of Gumbel: where it has risen by 1 - 1/e)
    width: float  # of the rise, in the unit of the positions; negative: the curve falls
    lapse_low: float  # what it tends to on its low side, 0-1; the guess rate where that was given
    lapse_high: float  # 1 - what it tends to on its high side, 0-1
    standard_errors: tuple[float, float, float, float]  # NaN on a bound, and where there is no information
    log_likelihood: float  # binomial, natural log, without the coefficients
    identifiable: bool  # the data determine centre and width

    @property
    def parameters(self) -> tuple[float, float, float, float]:
        """(centre, width, lapse_low, lapse_high)."""
        return self.centre, self.width, self.lapse_low, self.lapse_high


def axis_positions(levels: ArrayLike, scale: str = "linear", reference: float | None = None) -> Floats:
    """Where levels lie on the axis of a curve: their difference from the reference, or octaves from it.

    Parameters
    ----------
    levels : (n,) array; on a log scale levels of 0 and below are NaN
    scale : `linear` or `log`
    reference : by default 0 on a linear axis, 1 on a log axis

    Examples
    --------
    >>> axis_positions([2000, 4000, 16000], "log", 4000)
    array([-1.,  0.,  2.])
    """
    levels = np.asarray(levels, dtype=np.float64)
    if scale == "log":
        positive = np.where(levels > 0, levels, np.nan)
        return np.log2(positive / (1.0 if reference is None else reference))
    return levels - (0.0 if reference is None else reference)


def level_at(position: float, scale: str = "linear", reference: float | None = None) -> float:
    """The level at a position: the inverse of `axis_positions`.

    >>> level_at(-1.0, "log", 4000)
    2000.0
    """
    if scale == "log":
        return float(2.0**position * (1.0 if reference is None else reference))
    return float(position + (0.0 if reference is None else reference))


def evaluate(
    position: ArrayLike, centre: float, width: float, lapse_low: float, lapse_high: float, function: str = "erf"
) -> Floats:
    """Probability at each position: ``lapse_low + (1 - lapse_low - lapse_high) * F((position - centre) / width)``.

    Wichmann and Hill (2001), Perception & Psychophysics 63: 1293-1313, equation 1.

    >>> evaluate([-100.0, 0.0, 100.0], 0.0, 1.0, 0.1, 0.05, "logistic")
    array([0.1  , 0.525, 0.95 ])
    """
    z = (np.asarray(position, dtype=np.float64) - centre) / width
    return lapse_low + (1 - lapse_low - lapse_high) * FUNCTIONS[function].value(z)


def fit(
    positions: ArrayLike, n: ArrayLike, n_yes: ArrayLike, function: str = "erf", guess: float | None = None
) -> Curve:
    """The curve of highest binomial likelihood; the same result every time.

    Both directions of the curve are tried, from the best places of a grid; centre within the levels shown, width
    between a hundredth of their range and three times it, lapses at most `MOST_LAPSE`.

    Parameters
    ----------
    positions : (k,) array, see `axis_positions`; NaN and levels without trials are left out
    n, n_yes : (k,) arrays, trials and those with the choice in question
    function : one of `FUNCTIONS`
    guess : the rate of correct guesses, 1 / number of alternatives: then the curve cannot fall and starts from there

    Raises
    ------
    ValueError
        If the function is unknown, lengths differ, or `n_yes` is not between 0 and `n`.

    Examples
    --------
    >>> curve = fit([-2, -1, 0, 1, 2], [1000] * 5, [76, 223, 500, 777, 924], "logistic")
    >>> abs(round(curve.centre, 2)), round(abs(curve.width), 1), curve.identifiable
    (0.0, 0.8, True)
    """
    if function not in FUNCTIONS:
        raise ValueError(f"there is no curve {function!r}; choose from {', '.join(FUNCTIONS)}")
    x, total, yes = (np.asarray(values, dtype=np.float64) for values in (positions, n, n_yes))
    if not x.shape == total.shape == yes.shape or x.ndim != 1:
        raise ValueError(f"levels and counts must be 1-D and alike, got {x.shape}, {total.shape} and {yes.shape}")
    if np.any((yes < 0) | (yes > total)):
        raise ValueError("n_yes must lie between 0 and n")
    known = np.isfinite(x) & (total > 0)
    x, total, yes = x[known], total[known], yes[known]
    if np.unique(x).size < 2:
        nan = float("nan")
        return Curve(function, nan, nan, nan, nan, (nan,) * 4, nan, False)
    low, extent = float(x.min()), float(np.ptp(x))
    lapse = (0.0, MOST_LAPSE) if guess is None else (guess, guess)
    bounds = [(0.0, 1.0), (np.log(0.01), np.log(3.0)), lapse, (0.0, MOST_LAPSE)]

    def loss(values: Floats, sign: float) -> tuple[float, Floats]:
        centre, width = low + values[0] * extent, sign * np.exp(values[1]) * extent
        p = np.clip(evaluate(x, centre, width, values[2], values[3], function), 1e-9, 1 - 1e-9)
        by_p = (total - yes) / (1 - p) - yes / p
        slopes = _slopes(x, centre, width, values[2], values[3], function) * [extent, width, 1.0, 1.0]
        return -float(np.sum(scipy.special.xlogy(yes, p) + scipy.special.xlog1py(total - yes, -p))), by_p @ slopes

    climb = scipy.optimize.minimize
    first = (0.04 if guess is None else guess, 0.04)
    grid = [np.array([c, np.log(w), *first]) for c in np.linspace(0, 1, 11) for w in (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)]
    fits = []
    for sign in (1.0, -1.0) if guess is None else (1.0,):
        order = np.argsort([loss(item, sign)[0] for item in grid], kind="stable")
        starts = [grid[place] for place in order[:2]]
        fits += [
            (climb(loss, start, (sign,), "L-BFGS-B", True, bounds=bounds, options={"ftol": 1e-12}), sign)
            for start in starts
        ]
    best, sign = min(fits, key=lambda pair: pair[0].fun)
    centre, width = low + best.x[0] * extent, sign * float(np.exp(best.x[1])) * extent
    values = np.array([centre, width, best.x[2], best.x[3]])
    free = np.array(
        [
            high - edge > 1e-9 and edge + 1e-6 < one < high - 1e-6
            for one, (edge, high) in zip(best.x, bounds, strict=True)
        ]
    )
    errors = _standard_errors(values, free, x, total, function)
    identifiable = bool(
        free[:2].all()
        and np.unique(x).size >= 3 + (guess is None)
        and np.isfinite(errors[:2]).all()
        and errors[1] < abs(width)
    )
    return Curve(
        function, float(centre), float(width), float(values[2]), float(values[3]), tuple(errors.tolist()),
        -float(best.fun), identifiable,
    )  # fmt: skip


def _slopes(x: Floats, centre: float, width: float, low: float, high: float, function: str) -> Floats:
    """Derivatives of the curve by its parameters, (k, 4)."""
    rise, z = FUNCTIONS[function], (x - centre) / width
    by_centre = -(1 - low - high) * rise.slope(z) / width
    return np.column_stack([by_centre, by_centre * z, 1 - rise.value(z), -rise.value(z)])


def _standard_errors(values: Floats, free: Booleans, x: Floats, n: Floats, function: str) -> Floats:
    """From the expected Fisher information of the parameters that lie on no bound."""
    errors = np.full(4, np.nan)
    if not free.any():
        return errors
    centre, width, low, high = values.tolist()
    slopes = _slopes(x, centre, width, low, high, function)[:, free]
    p = np.clip(evaluate(x, centre, width, low, high, function), 1e-9, 1 - 1e-9)
    information = slopes.T @ (slopes * (n / (p * (1 - p)))[:, None])
    if np.linalg.cond(information) < 1e12:
        errors[free] = np.sqrt(np.diag(np.linalg.inv(information)))
    return errors
