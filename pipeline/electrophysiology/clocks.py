"""From samples of a recording to the time of the session and back: by timestamps beside it, or a line that all saw."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.reader import load
from pipeline.analysis.clocks import Alignment, Clock, align, line_changes
from pipeline.errors import InvalidData, NeurojointError

PROBE_SYNC = 6
"""Bit of a probe's digital word that holds the sync input (SpikeGLX)."""
GOOD, ENOUGH = 0.1e-3, 1e-3
"""Largest residual of an alignment that passes, and that is a warning, s."""
_SECONDS = 10.0  # of a recording that are read at once
_SPIKEGLX = re.compile(r"(?P<run>.*)_g(?P<gate>\d+)_t(?P<trigger>\d+|cat)\.(?P<device>[a-z]+\d*)(?:\.[a-z]+)?\.c?bin$")

Changes = Mapping[int, tuple[np.ndarray, np.ndarray]]
"""Line -> samples and polarities of its changes."""


@dataclass(frozen=True)
class Stream:
    """One recording of a session."""

    dataset_id: str
    rel_path: str
    band: str
    probe_label: str
    sampling_rate: float  # Hz
    n_samples: int
    first_sample: int | None = None  # of the device's count since the run began; None where the header does not say

    @property
    def piece(self) -> tuple[str, ...]:
        """Run, gate and trigger: recordings of several devices that belong together."""
        found = _SPIKEGLX.search(self.rel_path.rpartition("/")[2])
        return found.group("run", "gate", "trigger") if found else ()


@dataclass(frozen=True)
class StreamClock:
    """The clock of a recording: from its samples to s from session start."""

    stream: Stream
    source: str  # timestamps, reference, aligned, unaligned
    clock: Clock
    line: int | None = None  # by which it was aligned
    found: Alignment | None = None
    note: str = ""

    @property
    def qc(self) -> str:
        """PASS where every pulse fits within 0.1 ms, WARNING within 1 ms, else FAIL; NOT_SET where none was needed."""
        if self.found is None:
            return "NOT_SET" if self.source != "unaligned" else "WARNING"
        few = self.found.n_pulses < 0.9 * min(self.found.n_source, self.found.n_target)
        if few or self.found.residual > ENOUGH:
            return "FAIL"
        return "PASS" if self.found.residual <= max(GOOD, 1.5 / self.stream.sampling_rate) else "WARNING"


def read_changes(recording: Any) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The changes of all digital lines of a recording (of `cbin`); 16 more for each further digital word."""
    gains = recording.volts_per_bit
    columns = [] if gains is None else np.flatnonzero(np.asarray(gains) >= 1).tolist()
    step = max(1, round(_SECONDS * recording.sample_rate))
    pieces: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    before: list[int | None] = [None] * len(columns)
    for first in range(0, recording.n_samples, step):
        block = recording.read(first, min(first + step, recording.n_samples))
        for word, column in enumerate(columns):
            values = np.ascontiguousarray(block[:, column])
            for line, found in line_changes(values, first, before[word]).items():
                pieces.setdefault(16 * word + line, []).append(found)
            before[word] = int(values[-1])
    return {
        line: (np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found]))
        for line, found in sorted(pieces.items())
    }


def session_clocks(
    streams: Sequence[Stream], changes: Mapping[str, Changes], timestamps: Mapping[str, Clock]
) -> list[StreamClock]:
    """The clocks of all recordings of a session.

    Times count from the first sample of the reference: the NIDQ or the OneBox where there is one, else the first probe.
    Of several pieces (gates, triggers) of the reference, the later ones begin where its device had counted to. What has
    a timestamps file follows that. A probe is aligned by the pulses of its sync input to the line of the reference that
    has most of them, in the piece of the same run, gate and trigger; the LF band has the clock of the AP band.

    Parameters
    ----------
    changes : dataset_id -> changes of its lines.
    timestamps : dataset_id -> clock of the timestamps file beside it.
    """
    done: dict[str, StreamClock] = {}
    reference = _reference(streams)
    first = min((one.first_sample or 0 for one in reference), default=0)
    for one in reference:
        start = 0.0 if one.first_sample is None else (one.first_sample - first) / one.sampling_rate
        note = "it is not known when this piece begins" if one.first_sample is None and len(reference) > 1 else ""
        clock = Clock.uniform(one.sampling_rate, start)
        done[one.dataset_id] = StreamClock(one, "reference", clock, note=note)
    for one in streams:
        if one.dataset_id in timestamps:
            done[one.dataset_id] = StreamClock(one, "timestamps", timestamps[one.dataset_id])
    for one in streams:
        if one.dataset_id not in done and one.band != "lf":
            done[one.dataset_id] = _aligned(one, reference, changes, done)
    for one in streams:
        if one.dataset_id not in done:
            done[one.dataset_id] = _of_lf(one, streams, done)
    return [done[one.dataset_id] for one in streams]


def from_file(path: Path, sampling_rate: float) -> Clock:
    """The clock of a timestamps file: rows of sample and time, s from session start; ascending.

    Beyond the ends it goes on at the sampling rate.

    Raises
    ------
    NeurojointError : it cannot be read, or holds no ascending samples and times.
    """
    try:
        table = np.asarray(load(path, path.name), np.float64)
    except (InvalidData, ValueError, TypeError) as error:
        raise NeurojointError(f"{path} cannot be read ({error})", "synchronise again, or move it away") from None
    if table.ndim != 2 or table.shape[1] != 2 or len(table) < 2 or not (np.diff(table, axis=0) > 0).all():
        raise NeurojointError(f"{path} holds no ascending samples and times", "synchronise again, or move it away")
    samples, times = table.T
    far = 1000 * sampling_rate
    ends = [(samples[0] - far, times[0] - 1000.0), (samples[-1] + far, times[-1] + 1000.0)]
    whole = np.vstack([ends[:1], table, ends[1:]])
    return Clock(whole[:, 0], whole[:, 1])


def timestamps_path(recording: Path) -> Path:
    """Where the timestamps of a recording lie.

    >>> timestamps_path(Path("r_g0_t0.imec0.ap.cbin")).name
    'r_g0_t0.imec0.timestamps.npy'
    """
    return recording.with_name(f"{recording.name.rsplit('.', 2)[0]}.timestamps.npy")


def _reference(streams: Sequence[Stream]) -> list[Stream]:
    """The pieces of the device whose clock is that of the session."""
    for band in ("nidq", "obx"):
        if found := [one for one in streams if one.band == band]:
            return found
    labels = sorted({one.probe_label for one in streams if one.band == "ap"} or {one.probe_label for one in streams})
    band = "ap" if any(one.band == "ap" for one in streams) else "lf"
    return [one for one in streams if labels and one.probe_label == labels[0] and one.band == band]


def _aligned(
    one: Stream, reference: Sequence[Stream], changes: Mapping[str, Changes], done: Mapping[str, StreamClock]
) -> StreamClock:
    """The clock of a probe by the pulses that it and the reference saw."""
    uniform = Clock.uniform(one.sampling_rate)
    same = [other for other in reference if other.piece == one.piece] or list(reference[:1])
    own = _pulses(one, changes.get(one.dataset_id, {}))
    if not same or own is None:
        return StreamClock(one, "unaligned", uniform, note="it recorded no pulses of a sync line")
    other = same[0]
    best: tuple[int, Alignment] | None = None
    for line, (samples, polarities) in changes.get(other.dataset_id, {}).items():
        pulses = done[other.dataset_id].clock.convert(samples[polarities > 0])
        start = float(done[other.dataset_id].clock.convert(0))
        found = align(own / one.sampling_rate, pulses - start)
        if found is not None and (best is None or _goodness(found) > _goodness(best[1])):
            shifted = replace(found, clock=Clock(found.clock.source, found.clock.target + start))
            best = line, shifted
    if best is None:
        return StreamClock(one, "unaligned", uniform, note=f"no line of {other.rel_path} has the same pulses")
    line, found = best
    clock = Clock(found.clock.source * one.sampling_rate, found.clock.target)
    return StreamClock(one, "aligned", clock, line, found)


def _goodness(found: Alignment) -> tuple[int, float]:
    return found.n_pulses, -found.residual


def _pulses(one: Stream, changes: Changes) -> np.ndarray | None:
    """Samples at which the sync input of a recording rises; of a probe without it, the line with most pulses."""
    lines = {line: samples[polarities > 0] for line, (samples, polarities) in changes.items()}
    if one.band in ("ap", "lf") and len(lines.get(PROBE_SYNC, ())):
        return lines[PROBE_SYNC]
    return max(lines.values(), key=len, default=None)


def _of_lf(one: Stream, streams: Sequence[Stream], done: Mapping[str, StreamClock]) -> StreamClock:
    """The clock of an LF recording: that of the AP recording of the same piece, a twelfth of its samples."""
    for other in streams:
        if (other.band, other.probe_label, other.piece) == ("ap", one.probe_label, one.piece):
            found = done[other.dataset_id]
            ratio = one.sampling_rate / other.sampling_rate
            return replace(found, stream=one, clock=Clock(found.clock.source * ratio, found.clock.target))
    return StreamClock(one, "unaligned", Clock.uniform(one.sampling_rate), note="there is no AP recording beside it")
