"""The raw recordings of an insertion: where their channels lie, their clocks, and pieces of them by session time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pipeline.analysis.clocks import Clock
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology import clocks, clusterings
from pipeline.electrophysiology.clusterings import parsed
from pipeline.errors import InvalidData, NeurojointError
from pipeline.schemas.inputs import files, local_copies

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")
ephys = registry.tables_of("ephys")

SNIPPET = 0.04
"""Length of a snippet of which only the middle is given, s."""
MAP = {"channels": "map_channels", "lateral": "map_lateral", "axial": "map_axial", "shank": "map_shank"}


def channel_map(insertion: Mapping[str, Any]) -> dict[str, list] | None:
    """The map of the AP recording of an insertion, else of its LF recording; None where no header gave one.

    Returns
    -------
    `channels` (as acquired), `lateral` and `axial` (um), `shank` (from 0) of each column of the file.
    """
    key = {name: insertion[name] for name in ephys.ProbeInsertion.primary_key}
    query = ephys.ChannelMap * ephys.Recording.proj("band", *key) & key
    rows = fetch_columns(query, "band", "dataset_id", *MAP.values(), order_by="band, dataset_id").to_pylist()
    return {name: parsed(rows[0][column]) for name, column in MAP.items()} if rows else None


def clock(recording: Mapping[str, Any]) -> Clock:
    """The clock of a recording: `convert` turns its samples into s from session start, `invert` the other way round.

    That of `ephys.SessionClock`; while that is not computed, of the timestamps file beside it, else its sampling rate.

    Parameters
    ----------
    recording : a mapping with `dataset_id`.

    Raises
    ------
    NeurojointError : there is no such recording.
    """
    chosen = {"dataset_id": recording["dataset_id"]}
    if rows := (ephys.SessionClock.Stream & chosen).to_dicts():
        return Clock(rows[0]["clock_samples"], rows[0]["clock_times"])
    matching = (ephys.Recording.proj("sampling_rate") * data.Dataset & chosen).to_dicts()
    if not matching:
        raise NeurojointError(f"there is no recording {chosen['dataset_id']}", "run `neurojoint ingest`")
    try:
        beside = clocks.timestamps_path(local_copies.path_of(matching[0], matching[0]["rel_path"]))
    except InvalidData:
        return Clock.uniform(matching[0]["sampling_rate"])
    rate = matching[0]["sampling_rate"]
    return clocks.from_file(beside, rate) if beside.is_file() else Clock.uniform(rate)


def sync_events(
    session: Mapping[str, Any], collection: str | None = None, line: int | str | None = None
) -> dict[str, np.ndarray]:
    """The changes of the digital lines of a session in order of time, all of its NIDQ or OneBox.

    From `ephys.SessionClock`, where the recording was decoded; else from the `sync` object of the files (`times`,
    `channels`, `polarities`), as extractors write it, also where the raw recording is not here.

    Parameters
    ----------
    session : a mapping with the primary key of the session.
    collection : folder of the sync object; by default that of the auxiliary channels, `raw_ephys_data`.
    line : only this one, by its number or its name (`line_name` of ephys.SessionClock.Line).

    Returns
    -------
    `times` (s from session start), `channels` (lines), `polarities` (1 rises, -1 falls).

    Raises
    ------
    NeurojointError : neither is there, no line has that name, or the columns of the object are not equally long.
    """
    key = {name: session[name] for name in acquisition.Session.primary_key}
    if isinstance(line, str):
        return _named_line(key, line)
    auxiliary = (ephys.Recording & [{"band": "nidq"}, {"band": "obx"}]).proj()
    rows = (ephys.SessionClock.Line & key & auxiliary).to_dicts(order_by="dataset_id, line") if not collection else []
    if rows:
        rows = [row for row in rows if line in (None, row["line"])]
        times, channels, polarities = _changes_of(rows)
    else:
        names = ("times", "channels", "polarities")
        times, channels, polarities = (
            np.asarray(files.read_attribute(key, "sync", name, collection or "raw_ephys_data")).reshape(-1)
            for name in names
        )
        if not len(times) == len(channels) == len(polarities):
            raise NeurojointError("the columns of the sync object are not equally long", "extract it again")
    order = np.argsort(times, kind="stable")
    if line is not None:
        order = order[np.asarray(channels)[order] == line]
    return {
        "times": np.asarray(times, np.float64)[order],
        "channels": np.asarray(channels, np.int16)[order],
        "polarities": np.sign(polarities).astype(np.int8)[order],
    }


def _named_line(key: Mapping[str, Any], name: str) -> dict[str, np.ndarray]:
    """The changes of the lines of that name, of any recording of a session."""
    lines = ephys.SessionClock.Line & key
    rows = (lines & {"line_name": name}).to_dicts(order_by="dataset_id, line")
    if not rows:
        there = sorted({str(to_array) for to_array in lines.to_arrays("line_name") if to_array})
        known = f"it has {', '.join(there)}" if there else "none of its lines has a name"
        raise NeurojointError(f"the session has no line {name}", known)
    times, channels, polarities = _changes_of(rows)
    order = np.argsort(times, kind="stable")
    return {
        "times": times[order],
        "channels": channels[order].astype(np.int16),
        "polarities": polarities[order].astype(np.int8),
    }


def _changes_of(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Times (s), lines and polarities of rows of ephys.SessionClock.Line, one after the other."""
    empty = np.empty(0), np.empty(0, np.int16), np.empty(0, np.int8)
    parts = [
        (
            clock(row).convert(row["line_samples"]),
            np.full(len(row["line_samples"]), row["line"]),
            row["line_polarities"],
        )
        for row in rows
    ]
    times, channels, polarities = (np.concatenate(values) for values in zip(empty, *parts, strict=True))
    return times, channels, polarities


def recordings(insertion: str | Mapping[str, Any], band: str = "ap") -> list[dict[str, Any]]:
    """The rows of ephys.Recording of a band of an insertion, or of the session (`nidq`, `obx`), by path.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.

    Raises
    ------
    NeurojointError : there is no such insertion, or it has no such recording.
    """
    key = clusterings.insertion_key(insertion)
    session = {name: key[name] for name in acquisition.Session.primary_key}
    label = {"label": key["probe_label"]} if band in ("ap", "lf") else {}
    own = (data.Dataset & session & {"default_dataset": True}).proj("rel_path")
    columns = ("band", "sampling_rate", "n_samples", "duration")
    query = (ephys.Recording.proj(*columns, label="probe_label") & {"band": band} & label) * own
    rows = query.to_dicts(order_by="rel_path")
    if not rows:
        what = f"no {band} recording of {key['probe_label']}" if label else f"no {band} recording"
        raise NeurojointError(f"{what} is online here", "run `neurojoint ingest` on the folder that holds it")
    return rows


def raw_snippet(
    insertion: str | Mapping[str, Any], start: float, end: float | None = None, band: str = "ap"
) -> tuple[np.ndarray, np.ndarray]:
    """The raw samples of a probe between two times of the session, without reading the rest of the recording.

    Parameters
    ----------
    insertion : pid, or a mapping with the primary key of the insertion.
    start, end : s from session start, as spikes and trials count; without `end`, 40 ms around `start`. What lies outside
        of the recording is left out; of several pieces (gates, triggers) of a recording, each gives what it has.
    band : `ap` or `lf`.

    Returns
    -------
    times : (n,) s from session start.
    volts : (n, n_channels) V, float32, the synchronisation channel left out.

    Raises
    ------
    NeurojointError : there is no such recording here, or it has no header that gives its gain.
    """
    if end is None:
        start, end = start - SNIPPET / 2, start + SNIPPET / 2
    times, volts = [], []
    for row in recordings(insertion, band):
        own = clock(row)
        first, last = np.ceil(own.invert([start, end]) - 1e-6).astype(np.int64).clip(0, row["n_samples"])
        with files.open_recording({"dataset_id": row["dataset_id"]}) as recording:
            gains = recording.volts_per_bit
            if gains is None:
                raise NeurojointError(f"the recording {row['rel_path']} has no gain", "put its .meta file beside it")
            kept = np.flatnonzero(np.asarray(gains) < 1)
            samples = recording.read(int(first), int(last))[:, kept]
        times.append(own.convert(np.arange(first, last)))
        volts.append(samples * np.asarray(gains, np.float32)[kept])
    order = np.argsort(np.concatenate(times), kind="stable")
    return np.concatenate(times)[order], np.concatenate(volts)[order]
