"""The features of the first days of training, from which the training time is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.analysis.arrays import Floats, Integers, Numbers

N_DAYS = 5


FEATURES: dict[str, str] = {
    "age_start": "Age",
    "air_pressure_mb": "Air pressure",
    "delta_variance": "Steadiness of improvement",
    "disp_norm": "Turning in one direction",
    "food": "Protein in the food",
    "light": "Inverted light cycle",
    "moves_time": "Wheel movement",
    "perf_delta1": "Task performance change",
    "perf_init": "Initial performance",
    "relative_humidity": "Humidity",
    "RT_delta1": "Reaction time change",
    "RT_init": "Initial reaction time",
    "sex": "Sex",
    "temperature_c": "Temperature",
    "trials_delta1": "Trial count change",
    "trials_init": "Initial trial count",
    "trials_sum": "Trials in five days",
    "weekend_water": "Weekend water",
    "weight_loss": "Weight loss",
    "weight_start": "Initial weight",
}
"""Name -> what axes call it, in alphabetical order, in which the model sees them."""


LATE = ("temperature_c", "air_pressure_mb", "relative_humidity", "weekend_water")
"""As published these are taken up to the day on which the mouse was trained, which nobody knows after five days."""


def first_days(
    mouse: Integers, day: Integers, values: Mapping[str, Numbers], n_days: int = N_DAYS
) -> dict[str, Floats]:
    """The features that come from the first days of training.

    Parameters
    ----------
    mouse : ndarray
        (n,) index of the mouse of each day, from 0.
    day : ndarray
        (n,) day of training, from 1.
    values : mapping
        Arrays (n,): `performance_easy` (0-1), `reaction_time` (s, where the contrast is at least 0.5), `n_trials`,
        and, where known, `disp_norm` (net over whole path of the wheel, 0-1), `moves_time` (path of the wheel over the
        duration of the session, rad/s), `temperature_c`, `air_pressure_mb`, `relative_humidity`.

    Returns
    -------
    dict
        Feature -> array (n_mice,); NaN where a day is missing.
    """
    n_mice = int(mouse.max()) + 1 if len(mouse) else 0
    grid = {}
    keep = (day >= 1) & (day <= n_days)
    for name, column in values.items():
        table = np.full((n_mice, n_days), np.nan)
        table[mouse[keep], day[keep].astype(int) - 1] = np.asarray(column, float)[keep]
        grid[name] = table
    features = {}
    for prefix, name in (("perf", "performance_easy"), ("RT", "reaction_time"), ("trials", "n_trials")):
        features[f"{prefix}_init"] = grid[name][:, 0]
        features[f"{prefix}_delta1"] = grid[name][:, -1] - grid[name][:, 0]
    features["trials_sum"] = grid["n_trials"].sum(axis=1)
    features["delta_variance"] = np.sign(np.diff(grid["performance_easy"], axis=1)).mean(axis=1)
    for name in ("disp_norm", "moves_time"):
        features[name] = _mean(grid[name]) if name in grid else np.full(n_mice, np.nan)
    for name in ("temperature_c", "air_pressure_mb", "relative_humidity"):
        features[name] = _median(grid[name]) if name in grid else np.full(n_mice, np.nan)
    return features


def usable(features: Mapping[str, Numbers], required: Sequence[str] = ("perf_delta1",)) -> list[str]:
    """The features that a model can use: those that are known of at least nine in ten mice that have the required ones,
    and that differ between them.

    Examples
    --------
    >>> usable({"perf_delta1": np.array([0.1, 0.2]), "sex": np.array([np.nan, 1]), "light": np.array([1.0, 1])})
    ['perf_delta1']
    """
    base = np.all([np.isfinite(features[name]) for name in required], axis=0)
    names = []
    for name in sorted(features):
        values = np.asarray(features[name], float)[base]
        known = values[np.isfinite(values)]
        if len(values) and len(known) >= 0.9 * len(values) and len(np.unique(known)) > 1:
            names.append(name)
    return names


def _mean(table: Floats) -> Floats:
    known = np.isfinite(table)
    total = np.where(known, table, 0).sum(axis=1)
    mean: Floats = np.divide(total, known.sum(axis=1), out=np.full(len(table), np.nan), where=known.any(axis=1))
    return mean


def _median(table: Floats) -> Floats:
    medians = np.full(len(table), np.nan)
    rows = np.isfinite(table).any(axis=1)
    medians[rows] = np.nanmedian(table[rows], axis=1)
    return medians
