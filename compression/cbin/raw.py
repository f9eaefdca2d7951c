"""Raw files of samples, with the interface of compressed ones."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from . import disk
from .errors import SizeMismatch
from .format import check_dtype
from .recording import Recording

_READ_BYTES = 1 << 22


class RawReader(Recording):
    """A raw file of samples, (n_samples, n_channels) in C order, with the interface of `Reader`."""

    def __init__(
        self,
        path: str | Path,
        n_channels: int,
        sample_rate: float,
        dtype: str | np.dtype = "int16",
        *,
        volts_per_bit: Any = None,
    ) -> None:
        self.path, self.dtype, self.sample_rate = Path(path), check_dtype(dtype, path), float(sample_rate)
        self._fd = disk.open_to_read(self.path)
        size, row = os.fstat(self._fd).st_size, n_channels * self.dtype.itemsize
        if size % row:
            os.close(self._fd)
            self._fd = -1
            raise SizeMismatch(
                f"{size} bytes are no multiple of {row} ({n_channels} channels of {self.dtype}).",
                file=self.path,
                remedy="Check number of channels and type; if both are right, the file is cut short.",
            )
        self.shape = (size // row, n_channels)
        self.chunk_bounds = (*range(0, self.n_samples, max(1, _READ_BYTES // row)), self.n_samples)
        self._set_gains(volts_per_bit)

    def read(self, first: int, last: int) -> np.ndarray:
        if self._fd < 0:
            raise ValueError(f"{self.path} is closed")
        if not 0 <= first <= last <= self.n_samples:
            raise IndexError(f"samples {first} to {last} are not within the {self.n_samples} of the recording")
        out = np.empty((last - first, self.n_channels), self.dtype)
        disk.read_into(self._fd, out, first * self.n_channels * self.dtype.itemsize, self.path)
        return out

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    __del__ = close

    def __reduce__(self) -> tuple[Any, ...]:
        gains = self._volts_per_bit
        gains = None if gains is None or gains is False else np.array(gains)
        return _reopen_raw, (self.path.absolute(), self.n_channels, self.sample_rate, self.dtype.str, gains)


def _reopen_raw(path: Path, n_channels: int, sample_rate: float, dtype: Any, gains: Any) -> Any:
    return RawReader(path, n_channels, sample_rate, dtype, volts_per_bit=gains)
