"""NumPy's rules for the two axes of a recording, made into what must be read: rows first to last, then a selection."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Selection:
    """One axis of an index.

    Attributes
    ----------
    first, last : int
        Smallest range that holds everything selected; `last` is excluded.
    inside : slice, int or array of int
        What to take from that range.
    indices : array of int or None
        All positions on the axis when they were listed or masked, in the order asked for.
    """

    first: int
    last: int
    inside: slice | int | np.ndarray
    indices: np.ndarray | None = None


def split(key: Any) -> tuple[object, object]:
    """Row and channel part of what stands between the brackets.

    Raises
    ------
    IndexError
        More than two axes, a new axis, or something that no axis takes.
    """
    parts = key if isinstance(key, tuple) else (key,)
    if any(part is None for part in parts):
        raise IndexError("a recording has two axes and takes no new ones (None)")
    dots = [i for i, part in enumerate(parts) if part is Ellipsis]
    if len(dots) > 1:
        raise IndexError("an index can only have a single ellipsis ('...')")
    if len(parts) - len(dots) > 2:
        raise IndexError(f"too many indices: a recording has two axes, {len(parts)} were given")
    if dots:
        before, after = parts[: dots[0]], parts[dots[0] + 1 :]
        parts = (*before, *(slice(None),) * (2 - len(before) - len(after)), *after)
    return (*parts, *(slice(None),) * (2 - len(parts)))


def select(key: Any, size: int, axis: int) -> Selection:
    """What a part of an index selects on an axis of `size` entries.

    Raises
    ------
    IndexError
        It lies outside the axis or has the wrong type or length.

    Examples
    --------
    >>> select(slice(None, None, -2), 10, 0)
    Selection(first=1, last=10, inside=slice(None, None, -2), indices=None)
    >>> select(-1, 10, 0)
    Selection(first=9, last=10, inside=0, indices=None)
    """
    if isinstance(key, slice):
        chosen = range(*_slice(key).indices(size))
        if not chosen:
            return Selection(0, 0, slice(0, 0))
        if chosen.step > 0:
            return Selection(chosen[0], chosen[-1] + 1, slice(None, None, chosen.step))
        return Selection(chosen[-1], chosen[0] + 1, slice(None, None, chosen.step))
    if isinstance(key, bool | np.bool_):
        raise IndexError("True and False are no positions; use a mask as long as the axis")
    if not isinstance(key, list | tuple | np.ndarray | range):
        try:
            position = operator.index(key)
        except TypeError:
            raise IndexError(
                f"only integers, slices, lists, masks and ellipsis are indices, not {type(key).__name__}"
            ) from None
        if not -size <= position < size:
            raise IndexError(f"index {position} is out of bounds for axis {axis} with size {size}")
        position %= size
        return Selection(position, position + 1, 0)
    return _listed(np.asarray(key), size, axis)


def _listed(positions: np.ndarray, size: int, axis: int) -> Selection:
    if positions.ndim != 1:
        raise IndexError(f"lists and masks have one dimension here, not {positions.ndim}")
    if positions.dtype == bool:
        if positions.size != size:
            raise IndexError(f"a mask for axis {axis} needs {size} entries, not {positions.size}")
        positions = np.flatnonzero(positions)
    elif positions.size == 0:
        positions = positions.astype(np.int64)
    elif positions.dtype.kind not in "iu":
        raise IndexError(f"positions are integers or a mask, not {positions.dtype}")
    if positions.size == 0:
        return Selection(0, 0, positions, positions)
    low, high = int(positions.min()), int(positions.max())
    if low < -size or high >= size:
        raise IndexError(f"index {low if low < -size else high} is out of bounds for axis {axis} with size {size}")
    positions = positions.astype(np.int64)
    positions = np.where(positions < 0, positions + size, positions)
    first = int(positions.min())
    return Selection(first, int(positions.max()) + 1, positions - first, positions)


def _slice(key: slice) -> slice:
    try:
        parts = [None if part is None else operator.index(part) for part in (key.start, key.stop, key.step)]
    except TypeError:
        raise IndexError("slice indices must be integers or None") from None
    if parts[2] == 0:
        raise IndexError("slice step cannot be zero")
    return slice(*parts)
