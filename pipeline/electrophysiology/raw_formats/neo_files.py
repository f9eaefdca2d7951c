"""Files of Intan, Blackrock, Plexon, SpikeGadgets and MEArec, read by neo (the extra `raw`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.reasons import refuse
from pipeline.electrophysiology.raw_formats import Description, Place, band_of_rate
from pipeline.electrophysiology.raw_formats.array_recording import LARGEST_FACTOR, MICROVOLT, LibraryRecording
from pipeline.errors import InvalidData

READERS = {
    "intan": "IntanRawIO", "blackrock": "BlackrockRawIO", "plexon": "PlexonRawIO",
    "spikegadgets": "SpikeGadgetsRawIO", "mearec": "MEArecRawIO",
}  # fmt: skip
INSTALL = "pip install 'neurojoint[raw]'"
UNITS = {"V": 1.0, "mV": 1e-3, "uV": 1e-6, "µV": 1e-6}
_DIGITAL = "digital input"
_NEURAL = ("amplifier", "trodes")  # in the names of the streams of electrodes, where a file has several


def describe(path: Path, kind: str) -> Description:
    """Describe the recording of a file: its electrodes, and the lines of its digital input."""
    with NeoRecording(path, kind) as one:
        note = "" if one.n_segments == 1 else f"in {one.n_segments} parts, with pauses between them"
        return Description(
            kind, band_of_rate(one.sample_rate), None, one.sample_rate, one.n_channels, one.n_samples,
            np.asarray(one.volts_per_bit), places=_places(path, kind), note=note,
        )  # fmt: skip


def own_times(path: Path, kind: str) -> tuple[np.ndarray, np.ndarray] | None:
    """First and last sample of each part and their times (s), where the file has parts or does not begin at 0."""
    with NeoRecording(path, kind) as one:
        return one.times()


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

    def _prepare(self) -> np.ndarray:
        self._reader = _reader(self.path, self.kind)
        header: Any = self._reader.header
        streams = header["signal_streams"]
        channels = header["signal_channels"]
        if not len(streams):
            raise refuse(self.path.name, "bad_header", "it holds no continuous samples")
        counts = [int(np.sum(channels["stream_id"] == one["id"])) for one in streams]
        named = [i for i, one in enumerate(streams) if any(word in str(one["name"]).lower() for word in _NEURAL)]
        self._stream = (named or [int(np.argmax(counts))])[0]
        own = channels[channels["stream_id"] == streams[self._stream]["id"]]
        self._lengths = [
            int(self._reader.get_signal_size(0, i, self._stream)) for i in range(self._reader.segment_count(0))
        ]
        self.sample_rate = float(own["sampling_rate"][0])
        units = [UNITS.get(str(one)) for one in own["units"].tolist()]
        if any(one is None for one in units):
            raise refuse(self.path.name, "bad_header", f"the unit {own['units'][units.index(None)]!s} is not a voltage")
        gains = own["gain"].astype(np.float64) * np.array(units, np.float64)
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
        raw = chunk(self._stream)
        if self._scale is not None:
            found = (raw * self._scale + self._offset).astype(np.float32)
        else:
            found = (raw.astype(np.int32) + self._shift).clip(-32768, 32767).astype(np.int16)
        for stream in self._digital:
            lines = (chunk(stream) != 0).astype(np.uint16)
            word = (lines << np.arange(lines.shape[1], dtype=np.uint16)).sum(axis=1, dtype=np.uint16)
            found = np.column_stack([found, word.view(np.int16).astype(found.dtype)])
        return found


def _reader(path: Path, kind: str) -> Any:
    """The reader of neo, with its header parsed."""
    try:
        import neo.rawio
    except ModuleNotFoundError:
        raise InvalidData(
            path.name, "bad_header", f"files of {kind} are read by neo, which is not here", INSTALL
        ) from None
    options: dict[str, Any] = {}
    if kind == "blackrock":
        options = {"nsx_to_load": int(path.suffix[-1]), "load_nev": False}
    if kind == "mearec":
        options = {"load_spiketrains": False}
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


def _places(path: Path, kind: str) -> tuple[Place, ...] | None:
    """Places of the electrodes of a simulated recording."""
    if kind != "mearec":
        return None
    import h5py

    with h5py.File(path) as file:
        places = np.asarray(file["channel_positions"], np.float64)
    if places.ndim != 2 or places.shape[1] != 3:
        return None
    return tuple(Place(float(y), float(z), 0) for _, y, z in places)  # MEArec's probes lie in the plane of y and z
