"""The ElectricalSeries of an NWB file (HDF5), read by h5py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.reasons import refuse
from pipeline.analysis.clocks import Clock
from pipeline.electrophysiology.raw_formats import clock_knots
from pipeline.electrophysiology.raw_formats.array_recording import LARGEST_FACTOR, MICROVOLT, LibraryRecording
from pipeline.electrophysiology.raw_formats.description import Description, Place, band_of_rate
from pipeline.electrophysiology.raw_formats.nwb_lines import Line, lines_of, numbered
from pipeline.errors import InvalidData

SMALLEST_STEP = 1e-9
"""No converter has a smaller step, V: a factor below that was applied twice."""
INSTALL = "pip install 'neurojoint[raw]'"


def describe(path: Path) -> Description:
    """Describe the raw series of a file; of several the one with the highest rate, and of these the first by name."""
    with NwbRecording(path) as one:
        note = "" if not one.others else f"it also holds {', '.join(one.others)}"[:255]
        return Description(
            "nwb", band_of_rate(one.sample_rate), None, one.sample_rate, one.n_channels, one.n_samples,
            np.asarray(one.volts_per_bit), places=one.places(), note=note,
        )  # fmt: skip


def own_times(path: Path) -> tuple[np.ndarray, np.ndarray] | None:
    """Some samples of the series and their times, s."""
    with NwbRecording(path) as one:
        return one.times()


def own_changes(path: Path) -> tuple[dict[int, tuple[np.ndarray, np.ndarray]], dict[int, str]]:
    """Changes of lines that the file has as events, in samples of the series, and the name of each line."""
    with NwbRecording(path) as one:
        lines = numbered(one.lines())
        told = one.times()
        clock = Clock.uniform(one.sample_rate) if told is None else Clock(*told)
        changes: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, line in lines.items():
            samples = np.round(clock.invert(line.times)).astype(np.int64)
            inside = (samples >= 0) & (samples < one.n_samples) & np.isfinite(line.times)
            order = np.argsort(samples[inside], kind="stable")
            changes[number] = samples[inside][order], line.polarities[inside][order]
    return changes, {number: line.name for number, line in lines.items()}


class NwbRecording(LibraryRecording):
    """The samples of an ElectricalSeries."""

    def close(self) -> None:
        super().close()
        self._file.close()

    def _prepare(self) -> np.ndarray:
        try:
            import h5py
        except ModuleNotFoundError:
            raise InvalidData(
                self.path.name, "bad_header", "NWB files are read by h5py, which is not here", INSTALL
            ) from None
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise refuse(self.path.name, "bad_header", f"not a HDF5 file ({str(error)[:200]})") from None
        series = self._series()
        if not series:
            raise refuse(self.path.name, "bad_header", "it holds no ElectricalSeries below /acquisition")
        rates = {name: _rate(one) for name, one in series.items()}
        name = max(sorted(series), key=lambda name: rates[name])
        self._one = series[name]
        self.others = sorted(set(series) - {name})
        data: Any = self._one["data"]
        if data.ndim not in (1, 2) or data.dtype.kind not in "iuf" or not len(data) or not rates[name] > 0:
            raise refuse(self.path.name, "bad_header", f"/acquisition/{name} holds no samples with a rate")
        self.sample_rate, self._data = rates[name], data
        n_channels = data.shape[1] if data.ndim == 2 else 1
        self.shape = (len(data), n_channels)
        gains = np.full(n_channels, float(data.attrs.get("conversion", 1.0)))
        if "channel_conversion" in self._one:
            by_channel = np.asarray(self._one["channel_conversion"], np.float64)
            is_doubled = np.allclose(by_channel, gains, rtol=1e-3) and (gains < SMALLEST_STEP**0.5).all()
            gains = gains if is_doubled else gains * by_channel  # the Open Ephys GUI 0.6 writes one factor into both
        if data.dtype.kind in "iu" and (gains < SMALLEST_STEP).any():
            detail = f"/acquisition/{name}: a step of {gains.min():.3g} V is smaller than that of any converter"
            raise refuse(self.path.name, "bad_header", detail)
        offset = float(data.attrs.get("offset", 0.0))
        self._scale: np.ndarray | None = None
        if data.dtype == np.int16 and offset == 0 and (gains <= LARGEST_FACTOR).all():
            return gains
        self._scale, self._offset, self._kind = gains / MICROVOLT, offset / MICROVOLT, np.float32
        return np.full(n_channels, MICROVOLT)

    def _samples(self, first: int, last: int) -> np.ndarray:
        samples = np.asarray(self._data[first:last]).reshape(last - first, self.n_channels)
        return samples if self._scale is None else (samples * self._scale + self._offset).astype(np.float32)

    def times(self) -> tuple[np.ndarray, np.ndarray] | None:
        """See `own_times`."""
        if "timestamps" not in self._one:
            start = float(np.asarray(self._one["starting_time"])) if "starting_time" in self._one else 0.0
            samples = np.array([0.0, self.sample_rate])
            return (samples, start + samples / self.sample_rate) if start else None
        stamps = self._one["timestamps"]
        at = clock_knots.of_times(stamps, self.sample_rate)
        if at is None:
            return None
        times = np.asarray(stamps, np.float64)[at]
        return (at.astype(np.float64), times) if (np.diff(times) > 0).all() else None

    def lines(self) -> list[Line]:
        """The events of the file that are changes of lines."""
        return lines_of(self._file)

    def places(self) -> tuple[Place, ...] | None:
        """Places of the channels on the probe, where the table of electrodes has rel_x and rel_y (um)."""
        if "electrodes" not in self._one or "general/extracellular_ephys/electrodes" not in self._file:
            return None
        table: Any = self._file["general/extracellular_ephys/electrodes"]
        rows = np.asarray(self._one["electrodes"], np.int64)
        if not {"rel_x", "rel_y"} <= set(table) or len(rows) != self.n_channels:
            return None
        lateral, axial = (np.asarray(table[name], np.float64)[rows] for name in ("rel_x", "rel_y"))
        if not (np.isfinite(lateral).all() and np.isfinite(axial).all()):
            return None
        groups = (
            [_text(item) for item in np.asarray(table["group_name"])[rows]]
            if "group_name" in table
            else [""] * len(rows)
        )
        names = list(dict.fromkeys(groups))
        return tuple(
            Place(x, y, names.index(group))
            for x, y, group in zip(lateral.tolist(), axial.tolist(), groups, strict=True)
        )

    def _series(self) -> dict[str, Any]:
        group: Any = self._file.get("acquisition", {})
        return {
            name: one
            for name, one in group.items()
            if _text(one.attrs.get("neurodata_type", "")) == "ElectricalSeries" and "data" in one
        }


def _rate(series: Any) -> float:
    """Sampling rate, Hz; 0 where the series does not tell it."""
    if "starting_time" in series:
        return float(series["starting_time"].attrs.get("rate", 0.0))
    if "timestamps" in series and len(series["timestamps"]) > 1:
        n = min(len(series["timestamps"]), 100_000)
        first = np.asarray(series["timestamps"][:n], np.float64)
        step = float(np.median(np.diff(first)))
        whole = round(1 / step) if step > 0 else 0
        return float(whole) if whole and abs(1 / step - whole) < 1e-3 * whole else 1 / step if step > 0 else 0.0
    return 0.0


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
