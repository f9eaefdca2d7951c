"""What every recording has in common, compressed or raw: a two-dimensional array that is read when it is indexed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np

from .errors import CbinError, FormatError
from .indexing import select, split


class Recording(ABC):
    """What compressed and raw recordings have in common: everything that makes them look like an array.

    Safe to use from several threads at once, and to send to other processes: they open the file again.

    Attributes
    ----------
    path : Path
    shape : (n_samples, n_channels)
    dtype : numpy.dtype
    sample_rate : float
        Hz.
    chunk_bounds : sequence of int
        Where the file is best cut when it is read in pieces, in samples; from 0 to n_samples.
    """

    _volts_per_bit: Any  # None: not looked for yet; False: there are none

    ndim = 2
    path: Path
    shape: tuple[int, int]
    dtype: np.dtype
    sample_rate: float
    chunk_bounds: tuple[int, ...]

    @abstractmethod
    def read(self, first: int, last: int) -> np.ndarray:
        """Samples `first` to `last` (excluded) of all channels, in a new array; both within the recording."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file and the memory; reading is an error afterwards. May be called twice."""

    @property
    def n_samples(self) -> int:
        return self.shape[0]

    @property
    def n_channels(self) -> int:
        return self.shape[1]

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes of all samples, uncompressed."""
        return self.size * self.dtype.itemsize

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.n_samples / self.sample_rate

    @property
    def n_chunks(self) -> int:
        return len(self.chunk_bounds) - 1

    def __len__(self) -> int:
        return self.n_samples

    def __getitem__(self, key: Any) -> np.ndarray | np.generic:
        """NumPy's indexing with integers, slices, lists, masks and `...`, always into memory of its own.

        Two lists select a grid (rows × channels), not pairs, as `numpy.ix_` does.

        Raises
        ------
        IndexError
            Outside the array, or not such an index.
        """
        rows, channels = split(key)
        rows, channels = select(rows, self.n_samples, 0), select(channels, self.n_channels, 1)
        everything = channels.inside == slice(None, None, 1) if isinstance(channels.inside, slice) else False
        if rows.indices is not None:
            samples = self._read_listed(rows.indices)
        else:
            samples = self.read(rows.first, rows.last)[rows.inside]
        if everything and channels.last - channels.first == self.n_channels:
            return samples if samples.base is None or rows.inside == slice(None, None, 1) else samples.copy()
        picked = samples[..., channels.first : channels.last][..., channels.inside]
        return picked.copy() if isinstance(picked, np.ndarray) else picked

    def __iter__(self) -> Iterator[np.ndarray]:
        """The rows one by one, as with an array; each an array (n_channels,)."""
        for _, samples in self.iter_chunks():
            yield from samples

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if copy is False:
            raise ValueError("a recording lies in a file: it cannot become an array without a copy")
        samples = self.read(0, self.n_samples)
        return samples if dtype is None else samples.astype(dtype, copy=False)

    def iter_chunks(self, first: int = 0, last: int | None = None) -> Iterator[tuple[int, np.ndarray]]:
        """Pairs of start (in samples) and samples, chunk by chunk, for chunks `first` to `last` (excluded)."""
        for chunk in range(*slice(first, last).indices(self.n_chunks)):
            start, stop = self.chunk_bounds[chunk], self.chunk_bounds[chunk + 1]
            yield start, self.read(start, stop)

    @property
    def volts_per_bit(self) -> np.ndarray | None:
        """Volts of one unit of each channel, (n_channels,); None when unknown."""
        if self._volts_per_bit is None:
            self._volts_per_bit = _volts_beside(self.path, self.n_channels)
        return None if self._volts_per_bit is False else self._volts_per_bit

    @property
    def volts(self) -> Volts:
        """The same recording in volts, to be indexed in the same way.

        Raises
        ------
        CbinError
            The gains are not known.
        """
        if self.volts_per_bit is None:
            raise CbinError(
                "the gains are not known.",
                file=self.path,
                remedy="Put the SpikeGLX .meta beside the file, or open it with volts_per_bit=.",
            )
        return Volts(self, self.volts_per_bit)

    def _read_listed(self, indices: np.ndarray) -> np.ndarray:
        """Rows in any order, reading only the chunks they lie in."""
        out = np.empty((len(indices), self.n_channels), self.dtype)
        chunks = np.searchsorted(np.asarray(self.chunk_bounds), indices, side="right") - 1
        for chunk in np.unique(chunks):
            here = np.flatnonzero(chunks == chunk)
            first, last = int(indices[here].min()), int(indices[here].max()) + 1
            out[here] = self.read(first, last)[indices[here] - first]
        return out

    def _set_gains(self, volts_per_bit: Any) -> None:
        self._volts_per_bit = None
        if volts_per_bit is not None:
            self._volts_per_bit = np.broadcast_to(np.asarray(volts_per_bit, np.float64), (self.n_channels,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__} {self.path.name}: {self.n_samples} samples × {self.n_channels} channels, "
            f"{self.dtype}, {self.sample_rate:g} Hz>"
        )


class Volts:
    """A recording times its gains: `recording.volts[...]` gives float32 volts for any index of the recording."""

    def __init__(self, recording: Recording, volts_per_bit: np.ndarray) -> None:
        self._recording, self._gains = recording, volts_per_bit
        self.shape, self.ndim, self.dtype = recording.shape, 2, np.dtype(np.float32)

    def __len__(self) -> int:
        return len(self._recording)

    def __getitem__(self, key: Any) -> np.ndarray | np.generic:
        channels = select(split(key)[1], self.shape[1], 1)
        gains = self._gains[channels.first : channels.last][channels.inside]
        return np.multiply(self._recording[key], gains.astype(np.float32), dtype=np.float32, casting="unsafe")


def _volts_beside(path: Path, n_channels: int) -> np.ndarray | bool:
    """Gains from the SpikeGLX .meta beside a file; False when there is none."""
    from .spikeglx import read_meta  # start-up time

    try:
        gains = read_meta(path).volts_per_bit
    except CbinError:
        return False
    if len(gains) != n_channels:
        raise FormatError(f"its .meta has gains for {len(gains)} channels, the file has {n_channels}.", file=path)
    return gains
