"""The diameter of the pupil from the points of its edge that pose estimation found."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import scipy  # its modules are imported when they are first used
from numpy.typing import NDArray

from pipeline.analysis.arrays import Floats

POINTS = ("pupil_top_r", "pupil_right_r", "pupil_bottom_r", "pupil_left_r")
"""Points of the edge, in order around the pupil, as the published models of pose name them."""
LEAST_LIKELIHOOD = 0.9
LONGEST_GAP_S = 1.0
"""Shorter gaps, as of a blink, are bridged by a straight line in the smoothed trace."""
WINDOW_S = 0.5
OUTLIER = 5.0


def diameter(pose: Mapping[str, NDArray[np.floating]], least_likelihood: float = LEAST_LIKELIHOOD) -> Floats:
    """Diameter of the pupil in each frame, in the unit of the points (pixels).

    The points are taken to be a quarter apart on a circle: opposite ones are a diameter apart, neighbours a diameter
    over the square root of 2. The diameter is the median over all pairs whose points are both known.

    Parameters
    ----------
    pose : `<point>_x`, `<point>_y` and `<point>_likelihood` -> (n,) arrays, for each of `POINTS`
    least_likelihood : a point is known in frames where its likelihood is at least that

    Returns
    -------
    (n,) array of float; NaN in frames in which no pair of points is known

    Examples
    --------
    >>> angle = np.pi / 2 * np.arange(4)
    >>> pose = {}
    >>> for name, one in zip(POINTS, angle):
    ...     pose[name + "_x"], pose[name + "_y"] = np.array([9 * np.sin(one)]), np.array([9 * np.cos(one)])
    ...     pose[name + "_likelihood"] = np.array([0.99])
    >>> diameter(pose).round(6)
    array([18.])
    """
    points = []
    for name in POINTS:
        x, y, likelihood = (np.asarray(pose[f"{name}_{part}"], np.float64) for part in ("x", "y", "likelihood"))
        points.append(np.where(likelihood >= least_likelihood, x + 1j * y, np.nan + 1j * np.nan))
    pairs = itertools.combinations(range(len(POINTS)), 2)
    diameters = np.stack([np.abs(points[i] - points[j]) * (1.0 if j - i == 2 else np.sqrt(2)) for i, j in pairs])
    known = np.isfinite(diameters).any(axis=0)
    result = np.full(diameters.shape[1], np.nan)
    result[known] = np.nanmedian(diameters[:, known], axis=0)
    return result


def smoothed(raw: Floats, rate: float) -> Floats:
    """A diameter without outliers and with short gaps bridged, smoothed by a cubic over half a second (Savitzky-Golay).

    Parameters
    ----------
    raw : (n,) array, NaN where it is not known
    rate : frames/s

    Returns
    -------
    (n,) array; NaN in gaps longer than a second, and before the first and after the last known value

    Examples
    --------
    >>> raw = np.full(90, 12.0)
    >>> raw[[20, 21, 50]] = np.nan, np.nan, 80.0
    >>> smoothed(raw, 30.0).round(6)[[0, 20, 50, 89]]
    array([12., 12., 12., 12.])
    """
    raw = np.asarray(raw, np.float64)
    known = np.flatnonzero(np.isfinite(raw))
    if known.size < 2:
        return np.full(raw.size, np.nan)
    window = max(2 * round(WINDOW_S * rate / 2) + 1, 5)
    near = scipy.ndimage.median_filter(raw[known], min(window, known.size), mode="nearest")
    far = np.abs(raw[known] - near)
    spread = 1.4826 * np.median(np.abs(raw[known] - np.median(raw[known])))
    known = known[far <= OUTLIER * max(spread, 1e-3 * abs(float(np.median(raw[known]))))]
    if known.size < 2:
        return np.full(raw.size, np.nan)
    smooth = np.interp(np.arange(raw.size), known, raw[known])
    if raw.size >= window:
        smooth = scipy.signal.savgol_filter(smooth, window, 3, mode="nearest")
    last = np.maximum.accumulate(np.where(np.isin(np.arange(raw.size), known), np.arange(raw.size), -1))
    after = np.minimum.accumulate(np.where(np.isin(np.arange(raw.size), known), np.arange(raw.size), raw.size)[::-1])[
        ::-1
    ]
    unknown = (last < 0) | (after >= raw.size) | (after - last > LONGEST_GAP_S * rate)
    return np.where(unknown, np.nan, smooth)
