"""Files of Intan, Blackrock, Plexon and SpikeGadgets, read by neo (the extra `raw`)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.reasons import refuse
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology.raw_formats import blackrock_events, neo_corrections
from pipeline.electrophysiology.raw_formats.array_recording import LARGEST_FACTOR, MICROVOLT, LibraryRecording
from pipeline.electrophysiology.raw_formats.description import Description, band_of_rate
from pipeline.errors import InvalidData

READERS = {
    "intan": "IntanRawIO", "blackrock": "BlackrockRawIO", "plexon": "PlexonRawIO",
    "spikegadgets": "SpikeGadgetsRawIO",
}  # fmt: skip
INSTALL = "pip install 'neurojoint[raw]'"
UNITS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6}
_DIGITAL = "digital input"
_NEURAL = (  # first what is preferred: names of streams of electrodes, where a file has several
    re.compile(r"rh[ds]2000 amplifier"), re.compile(r"trodes"), re.compile(r"wb|wideband"), re.compile(r"spkc|sp-"),
    re.compile(r"fp"),
)  # fmt: skip
_NO_ELECTRODES = re.compile(r"auxiliary|^ai|adc|stim|dc amplifier|supply|digital|analog")
_MILLIVOLT = 1e-3
_KNOTS = 100_000
"""Pauses of a recording that are taken into its clock, at most."""


def describe(path: Path, kind: str) -> Description:
    """Describe the recording of a file: its electrodes, and the lines of its digital input."""
    with NeoRecording(path, kind) as one:
        note = "" if one.n_segments == 1 else f"in {one.n_segments} parts, with pauses between them"
        return Description(
            kind, band_of_rate(one.sample_rate), None, one.sample_rate, one.n_channels, one.n_samples,
            np.asarray(one.volts_per_bit), note=note,
        )  # fmt: skip


def own_times(path: Path, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
    """First and last sample of each part and their times (s), where the file has parts or does not begin at 0."""
    with NeoRecording(path, kind) as one:
        return one.times()


def own_changes(path: Path, kind: str) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """Changes of digital lines that are no samples: line -> samples, polarities."""
    if kind == "blackrock":
        return _events_of_blackrock(path)[0]
    if kind not in neo_corrections.COUNTS:
        return {}
    with NeoRecording(path, kind) as one:
        return one.changes()


def line_names(path: Path, kind: str) -> dict[int, str]:
    """Line -> its name, as the header calls it."""
    if kind == "blackrock":
        return _events_of_blackrock(path)[1]
    with NeoRecording(path, kind) as one:
        return one.line_names()


def _events_of_blackrock(path: Path) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], dict[int, str]]:
    """Lines and their names by the `.nev` file beside a recording; empty without one."""
    if not path.with_suffix(".nev").is_file():
        return {}, {}
    with NeoRecording(path, "blackrock") as one:
        told = one.times()
        clock = Clock.uniform(one.sample_rate) if told is None else Clock(*told)
        return blackrock_events.lines(_reader(path, "blackrock", load_nev=True), clock, one.n_samples)


class NeoRecording(LibraryRecording):
    """The electrodes of a file, with a digital word where the file has lines of digital input."""

    def __init__(self, path: Path, kind: str) -> None:
        self.kind = kind
        super().__init__(path)

    def __reduce__(self) -> tuple:
        return type(self), (self.path.absolute(), self.kind)

    @property
    def n_segments(self) -> int:
        """Parts between which the recording paused."""
        return len(self._lengths)

    def times(self) -> tuple[np.ndarray, np.ndarray] | None:
        """See `own_times`."""
        if self.kind in neo_corrections.COUNTS:
            return self._counted_times()
        starts = [float(self._reader.get_signal_t_start(0, i, self._stream)) for i in range(self.n_segments)]
        if self.n_segments == 1 and starts[0] == 0:
            return None
        bounds = np.concatenate([[0], np.cumsum(self._lengths)])
        knots, times = [], []
        for first, last, start in zip(bounds[:-1].tolist(), bounds[1:].tolist(), starts, strict=True):
            for sample in sorted({first, last - 1}):
                knots.append(sample)
                times.append(start + (sample - first) / self.sample_rate)
        if len(knots) < 2 or not (np.diff(times) > 0).all():
            return None
        return np.array(knots, np.float64), np.array(times)

    def changes(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """See `own_changes`."""
        if self.kind == "plexon":
            return neo_corrections.plexon_lines(self._reader, self._stream)
        return neo_corrections.spikegadgets_lines(self._reader, self.path)

    def line_names(self) -> dict[int, str]:
        """See the function of that name."""
        if self.kind == "plexon":
            return neo_corrections.plexon_line_names(self._reader)
        if self.kind == "spikegadgets":
            return neo_corrections.spikegadgets_line_names(self.path)
        if not self._digital:
            return {}
        header: Any = self._reader.header
        channels, stream = header["signal_channels"], header["signal_streams"][self._digital[0]]["id"]
        names = channels["name"][channels["stream_id"] == stream].tolist()
        return {line: str(name) for line, name in enumerate(names) if str(name).strip()}

    def _counted_times(self) -> tuple[np.ndarray, np.ndarray] | None:
        """The same by what the device counted, with the pauses and lost packets that neo joins without a word."""
        first, counts, rate = neo_corrections.COUNTS[self.kind](self._reader, self._stream)
        if not len(first):
            return None
        times = counts / rate
        due = times[:-1] + np.diff(first) / self.sample_rate
        gaps = np.flatnonzero(np.abs(times[1:] - due) > 1.5 / self.sample_rate) + 1
        if not len(gaps) and times[0] == 0:
            return None
        if len(gaps) > _KNOTS or (np.diff(times) <= 0).any():
            raise refuse(self.path.name, "bad_header", "the times that the device counted go back, or pause too often")
        begins = np.concatenate([[0], gaps])
        ends = np.concatenate([first[gaps] - 1, [self.shape[0] - 1]])
        last = times[begins] + (ends - first[begins]) / self.sample_rate
        knots = np.column_stack([first[begins], ends]).ravel().astype(np.float64)
        at = np.column_stack([times[begins], last]).ravel()
        knots, rows = np.unique(knots, return_index=True)
        return (knots, at[rows]) if len(knots) > 1 and (np.diff(at[rows]) > 0).all() else None

    def _prepare(self) -> np.ndarray:
        self._reader = _reader(self.path, self.kind)
        header: Any = self._reader.header
        streams = header["signal_streams"]
        channels = header["signal_channels"]
        if not len(streams):
            raise refuse(self.path.name, "bad_header", "it holds no continuous samples")
        counts = [int(np.sum(channels["stream_id"] == stream["id"])) for stream in streams]
        self._stream = _stream_of_electrodes([str(stream["name"]).lower() for stream in streams], counts)
        own = channels[channels["stream_id"] == streams[self._stream]["id"]]
        self._lengths = [
            int(self._reader.get_signal_size(0, i, self._stream)) for i in range(self._reader.segment_count(0))
        ]
        self.sample_rate = float(own["sampling_rate"][0])
        units = [_MILLIVOLT if self.kind == "plexon" else UNITS.get(str(value)) for value in own["units"].tolist()]
        if any(unit is None for unit in units):
            stated = str(own["units"][units.index(None)])
            detail = f"the unit {stated} is not a voltage" if stated else "its header does not say how many uV a bit is"
            raise refuse(self.path.name, "bad_header", detail)
        gains = own["gain"].astype(np.float64) * np.array(units, np.float64)
        if self.kind == "plexon":
            gains *= neo_corrections.bits_of_plexon(self.path)
        offsets = own["offset"].astype(np.float64) * np.array(units, np.float64)
        self._shift = np.round(offsets / gains).astype(np.int64)
        exact = np.allclose(self._shift * gains, offsets, rtol=1e-6, atol=1e-12)
        self._scale: np.ndarray | None = None
        dtype = np.dtype(str(own["dtype"][0]))
        is_small = dtype.kind in "iu" and dtype.itemsize <= 2 and (gains <= LARGEST_FACTOR).all() and exact
        if not is_small:
            self._scale, self._offset, self._kind = gains / MICROVOLT, offsets / MICROVOLT, np.float32
            gains = np.full(len(gains), MICROVOLT)
        self._digital = [i for i, one in enumerate(streams) if _DIGITAL in str(one["name"]).lower()][:1]
        n_words = 0
        for i in self._digital:
            same = [int(self._reader.get_signal_size(0, k, i)) for k in range(len(self._lengths))] == self._lengths
            n_lines = int(np.sum(channels["stream_id"] == streams[i]["id"]))
            if not same or n_lines > 16:
                self._digital = []
            n_words = len(self._digital)
        self.shape = (sum(self._lengths), len(own) + n_words)
        return np.concatenate([gains, np.ones(n_words)])

    def _samples(self, first: int, last: int) -> np.ndarray:
        bounds = np.concatenate([[0], np.cumsum(self._lengths)])
        pieces = []
        for segment, (low, high) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            begin, end = max(first, low), min(last, high)
            if begin < end:
                pieces.append(self._piece(segment, begin - low, end - low))
        return np.concatenate(pieces) if len(pieces) > 1 else pieces[0]

    def _piece(self, segment: int, first: int, last: int) -> np.ndarray:
        chunk = lambda stream: np.asarray(  # noqa: E731
            self._reader.get_analogsignal_chunk(0, segment, first, last, stream_index=stream)
        )
        is_plexon = self.kind == "plexon"
        raw = (
            neo_corrections.plexon_samples(self._reader, self._stream, first, last)
            if is_plexon
            else chunk(self._stream)
        )
        if self._scale is not None:
            samples = (raw * self._scale + self._offset).astype(np.float32)
        else:
            samples = (raw.astype(np.int32) + self._shift).clip(-32768, 32767).astype(np.int16)
        for stream in self._digital:
            lines = (chunk(stream) != 0).astype(np.uint16)
            word = (lines << np.arange(lines.shape[1], dtype=np.uint16)).sum(axis=1, dtype=np.uint16)
            samples = np.column_stack([samples, word.view(np.int16).astype(samples.dtype)])
        return samples


def _stream_of_electrodes(names: list[str], counts: list[int]) -> int:
    """The stream of electrodes, by the names that the systems give to their streams, else that of most channels.

    >>> _stream_of_electrodes(["ai-auxiliary input", "fpl-low pass filtered", "wb-wideband"], [32, 16, 16])
    2
    """
    for pattern in _NEURAL:
        for number, name in enumerate(names):
            if pattern.match(name):
                return number
    some = [number for number, name in enumerate(names) if not _NO_ELECTRODES.search(name)]
    return max(some or range(len(names)), key=lambda number: counts[number])


def _reader(path: Path, kind: str, load_nev: bool = False) -> Any:
    """The reader of neo, with its header parsed; of Blackrock with the events beside the recording, if wanted."""
    try:
        import neo.rawio
    except ModuleNotFoundError:
        raise InvalidData(
            path.name, "bad_header", f"files of {kind} are read by neo, which is not here", INSTALL
        ) from None
    options: dict[str, Any] = {}
    if kind == "blackrock":
        options = {"nsx_to_load": int(path.suffix[-1]), "load_nev": load_nev}
    elif kind == "plexon":
        options = {"progress_bar": False}
    name = path.with_suffix("") if kind == "blackrock" else path
    try:
        reader = getattr(neo.rawio, READERS[kind])(str(name), **options)
        reader.parse_header()
    except ModuleNotFoundError as error:
        raise InvalidData(
            path.name, "bad_header", f"it needs the package {error.name}", f"pip install {error.name}"
        ) from None
    except Exception as error:  # noqa: BLE001 - what neo meets in a damaged file has no common class
        detail = f"neo cannot read it ({' '.join(str(error).split())[:200] or type(error).__name__})"
        raise refuse(path.name, "bad_header", detail) from None
    return reader
