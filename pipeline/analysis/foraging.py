"""Foraging: how choices follow rewards, by matching over blocks and by regression on the history of trials."""

from dataclasses import dataclass

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import Floats, Integers

__all__ = ["HistoryFit", "Matching", "history_regression", "matching", "runs_of_blocks", "stay_rates"]

LAGS = 5
"""Trials back in the regression on history."""


@dataclass(frozen=True)
class Matching:
    """Generalised matching: log ratio of choices = sensitivity x log ratio of rewards + bias."""

    sensitivity: float  # 1: matching, below: undermatching; NaN with fewer than three points
    bias: Floats  # (n_options - 1,) log (natural) preference over the first option at equal rewards
    n_points: int  # pairs of block and option


@dataclass(frozen=True)
class HistoryFit:
    """Conditional logit of the next choice on earlier choices and rewards."""

    bias: Floats  # (n_options,) log odds; the first is 0
    reward: Floats  # (lags,) weight of a rewarded choice of the same option, the last trial first
    no_reward: Floats  # (lags,) weight of an unrewarded choice of it
    reward_error: Floats  # (lags,) standard error
    no_reward_error: Floats  # (lags,) standard error
    log_likelihood: float  # natural log
    n_trials: int


def runs_of_blocks(*columns: ArrayLike) -> Integers:
    """The number of the block of each trial, from 0: a block ends where one of the columns changes. (n_trials,) int64.

    >>> runs_of_blocks([0.1, 0.1, 0.8, 0.1], [0.8, 0.8, 0.1, 0.8])
    array([0, 0, 1, 2])
    """
    arrays = [np.asarray(column) for column in columns]
    size = len(arrays[0])
    changed = np.zeros(size, dtype=bool)
    for values in arrays:
        differs = values[1:] != values[:-1]
        if values.dtype.kind == "f":
            differs &= ~(np.isnan(values[1:]) & np.isnan(values[:-1]))
        changed[1:] |= differs.astype(bool)
    return np.cumsum(changed)


def matching(choices: ArrayLike, rewarded: ArrayLike, blocks: ArrayLike, n_options: int) -> Matching:
    """Fit the generalised matching law to the blocks of a session, by least squares over blocks and options.

    Counts are raised by 1/2, so that an option that was never chosen or rewarded in a block has a ratio. (With few
    rewards a block this pulls the sensitivity towards 0.)

    Parameters
    ----------
    choices : (n_trials,) array, index of the option from 0, -1 without a choice
    rewarded : (n_trials,) array of bool
    blocks : (n_trials,) array, see `runs_of_blocks`
    n_options : at least 2

    References
    ----------
    Baum (1974), Journal of the Experimental Analysis of Behavior 22: 231-242.

    Examples
    --------
    >>> choices = np.repeat([0, 1, 0, 1, 0, 1], [80, 20, 50, 50, 20, 80])
    >>> law = matching(choices, np.ones(300, bool), np.repeat([0, 1, 2], 100), 2)
    >>> round(law.sensitivity, 6), abs(law.bias.round(6))
    (1.0, array([0.]))
    """
    options_made, won = np.asarray(choices), np.asarray(rewarded) == 1
    number, places = np.unique(np.asarray(blocks), return_inverse=True)
    counts = np.full((2, number.size, n_options), 0.5)
    made = options_made >= 0
    for table, which in zip(counts, (made, made & won), strict=True):
        np.add.at(table, (places[which], options_made[which]), 1)
    log_choice, log_reward = (np.log(table[:, 1:] / table[:, :1]) for table in counts)
    options = np.tile(np.arange(n_options - 1), number.size)
    design = np.column_stack([log_reward.ravel(), options[:, None] == np.arange(n_options - 1)])
    nan = float("nan")
    if len(design) <= n_options or np.linalg.matrix_rank(design) < design.shape[1]:
        return Matching(nan, np.full(n_options - 1, nan), len(design))
    solved = np.linalg.lstsq(design, log_choice.ravel(), rcond=None)[0]
    return Matching(float(solved[0]), solved[1:], len(design))


def stay_rates(choices: ArrayLike, rewarded: ArrayLike) -> tuple[float, float]:
    """How often the choice is repeated after a reward and after none, 0-1; NaN where there are no such trials.

    >>> stay_rates([0, 0, 1, 1, 0], [1, 0, 1, 0, 0])
    (1.0, 0.0)
    """
    chosen, won = np.asarray(choices), np.asarray(rewarded) == 1
    both = (chosen[1:] >= 0) & (chosen[:-1] >= 0)
    stayed, after = (chosen[1:] == chosen[:-1])[both], won[:-1][both]
    rates = [float(stayed[which].mean()) if which.any() else float("nan") for which in (after, ~after)]
    return rates[0], rates[1]


def history_regression(choices: ArrayLike, rewarded: ArrayLike, n_options: int, lags: int = LAGS) -> HistoryFit:
    """Regress each choice on the choices and rewards of the trials before it.

    The log odds of option k are its bias plus, for each lag, `reward` if k was chosen and rewarded then, `no_reward` if
    it was chosen and not rewarded. With two options this is the logistic regression on history; with more it is
    McFadden's conditional logit. A weak Gaussian prior (SD 10) keeps separable data finite.

    Parameters
    ----------
    choices : (n_trials,) array, index of the option from 0, -1 without a choice: such trials are left out, and those
        after them close up
    rewarded : (n_trials,) array of bool
    n_options : at least 2

    References
    ----------
    Lau and Glimcher (2005), Journal of the Experimental Analysis of Behavior 84: 555-579. McFadden (1974), in Frontiers
    in Econometrics, 105-142.

    Examples
    --------
    >>> choices, rewarded = np.tile([0, 0, 1, 1], 50), np.tile([1, 0, 1, 0], 50)
    >>> regression = history_regression(choices, rewarded, 2, lags=1)
    >>> bool(regression.reward[0] > 3), bool(regression.no_reward[0] < -3)
    (True, True)
    """
    made = np.asarray(choices) >= 0
    options, won = np.asarray(choices)[made].astype(np.int64), (np.asarray(rewarded) == 1)[made]
    size, n_bias = options.size - lags, n_options - 1
    nan = np.full(lags, np.nan)
    if size < 4 * (n_bias + 2 * lags):
        return HistoryFit(np.full(n_options, np.nan), nan, nan, nan, nan, float("nan"), max(size, 0))
    chosen = (options[:, None] == np.arange(n_options)).astype(float)
    features = np.zeros((size, n_options, n_bias + 2 * lags))
    features[:, 1:, :n_bias] = np.eye(n_bias)
    for lag in range(1, lags + 1):
        past = slice(lags - lag, options.size - lag)
        features[:, :, n_bias + lag - 1] = chosen[past] * won[past, None]
        features[:, :, n_bias + lags + lag - 1] = chosen[past] * ~won[past, None]
    target, weights, precision = chosen[lags:], np.zeros(features.shape[2]), 0.01
    for _ in range(100):  # Newton's method: the penalised likelihood is concave
        odds = features @ weights
        p = np.exp(odds - scipy.special.logsumexp(odds, axis=1, keepdims=True))
        gradient = np.einsum("nk,nkf->f", target - p, features) - precision * weights
        mean = np.einsum("nk,nkf->nf", p, features)
        hessian = np.einsum("nk,nkf,nkg->fg", p, features, features) - mean.T @ mean + precision * np.eye(weights.size)
        step = np.linalg.solve(hessian, gradient)
        weights = weights + step / max(1.0, float(np.abs(step).max()) / 2)
        if np.abs(step).max() < 1e-10:
            break
    odds = features @ weights
    likelihood = float(np.sum(target * (odds - scipy.special.logsumexp(odds, axis=1, keepdims=True))))
    errors = np.sqrt(np.diag(np.linalg.inv(hessian)))
    parts = slice(n_bias, n_bias + lags), slice(n_bias + lags, None)
    return HistoryFit(
        np.append(0.0, weights[:n_bias]), weights[parts[0]], weights[parts[1]], errors[parts[0]], errors[parts[1]],
        likelihood, size,
    )  # fmt: skip
