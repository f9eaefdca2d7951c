"""Writes samples into a compressed HDF5 dataset with all cores: chunks are packed here and handed over as they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import deflate
import h5py
import numpy as np

LEVEL = 1
ROWS = 1 << 14  # samples of a chunk
WIDTH = 64  # channels of a chunk


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks that serve reading some channels for some seconds.

    >>> chunk_shape((10**6, 384)), chunk_shape((100,))
    ((16384, 64), (100,))
    """
    rows = max(1, min(shape[0], ROWS))
    return (rows,) if len(shape) == 1 else (rows, max(1, min(shape[1], WIDTH)))


def pack(chunk: np.ndarray) -> bytes:
    """What HDF5's filters shuffle and gzip make of a chunk."""
    size = chunk.dtype.itemsize
    shuffled = np.ascontiguousarray(chunk).view(np.uint8).reshape(-1, size).T
    return bytes(deflate.zlib_compress(np.ascontiguousarray(shuffled).tobytes(), LEVEL))


def fill(dataset: h5py.Dataset, pieces: Iterable[tuple[int, np.ndarray]], tell: Callable[[int], None]) -> None:
    """Write pieces that follow each other into a chunked dataset with the filters shuffle and gzip.

    Parameters
    ----------
    pieces : first row and rows.
    tell : called with the bytes of each piece that is written.
    """
    rows = dataset.chunks[0]
    rest: np.ndarray | None = None
    first = 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for start, values in pieces:
            block = values if rest is None or not len(rest) else np.concatenate([rest, values])
            first = start - (len(block) - len(values))
            whole = len(block) // rows * rows
            if start + len(values) == dataset.shape[0]:
                whole = len(block)
            _write(dataset, first, block[:whole], threads)
            rest = block[whole:]
            tell(values.nbytes)


def _write(dataset: h5py.Dataset, first: int, block: np.ndarray, threads: ThreadPoolExecutor) -> None:
    """Write rows that begin at the edge of a chunk."""
    rows, widths = dataset.chunks[0], dataset.chunks[1:]
    places = [(row, *rest) for row in range(0, len(block), rows) for rest in _columns(dataset.shape[1:], widths)]

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
    return [(at,) for at in range(0, shape[0], widths[0])] if shape else [()]
