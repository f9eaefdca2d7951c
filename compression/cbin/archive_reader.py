"""Reading an archive: a two-dimensional array whose chunks are decoded as they are asked for, by several threads."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .archive_writer import LAYOUT_VERSION, ChunkCoder
from .errors import FormatError
from .recording import Recording
from .source import thread_count
from .spikeglx import MAX_CHANNELS
from .verify import in_order
from .zarrzip import MAX_CHUNK_BYTES, TRACES, ZipReader


class ArchiveReader(Recording):
    """A recording in an archive; the chunk that was read last stays in memory.

    Attributes
    ----------
    attrs : dict
        All attributes of the Zarr group.
    sha1 : str
        Of the raw file.
    meta_text : str or None
        The SpikeGLX header, as it was.
    channel_names : list of str
    """

    def __init__(self, path: str | Path, *, volts_per_bit: Any = None, threads: int | None = None) -> None:
        self.path, self.threads = Path(path), thread_count(threads)
        self._zip = ZipReader(self.path)
        self._last: tuple[int, np.ndarray] | None = None
        try:
            self._load(volts_per_bit)
        except (KeyError, TypeError, ValueError) as error:
            self.close()
            raise FormatError(f"not an archive of cbin: {error!r}.", file=self.path) from error
        except BaseException:
            self.close()
            raise

    def _load(self, volts_per_bit: Any) -> None:
        self.attrs = self._zip.document(".zattrs")
        ours, document = self.attrs["cbin"], self._zip.document(f"{TRACES}/.zarray")
        if ours["layout_version"] != LAYOUT_VERSION:
            raise ValueError(f"layout {ours['layout_version']}, this version reads {LAYOUT_VERSION}")
        self.dtype = np.dtype(document["dtype"])
        (n, m), (rows, columns) = document["shape"], document["chunks"]
        if not (0 < n < 1 << 53 and 0 < m <= MAX_CHANNELS and 0 < rows <= n and columns == m):
            raise ValueError(f"shape {document['shape']} in chunks {document['chunks']}")
        if self.dtype.kind not in "iuf" or rows * m * self.dtype.itemsize > MAX_CHUNK_BYTES or document["order"] != "F":
            raise ValueError(f"chunks of {rows} x {m} {self.dtype} in order {document['order']}")
        if -(-n // rows) > len(self._zip):
            raise ValueError(f"{-(-n // rows)} chunks are announced, {len(self._zip)} files are there")
        self.shape, self._rows = (n, m), rows
        self.sample_rate = float(self.attrs["sampling_frequency"])
        self.chunk_bounds = (*range(0, n, rows), n)
        self.sha1, self.meta_text = ours["sha1"], ours.get("meta")
        self.raw_name = ours["raw_name"]
        gains = ours.get("volts_per_bit") if volts_per_bit is None else volts_per_bit
        self._set_gains(gains)
        if gains is None:
            self._volts_per_bit = False
        self._coder = ChunkCoder(document, rows, m, self.dtype, self.path)

    @property
    def channel_names(self) -> list[str]:
        names: list[str] = self._zip.array("channel_ids").tolist()
        return names

    def read(self, first: int, last: int) -> np.ndarray:
        if not 0 <= first <= last <= self.n_samples:
            raise IndexError(f"samples {first} to {last} are not within the {self.n_samples} of the recording")
        out = np.empty((last - first, self.n_channels), self.dtype)
        if last == first:
            return out
        rows = self._rows
        parts = range(first // rows, -(-last // rows))

        def fill(chunk: int) -> None:
            start, stop = max(first, chunk * rows), min(last, (chunk + 1) * rows)
            self._fill(chunk, start - chunk * rows, stop - chunk * rows, out[start - first : stop - first])

        for _ in map(fill, parts) if len(parts) == 1 else in_order(fill, parts, self.threads):
            pass
        return out

    def decode_all(self, use: Callable[[int, np.ndarray], object] | None = None) -> Iterator[np.ndarray]:
        """The samples chunk by chunk, decoded ahead by the reader's threads, in a few arrays that are used again.

        An array is valid until the next but one is asked for. `use(first, samples)` is called by the thread that
        decoded a chunk, at once and in no order.
        """
        free: deque[np.ndarray] = deque()

        def whole(chunk: int) -> np.ndarray:
            first, last = self.chunk_bounds[chunk], self.chunk_bounds[chunk + 1]
            try:
                out = free.pop()
            except IndexError:
                out = np.empty((self._rows, self.n_channels), self.dtype)
            self._coder.decode(self._stored(chunk), chunk, out[: last - first])
            if use is not None:
                use(first, out[: last - first])
            return out

        lent: deque[np.ndarray] = deque()
        for chunk, out in enumerate(in_order(whole, range(self.n_chunks), self.threads)):
            lent.append(out)
            yield out[: self.chunk_bounds[chunk + 1] - self.chunk_bounds[chunk]]
            if len(lent) > 1:
                free.append(lent.popleft())

    def _fill(self, chunk: int, first: int, last: int, out: np.ndarray) -> None:
        """Rows `first` to `last` of a chunk; a chunk read in part is kept, for the next part."""
        held = self._last
        flat = held[1] if held is not None and held[0] == chunk else self._coder.unpack(self._stored(chunk), chunk)
        self._coder.rows_of(flat, first, last, out)
        if last - first < self._rows:
            self._last = (chunk, flat)

    def _stored(self, chunk: int) -> np.ndarray:
        if self._zip.closed:
            raise ValueError(f"{self.path} is closed")
        return self._zip.read(f"{TRACES}/{chunk}.0", MAX_CHUNK_BYTES, chunk)

    def close(self) -> None:
        self._last = None
        self._zip.close()

    def __reduce__(self) -> tuple[Any, ...]:
        gains = None if self.volts_per_bit is None else np.array(self.volts_per_bit)
        return _reopen, (self.path.absolute(), gains, self.threads)


def _reopen(path: Path, gains: np.ndarray | None, threads: int) -> ArchiveReader:
    return ArchiveReader(path, volts_per_bit=gains, threads=threads)
