"""Units and electrodes of other labs' files as spikes, clusters and channels of each probe."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from hdmf.common import DynamicTable, VectorIndex
from pynwb import NWBFile

from exchange.nwb.foreign_session import attribute
from exchange.nwb.reading import as_array

if TYPE_CHECKING:
    from exchange.nwb.foreign_session import Session

_UNIT_COLUMNS = {"spike_times", "electrodes", "electrode_group", "obs_intervals", "waveforms"}


def add(session: Session, nwbfile: NWBFile) -> None:
    """Write the units and electrodes of a file, and say what became of each column."""
    channels = _electrodes(session, nwbfile)
    units = nwbfile.units
    if units is None:
        return
    columns = {item.name: item for item in units.columns}
    peaks = _peak_rows(units, columns, nwbfile.electrodes)
    if "spike_times" not in columns or not len(units.id):
        session.left("units", "they have no spike times")
        return
    labels = _labels(session, units, columns, channels, peaks)
    ends = np.asarray(columns["spike_times_index"].data[:], dtype=np.int64)
    starts = np.concatenate([[0], ends[:-1]])
    times = np.asarray(columns["spike_times"].data[:], dtype=np.float64)
    if len(ends) and (ends[-1] > len(times) or (np.diff(ends) < 0).any()):
        session.left("units", "the index of its spike times does not fit them")
        return
    for label in dict.fromkeys(labels):
        rows = np.flatnonzero(labels == label)
        _spikes(session, label, rows, starts, ends, times)
        for name, column in columns.items():
            if name not in _UNIT_COLUMNS and not isinstance(column, VectorIndex):
                _unit_column(session, label, rows, column, columns, first=label == labels[0])
        ids = np.asarray(units.id[:])[rows]
        session.save(f"alf/{label}/clusters.nwbIds.npy", ids)
        if peaks is not None:
            peak_channels = [channels[row] for row in peaks[rows]]
            if all(of == label for of, _ in peak_channels):
                session.save(f"alf/{label}/clusters.channels.npy", np.array([at for _, at in peak_channels]))
                session.mapped(f"units.peak_channel_id of {label}", "clusters.channels")
        else:
            _channels_of_units(session, label, rows, columns, channels)
    for name in ("obs_intervals", "waveforms"):
        if name in columns:
            session.left(f"units.{name}", "it has no place in ALF")


def _peak_rows(units: DynamicTable, columns: dict[str, Any], electrodes: DynamicTable | None) -> np.ndarray | None:
    """Rows of the electrodes that `peak_channel_id` names, as in files of the Allen Institute."""
    if "peak_channel_id" not in columns or electrodes is None:
        return None
    rows = {int(name): row for row, name in enumerate(electrodes.id[:])}
    peaks = as_array(columns["peak_channel_id"].data)
    if peaks.dtype.kind not in "iu" or not {int(peak) for peak in peaks} <= rows.keys():
        return None
    return np.array([rows[int(peak)] for peak in peaks])


def _labels(
    session: Session,
    units: DynamicTable,
    columns: dict[str, Any],
    channels: dict[int, tuple[str, int]],
    peaks: np.ndarray | None,
) -> np.ndarray:
    """The probe of each unit: by its group, else by its electrodes, else one probe for all."""
    if "electrode_group" in columns:
        labels = [label_of(item.name) for item in columns["electrode_group"].data[:]]
    elif peaks is not None:
        labels = [channels[row][0] for row in peaks]
    elif "electrodes" in columns and channels:
        data, ends = (
            np.asarray(columns["electrodes"].data[:]),
            np.asarray(columns["electrodes_index"].data[:], np.int64),
        )
        starts = np.concatenate([[0], ends[:-1]])
        rows = [int(data[a]) if b > a else -1 for a, b in zip(starts, ends, strict=True)]
        labels = [channels.get(row, ("probe00", 0))[0] for row in rows]
    else:
        session.left("units.electrodes", "the units name no electrodes: they are put into probe00")
        labels = ["probe00"] * len(units.id)
    return np.asarray(labels, dtype=object)


def label_of(group: str) -> str:
    """Name of a group of electrodes as the label of a probe.

    >>> label_of("NeuropixelsProbe00_electrodes"), label_of("Shank 1")
    ('NeuropixelsProbe00_electrodes', 'Shank_1')
    """
    return re.sub(r"\W+", "_", group, flags=re.ASCII).strip("_")[:32] or "probe00"


def _spikes(
    session: Session, label: str, rows: np.ndarray, starts: np.ndarray, ends: np.ndarray, times: np.ndarray
) -> None:
    """Spikes of some units in order of time."""
    counts = ends[rows] - starts[rows]
    spans = [slice(a, b) for a, b in zip(starts[rows], ends[rows], strict=True)]
    some = np.concatenate([np.empty(0), *(times[span] for span in spans)])
    units = np.repeat(np.arange(len(rows), dtype=np.int32), counts)
    good = np.isfinite(some)
    if (bad := int((~good).sum())) > 0:
        session.left(f"units.spike_times of {label}", f"{bad:,} spikes have no time")
    order = np.argsort(some[good], kind="stable")
    session.save(f"alf/{label}/spikes.times.npy", some[good][order])
    session.save(f"alf/{label}/spikes.clusters.npy", units[good][order])
    session.mapped("units.spike_times", f"{len(order):,} spikes of {len(rows):,} units in {label}")


def _unit_column(
    session: Session, label: str, rows: np.ndarray, column: Any, columns: dict[str, Any], first: bool
) -> None:
    """One column of the units; names that mean something in ALF get the prefix nwb, since units are not stated."""

    name = column.name
    if f"{name}_index" in columns:
        if first:
            session.left(f"units.{name}", "its rows differ in length")
        return
    try:
        values = as_array(column.data)[rows]
        target = attribute(name)
        if name == "waveform_mean" and values.ndim == 3:
            target, values = "waveforms", values.astype(np.float32)
        elif target in _KNOWN:
            target = f"nwb{target[0].upper()}{target[1:]}"
        session.save(f"alf/{label}/clusters.{target}.npy", values)
    except (ValueError, TypeError, KeyError) as error:
        session.left(f"units.{name}", str(error)[:200])
        return
    if first:
        session.mapped(f"units.{name}", f"clusters.{target}")


_KNOWN = {"channels", "depths", "amps", "peakToTrough", "waveforms", "waveformsChannels", "metrics", "uuids", "mlapdv",
          "acronyms", "brainLocationIdsCcf2017", "label", "labels"}  # fmt: skip


def _electrodes(session: Session, nwbfile: NWBFile) -> dict[int, tuple[str, int]]:
    """Write the channels of each probe; returns for each row of the table its probe and row there."""

    table = nwbfile.electrodes
    if table is None or not len(table.id):
        return {}
    columns = {item.name: item for item in table.columns}
    groups = [label_of(item.name) for item in columns["group"].data[:]]
    places: dict[int, tuple[str, int]] = {}
    for label in dict.fromkeys(groups):
        rows = np.flatnonzero(np.asarray(groups, dtype=object) == label)
        places |= {int(row): (label, at) for at, row in enumerate(rows)}
        prefix, done = f"alf/{label}/channels", {"group", "group_name"}
        local = [as_array(columns[name].data)[rows] for name in ("rel_x", "rel_y") if name in columns]
        if len(local) == 2 and all(item.dtype.kind in "iuf" for item in local):
            session.save(f"{prefix}.localCoordinates.npy", np.column_stack(local).astype(float))
            session.mapped("electrodes.rel_x+rel_y", f"channels.localCoordinates of {label} (um by the standard)")
            done |= {"rel_x", "rel_y"}
        for name, column in columns.items():
            if name in done or isinstance(column, VectorIndex) or f"{name}_index" in columns:
                continue
            target = attribute(name)
            target = f"nwb{target[0].upper()}{target[1:]}" if target in _CHANNELS else target
            try:
                session.save(f"{prefix}.{target}.npy", as_array(column.data)[rows])
                session.mapped(f"electrodes.{name}", f"channels.{target} of {label}")
            except (ValueError, TypeError, KeyError) as error:
                session.left(f"electrodes.{name}", str(error)[:200])
    return places


_CHANNELS = {"localCoordinates", "rawInd", "mlapdv", "x", "y", "z", "labels", "brainLocationIdsCcf2017"}


def _channels_of_units(
    session: Session, label: str, rows: np.ndarray, columns: dict[str, Any], channels: dict[int, tuple[str, int]]
) -> None:
    """Where each unit names one electrode, it is the channel of the unit."""
    if "electrodes" not in columns or "electrodes_index" not in columns or not channels:
        return
    ends = np.asarray(columns["electrodes_index"].data[:], np.int64)
    counts = np.diff(np.concatenate([[0], ends]))[rows]
    if not (counts == 1).all():
        session.left(
            f"units.electrodes of {label}", "units name several electrodes or none; which is the largest is not said"
        )
        return
    data = np.asarray(columns["electrodes"].data[:])[ends[rows] - 1]
    named_channels = [channels.get(int(item), ("", -1)) for item in data]
    if any(of != label for of, _ in named_channels):
        session.left(f"units.electrodes of {label}", "they belong to another group than the unit")
        return
    session.save(f"alf/{label}/clusters.channels.npy", np.array([at for _, at in named_channels]))
    session.mapped(f"units.electrodes of {label}", "clusters.channels")
