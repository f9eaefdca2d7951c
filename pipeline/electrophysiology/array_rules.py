"""What arrays of sorted spikes must be: each rule says why one must not be read, and takes none whole into memory."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

LARGEST_AMPLITUDE = 0.02  # V; the median of a file above it is in another unit

_ROWS = 1 << 20  # values at once


def times(values: np.ndarray) -> tuple[str, str] | None:
    """Numbers without gaps, in order."""
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        return "value_range", f"an array of {values.dtype} with shape {values.shape} where (n,) times are expected"
    before = -np.inf
    for start, some in chunks(values):
        if not np.isfinite(some).all():
            row = int(np.flatnonzero(~np.isfinite(some))[0])
            return "value_range", f"row {start + row} (from 0) is {some[row]}, and every spike has a time"
        if some[0] < before:
            return "time_backwards", f"row {start} (from 0) is {some[0]:.10g} after {before:.10g}"
        later = some[1:] >= some[:-1]
        if not later.all():
            row = int(np.flatnonzero(~later)[0]) + 1
            return "time_backwards", f"row {start + row} (from 0) is {some[row]:.10g} after {some[row - 1]:.10g}"
        before = some[-1]
    return None


def whole_numbers(values: np.ndarray) -> tuple[str, str] | None:
    """Whole numbers from 0 that fit into 32 bits."""
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        return "value_range", f"an array of {values.dtype} with shape {values.shape} where (n,) numbers are expected"
    for start, some in chunks(values):
        bad = (some < 0) | (some >= 2**31)
        if some.dtype.kind == "f":
            bad |= ~(some == np.trunc(some))
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            return "value_range", f"row {start + row} (from 0) is {some[row]:g}, expected is a whole number from 0"
    return None


def numbers(values: np.ndarray) -> tuple[str, str] | None:
    """Numbers, NaN where one is not known."""
    if values.dtype.kind not in "fiu":
        return "value_range", f"values of type {values.dtype} where numbers are expected"
    return None


def amplitudes(values: np.ndarray) -> tuple[str, str] | None:
    """Numbers whose size is that of spikes in V, judged by some of them."""
    if wrong := numbers(values):
        return wrong
    some = np.abs(np.asarray(values[:: max(1, len(values) // 10_000)], np.float64))
    some = some[np.isfinite(some)]
    if len(some) and (middle := float(np.median(some))) > LARGEST_AMPLITUDE:
        return "value_range", f"the median amplitude is {middle:.4g}: expected are V"
    return None


def largest(values: np.ndarray) -> int:
    """The largest of at least one value."""
    return int(max(some.max() for _, some in chunks(values)))


def chunks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of a long array, each with the row where it begins."""
    for start in range(0, len(values), _ROWS):
        yield start, np.asarray(values[start : start + _ROWS])
