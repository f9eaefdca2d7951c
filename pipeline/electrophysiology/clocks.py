"""From samples of a recording to the time of the session and back: by timestamps beside it, or a line that all saw."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.clocks import wrong_clock
from pipeline.alf.reader import load
from pipeline.analysis.clocks import Alignment, Clock, align, level_changes, line_changes, match_pulses, two_levels
from pipeline.electrophysiology import raw_formats
from pipeline.electrophysiology.raw_formats import open_ephys
from pipeline.errors import InvalidData, NeurojointError

PROBE_SYNC = 6
"""Bit of a probe's digital word that holds the sync input (SpikeGLX)."""
GOOD, ENOUGH = 0.1e-3, 1e-3
"""Largest residual of an alignment that passes, and that is a warning, s."""
SWING = 0.5
"""Smallest difference of the two levels of an analog line, V."""
FARTHEST_RATE = 30.0
"""Tolerated factor between the rate of a timestamps file and that of its recording: LF has 1 sample for 12 of AP."""
_SECONDS = 10.0  # of a recording that are read at once
_PROBED, _N_PROBED = 0.5, 20  # length (s) and number of the pieces by which an analog line is judged
_SPIKEGLX = re.compile(r"(?P<run>.*)_g(?P<gate>\d+)_t(?P<trigger>\d+|cat)\.(?P<device>[a-z]+\d*)(?:\.[a-z]+)?\.c?bin$")

_FEWEST_FRAMES = 10

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
        if raw_formats.format_of(self.rel_path) == "open_ephys":
            return open_ephys.place_of_recording(self.rel_path)
        match = _SPIKEGLX.search(self.rel_path.rpartition("/")[2])
        return match.group("run", "gate", "trigger") if match else ()

    @property
    def time_base(self) -> str:
        """What the times of a system of its own count from: an experiment of Open Ephys, or the files of a folder."""
        if raw_formats.format_of(self.rel_path) == "open_ephys":
            return open_ephys.place_of_recording(self.rel_path)[0].rpartition("/")[0]
        return self.rel_path.rpartition("/")[0]


@dataclass(frozen=True)
class StreamClock:
    """The clock of a recording: from its samples to s from session start."""

    stream: Stream
    source: str  # timestamps, reference, aligned, unaligned
    clock: Clock
    line: int | None = None  # by which it was aligned
    alignment: Alignment | None = None
    note: str = ""

    @property
    def qc(self) -> str:
        """PASS where every pulse fits within 0.1 ms, WARNING within 1 ms, else FAIL; NOT_SET where none was needed."""
        if self.alignment is None:
            return "NOT_SET" if self.source != "unaligned" else "WARNING"
        few = self.alignment.n_pulses < 0.9 * min(self.alignment.n_source, self.alignment.n_target)
        if few or self.alignment.residual > ENOUGH:
            return "FAIL"
        return "PASS" if self.alignment.residual <= max(GOOD, 1.5 / self.stream.sampling_rate) else "WARNING"


def read_changes(recording: Any, with_analog: bool = False) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The changes of all digital lines of a recording (of `cbin`); 16 more for each further digital word.

    Parameters
    ----------
    with_analog : also those of analog inputs that switch between two levels at least 0.5 V apart, after the digital
        ones: 16 for each digital word, and the number of the input.
    """
    gains = recording.volts_per_bit
    columns = [] if gains is None else np.flatnonzero(np.asarray(gains) >= 1).tolist()
    levels = _levels(recording, np.asarray(gains)) if with_analog and gains is not None else {}
    is_high: dict[int, bool | None] = dict.fromkeys(levels)
    step = max(1, round(_SECONDS * recording.sample_rate))
    pieces: dict[int, list[tuple[np.ndarray, np.ndarray]]] = {}
    before: list[int | None] = [None] * len(columns)
    for first in range(0, recording.n_samples, step):
        block = recording.read(first, min(first + step, recording.n_samples))
        for word, column in enumerate(columns):
            values = np.ascontiguousarray(block[:, column])
            for line, changes in line_changes(values, first, before[word]).items():
                pieces.setdefault(16 * word + line, []).append(changes)
            before[word] = int(values[-1])
        for number, (column, low, high) in levels.items():
            at, polarities, is_high[number] = level_changes(block[:, column], low, high, first, is_high[number])
            if len(at):
                pieces.setdefault(16 * len(columns) + number, []).append((at, polarities))
    return {
        line: (np.concatenate([item[0] for item in parts]), np.concatenate([entry[1] for entry in parts]))
        for line, parts in sorted(pieces.items())
    }


def n_words(recording: Any) -> int:
    """How many digital words a recording has."""
    gains = recording.volts_per_bit
    return 0 if gains is None else int(np.sum(np.asarray(gains) >= 1))


def _levels(recording: Any, gains: np.ndarray) -> dict[int, tuple[int, float, float]]:
    """Number of an analog input -> column and the two levels (in steps) between which it switches."""
    analog = np.flatnonzero(gains < 1)
    length = min(round(_PROBED * recording.sample_rate), recording.n_samples)
    firsts = np.unique(np.linspace(0, recording.n_samples - length, _N_PROBED).astype(int)).tolist()
    if not len(analog) or not length:
        return {}
    some = np.concatenate([recording.read(first, first + length)[:, analog] for first in firsts])
    levels = {}
    for number, column in enumerate(analog.tolist()):
        both = two_levels(some[:, number])
        if both is not None and (both[1] - both[0]) * gains[column] >= SWING:
            levels[number] = (column, *both)
    return levels


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
    first = min((item.first_sample or 0 for item in reference), default=0)
    for item in reference:
        start = 0.0 if item.first_sample is None else (item.first_sample - first) / item.sampling_rate
        is_lost = item.first_sample is None and item is not reference[0]
        note = "it is not known when this piece begins" if is_lost else ""
        clock = Clock.uniform(item.sampling_rate, start)
        done[item.dataset_id] = StreamClock(item, "unaligned" if is_lost else "reference", clock, note=note)
    for stream in streams:
        if stream.dataset_id in timestamps:
            done[stream.dataset_id] = StreamClock(stream, "timestamps", timestamps[stream.dataset_id])
    for stream in streams:
        if stream.dataset_id in timestamps and stream not in reference:
            done[stream.dataset_id] = _judged(done[stream.dataset_id], reference, changes, done)
    for stream in streams:
        if stream.dataset_id not in done and stream.band != "lf":
            done[stream.dataset_id] = _aligned(stream, reference, changes, done, _start_in_run(stream, streams))
    for stream in streams:
        if stream.dataset_id not in done:
            done[stream.dataset_id] = _of_lf(stream, streams, done)
    return [done[stream.dataset_id] for stream in streams]


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
    if wrong := wrong_clock(table):
        what = f"{path} holds no ascending samples and times ({wrong})"
        raise NeurojointError(what, "synchronise again, or move it away")
    samples, times = table.T
    rate = float((samples[-1] - samples[0]) / (times[-1] - times[0]))
    if not sampling_rate / FARTHEST_RATE < rate < sampling_rate * FARTHEST_RATE:
        what = f"{path} has {rate:,.6g} samples a second, but its recording {sampling_rate:,.6g}"
        raise NeurojointError(what, "its columns are samples (from 0) and times in s: write it again, or move it away")
    far = 1000 * sampling_rate
    ends = [(samples[0] - far, times[0] - 1000.0), (samples[-1] + far, times[-1] + 1000.0)]
    whole = np.vstack([ends[:1], table, ends[1:]])
    return Clock(whole[:, 0], whole[:, 1])


def table_of(clock: Clock, n_samples: int) -> np.ndarray:
    """The timestamps file of a clock: rows of sample and time (s), from the first sample to beyond the last."""
    inside = clock.source[(clock.source > 0) & (clock.source < n_samples)]
    samples = np.concatenate([[0.0], inside, [float(n_samples)]])
    return np.column_stack([samples, clock.convert(samples)])


def from_own_times(streams: Sequence[Stream], told: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, Clock]:
    """The clocks of recordings of which another system than SpikeGLX gives times, which need not begin at 0.

    Session time counts from the first sample of all of these. Where they count from several moments (a second
    experiment of Open Ephys), only those of the first by path have a clock: when the others began nobody says.

    Parameters
    ----------
    told : dataset_id -> samples and their times, s.
    """
    with_times = [stream for stream in streams if stream.dataset_id in told]
    if not with_times:
        return {}
    base = min(with_time_.time_base for with_time_ in with_times)
    with_times = [with_time_ for with_time_ in with_times if with_time_.time_base == base]
    clocks = {with_time_.dataset_id: Clock(*told[with_time_.dataset_id]) for with_time_ in with_times}
    start = min(float(clock.convert([0.0])[0]) for clock in clocks.values())
    return {name: Clock(clock.source, clock.target - start) for name, clock in clocks.items()}


def timestamps_path(recording: Path) -> Path:
    """Where the timestamps of a recording lie: under the name of the device, or of its file where such a one is there.

    >>> timestamps_path(Path("r_g0_t0.imec0.ap.cbin")).name
    'r_g0_t0.imec0.timestamps.npy'
    """
    own = recording.with_name(f"{recording.name.rpartition('.')[0]}.timestamps.npy")
    if not recording.stem.endswith(".lf") and own.is_file():  # those of a probe count the samples of its AP
        return own
    return recording.with_name(f"{recording.name.rsplit('.', 2)[0]}.timestamps.npy")


def _reference(streams: Sequence[Stream]) -> list[Stream]:
    """The pieces of the device whose clock is that of the session."""
    for band in ("nidq", "obx"):
        if matching := [stream for stream in streams if stream.band == band]:
            return matching
    labels = sorted(
        {one.probe_label for one in streams if one.band == "ap"} or {stream.probe_label for stream in streams}
    )
    band = "ap" if any(stream.band == "ap" for stream in streams) else "lf"
    return [stream for stream in streams if labels and stream.probe_label == labels[0] and stream.band == band]


def _start_in_run(one: Stream, streams: Sequence[Stream]) -> float:
    """When a piece of a recording begins, s from the first piece of the same device; 0 where no header tells it."""
    same = [other for other in streams if (other.band, other.probe_label) == (one.band, one.probe_label)]
    counts = [other.first_sample for other in same if other.first_sample is not None]
    return 0.0 if one.first_sample is None else (one.first_sample - min(counts)) / one.sampling_rate


def _aligned(
    one: Stream,
    reference: Sequence[Stream],
    changes: Mapping[str, Changes],
    done: Mapping[str, StreamClock],
    start: float = 0.0,
) -> StreamClock:
    """The clock of a probe by the pulses that it and the reference saw; without any it counts evenly from `start`."""
    uniform = Clock.uniform(one.sampling_rate, start)
    same = [other for other in reference if other.piece == one.piece] or list(reference[:1])
    own = _pulses(one, changes.get(one.dataset_id, {}))
    if not same or own is None:
        return StreamClock(one, "unaligned", uniform, note="it recorded no pulses of a sync line")
    other = same[0]
    best: tuple[int, Alignment] | None = None
    for line, (samples, polarities) in changes.get(other.dataset_id, {}).items():
        pulses = done[other.dataset_id].clock.convert(samples[polarities > 0])
        start = float(done[other.dataset_id].clock.convert(0))
        alignment = align(own / one.sampling_rate, pulses - start)
        if alignment is not None and (best is None or _goodness(alignment) > _goodness(best[1])):
            shifted = replace(alignment, clock=Clock(alignment.clock.source, alignment.clock.target + start))
            best = line, shifted
    if best is None:
        return StreamClock(one, "unaligned", uniform, note=f"no line of {other.rel_path} has the same pulses")
    line, alignment = best
    clock = Clock(alignment.clock.source * one.sampling_rate, alignment.clock.target)
    return StreamClock(one, "aligned", clock, line, alignment)


def _judged(
    told: StreamClock, reference: Sequence[Stream], changes: Mapping[str, Changes], done: Mapping[str, StreamClock]
) -> StreamClock:
    """The clock of a timestamps file with how well it fits the pulses that its recording and the reference saw.

    A constant difference is no fault of the clock, only another beginning, and is said.
    """
    by_pulses = _aligned(told.stream, reference, changes, done)
    own = _pulses(told.stream, changes.get(told.stream.dataset_id, {}))
    if by_pulses.alignment is None or own is None:
        return told
    away = told.clock.convert(own) - by_pulses.clock.convert(own)
    begin = float(np.median(away))
    residual = np.abs(away - begin) + by_pulses.alignment.residual
    note = "" if abs(begin) < ENOUGH else f"its times are {begin:.6f} s later than those of the pulses of the reference"
    alignment = replace(
        by_pulses.alignment, residual=float(residual.max()), residual_rms=float(np.sqrt(np.mean(residual**2)))
    )
    return replace(told, line=by_pulses.line, alignment=alignment, note=note)


@dataclass(frozen=True)
class CameraClock:
    """How the times of a camera's frames fit the pulses of a line."""

    camera: str
    n_frames: int
    dataset_id: str | None = None  # recording of the line; None where no line fits
    line: int | None = None
    n_pulses: int = 0  # of the line
    n_matched: int = 0  # frames with a pulse of their own
    offset: float | None = None  # median of frame less pulse, s
    drift: float | None = None  # of a straight line through all, ppm
    residual: float | None = None  # largest distance of a frame from its pulse, s
    interval: float | None = None  # median between frames, s

    @property
    def qc(self) -> str:
        """PASS: all but one in a hundred frames within 1 ms of a pulse; WARNING: within half an interval."""
        if self.residual is None or self.interval is None:
            return "NOT_SET"
        if self.n_matched < 0.99 * self.n_frames:
            return "FAIL"
        return "PASS" if self.residual <= ENOUGH else "WARNING" if self.residual <= self.interval / 2 else "FAIL"


def camera_clock(camera: str, times: np.ndarray, lines: Mapping[tuple[str, int], np.ndarray]) -> CameraClock:
    """Compare the times of frames with the pulses of all lines; the line that fits most frames is the camera's.

    Parameters
    ----------
    times : of the frames, s from session start.
    lines : (dataset_id, line) -> times of its rising edges, s from session start.
    """
    times = np.asarray(times, np.float64)
    times = times[np.isfinite(times)]
    if len(times) < _FEWEST_FRAMES:
        return CameraClock(camera, len(times))
    interval = float(np.median(np.diff(times)))
    best = CameraClock(camera, len(times), interval=interval)
    for (dataset_id, line), pulses in lines.items():
        if not 0.5 < len(pulses) / len(times) < 2:
            continue
        rows, pairs = match_pulses(times, pulses, min(0.005, interval / 2))
        if len(rows) < max(_FEWEST_FRAMES, 0.5 * len(times), best.n_matched + 1):
            continue
        away = times[rows] - pulses[pairs]
        alignment = align(times[rows], pulses[pairs])
        best = CameraClock(
            camera, len(times), dataset_id, line, len(pulses), len(rows), float(np.median(away)),
            None if alignment is None else alignment.drift, float(np.abs(away).max()), interval,
        )  # fmt: skip
    return best


def _goodness(alignment: Alignment) -> tuple[int, float]:
    return alignment.n_pulses, -alignment.residual


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
            ap_clock = done[other.dataset_id]
            ratio = one.sampling_rate / other.sampling_rate
            return replace(ap_clock, stream=one, clock=Clock(ap_clock.clock.source * ratio, ap_clock.clock.target))
    return StreamClock(one, "unaligned", Clock.uniform(one.sampling_rate), note="there is no AP recording beside it")
