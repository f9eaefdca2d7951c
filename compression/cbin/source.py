"""The raw file that is being compressed: its size, its shape, and whether it is still the same at the end."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import disk
from .errors import FormatError, RawChanged, SizeMismatch


@dataclass
class Source:
    """The raw file, open, with its identity when it was opened."""

    path: Path
    fd: int
    n_channels: int
    dtype: np.dtype
    stat: os.stat_result

    def __post_init__(self) -> None:
        self.row_bytes = self.n_channels * self.dtype.itemsize
        self.size = self.stat.st_size
        if self.size == 0:
            raise SizeMismatch("the raw file is empty.", file=self.path, remedy="There is nothing to compress.")
        if self.size % self.row_bytes:
            raise SizeMismatch(
                f"{self.size} bytes are no multiple of {self.row_bytes} ({self.n_channels} channels of {self.dtype}).",
                file=self.path,
                remedy="Check number of channels and type; if both are right, the file is cut short.",
            )
        self.n_samples = self.size // self.row_bytes

    def read(self, first: int, last: int, out: np.ndarray | None = None, chunk: int | None = None) -> np.ndarray:
        if out is None:
            out = np.empty((last - first, self.n_channels), self.dtype)
        disk.read_into(self.fd, out, first * self.row_bytes, self.path, chunk)
        return out

    def check_unchanged(self) -> None:
        """Raise `RawChanged` when size or time of the file are not what they were."""
        now = self.path.stat()
        if (now.st_size, now.st_mtime_ns, now.st_ino) != (self.size, self.stat.st_mtime_ns, self.stat.st_ino):
            raise RawChanged(
                "the raw file changed meanwhile.", file=self.path, remedy="Wait until the recording is closed."
            )


def shape_of(raw: Path, n_channels: int | None, sample_rate: float | None) -> tuple[int, float]:
    """Channels and rate, from the SpikeGLX .meta beside the raw file where the caller does not say."""
    if n_channels is None or sample_rate is None:
        from .spikeglx import read_meta  # start-up time

        meta = read_meta(raw)
        n_channels = meta.n_channels if n_channels is None else n_channels
        sample_rate = meta.sample_rate if sample_rate is None else sample_rate
    if n_channels != int(n_channels) or n_channels < 1:
        raise FormatError(f"{n_channels} channels are not possible.", file=raw)
    if not 0 < float(sample_rate) < 1e12:
        raise FormatError(f"a sample rate of {sample_rate} Hz is not possible.", file=raw)
    return int(n_channels), float(sample_rate)


def likelier_channels(source: Source) -> int | None:
    """Another number of channels, if the first samples look much more like a recording with that many; else None.

    Successive samples of a channel differ little, so the mean difference of values that lie `n` apart is small for
    the right `n`. Only counts that divide the file's size are considered, and only one that makes differences less
    than 0.7 of what they are is told.
    """
    n_values = min(source.n_samples * source.n_channels, 1 << 16)
    values = source.read(0, n_values // source.n_channels).reshape(-1).astype(np.float64)
    total = source.size // source.dtype.itemsize
    counts = [n for n in range(2, min(2049, len(values) // 8)) if total % n == 0]
    if len(values) < 8 * source.n_channels:
        return None
    with np.errstate(all="ignore"):
        steps = {n: float(np.mean(np.abs(values[n:] - values[:-n]))) for n in {source.n_channels, *counts}}
    best = min(steps, key=lambda n: steps[n])
    return best if steps[best] < 0.7 * steps[source.n_channels] else None


def thread_count(threads: int | None) -> int:
    """As many threads as asked for, at least one; by default one per processor that this process may use."""
    if threads is not None:
        return max(1, int(threads))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
