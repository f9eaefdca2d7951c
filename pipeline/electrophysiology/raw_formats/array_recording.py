"""Recordings that are read through another library: the interface of `cbin.Recording` over a function that reads."""

from __future__ import annotations

import threading
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from cbin.recording import Recording

READ_BYTES = 1 << 22
MICROVOLT = 1e-6
LARGEST_FACTOR = 1e-3
"""Samples whose factor is larger than this (V) are given in uV, so that a factor of 1 means a digital word."""


class LibraryRecording(Recording):
    """Samples of one stream of a file that a library reads; one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._lock = threading.Lock()
        self._is_closed = False
        gains = self._prepare()
        self._set_gains(gains)
        self.dtype = np.dtype(self._kind)
        row = self.shape[1] * self.dtype.itemsize
        self.chunk_bounds = (*range(0, self.shape[0], max(1, READ_BYTES // row)), self.shape[0])

    _kind: Any = np.int16

    @abstractmethod
    def _prepare(self) -> np.ndarray:
        """Open the file, set `shape`, `sample_rate` and `_kind`; returns the V per unit of each column."""

    @abstractmethod
    def _samples(self, first: int, last: int) -> np.ndarray:
        """Samples (n, n_channels), of `dtype`."""

    def read(self, first: int, last: int) -> np.ndarray:
        if self._is_closed:
            raise ValueError(f"{self.path} is closed")
        if not 0 <= first <= last <= self.n_samples:
            raise IndexError(f"samples {first} to {last} are not within the {self.n_samples} of the recording")
        if first == last:
            return np.empty((0, self.n_channels), self.dtype)
        with self._lock:
            return np.ascontiguousarray(self._samples(first, last), self.dtype)

    def close(self) -> None:
        self._is_closed = True

    def __reduce__(self) -> tuple:
        return type(self), (self.path.absolute(),)
