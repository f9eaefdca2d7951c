"""Raw recordings as electrical series, and the changes of their digital lines as events, in the time of the session.

Samples go from the compressed file to the NWB file in pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import cbin
import numpy as np
from hdmf.data_utils import AbstractDataChunkIterator, DataChunk
from pynwb import TimeSeries
from pynwb.ecephys import ElectricalSeries
from pynwb.event import EventsTable, TimestampVectorData

from exchange.nwb import forms
from exchange.nwb.containers import Builder
from exchange.nwb.electrodes import Probe
from pipeline.analysis.clocks import Clock
from pipeline.schemas import data, ephys
from pipeline.schemas.inputs import files

PIECE = 1 << 25  # byte of samples that are held at once


class Samples(AbstractDataChunkIterator):
    """Some channels of a recording, piece by piece, as hdmf takes them."""

    def __init__(self, recording: cbin.Recording, channels: np.ndarray, flat: bool = False) -> None:
        self.recording, self.channels, self.flat = recording, channels, flat
        self._pieces: Iterator[DataChunk] | None = None

    def pieces(self) -> Iterator[tuple[int, np.ndarray]]:
        """First sample and samples, (n, n_channels), of each piece."""
        step = max(1, PIECE // (self.recording.n_channels * self.recording.dtype.itemsize))
        bounds = self._bounds(step)
        everything = len(self.channels) == self.recording.n_channels
        run = self.channels[-1] - self.channels[0] + 1 == len(self.channels) if len(self.channels) else False
        for first, last in zip(bounds[:-1], bounds[1:], strict=True):
            samples = self.recording.read(first, last)
            if not everything:
                chosen = slice(self.channels[0], self.channels[-1] + 1) if run else self.channels
                samples = samples[:, chosen]
            yield first, samples[:, 0] if self.flat else samples

    def _bounds(self, step: int) -> list[int]:
        """Where to cut: at the chunks of the file, about `step` samples apart."""
        bounds, last = [0], 0
        for bound in self.recording.chunk_bounds[1:]:
            if bound - last >= step or bound == self.recording.n_samples:
                bounds.append(bound)
                last = bound
        return bounds

    @property
    def dtype(self) -> np.dtype:
        return self.recording.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        n_samples = self.recording.n_samples
        return (n_samples,) if self.flat else (n_samples, len(self.channels))

    @property
    def maxshape(self) -> tuple[int, ...]:
        return self.shape

    def __iter__(self) -> Samples:
        return self

    def __next__(self) -> DataChunk:
        if self._pieces is None:
            self._pieces = (
                DataChunk(data=samples, selection=np.s_[first : first + len(samples)])
                for first, samples in self.pieces()
            )
        return next(self._pieces)

    def recommended_chunk_shape(self) -> tuple[int, ...] | None:
        return None

    def recommended_data_shape(self) -> tuple[int, ...]:
        return self.shape


@dataclass(frozen=True)
class Timing:
    """When the samples of a recording are: start (s), rate (Hz), and a sentence on the clock."""

    start: float
    rate: float
    text: str
    clock: Clock | None = None  # from samples to s from session start; None where it is not known


def timings(builder: Builder) -> dict[str, Timing]:
    """The timing of each recording of the session whose clock was aligned, by dataset_id (`ephys.SessionClock`)."""
    rows = (
        (ephys.SessionClock.Stream & builder.source.key) * ephys.Recording.proj("sampling_rate", "n_samples")
    ).to_dicts()
    return {row["dataset_id"]: _timing(row) for row in rows}


def _timing(row: dict[str, Any]) -> Timing:
    rate = float(row["sampling_rate"])
    if row["clock_source"] == "unaligned" or row["clock_qc"] in ("FAIL", "CRITICAL"):
        return _unaligned(rate)
    clock = Clock(row["clock_samples"], row["clock_times"])
    if row["clock_source"] == "reference":
        return Timing(float(clock.convert(0.0)), rate, "Its clock is that of the session.", clock)
    start, end = clock.convert(np.array([0.0, row["n_samples"] - 1.0])).tolist()
    by = "a file of timestamps" if row["clock_source"] == "timestamps" else f"{row['n_pulses']} pulses"
    apart = "" if row["linear_residual"] is None else f", within {row['linear_residual'] * 1e3:.2g} ms"
    text = f"Start and rate are aligned with the session by {by}{apart}."
    return Timing(start, (row["n_samples"] - 1) / (end - start), text, clock)


def _unaligned(rate: float) -> Timing:
    text = "Times count from the first sample by the clock of the device; they are not synchronised with the session."
    return Timing(0.0, rate, text)


def add_lines(builder: Builder, raw: bool) -> None:
    """Add the changes of the digital lines: of the auxiliary recordings, and with `raw` of the probes too."""
    own = (data.Dataset & builder.source.key).proj("rel_path")
    streams = ephys.Recording.proj("band", "probe_label") * own & (ephys.SessionClock.Line & builder.source.key).proj()
    known = timings(builder)
    for row in streams.to_dicts(order_by="rel_path"):
        timing = known.get(row["dataset_id"])
        if row["probe_label"] and not raw:
            continue
        if timing is None or timing.clock is None:
            builder.notes.append(
                f"{row['rel_path']}: its clock is not aligned with the session; its digital lines are left out"
            )
            continue
        changes = (ephys.SessionClock.Line & builder.source.key & {"dataset_id": row["dataset_id"]}).to_dicts(
            order_by="line"
        )
        samples = np.concatenate([change["line_samples"] for change in changes])
        if not len(samples):
            continue
        order = np.argsort(samples, kind="stable")
        lines = np.repeat(
            np.array([change["line"] for change in changes], np.int16), [len(one["line_samples"]) for one in changes]
        )
        names = np.repeat(
            np.array([change["line_name"] or "" for change in changes], object),
            [len(one["line_samples"]) for one in changes],
        )
        rises = np.concatenate([change["line_polarities"] for change in changes]) > 0
        device = row["probe_label"] or row["band"]
        name = builder.free_name(f"{device}_digital_lines")
        columns = [
            builder.column(
                name, "timestamp", "Time of the change (s from session start).",
                timing.clock.convert(samples[order].astype(np.float64)), TimestampVectorData,
            ),
            builder.column(name, "line", "Digital line, from 0; 16 more for each further digital word.", lines[order]),
            builder.column(name, "rises", "True: from 0 to 1; false: from 1 to 0.", rises[order]),
            builder.column(name, "sample", "Sample of the recording.", samples[order].astype(np.int64)),
        ]  # fmt: skip
        if any(names):
            columns.append(builder.column(name, "line_name", "What is connected to the line.", names[order]))
        text = f"Changes of the digital lines of {device}. {timing.text}"
        builder.nwbfile.add_events_table(EventsTable(name=name, description=text, columns=columns))


def add(builder: Builder, probes: list[Probe], wrap: Callable[[Samples, str], Any] | None = None) -> None:
    """Add the raw recordings of the session.

    Parameters
    ----------
    wrap : what is written for the samples of a series, by its name; by default they are read when pynwb writes them.
    """
    wrap = wrap or (lambda samples, name: samples)
    rows = (ephys.Recording & (data.Dataset & builder.source.key & {"default_dataset": True}).proj()).to_dicts()
    paths = {file.dataset_id: file for file in builder.source.files}
    known = timings(builder)
    for row in sorted(rows, key=lambda one: paths[one["dataset_id"]].rel_path):
        file = paths[row["dataset_id"]]
        if file.path is None:
            continue
        recording = files.open_recording({"dataset_id": row["dataset_id"]})
        label = row["probe_label"] or "nidq"
        probe = next((item for item in probes if item.label == row["probe_label"]), None)
        gains = recording.volts_per_bit
        timing = known.get(row["dataset_id"]) or _unaligned(float(recording.sample_rate))
        if gains is None or row["band"] == "nidq" or probe is None or not probe.n_channels:
            _auxiliary(builder, recording, f"{label}_{row['band']}", file.rel_path, gains, timing, wrap)
            continue
        _electrical(builder, recording, row, probe, file.rel_path, np.asarray(gains), timing, wrap)


def _electrical(
    builder: Builder, recording: cbin.Recording, row: dict[str, Any], probe: Probe, path: str, gains: np.ndarray,
    timing: Timing, wrap: Callable[[Samples, str], Any],
) -> None:  # fmt: skip
    """Samples of the electrodes in volts; digital words beside them."""
    channels = np.flatnonzero(gains < 1)
    rows, there = _electrode_rows(builder, probe, len(channels))
    channels = channels[there]
    others = np.setdiff1d(np.arange(recording.n_channels), channels)
    name = builder.free_name(f"{row['band']}_{row['probe_label']}")
    some = gains[channels]
    even = bool(np.all(some == some[0]))
    series = ElectricalSeries(
        name=name, data=wrap(Samples(recording, channels), name), rate=timing.rate, starting_time=timing.start,
        electrodes=builder.nwbfile.create_electrode_table_region(rows.tolist(), f"Channels of {row['probe_label']}."),
        conversion=float(some[0]) if even else 1.0, channel_conversion=None if even else some.astype(float),
        description=f"Raw {row['band'].upper()} band of {row['probe_label']}. {timing.text}",
    )  # fmt: skip
    builder.nwbfile.add_acquisition(series)
    cells: list[str | None] = [f"{name}:data"]
    for channel in others.tolist():
        beside = builder.free_name(f"{name}_channel_{channel}")
        text = f"Channel {channel} of the same recording, as it is: digital words or a channel without electrode."
        builder.nwbfile.add_acquisition(
            TimeSeries(
                name=beside,
                description=text,
                unit="n.a.",
                rate=timing.rate,
                starting_time=timing.start,
                data=wrap(Samples(recording, np.array([channel]), flat=True), beside),
            )  # fmt: skip
        )
        cells.append(f"{beside}:data")
    builder.forms[path] = forms.Form(
        "recording", cells, columns=[*map(str, channels.tolist()), *map(str, others.tolist())],
        dtype=recording.dtype.str, shape=list(recording.shape),
    )  # fmt: skip


def _electrode_rows(builder: Builder, probe: Probe, n_channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the electrodes table, and which of the channels of the recording they are, in the recording's order."""
    raw = np.arange(probe.n_channels)
    cell = builder.cells.get("electrodes:raw_channel")
    if cell is not None and probe.channels is not None and probe.channels.get("rawInd") is not None:
        raw = np.asarray(cell[probe.first : probe.first + probe.n_channels], np.int64)
    known = (raw >= 0) & (raw < n_channels)
    order = np.argsort(raw[known], kind="stable")
    return probe.first + np.flatnonzero(known)[order], raw[known][order]


def _auxiliary(
    builder: Builder,
    recording: cbin.Recording,
    name: str,
    path: str,
    gains: Any,
    timing: Timing,
    wrap: Callable[[Samples, str], Any],
) -> None:
    """Channels that belong to no electrode."""
    name = builder.free_name(name)
    channels = np.arange(recording.n_channels)
    known = gains is not None and bool(np.all(np.asarray(gains) == gains[0])) and gains[0] < 1
    builder.nwbfile.add_acquisition(
        TimeSeries(
            name=name,
            data=wrap(Samples(recording, channels), name),
            rate=timing.rate,
            starting_time=timing.start,
            unit="volts" if known else "n.a.",
            conversion=float(gains[0]) if known else 1.0,
            description=f"Samples of a recording, as they are in the file. {timing.text}",
        )  # fmt: skip
    )
    builder.forms[path] = forms.Form(
        "recording", [f"{name}:data"], columns=[str(value) for value in channels.tolist()], dtype=recording.dtype.str,
        shape=list(recording.shape),
    )  # fmt: skip
