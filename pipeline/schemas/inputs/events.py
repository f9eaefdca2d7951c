"""Events of any ALF object: what has `times`, `*_times` or `intervals` is a series that analyses align to.

A series is called `object.attribute`, e.g. `licks.times`, `opto.intervals` (its starts), `opto.intervals_1` (its ends),
`odourTrials.odourOn_times`. Each row of the object is an event, and all its columns can choose and split events.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from pipeline.alf.aliases import heading
from pipeline.database import registry
from pipeline.errors import InvalidData, UserError
from pipeline.schemas.inputs import files

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")

__all__ = ["Series", "is_event", "read", "rows_of", "series_of"]

NOT_EVENTS = frozenset({"spikes", "clusters", "templates", "waveforms", "channels", "ephysData_raw", "wheel"})
"""Objects that have a `times` of samples or spikes, which are no events to align to."""


class Series(NamedTuple):
    """The events of one series, and the rows of the object that they belong to."""

    times: np.ndarray  # (n,) s from session start, NaN where an event did not happen
    columns: dict[str, np.ndarray]  # every column of the object, (n, …); text as objects
    fingerprint: str  # of the files


def is_event(name: str) -> bool:
    """Whether this is the name of a series of an ALF object, not of a column of `trials`.

    >>> is_event("licks.times"), is_event("stim_on")
    (True, False)
    """
    return "." in name


def series_of(key: Mapping[str, Any]) -> list[str]:
    """The series of events that a session has, apart from those of `trials`.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored)
    """
    session = {name: key[name] for name in acquisition.Session.primary_key}
    series: list[str] = []
    for row in (data.AlfObject & session & "accepted_columns <> ''").to_dicts(order_by="object_name"):
        name, attributes = row["object_name"], [part for part in row["accepted_columns"].split(",") if part]
        if name in NOT_EVENTS or name == "trials" or name.endswith("Camera"):
            continue
        if "table" in attributes:
            attributes += list(_table(session, name, row["object_collection"]))
        series += [f"{name}.{attribute}" for attribute in dict.fromkeys(attributes) if _is_times(attribute)]
    return sorted(set(series))


def rows_of(key: Mapping[str, Any], alf_object: str, collection: str | None = None) -> dict[str, np.ndarray]:
    """Every column of an object that has a row for each event, e.g. `opto` or `passiveGabor`: column -> (n, …) array.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored)
    alf_object : its name
    collection : folder below the session; by default `alf`, then the first by name

    Raises
    ------
    InvalidData : the session has no such object, or its files are not as they were registered.
    """
    contents = files.read_object(key, alf_object, collection=collection, with_other=True)
    columns = dict(contents.values)
    for name, values in contents.other_values.items():
        if name == "intervals" and values.ndim == 2 and values.shape[1] == 2:
            columns |= {"intervals_0": values[:, 0], "intervals_1": values[:, 1]}
        else:
            columns[name] = values
    if "table" in contents.other:
        columns |= _table(key, alf_object, contents.collection)
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:  # attributes of other things than events: those of the most frequent length are the rows
        sizes = [len(values) for values in columns.values()]
        usual = max(sorted(lengths), key=sizes.count)
        columns = {name: values for name, values in columns.items() if len(values) == usual}
    return columns


def read(key: Mapping[str, Any], name: str) -> Series:
    """A series of events of a session.

    Parameters
    ----------
    key : primary key of the session (other entries are ignored)
    name : `object.attribute`

    Raises
    ------
    UserError : the session has no such series; the message lists those it has.
    """
    alf_object, _, attribute = name.partition(".")
    try:
        columns = rows_of(key, alf_object)
    except InvalidData as error:
        if error.reason != "missing":
            raise
        columns = {}
    column = "intervals_0" if attribute == "intervals" else attribute
    if column not in columns or not _is_times(attribute):
        listed = ", ".join(series_of(key)) or "none"
        raise UserError(f"the session has no series of events {name!r} (it has: {listed})", "choose another event")
    times = np.asarray(columns[column], dtype=np.float64)
    if times.ndim != 1:
        raise UserError(f"{name} has shape {times.shape}, and events have one time each", "choose another event")
    session = {item: key[item] for item in acquisition.Session.primary_key}
    rows = (data.AlfObject & session & {"object_name": alf_object}).to_arrays("object_fingerprint")
    return Series(times, columns, "".join(sorted(str(row).strip() for row in rows)))


def _is_times(attribute: str) -> bool:
    return attribute in ("times", "intervals", "intervals_0", "intervals_1") or attribute.endswith("_times")


def _table(key: Mapping[str, Any], alf_object: str, collection: str) -> dict[str, np.ndarray]:
    """The columns of the table of an object."""
    frame = files.read_attribute(key, alf_object, "table", collection)
    columns: dict[str, np.ndarray] = {}
    for name in frame.columns:
        values = frame[name].to_numpy()
        if values.dtype.kind not in "bfiu":  # text: a missing one is None, as in `behavior.fetch_trials`
            given, values = values.tolist(), np.empty(len(values), object)
            values[:] = [None if value is None or value != value else value for value in given]
        columns[heading(alf_object, str(name))] = values
    return columns
