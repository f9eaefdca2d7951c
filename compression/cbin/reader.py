"""Opening recordings, and reading compressed ones chunk by chunk as they are indexed."""

from __future__ import annotations

import bisect
import itertools
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from . import disk
from .codec import Transform, has_exact_differences, inverse
from .errors import CbinError, MissingFile
from .format import Header, check_size, header_from_dict, header_of, header_path
from .inflate import InflateError, inflate_into, inflate_together
from .raw import RawReader
from .recording import Recording
from .source import thread_count
from .verify import corrupt, read_stream

COMPRESSED_SUFFIXES = (".cbin", ".cdat")
DEFAULT_CACHE_BYTES = 64 << 20
_SHARED_BYTES, _MOST_SHARING = 1 << 22, 3
"""From how many bytes on several threads share one chunk, and how many undo its differences: more wait for memory."""


def open(  # noqa: A001 - cbin.open, as in gzip.open
    path: str | Path,
    meta: str | Path | dict[str, Any] | None = None,
    *,
    n_channels: int | None = None,
    sample_rate: float | None = None,
    dtype: str | np.dtype | None = None,
    volts_per_bit: Any = None,
    threads: int | None = None,
    cache_bytes: int = DEFAULT_CACHE_BYTES,
) -> Recording:
    """Open a recording, compressed or raw, as an array (n_samples, n_channels).

    A path that does not exist is looked for in its other form: `x.ap.bin` opens `x.ap.cbin` when only that is there.

    Parameters
    ----------
    path : path
        A .cbin, a raw file, or an archive (.zarr.zip, see `cbin.archive`).
    meta : path or dict, optional
        The .ch of a .cbin, or its contents, when it has another name.
    n_channels, sample_rate, dtype
        Of a raw file; by default from the SpikeGLX .meta beside it, and int16.
    volts_per_bit : float or array (n_channels,), optional
        By default from the SpikeGLX .meta beside the file, when there is one.
    threads : int, optional
        For reads of many chunks; by default one per processor.
    cache_bytes : int
        How much memory chunks that were read may hold.

    Raises
    ------
    CbinError
        The file or its header is missing, cut short or contradictory.
    """
    path = _existing(Path(path))
    if path.name.endswith(".zarr.zip"):
        from .archive_reader import ArchiveReader  # start-up time

        return ArchiveReader(path, volts_per_bit=volts_per_bit, threads=threads)
    with path.open("rb") as file:
        starts_as_zlib = file.read(1) == b"\x78"
    compressed = meta is not None or path.suffix in COMPRESSED_SUFFIXES or (
        path.suffix.startswith(".c") and starts_as_zlib and header_path(path).exists()
    )  # fmt: skip
    if compressed:
        return Reader(path, meta, volts_per_bit=volts_per_bit, threads=threads, cache_bytes=cache_bytes)
    if n_channels is None or sample_rate is None:
        from .spikeglx import read_meta  # start-up time

        beside = read_meta(path)
        n_channels = beside.n_channels if n_channels is None else n_channels
        sample_rate = beside.sample_rate if sample_rate is None else sample_rate
    return RawReader(path, n_channels, sample_rate, dtype or "int16", volts_per_bit=volts_per_bit)


class Reader(Recording):
    """A .cbin, read chunk by chunk as it is indexed.

    Chunks that were read stay in memory up to `cache_bytes`, the oldest leaves first. What indexing returns is always
    a copy, so nothing a caller does reaches them.
    """

    def __init__(
        self,
        path: str | Path,
        meta: str | Path | dict[str, Any] | Header | None = None,
        *,
        volts_per_bit: Any = None,
        threads: int | None = None,
        cache_bytes: int = DEFAULT_CACHE_BYTES,
    ) -> None:
        self.path = Path(path)
        self.threads = thread_count(threads)
        self.cache_bytes = cache_bytes
        self._meta = meta
        self._fd, self.header = open_pair(self.path, meta)
        self.shape = (self.header.n_samples, self.header.n_channels)
        self.dtype = self.header.dtype
        self.sample_rate = self.header.sample_rate
        self.chunk_bounds = self.header.bounds
        self._transform = Transform.of(self.header)
        self._set_gains(volts_per_bit)
        self._lock = threading.Lock()
        self._own = threading.local()
        self._cache: OrderedDict[int, tuple[bool, np.ndarray]] = OrderedDict()
        self._cached = 0
        self._pool: tuple[int, ThreadPoolExecutor] | None = None

    def read(self, first: int, last: int) -> np.ndarray:
        if not 0 <= first <= last <= self.n_samples:
            raise IndexError(f"samples {first} to {last} are not within the {self.n_samples} of the recording")
        out = np.empty((last - first, self.n_channels), self.dtype)
        self.read_into(first, out)
        return out

    def read_into(self, first: int, out: np.ndarray) -> None:
        """Fill `out` (rows, n_channels; C order, of this recording's type) with the samples from `first` on."""
        bounds, last = self.chunk_bounds, first + len(out)
        if last == first:
            return
        parts = range(bisect.bisect_right(bounds, first) - 1, bisect.bisect_left(bounds, last))

        def fill(chunk: int) -> None:
            start, stop = max(first, bounds[chunk]), min(last, bounds[chunk + 1])
            part = out[start - first : stop - first]
            self._fill(chunk, start - bounds[chunk], stop - bounds[chunk], part, self.threads // len(parts))

        self._together([partial(fill, chunk) for chunk in parts])

    def _fill(self, chunk: int, first: int, last: int, out: np.ndarray, helpers: int) -> None:
        """Rows `first` to `last` of a chunk into `out`; a chunk asked for a second time is kept decoded."""
        header = self.header
        rows = header.bounds[chunk + 1] - header.bounds[chunk]
        with self._lock:
            held = self._cache.get(chunk)
            if held is not None:
                self._cache.move_to_end(chunk)
        if held is not None and held[0]:
            out[:] = held[1][first:last]
            return
        is_whole = last - first == rows
        inflated = self._inflate(chunk, passing=is_whole, helpers=helpers) if held is None else held[1]
        if held is None or is_whole:
            self._inverse(inflated, rows, first, last, out, helpers)
            if held is None and not is_whole:
                self._keep(chunk, False, inflated)
            return
        whole = np.empty((rows, header.n_channels), header.dtype)
        self._inverse(inflated, rows, 0, rows, whole, helpers)
        out[:] = whole[first:last]
        self._keep(chunk, True, whole)

    def _inverse(self, inflated: np.ndarray, rows: int, first: int, last: int, out: np.ndarray, helpers: int) -> None:
        """Rows of a chunk from its inflated bytes, by this thread and those of the pool that have nothing to do."""
        is_shared = out.nbytes >= _SHARED_BYTES and has_exact_differences(self.dtype)
        n_pieces = max(1, min(helpers, _MOST_SHARING)) if is_shared else 1
        cuts = [first + (last - first) * piece // n_pieces for piece in range(n_pieces + 1)]

        def piece(start: int, stop: int) -> None:
            target = out[start - first : stop - first]
            header = self.header
            inverse(inflated, rows, header.n_channels, header.dtype, self._transform, start, stop, target)

        self._together([partial(piece, *span) for span in itertools.pairwise(cuts)])

    def _together(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """Call all, in this thread and those of the pool that have nothing to do; what they return.

        Tasks may do the same themselves: what no thread of the pool has begun is called here, so none waits for
        another that waits.
        """
        if len(tasks) == 1 or self.threads == 1:
            return [task() for task in tasks]
        mine, *others = tasks
        futures = [self._executor().submit(task) for task in others]
        try:
            results = [mine()]
            own = {}
            for number in reversed(range(len(others))):
                if futures[number].cancel():
                    own[number] = others[number]()
        finally:
            wait([future for future in futures if not future.cancel()])
        return results + [own[n] if n in own else future.result() for n, future in enumerate(futures)]

    def _inflate(self, chunk: int, passing: bool, helpers: int) -> np.ndarray:
        """The bytes of a chunk; `passing`: in memory that this thread uses again for its next chunk."""
        if self._fd < 0:
            raise ValueError(f"{self.path} is closed")
        stream = read_stream(self._fd, self.header, chunk, self.path)
        inflated = self._passing(self.header.chunk_bytes(chunk)) if passing else None
        if inflated is None:
            inflated = np.empty(self.header.chunk_bytes(chunk), np.uint8)
        try:
            if helpers > 1 and inflated.nbytes >= _SHARED_BYTES:
                inflate_together(stream, inflated, helpers, self._together)
            else:
                inflate_into(stream, inflated)
        except InflateError as error:
            raise corrupt(self.path, chunk, error) from error
        return inflated

    def _passing(self, n_bytes: int) -> np.ndarray | None:
        """This thread's memory, which saves faulting in as much for each chunk; None for what is large."""
        if n_bytes >= _SHARED_BYTES:
            return None
        memory = getattr(self._own, "memory", None)
        if memory is None or memory.nbytes < n_bytes:
            memory = self._own.memory = np.empty(n_bytes, np.uint8)
        return memory[:n_bytes]

    def _keep(self, chunk: int, decoded: bool, data: np.ndarray) -> None:
        if data.nbytes > self.cache_bytes:
            return
        with self._lock:
            old = self._cache.pop(chunk, None)
            self._cached += data.nbytes - (old[1].nbytes if old is not None else 0)
            self._cache[chunk] = (decoded, data)
            while self._cached > self.cache_bytes:
                self._cached -= self._cache.popitem(last=False)[1][1].nbytes

    def _executor(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._fd < 0:
                raise ValueError(f"{self.path} is closed")
            if self._pool is None or self._pool[0] != os.getpid():  # threads do not survive a fork
                self._pool = os.getpid(), ThreadPoolExecutor(self.threads - 1, thread_name_prefix="cbin")
            return self._pool[1]

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1
            pool, self._pool = self._pool, None
            self._cache.clear()
            self._cached = 0
        if pool is not None and pool[0] == os.getpid():
            pool[1].shutdown()
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)
            self._fd = -1

    def __reduce__(self) -> tuple[Any, ...]:
        gains = self._volts_per_bit
        gains = None if gains is None or gains is False else np.array(gains)
        return _reopen, (type(self), self.path.absolute(), self.header.to_dict(), gains, self.threads, self.cache_bytes)


def open_pair(path: Path, meta: str | Path | dict[str, Any] | Header | None) -> tuple[int, Header]:
    """File descriptor and header that belong together, even while another process replaces them."""
    if isinstance(meta, Header | dict):
        header = meta if isinstance(meta, Header) else header_from_dict(meta, path)
        fd = disk.open_to_read(path)
        try:
            check_size(header, os.fstat(fd).st_size, path)
        except BaseException:
            os.close(fd)
            raise
        return fd, header
    meta = Path(meta) if meta is not None else header_path(path)
    while True:
        before = _identity(meta)
        header = header_of(path, meta)
        fd = disk.open_to_read(path)
        try:
            check_size(header, os.fstat(fd).st_size, path)
        except CbinError:
            os.close(fd)
            if _identity(meta) == before:
                raise
        else:
            if _identity(meta) == before:
                return fd, header
            os.close(fd)


def _identity(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size


def _existing(path: Path) -> Path:
    """The path, or its other form when only that exists."""
    if path.exists():
        return path
    if path.suffix.startswith(".c"):
        other = path.with_suffix("." + path.suffix[2:])
    else:
        other = path.with_suffix(".c" + path.suffix[1:])
    if path.suffix and other.exists():
        return other
    raise MissingFile(f"there is no such file, nor {other.name}.", file=path)


def _reopen(kind: Any, path: Path, header: Any, gains: Any, threads: int | None, cache_bytes: int) -> Any:
    return kind(path, header, volts_per_bit=gains, threads=threads, cache_bytes=cache_bytes)
