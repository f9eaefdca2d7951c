"""How long a mouse will take to be trained, told from its first days: the model, and how well it does.

The method is that of a published figure: a random forest predicts the quartile of the training time from 20 features
of the first five days, judged by 10-fold cross-validation. `judge` does it as published; with `leak_free` the limits of
the quartiles come from the training folds alone, folds are stratified, and importance is measured on mice that the
model has not seen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pipeline.analysis.arrays import Floats, Integers, Numbers

N_FOLDS = 10
N_SHUFFLES = 100
N_TREES = 100
N_CLASSES = 4

PUBLISHED: dict[str, Any] = {
    "mice": 116,
    "f1": 54 / 116,
    "f1_perf_delta1": 46 / 116,
    "f1_first_shuffle": 20 / 116,
    "confusion": ((16, 10, 2, 1), (6, 10, 7, 6), (6, 5, 11, 8), (1, 4, 6, 17)),
    "edges": (9.75, 15.5, 24.0),
    "importance_perf_delta1": 0.075,
}
"""Of the published figure: 116 mice of 11 laboratories."""


@dataclass
class Judgement:
    """How well a model tells the quartile.

    Attributes
    ----------
    names : features of the model.
    classes, predicted : (n,) quartile 1 to 4 of each mouse, true and as told of it by a model that had not seen it.
    probabilities : (n, 4) of each quartile.
    edges : (3,) limits between the quartiles, training days.
    f1 : micro-averaged, which is the fraction that is right.
    shuffled_f1 : (n_shuffles,) with classes permuted among the mice.
    importance : (n_features, n_repeats) by how much F1 falls when a feature is permuted.
    """

    names: list[str]
    classes: Integers
    predicted: Integers
    probabilities: Floats
    edges: Floats
    f1: float
    shuffled_f1: Floats
    importance: Floats

    @property
    def confusion(self) -> Integers:
        """(4, 4) counts, rows the true quartile, columns the predicted one."""
        counts = np.zeros((N_CLASSES, N_CLASSES), dtype=int)
        np.add.at(counts, (self.classes - 1, self.predicted - 1), 1)
        return counts


def quartile_edges(training_time: Numbers) -> Floats:
    """Limits between the quartiles.

    Parameters
    ----------
    training_time : ndarray
        (n,) training days before the mouse was trained.

    Returns
    -------
    ndarray
        (3,) days.
    """
    edges: Floats = np.percentile(np.asarray(training_time, float), [25, 50, 75])
    return edges


def quartiles(training_time: Numbers, edges: Floats) -> Integers:
    """The quartile of each mouse, 1 (fast) to 4; who is on a limit belongs to the lower one.

    Examples
    --------
    >>> quartiles(np.array([3, 5, 8, 13, 21]), np.array([5.0, 8.0, 13.0]))
    array([1, 1, 2, 3, 4])
    """
    return np.searchsorted(edges, np.asarray(training_time, float), side="left") + 1


def judge(
    features: Mapping[str, Numbers],
    training_time: Numbers,
    *,
    seed: int = 0,
    leak_free: bool = False,
    n_shuffles: int = N_SHUFFLES,
    n_repeats: int = 10,
    n_trees: int = N_TREES,
    n_threads: int = 1,
) -> Judgement:
    """Cross-validate the prediction of the quartile.

    Parameters
    ----------
    features : mapping
        Name -> array (n,) without NaN.
    training_time : ndarray
        (n,) training days before the mouse was trained.
    seed : int
        Of forests, folds, shuffles and permutations: the same seed gives the same numbers to the last digit, with any
        number of threads.
    leak_free : bool
        Nothing of a mouse that is judged is known to the model: neither by the limits of the quartiles nor by measuring
        importance on the mice that it was fitted to.
    n_shuffles, n_repeats, n_trees, n_threads : int
        Shuffles of the classes; permutations of each feature; trees of a forest; threads.

    Returns
    -------
    Judgement
        With F1, shuffles and importance.

    Raises
    ------
    ValueError
        Fewer mice than folds, values that are not known, or one training time for all.
    """
    names = sorted(features, key=str)
    days = np.asarray(training_time, float)
    if len(days) < 2 * N_FOLDS:
        raise ValueError(f"{len(days)} trained mice are too few: {N_FOLDS} folds need at least {2 * N_FOLDS}")
    table = np.column_stack([np.asarray(features[name], float) for name in names])
    if not np.isfinite(table).all() or not np.isfinite(days).all():
        raise ValueError("values are missing: leave out those mice")
    edges = quartile_edges(days)
    if len(np.unique(edges)) < len(edges):
        raise ValueError("the training times hardly differ: quartiles cannot be told apart")
    classes = quartiles(days, edges)
    run = partial(_cross_validate, table, days, classes, seed, leak_free, n_trees)
    predicted, probabilities, importance = run(np.arange(len(days)), n_repeats)
    draw = np.random.default_rng(seed)
    orders = [draw.permutation(len(days)) for _ in range(n_shuffles)]

    def shuffled(order: Integers) -> float:
        return float(np.mean(run(order, 0)[0] == classes[order]))

    with ThreadPoolExecutor(n_threads) as pool:
        scores = np.array(list(pool.map(shuffled, orders)))
    if not leak_free:
        importance = _importance_in_sample(table, classes, seed, n_trees, n_repeats)
    score = float(np.mean(predicted == classes))
    return Judgement(names, classes, predicted, probabilities, edges, score, scores, importance)


def forecast(
    features: Mapping[str, Numbers],
    training_time: Numbers,
    new: Mapping[str, Numbers],
    *,
    seed: int = 0,
    n_trees: int = N_TREES,
) -> Floats:
    """The probability of each quartile for mice that are not trained yet.

    Parameters
    ----------
    features, training_time : mapping, ndarray
        Of the trained mice, as `judge` takes them.
    new : mapping
        The same features of the others, (m,).

    Returns
    -------
    ndarray
        (m, 4) probabilities, as the share of trees.
    """
    names = sorted(features)
    table = np.column_stack([np.asarray(features[name], float) for name in names])
    others = np.column_stack([np.asarray(new[name], float) for name in names])
    classes = quartiles(training_time, quartile_edges(training_time))
    return _probabilities(_fitted(table, classes, seed, n_trees), others)


def _cross_validate(
    table: Floats, days: Floats, classes: Integers, seed: int, leak_free: bool, n_trees: int,
    order: Integers, n_repeats: int,
) -> tuple[Integers, Floats, Floats]:  # fmt: skip
    """Predicted quartiles, their probabilities, and (leak-free) the importance of features on held-out mice.

    `order` permutes the training times among the mice.
    """
    from sklearn.model_selection import KFold, StratifiedKFold

    days, labels = days[order], classes[order]
    predicted = np.zeros(len(days), dtype=int)
    probabilities = np.zeros((len(days), N_CLASSES))
    lost = np.zeros((table.shape[1], n_repeats))
    fewest = int(np.unique(labels, return_counts=True)[1].min())
    n_folds = max(2, min(N_FOLDS, fewest)) if leak_free else N_FOLDS
    is_stratified = leak_free and fewest > 1  # a quartile of one mouse cannot be in every fold
    folds: Any = (StratifiedKFold if is_stratified else KFold)(n_folds, shuffle=True, random_state=seed)
    draw = np.random.default_rng([seed, 1])
    for train, test in folds.split(table, labels):
        known = quartiles(days[train], quartile_edges(days[train])) if leak_free else labels[train]
        model = _fitted(table[train], known, seed, n_trees)
        probabilities[test] = _probabilities(model, table[test])
        predicted[test] = model.predict(table[test])
        if leak_free and n_repeats:
            right = np.sum(predicted[test] == labels[test])
            lost += right - _right_when_permuted(model.predict, table[test], labels[test], draw, n_repeats)
    return predicted, probabilities, lost / len(days)


def _importance_in_sample(table: Floats, classes: Integers, seed: int, n_trees: int, n_repeats: int) -> Floats:
    """As published: of a model that is scored on the mice that it was fitted to, where it is always right."""
    model = _fitted(table, classes, seed, n_trees)
    right = np.sum(model.predict(table) == classes)
    draw = np.random.default_rng([seed, 2])
    lost: Floats = (right - _right_when_permuted(model.predict, table, classes, draw, n_repeats)) / len(classes)
    return lost


def _right_when_permuted(
    predict: Callable[[Floats], Integers], table: Floats, labels: Integers, draw: np.random.Generator,
    n_repeats: int,
) -> Integers:  # fmt: skip
    """(n_features, n_repeats) how many are right when one feature is permuted, predicted in one call."""
    n, n_features = table.shape
    stack = np.broadcast_to(table, (n_features, n_repeats, n, n_features)).copy()
    for feature in range(n_features):
        for repeat in range(n_repeats):
            stack[feature, repeat, :, feature] = draw.permutation(table[:, feature])
    said = predict(stack.reshape(-1, n_features)).reshape(n_features, n_repeats, n)
    n_right: Integers = np.sum(said == labels, axis=2)
    return n_right


def _fitted(table: Floats, classes: Integers, seed: int, n_trees: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_trees, random_state=seed).fit(table, classes)


def _probabilities(model: Any, table: Floats) -> Floats:
    probabilities = np.zeros((len(table), N_CLASSES))
    probabilities[:, np.asarray(model.classes_, int) - 1] = model.predict_proba(table)
    return probabilities
