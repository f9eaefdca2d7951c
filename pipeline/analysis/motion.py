"""Motion energy of videos: how much the brightness of a region changes from frame to frame."""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

from pipeline.analysis._jit import njit
from pipeline.analysis.arrays import Floats

WHOLE = (0.0, 0.0, 1.0, 1.0)
REGIONS: dict[str, tuple[float, float, float, float]] = {
    "left": (0.25, 0.35, 0.35, 0.35), "right": (0.25, 0.35, 0.35, 0.35), "body": (0.25, 0.25, 0.5, 0.5),
}  # fmt: skip
"""Camera -> region as left, top, width and height, in parts of the frame; where the animal's face or body is."""


def in_pixels(region: tuple[float, ...], width: int, height: int) -> tuple[int, int, int, int]:
    """A region in parts of the frame as left, top, width and height in pixels.

    >>> in_pixels((0.25, 0.5, 0.5, 0.25), 640, 512)
    (160, 256, 320, 128)
    """
    left, top, wide, high = region
    if not (0 <= left < 1 and 0 <= top < 1 and 0 < wide <= 1 - left + 1e-9 and 0 < high <= 1 - top + 1e-9):
        raise ValueError(f"the region {region} is not inside the frame")
    return round(left * width), round(top * height), max(round(wide * width), 1), max(round(high * height), 1)


def energy(frames: NDArray[np.uint8], before: NDArray[np.uint8] | None = None) -> Floats:
    """Mean absolute difference between each frame and the one before.

    Parameters
    ----------
    frames : (n, height, width) array, uint8
    before : (height, width) array, the frame before the first; None: there is none, and the first value is 0

    Examples
    --------
    >>> energy(np.array([[[0, 0]], [[4, 2]], [[4, 0]]], dtype=np.uint8))
    array([0., 3., 1.])
    """
    frames = np.ascontiguousarray(frames, dtype=np.uint8)
    flat = frames.reshape(len(frames), -1)
    first = flat[0] if before is None else np.ascontiguousarray(before, dtype=np.uint8).reshape(-1)
    energies: Floats = _energy(flat, first)
    return energies


_PIECE = 1 << 16
"""Pixels whose differences are added up in 32 bits, which compilers do 16 at a time."""


@njit(parallel=True)
def _energy(frames: NDArray[np.uint8], before: NDArray[np.uint8]) -> Floats:
    n_frames, n_pixels = frames.shape
    energies = np.empty(n_frames)
    for i in numba.prange(n_frames):
        last = before if i == 0 else frames[i - 1]
        now = frames[i]
        total = np.int64(0)
        for start in range(0, n_pixels, _PIECE):
            stop = min(start + _PIECE, n_pixels)
            part = np.uint32(0)
            for one, other in zip(now[start:stop], last[start:stop]):  # noqa: B905 - numba knows no strict
                part += np.uint32(np.uint8(max(one, other) - min(one, other)))
            total += np.int64(part)
        energies[i] = total / n_pixels
    return energies
