"""Writes samples into a compressed HDF5 dataset with all cores: chunks are packed here and handed over as they are."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import deflate
import h5py
import numpy as np

from pipeline.analysis._jit import njit

LEVEL = 1
ROWS = 1 << 14  # samples of a chunk
WIDTH = 64  # channels of a chunk
PIECE = 1 << 25  # byte of an array that are packed at once
SHRINKS = 0.97  # a plane of bytes is packed if this share, or less, is left of it
_STORED = 0xFFFF  # bytes of a block that is not compressed
_PROBE = 4096  # bytes of a plane that are tried


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks that serve reading some channels for some seconds.

    >>> chunk_shape((10**6, 384)), chunk_shape((100,))
    ((16384, 64), (100,))
    """
    rows = max(1, min(shape[0], ROWS))
    if len(shape) == 1:
        return (rows,)
    return rows, -(-shape[1] // max(1, -(-shape[1] // WIDTH)))


def pack(chunk: np.ndarray) -> bytes:
    """What HDF5's filters shuffle and gzip make of a chunk.

    Shuffled, a chunk is one plane for each byte of its values, the low bytes first. Low bytes are mostly noise, which
    takes most of the time and gives nothing: the planes before the first that shrinks are stored as they are, in the
    same stream.
    """
    planes = _planes(chunk)
    n_stored = 1 if _are_samples(chunk) else _noisy(planes)
    flat = planes.reshape(-1)
    low, rest = flat[: n_stored * chunk.size].data, flat[n_stored * chunk.size :].data
    blocks = [low[at : at + _STORED] for at in range(0, len(low), _STORED)]
    stored = [part for block in blocks for part in (struct.pack("<BHH", 0, len(block), len(block) ^ 0xFFFF), block)]
    high = deflate.deflate_compress(rest, LEVEL)
    check = struct.pack(">I", deflate.adler32(flat.data))
    return b"".join([b"\x78\x01", *stored, high, check])


def _are_samples(chunk: np.ndarray) -> bool:
    """Whether these are samples of a recording, whose low bytes are noise whatever a short stretch of them says."""
    return chunk.dtype == np.int16 and chunk.ndim == 2


def _planes(chunk: np.ndarray) -> np.ndarray:
    """The bytes of the values, one row for each byte of a value, in order of the address."""
    planes = np.empty((chunk.dtype.itemsize, chunk.size), np.uint8)
    if _are_samples(chunk):
        _split_samples(chunk.view(np.uint16), planes)
    else:
        _split(np.ascontiguousarray(chunk).reshape(-1).view(np.uint8).reshape(chunk.size, -1), planes)
    return planes


def _noisy(planes: np.ndarray) -> int:
    """How many of the first planes do not shrink; the last is always packed. A stretch in the middle stands for all."""
    n_bytes = planes.shape[1]
    middle = slice(max(0, n_bytes // 2 - _PROBE // 2), n_bytes // 2 + _PROBE // 2)
    for index, plane in enumerate(planes[:-1]):
        some = plane[middle]
        if len(deflate.deflate_compress(some.data, LEVEL)) < SHRINKS * len(some):
            return index
    return len(planes) - 1


@njit
def _split_samples(samples: np.ndarray, planes: np.ndarray) -> None:
    """Low and high bytes of samples (n, n_channels), one plane each."""
    n_rows, n_columns = samples.shape
    for row in range(n_rows):
        for column in range(n_columns):
            value = samples[row, column]
            at = row * n_columns + column
            planes[0, at] = value & 0xFF
            planes[1, at] = value >> 8


@njit
def _split(values: np.ndarray, planes: np.ndarray) -> None:
    """Bytes of values (n, n_bytes of a value), one plane each."""
    n_values, n_bytes = values.shape
    for first in range(0, n_values, 4096):  # what stays in a core's cache
        last = min(first + 4096, n_values)
        for byte in range(n_bytes):
            for row in range(first, last):
                planes[byte, row] = values[row, byte]


def rows(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of an array for `fill`: first row and rows.

    >>> [first for first, _ in rows(np.zeros(10))]
    [0]
    """
    step = max(1, PIECE // max(1, values.nbytes // max(1, len(values))))
    step = max(step // ROWS, 1) * ROWS
    for first in range(0, len(values), step):
        yield first, values[first : first + step]


def fill(dataset: h5py.Dataset, pieces: Iterable[tuple[int, np.ndarray]], tell: Callable[[int], None]) -> None:
    """Write pieces that follow each other into a chunked dataset with the filters shuffle and gzip.

    Parameters
    ----------
    pieces : first row and rows.
    tell : called with the bytes of each piece that is written.
    """
    n_rows = dataset.chunks[0]
    rest: np.ndarray | None = None
    first = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for start, values in pieces:
            block = values if rest is None or not len(rest) else np.concatenate([rest, values])
            first = start - (len(block) - len(values))
            whole = len(block) // n_rows * n_rows
            if start + len(values) == dataset.shape[0]:
                whole = len(block)
            _write(dataset, first, block[:whole], threads)
            rest = block[whole:]
            tell(values.nbytes)


def _write(dataset: h5py.Dataset, first: int, block: np.ndarray, threads: ThreadPoolExecutor) -> None:
    """Write rows that begin at the edge of a chunk."""
    step, widths = dataset.chunks[0], dataset.chunks[1:]
    places = [(row, *rest) for row in range(0, len(block), step) for rest in _columns(dataset.shape[1:], widths)]

    def packed(place: tuple[int, ...]) -> bytes:
        chunk = block[tuple(slice(at, at + size) for at, size in zip(place, dataset.chunks, strict=True))]
        if chunk.shape != dataset.chunks:  # the edge of the dataset: HDF5 stores whole chunks
            whole = np.zeros(dataset.chunks, dataset.dtype)
            whole[tuple(slice(0, size) for size in chunk.shape)] = chunk
            chunk = whole
        return pack(chunk)

    for place, content in zip(places, threads.map(packed, places), strict=True):
        dataset.id.write_direct_chunk((first + place[0], *place[1:]), content)


def _columns(shape: tuple[int, ...], widths: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Where the chunks of one row of chunks begin along the other axes."""
    return list(itertools.product(*(range(0, n, width) for n, width in zip(shape, widths, strict=True))))
