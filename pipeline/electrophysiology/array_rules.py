"""What arrays of sorted spikes must be: each rule says why one must not be read, and takes none whole into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

LARGEST_AMPLITUDE = 0.02  # V; the median of a file above it is in another unit

FEW, SMALL_SHARE = 10, 0.001
"""As many steps back in time are mended, or this share of the spikes."""

_ROWS = 1 << 20  # values at once


class OutOfOrder(NamedTuple):
    """Spikes that are not in order of time."""

    n: int  # how many have to be moved
    wrong: str = ""  # why they must not be; empty where sorting mends it


def times(values: np.ndarray) -> tuple[str, str] | None:
    """Numbers without gaps."""
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        return "value_range", f"an array of {values.dtype} with shape {values.shape} where (n,) times are expected"
    for start, some in chunks(values):
        if not np.isfinite(some).all():
            row = int(np.flatnonzero(~np.isfinite(some))[0])
            return "value_range", f"row {start + row} (from 0) is {some[row]}, and every spike has a time"
    return None


def out_of_order(values: np.ndarray) -> OutOfOrder:
    """Whether times are in order, but for a few: without the neighbours of each step back, the rest must be in order.

    A clock that was restarted takes one step back, after which all times are too early: sorting would mix two parts.

    >>> out_of_order(np.array([0.0, 2.0, 1.0, 3.0, 4.0, 5.0, 6.0]))
    OutOfOrder(n=2, wrong='')
    """
    steps, before = [], None
    for start, some in chunks(values):
        if before is not None and some[0] < before:
            steps.append(np.array([start]))
        steps.append(start + 1 + np.flatnonzero(some[1:] < some[:-1]))
        before = some[-1]
    back = np.concatenate(steps) if steps else np.empty(0, np.int64)
    if not len(back):
        return OutOfOrder(0)
    row = int(back[0])
    detail = f"row {row} (from 0) is {values[row]:.10g} after {values[row - 1]:.10g}"
    beside = np.unique(np.concatenate([back - 1, back]))
    if len(back) > max(FEW, SMALL_SHARE * len(values)) or len(beside) > len(values) / 2:
        return OutOfOrder(len(beside), f"{detail}, and so on {len(back):,} times")
    rest = np.delete(np.asarray(values), beside)
    if (rest[1:] < rest[:-1]).any():
        return OutOfOrder(len(beside), detail)
    return OutOfOrder(len(beside))


def are_by_unit(times: np.ndarray, clusters: np.ndarray) -> bool:
    """Whether spikes stand unit by unit, those of each unit together and in order of time; a few spikes do not tell.

    >>> are_by_unit(np.array([1.0, 5.0, 6.0, 2.0, 3.0, 4.0]), np.array([4, 4, 4, 0, 0, 0]))
    True
    >>> are_by_unit(np.array([1.0, 5.0, 6.0, 2.0, 3.0, 4.0]), np.array([4, 0, 4, 0, 4, 0]))
    False
    """
    if len(times) != len(clusters) or not len(times):
        return False
    changes = np.flatnonzero(np.diff(clusters)) + 1
    begins = np.concatenate([[0], changes])
    if len(np.unique(np.asarray(clusters)[begins])) < len(begins) or len(times) < 3 * len(begins):
        return False
    back = np.flatnonzero(np.diff(times) < 0) + 1
    return bool(np.isin(back, changes).all())


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


def unit_numbers(values: np.ndarray) -> tuple[str, str] | None:
    """Whole numbers from 0 that fit into 32 bits, and -1 for spikes of no unit."""
    if values.ndim == 1 and values.dtype.kind in "fi" and len(values) and min(s.min() for _, s in chunks(values)) == -1:
        for start, some in chunks(values):
            if wrong := whole_numbers(some[some != -1]):
                return wrong[0], f"among the rows from {start}: {wrong[1]}"
        return None
    return whole_numbers(values)


def numbers(values: np.ndarray) -> tuple[str, str] | None:
    """Numbers, NaN where one is not known."""
    if values.dtype.kind not in "fiu":
        return "value_range", f"values of type {values.dtype} where numbers are expected"
    return None


def largest(values: np.ndarray) -> int:
    """The largest of at least one value."""
    return int(max(some.max() for _, some in chunks(values)))


def smallest(values: np.ndarray) -> int:
    """The smallest of at least one value."""
    return int(min(some.min() for _, some in chunks(values)))


def chunks(values: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Pieces of a long array, each with the row where it begins."""
    for start in range(0, len(values), _ROWS):
        yield start, np.asarray(values[start : start + _ROWS])
