"""What a lab is told of the training time of its mice, those in training among them, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.analysis.arrays import Floats, Integers, Numbers
from pipeline.analysis.early_training import usable
from pipeline.analysis.training_time import N_CLASSES, N_FOLDS, N_TREES, forecast, judge, quartile_edges

FEWEST_MICE = 40
"""Below so many trained mice a forecast is not worth its name."""


@dataclass
class LabForecast:
    """What is told of the mice of one lab.

    Attributes
    ----------
    names, n_mice, edges : features and number of the trained mice, limits between their quartiles (days).
    mice : (m,) indices of the mice of whom something is told.
    probabilities : (m, 4) of each quartile; of trained mice by models that have not seen them.
    quartiles : (m,) the true ones; 0 of mice that are not trained.
    f1, chance : cross-validated, with true and with permuted quartiles; None with too few mice.
    """

    names: list[str]
    n_mice: int
    edges: Floats
    mice: Integers
    probabilities: Floats
    quartiles: Integers
    f1: float | None = None
    chance: float | None = None


def forecast_lab(
    features: Mapping[str, Numbers], training_time: Numbers, *, seed: int = 0, n_trees: int = N_TREES
) -> LabForecast:
    """Tell the quartile of every mouse of a lab from its trained mice.

    Parameters
    ----------
    features : mapping
        Name -> (n,), of the first five days; NaN where it is not known.
    training_time : ndarray
        (n,) training days before the mouse was trained; NaN of those that are not.

    Returns
    -------
    LabForecast
        Without mice where fewer than 20 are trained, or where their times hardly differ.
    """
    days = np.asarray(training_time, float)
    trained = np.isfinite(days)
    chosen = usable({name: values[trained] for name, values in features.items()}) if trained.any() else []
    known = np.all([np.isfinite(features[name]) for name in chosen], axis=0) if chosen else np.zeros(len(days), bool)
    train, others = np.flatnonzero(known & trained), np.flatnonzero(known & ~trained)
    empty = LabForecast([], len(train), np.empty(0), np.empty(0, int), np.empty((0, N_CLASSES)), np.empty(0, int))
    if len(train) < 2 * N_FOLDS or len(np.unique(quartile_edges(days[train]))) < N_CLASSES - 1:
        return empty
    table = {name: np.asarray(features[name], float) for name in chosen}
    judged = judge(
        {name: values[train] for name, values in table.items()}, days[train],
        seed=seed, leak_free=True, n_shuffles=3, n_repeats=0, n_trees=n_trees,
    )  # fmt: skip
    told = np.empty((0, N_CLASSES))
    if len(others):
        told = forecast(
            {name: values[train] for name, values in table.items()}, days[train],
            {name: values[others] for name, values in table.items()}, seed=seed, n_trees=n_trees,
        )  # fmt: skip
    return LabForecast(
        chosen, len(train), judged.edges, np.concatenate([train, others]),
        np.concatenate([judged.probabilities, told]), np.concatenate([judged.classes, np.zeros(len(others), int)]),
        judged.f1, float(judged.shuffled_f1.mean()),
    )  # fmt: skip


def sentence(probabilities: Sequence[float], edges: Sequence[float], n_mice: int, f1: float | None) -> str:
    """What a page says of one mouse.

    Examples
    --------
    >>> print(sentence([0.6, 0.2, 0.1, 0.1], [9.75, 15.5, 24], 116, 0.47))  # doctest: +NORMALIZE_WHITESPACE
    Probably among the fastest quarter: up to 9 days of training until trained (60 %). In cross-validation 47 % of 116
    trained mice of the lab were told right; chance is 25 %.
    >>> sentence([0.2, 0.6, 0.1, 0.1], [9.75, 15.5, 24], 116, 0.47)[:71]
    'Probably among the second quarter: 10 to 15 days of training until trai'
    """
    best = int(np.argmax(probabilities))
    last = [int(np.floor(edge)) for edge in edges]  # whole days, and the limit belongs to the faster quarter
    bounds = [f"up to {last[0]}", f"{last[0] + 1} to {last[1]}", f"{last[1] + 1} to {last[2]}", f"more than {last[2]}"]
    which = ("fastest", "second", "third", "slowest")[best]
    said = f"Probably among the {which} quarter: {bounds[best]} days of training until trained"
    said += f" ({100 * probabilities[best]:.0f} %)."
    said += f" In cross-validation {100 * (f1 or 0):.0f} % of {n_mice} trained mice of the lab were told right; "
    said += "chance is 25 %."
    if n_mice < FEWEST_MICE:
        said += " So few mice make this a guess."
    return said
