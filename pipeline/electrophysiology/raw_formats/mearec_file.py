"""Simulated recordings of MEArec: `recordings` of a HDF5 file, in uV or in whole steps of `gain_to_uV`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pipeline.alf.reasons import refuse
from pipeline.electrophysiology.raw_formats.array_recording import LARGEST_FACTOR, MICROVOLT, LibraryRecording
from pipeline.electrophysiology.raw_formats.description import Description, Place, band_of_rate
from pipeline.errors import InvalidData

INSTALL = "pip install 'neurojoint[raw]'"


def describe(path: Path) -> Description:
    """Describe a simulated recording."""
    with MearecRecording(path) as one:
        return Description(
            "mearec", band_of_rate(one.sample_rate), None, one.sample_rate, one.n_channels, one.n_samples,
            np.asarray(one.volts_per_bit), places=one.places(),
        )  # fmt: skip


class MearecRecording(LibraryRecording):
    """The samples of a simulated recording."""

    def close(self) -> None:
        super().close()
        self._file.close()

    def places(self) -> tuple[Place, ...] | None:
        """Places of the electrodes from the lowest and leftmost one on: MEArec counts from their middle."""
        if "channel_positions" not in self._file:
            return None
        places = np.asarray(self._file["channel_positions"], np.float64)
        if places.shape != (self.n_channels, 3) or not np.isfinite(places).all():
            return None
        across, along = (values - values.min() for values in places[:, 1:].T)  # probes lie in the plane of y and z
        return tuple(Place(x, y, 0) for x, y in zip(across.tolist(), along.tolist(), strict=True))

    def _prepare(self) -> np.ndarray:
        try:
            import h5py
        except ModuleNotFoundError:
            detail = "files of MEArec are read by h5py, which is not here"
            raise InvalidData(self.path.name, "bad_header", detail, INSTALL) from None
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise refuse(self.path.name, "bad_header", f"not a HDF5 file ({str(error)[:200]})") from None
        try:
            self._data: Any = self._file["recordings"]
            self.sample_rate = float(np.asarray(self._file["info/recordings/fs"]))
            gain = float(self._data.attrs.get("gain_to_uV", 1.0)) * MICROVOLT
            is_right = self._data.ndim == 2 and self._data.dtype.kind in "iuf" and self.sample_rate > 0 and gain > 0
        except (KeyError, ValueError, TypeError, AttributeError):
            is_right = False
        if not is_right or not len(self._data):
            self._file.close()
            raise refuse(self.path.name, "bad_header", "it holds no recordings (n, channels) with info/recordings/fs")
        self.shape = self._data.shape
        self._scale: float | None = None
        if self._data.dtype != np.int16 or gain > LARGEST_FACTOR:
            self._scale, self._kind, gain = gain / MICROVOLT, np.float32, MICROVOLT
        return np.full(self.shape[1], gain)

    def _samples(self, first: int, last: int) -> np.ndarray:
        samples = np.asarray(self._data[first:last])
        return samples if self._scale is None else (samples * self._scale).astype(np.float32)
