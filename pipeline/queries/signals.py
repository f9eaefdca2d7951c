"""Signals around events, from the files of a session: analogue channels, features of cameras, pupil, breathing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.analysis.aligned import AlignedSignal, AlignedTrials, align, average
from pipeline.electrophysiology import peths as peth_store
from pipeline.errors import InvalidData, UserError
from pipeline.schemas import acquisition, data, selection
from pipeline.schemas.inputs import events as event_series
from pipeline.schemas.inputs import files, local_copies, series

LIKELY = 0.9
"""Positions of a feature with a smaller likelihood are not known."""

_TIMES = ("times", "timestamps")
_NO_SIGNALS = (event_series.NOT_EVENTS - {"wheel"}) | {"trials"}
_MOST_COLUMNS = 64  # of an array that are listed


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


def list_signals(key: Mapping[str, Any]) -> list[str]:
    """The signals of a session that `read_signal` reads, by name: columns of objects that have times of samples.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored)
    """
    session = {name: key[name] for name in acquisition.Session.primary_key}
    datasets = (data.Dataset & session & {"default_dataset": True}).to_dicts(order_by="rel_path")
    timed = {row["alf_object"] for row in datasets if row["alf_attribute"] in _TIMES}
    names: list[str] = []
    for row in datasets:
        name = f"{row['alf_object']}.{row['alf_attribute']}"
        if row["alf_object"] not in timed - _NO_SIGNALS or row["alf_attribute"] in (*_TIMES, "intervals"):
            continue
        if row["extension"] in ("npy", "pqt", "parquet"):
            with contextlib.suppress(InvalidData, OSError, ValueError):
                names += _columns(local_copies.path_of(key, row["rel_path"]), name)
    return list(dict.fromkeys(names))


def signal_trials(
    key: Mapping[str, Any],
    signal: str,
    event: str = "stim_on",
    split: str | Sequence[str] | np.ndarray | None = None,
    window: tuple[float, float] = (-0.5, 1.0),
    step: float = 0.01,
    condition: str | None = None,
    likelihood: float = LIKELY,
) -> AlignedTrials:
    """A signal around the event of each trial, a row a trial, to be shown beside the spikes of `neurojoint.raster`.

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
    labels = np.full(len(events), "all") if split is None else peth_store.labels_of(rows, split)
    lags, aligned = align(*read_signal(key, signal, likelihood), events, window, step)
    return AlignedTrials(lags, aligned, np.where(np.isfinite(events), labels, ""))


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
    """Average of a signal around an event, with its standard error; parameters and errors as in `signal_trials`."""
    trials = signal_trials(key, signal, event, split, window, step, condition, likelihood)
    return average(trials.values, trials.times, trials.conditions)


def _columns(path: Path, name: str) -> list[str]:
    """The names of the signals in one file, from its head."""
    if path.suffix == ".npy":
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = head(file)
        if dtype.kind not in "biuf" or not 1 <= len(shape) <= 2:
            return []
        several = len(shape) == 2 and 1 < shape[1] <= _MOST_COLUMNS
        return [f"{name}.{column}" for column in range(shape[1])] if several else [name] * (len(shape) == 1)
    schema = pq.read_schema(path)
    numbers = [field.name for field in schema if pa.types.is_floating(field.type) or pa.types.is_integer(field.type)]
    return [f"{name}.{one}" for one in numbers if not one.endswith("_likelihood") and not one.startswith("__")]


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
