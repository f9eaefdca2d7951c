"""Signals around events, from the files of a session: analogue channels, features of cameras, pupil, breathing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.analysis.aligned import AlignedSignal, align, average
from pipeline.electrophysiology import peths as peth_store
from pipeline.errors import InvalidData, UserError
from pipeline.schemas import selection
from pipeline.schemas.inputs import files, series

LIKELY = 0.9
"""Positions of a feature with a smaller likelihood are not known."""


def read_signal(key: Mapping[str, Any], name: str, likelihood: float = LIKELY) -> tuple[np.ndarray, np.ndarray]:
    """Times (s from session start, ascending) and values of a signal of a session.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored)
    name : `object.attribute`, e.g. `breathing.voltage`; of a table `object.attribute.column`, e.g.
        `leftCamera.dlc.nose_x`
    likelihood : values whose column `<feature>_likelihood` is smaller are NaN

    Raises
    ------
    UserError : the name does not say a signal of one dimension.
    InvalidData : the session does not have it, or not its times.
    """
    alf_object, _, rest = name.partition(".")
    attribute, _, column = rest.partition(".")
    if not attribute:
        raise UserError(f"{name!r} is no signal", "write object.attribute, e.g. breathing.voltage")
    content = files.read_attribute(key, alf_object, attribute)
    if hasattr(content, "columns"):
        if column not in content.columns:
            listed = ", ".join(str(item) for item in content.columns if not str(item).endswith("_likelihood"))
            raise UserError(f"{alf_object}.{attribute} has no column {column!r}", f"choose from {listed}")
        values = content[column].to_numpy(dtype=np.float64).copy()
        feature = f"{column.rpartition('_')[0]}_likelihood"
        if feature in content.columns and feature != column:
            values[~(content[feature].to_numpy(dtype=np.float64) >= likelihood)] = np.nan
    else:
        values = np.asarray(content, dtype=np.float64)
        if values.ndim == 2 and (values.shape[1] == 1 or column.isdigit()):
            values = values[:, int(column or 0)]
    if values.ndim != 1:
        raise UserError(f"{name} has shape {values.shape}", "name one column by its number, e.g. object.attribute.0")
    times = _times(key, alf_object, len(values))
    used = np.isfinite(times)
    used[1:] &= np.diff(np.fmax.accumulate(times)) > 0
    return times[used], values[used]


def signal_average(
    key: Mapping[str, Any],
    signal: str,
    event: str = "stim_on",
    split: str | Sequence[str] | np.ndarray | None = None,
    window: tuple[float, float] = (-0.5, 1.0),
    step: float = 0.01,
    condition: str | None = None,
    likelihood: float = LIKELY,
) -> AlignedSignal:
    """Average of a signal around an event, with its standard error.

    Parameters
    ----------
    key : primary key of the session; with `task_collection` where it has several tasks
    signal, likelihood : as in `read_signal`
    event, split, condition : as in `neurojoint.peths`
    window : s from the event
    step : s

    Raises
    ------
    NeurojointError : the session lacks the signal, the event or the columns of split and condition.
    """
    source = peth_store.aligned(key, event)
    rows, events = source.columns(), np.array(source.times(), dtype=np.float64)
    if condition is not None:
        events[~selection.TrialCondition.read(condition).holds(rows)] = np.nan
    labels = None if split is None else peth_store.labels_of(rows, split)
    lags, aligned = align(*read_signal(key, signal, likelihood), events, window, step)
    return average(aligned, lags, labels)


def _times(key: Mapping[str, Any], alf_object: str, n: int) -> np.ndarray:
    """The times of the samples, from `times` or `timestamps`."""
    try:
        times = np.ravel(files.read_attribute(key, alf_object, "times")).astype(np.float64)
    except InvalidData as error:
        if error.reason != "missing":
            raise
        return series.read_times(key, alf_object, n)
    if len(times) < n:
        raise UserError(f"{alf_object} has {n} samples, but {len(times)} times", "see what the quarantine says of it")
    return times[:n]
