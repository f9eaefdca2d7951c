"""Places in the brain: the one statement of origin, signs and units, and the way from the Allen CCF to bregma and back.

Coordinates are (ML, AP, DV) in um from bregma: ML grows to the right, AP to the front, DV upwards (as IBL's x, y, z,
which are in m). The Allen CCF (2017) counts um from a corner of its volume: ML grows to the right too, AP to the back,
DV downwards. Angles and the depth of a probe are those of `iblatlas.atlas.Insertion`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.analysis.arrays import Floats, Integers

BREGMA_CCF = (5739.0, 5400.0, 332.0)
"""Bregma in the CCF: ML, AP, DV, um. The Allen Institute states none; this one is iblatlas' (the CCF is 11400 um wide:
566 voxels of 10 um, as in some papers, is the same ML counted from the other side)."""

LARGEST = 20_000.0
"""um; nothing in or above a mouse's brain is farther from bregma."""

_SIGNS = np.array((1.0, -1.0, -1.0))
_SMALLEST_SPREAD = 20.0  # um: sites of a probe that all lie nearer than this to bregma are in mm or m


def ccf_to_bregma(ccf: ArrayLike) -> Floats:
    """From places in the Allen CCF to places from bregma.

    Parameters
    ----------
    ccf : (..., 3) ML, AP, DV in um from the corner of the volume.

    Returns
    -------
    (..., 3) float64 ML, AP, DV in um from bregma.

    >>> ccf_to_bregma([[5739, 5400, 332], [4739, 7400, 3332]]).tolist()
    [[0.0, 0.0, 0.0], [-1000.0, -2000.0, -3000.0]]
    """
    places: Floats = (np.asarray(ccf, float) - BREGMA_CCF) * _SIGNS + 0.0  # no negative zeros
    return places


def bregma_to_ccf(mlapdv: ArrayLike) -> Floats:
    """From places from bregma to places in the Allen CCF, the inverse of `ccf_to_bregma`.

    Parameters
    ----------
    mlapdv : (..., 3) ML, AP, DV in um from bregma.

    Returns
    -------
    (..., 3) float64 ML, AP, DV in um from the corner of the volume.

    >>> bregma_to_ccf((-1000, -2000, -3000)).tolist()
    [4739.0, 7400.0, 3332.0]
    """
    places: Floats = np.asarray(mlapdv, float) * _SIGNS + BREGMA_CCF
    return places


def ccf_voxels(mlapdv: ArrayLike, size: float = 25.0) -> Integers:
    """The voxels of the Allen CCF that places are in, counted from 0 at the corner of the volume.

    Parameters
    ----------
    mlapdv : (..., 3) ML, AP, DV in um from bregma.
    size : edge of a voxel, um.

    Returns
    -------
    (..., 3) int64 ML, AP, DV; the volumes of the Allen Institute have the order AP, DV, ML. Places outside of the
    volume have numbers below 0 or beyond its shape.

    >>> ccf_voxels((-1000, -2000, -3000)).tolist()
    [189, 296, 133]
    """
    return np.floor(bregma_to_ccf(mlapdv) / size).astype(np.int64)


def along_track(entry: ArrayLike, theta: float, phi: float, depth: ArrayLike) -> Floats:
    """Places on a straight track.

    Parameters
    ----------
    entry : (3,) where the probe enters the brain: ML, AP, DV, um from bregma.
    theta : angle between the probe and the vertical, deg.
    phi : direction in which the probe leans, deg in the horizontal plane, from the right (0) to the front (90).
    depth : () or (n,) distance from the entry along the probe, um, into the brain positive.

    Returns
    -------
    (3,) or (n, 3) float64 ML, AP, DV, um from bregma.

    >>> along_track((-2000, -1000, 0), 0, 180, 1000).round(6).tolist()  # straight down
    [-2000.0, -1000.0, -1000.0]
    >>> along_track((5, 5, 5), 90, 0, [0, 100]).round(6).tolist()  # its handle leans to the right, so it goes left
    [[5.0, 5.0, 5.0], [-95.0, 5.0, 5.0]]
    """
    polar, azimuth = np.deg2rad(theta), np.deg2rad(phi)
    upwards = np.array([np.cos(azimuth) * np.sin(polar), np.sin(azimuth) * np.sin(polar), np.cos(polar)])
    places: Floats = np.asarray(entry, float) - np.asarray(depth, float)[..., None] * upwards
    return places


def checked_um(mlapdv: ArrayLike) -> Floats:
    """Places of the sites of a probe as float64, if they can be um from bregma.

    Parameters
    ----------
    mlapdv : (n, 3) of integers or floats; NaN where a site has no place.

    Returns
    -------
    (n, 3) float64.

    Raises
    ------
    ValueError : another shape, infinite values, values that are too large for a brain, or values so small that they
        are in mm or m.

    >>> checked_um([[-2200, 1000, -3000], [-2190, 1000, -2980]]).shape
    (2, 3)
    >>> checked_um([[-0.0022, 0.001, -0.003], [-0.0022, 0.001, -0.002]])
    Traceback (most recent call last):
    ValueError: the largest distance from bregma is 0.003: these are mm or m, um are expected
    """
    places = np.asarray(mlapdv)
    if places.ndim != 2 or places.shape[1] != 3 or places.dtype.kind not in "fiu":
        raise ValueError(f"{places.dtype} of shape {places.shape} where numbers of shape (n, 3) are expected")
    places = places.astype(np.float64)
    if np.isinf(places).any():
        raise ValueError("an infinite distance from bregma")
    known = np.abs(places[~np.isnan(places)])
    if known.size and known.max() > LARGEST:
        raise ValueError(f"{known.max():.10g} um from bregma is outside of any brain")
    if len(places) > 1 and known.size and known.max() < _SMALLEST_SPREAD:
        raise ValueError(f"the largest distance from bregma is {known.max():.6g}: these are mm or m, um are expected")
    return places


def hemispheres(ml: ArrayLike) -> NDArray[np.int8]:
    """The side of the brain that places are on.

    Parameters
    ----------
    ml : (n,) um from bregma, right positive; NaN where unknown.

    Returns
    -------
    (n,) int8: -1 left, +1 right (also on the midline), 0 unknown.

    >>> hemispheres([-10.5, 0, 3, float("nan")]).tolist()
    [-1, 1, 1, 0]
    """
    ml = np.asarray(ml, float)
    return np.where(np.isnan(ml), 0, np.where(ml < 0, -1, 1)).astype(np.int8)
