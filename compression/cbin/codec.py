"""One chunk of samples to one zlib stream and back: differences in time and space, their order, and the encoder."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import deflate as libdeflate
import numpy as np
from numpy.typing import NDArray

from .deflate16 import DEFAULT, FAST, SMALL, compress16
from .format import Header
from .inflate import inflate_into
from .jit import kernel

EFFORTS = {"fast": FAST, "default": DEFAULT, "small": SMALL}
_TILE = 256
"""Rows that are transposed at a time, so that what is read and written stays in the processor's cache."""


@dataclass(frozen=True)
class Transform:
    """How the samples of a chunk are rearranged before they are deflated (see `cbin.format.Header`)."""

    order: str = "F"
    time_diff: bool = True
    spatial_diff: bool = False

    @classmethod
    def of(cls, header: Header) -> Transform:
        return cls(header.order, header.time_diff, header.spatial_diff)


def encode(differences: np.ndarray, effort: str = "default") -> np.ndarray | bytearray | bytes:
    """Deflate the result of `forward` as a zlib stream.

    Samples of 16 bits go through this package's own encoder. Others go through zlib, level 4 (of its levels the best
    for such data, in speed and in size) or 1 if `fast`, and through libdeflate's level 12 if `small`.
    """
    if differences.dtype.itemsize == 2 and sys.byteorder == "little":
        return compress16(differences, EFFORTS[effort])
    if effort == "small":
        return libdeflate.zlib_compress(differences, 12)
    return zlib.compress(differences, 1 if effort == "fast" else 4)


def decode(
    stream: np.ndarray,
    n_rows: int,
    n_channels: int,
    dtype: np.dtype,
    transform: Transform,
    out: np.ndarray | None = None,
    scratch: np.ndarray | None = None,
) -> np.ndarray:
    """All samples of one chunk, (n_rows, n_channels), from its zlib stream (array of uint8).

    `out` receives them when given; `scratch` (uint8, at least the chunk's bytes) saves an allocation.

    Raises
    ------
    cbin.inflate.InflateError
        The stream does not inflate to that many samples.
    """
    size = n_rows * n_channels * dtype.itemsize
    inflated = np.empty(size, np.uint8) if scratch is None else scratch[:size]
    inflate_into(stream, inflated)
    return inverse(inflated, n_rows, n_channels, dtype, transform, out=out)


def forward(samples: np.ndarray, transform: Transform, out: np.ndarray | None = None) -> np.ndarray:
    """Differences of a chunk in the order they are stored, flat.

    Parameters
    ----------
    samples : array (n_rows, n_channels), C order
    transform : Transform
        Differences wrap around, and are for types with `has_exact_differences` only.
    out : flat array of the same type, optional
        Receives the result.

    Examples
    --------
    >>> forward(np.array([[1, 10], [2, 12], [4, 15]], np.int16), Transform("F"))
    array([ 1,  1,  2, 10,  2,  3], dtype=int16)
    """
    n, m = samples.shape
    if (transform.time_diff or transform.spatial_diff) and not has_exact_differences(samples.dtype):
        raise ValueError(f"differences of {samples.dtype} do not give the samples back")
    out = np.empty(samples.size, samples.dtype) if out is None else out[: samples.size]
    by_row = transform.order == "C"
    if by_row and has_exact_differences(samples.dtype):
        kind = f"u{samples.dtype.itemsize}"
        _difference_rows(samples.view(kind), out.view(kind).reshape(n, m), transform.time_diff, transform.spatial_diff)
        return out
    target = out.reshape(n, m) if by_row else out.reshape(m, n).T
    for first in range(0, n, _TILE):
        last = min(first + _TILE, n)
        tile = samples[first:last]
        if transform.time_diff and first == 0:
            tile = np.concatenate([tile[:1], tile[1:] - tile[:-1]])
        elif transform.time_diff:
            tile = tile - samples[first - 1 : last - 1]
        target[first:last] = tile
        if transform.spatial_diff:
            target[first:last, 1:] = tile[:, 1:] - tile[:, :-1]
    return out


def inverse(
    inflated: np.ndarray,
    n_rows: int,
    n_channels: int,
    dtype: np.dtype,
    transform: Transform,
    first: int = 0,
    last: int | None = None,
    out: np.ndarray | None = None,
) -> np.ndarray:
    """Rows `first` to `last` (excluded) of a chunk, (last - first, n_channels), from its inflated bytes.

    Examples
    --------
    >>> stored = np.array([1, 1, 2, 10, 2, 3], np.int16).view(np.uint8)
    >>> inverse(stored, 3, 2, np.dtype("int16"), Transform("F"), first=1)
    array([[ 2, 12],
           [ 4, 15]], dtype=int16)
    """
    last = n_rows if last is None else last
    if out is None:
        out = np.empty((last - first, n_channels), dtype)
    stored = inflated.view(dtype)
    stored = stored.reshape(n_rows, n_channels) if transform.order == "C" else stored.reshape(n_channels, n_rows).T
    if not has_exact_differences(dtype):
        native = dtype.newbyteorder("=")
        whole = np.cumsum(stored, axis=1, dtype=native) if transform.spatial_diff else stored
        out[:] = (np.cumsum(whole, axis=0, dtype=native) if transform.time_diff else whole)[first:last]
        return out
    step = _TILE if transform.order == "F" else max(1, last - first)
    unsigned = out.view(f"u{dtype.itemsize}")
    for begin in range(0, last - first, step):
        tile = slice(begin, min(begin + step, last - first))
        out[tile] = stored[first + begin : first + tile.stop]
        if transform.time_diff:
            if begin:
                _sum_down(unsigned[begin - 1 : tile.stop])
                continue
            if first and transform.order == "C":
                _add_rows(stored.view(unsigned.dtype), first, unsigned[0])
            elif first:
                _add_columns(stored.T.view(unsigned.dtype), first, unsigned[0])
            _sum_down(unsigned[tile])
    if transform.spatial_diff:
        _sum_across(unsigned)
    return out


def inverse_pieces(
    inflated: np.ndarray, n_rows: int, n_channels: int, dtype: np.dtype, transform: Transform, rows: int = 1024
) -> Iterator[np.ndarray]:
    """The rows of a whole chunk, at most `rows` at a time, in one small array that each step fills again.

    What is to be written somewhere else then needs no memory for the whole chunk, and is still in the processor's
    cache when it is.
    """
    if not has_exact_differences(dtype) or n_rows <= rows:
        yield inverse(inflated, n_rows, n_channels, dtype, transform)
        return
    plain = Transform(transform.order, False, False)
    buffer = np.empty((rows, n_channels), dtype)
    unsigned = buffer.view(f"u{dtype.itemsize}")
    total = np.zeros(n_channels, unsigned.dtype)
    for first in range(0, n_rows, rows):
        n = min(rows, n_rows - first)
        inverse(inflated, n_rows, n_channels, dtype, plain, first, first + n, buffer[:n])
        if transform.time_diff:
            unsigned[0] += total
            _sum_down(unsigned[:n])
            total[:] = unsigned[n - 1]
        if transform.spatial_diff:
            _sum_across(unsigned[:n])
        yield buffer[:n]


def has_exact_differences(dtype: np.dtype) -> bool:
    """Whether sums of differences give samples of this type back: integers in this machine's byte order."""
    return dtype.kind in "iu" and dtype.isnative


@kernel
def _difference_rows(rows: NDArray[Any], out: NDArray[Any], time_diff: bool, spatial_diff: bool) -> None:
    """`forward` for sample order, without the GIL."""
    for t in range(rows.shape[0]):
        row = rows[t]
        target = out[t]
        if time_diff and t > 0:
            above = rows[t - 1]
            for c in range(row.size):
                target[c] = row[c] - above[c]
        else:
            for c in range(row.size):
                target[c] = row[c]
        if spatial_diff:
            for c in range(row.size - 1, 0, -1):
                target[c] -= target[c - 1]


@kernel
def _sum_down(rows: NDArray[Any]) -> None:
    """Running sum of each column, in place."""
    for t in range(1, rows.shape[0]):
        above = rows[t - 1]
        row = rows[t]
        for c in range(row.size):
            row[c] += above[c]


@kernel
def _sum_across(rows: NDArray[Any]) -> None:
    """Running sum along each row, in place."""
    for t in range(rows.shape[0]):
        row = rows[t]
        for c in range(1, row.size):
            row[c] += row[c - 1]


@kernel
def _add_rows(stored: NDArray[Any], n: int, total: NDArray[Any]) -> None:
    """Add the first `n` rows to `total`."""
    for t in range(n):
        row = stored[t]
        for c in range(row.size):
            total[c] += row[c]


@kernel
def _add_columns(stored: NDArray[Any], n: int, total: NDArray[Any]) -> None:
    """Add the sum of the first `n` samples of each channel to `total`; `stored` has a row per channel."""
    for c in range(stored.shape[0]):
        channel = stored[c]
        for t in range(n):
            total[c] += channel[t]
