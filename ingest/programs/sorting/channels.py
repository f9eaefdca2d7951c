"""Which column of the raw recording each channel of a sorter is: as its channel map says, where the places agree.

A map counts the channels of the file that was sorted. Where bad channels were taken out before, or others were chosen,
its numbers are not those of the raw recording; the places of the channels tell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

NEAR = 2.0  # um between two statements of one place
ORIGIN = 60.0
"""How far the origins of two statements may lie apart across the probe, where they are meant to be the same, um."""
SIDES = (-1, 1)
"""Sign of the lateral places in what is constant where two statements agree: the same side, or the other one."""
PITCHES = (250.0, 0.0)
"""Distances between shanks that sorters may have added to the lateral places, um."""


class Columns(NamedTuple):
    """The answer."""

    raw: np.ndarray | None  # (n,) column of each channel of the sorter; None where that is not known
    note: str = ""


def columns_of(channels: np.ndarray | None, positions: np.ndarray | None, there: Mapping[str, list]) -> Columns:
    """The columns of the recording that the channels of a sorter are.

    Parameters
    ----------
    channels : (n,) the sorter's channel map; None without one.
    positions : (n, 2) places by the sorter, um, from any origin; None without them.
    there : `lateral`, `axial` (um) and `shank` of the columns of the recording.

    Examples
    --------
    >>> there = {"lateral": [0, 32, 0, 32], "axial": [0, 0, 20, 20], "shank": [0, 0, 0, 0]}
    >>> columns_of(np.arange(3), np.array([[0, 0], [0, 20], [32, 20]]), there).raw.tolist()  # the second was left out
    [0, 2, 3]
    """
    n_there = len(there["axial"])
    claimed = channels
    if claimed is None and (positions is None or len(positions) == n_there):
        claimed = np.arange(n_there)
    if claimed is not None and (claimed.min(initial=0) < 0 or claimed.max(initial=0) >= n_there):
        claimed = None
    if positions is None or not np.isfinite(positions).all():
        return Columns(claimed)
    positions = np.asarray(positions, np.float64)
    if claimed is not None and _agree(positions, claimed, there):
        return Columns(claimed)
    if len(np.unique(positions, axis=0)) < len(positions):
        return Columns(None, "the channels of the sorter have no places of their own")
    columns = _by_place(positions, there)
    if columns is None:
        return Columns(None, "the places of the sorter's channels are not those of the raw recording")
    return Columns(
        columns, "channel_map.npy counts other channels than the raw recording: their places tell which they are"
    )


def _agree(positions: np.ndarray, claimed: np.ndarray, there: Mapping[str, list]) -> bool:
    """Whether places differ by a constant: along the probe over all channels, across it on each shank.

    Across may count from the other side, as IBL's geometry does. Channels of one shank of several must not lie where
    another shank is.
    """
    lateral = np.asarray(there["lateral"], np.float64)[claimed]
    along = positions[:, 1] - np.asarray(there["axial"], np.float64)[claimed]
    shanks = np.asarray(there["shank"])[claimed]
    used = np.unique(shanks).tolist()
    is_constant = [
        all(np.ptp((positions[:, 0] + side * lateral)[shanks == item]) <= NEAR for item in used) for side in SIDES
    ]
    if np.ptp(along) > NEAR or not any(is_constant):
        return False
    if len(used) > 1 or len(set(there["shank"])) == 1:
        return True
    across = float(positions[:, 0].mean() - lateral.mean())
    return min(abs(across - pitch * used[0]) for pitch in PITCHES) <= ORIGIN


def _by_place(positions: np.ndarray, there: Mapping[str, list]) -> np.ndarray | None:
    """The columns at these places; None where none fits, or several do, as places shifted by a row of sites.

    First with the origins that both should have, then with any; columns in ascending order go before others, since
    mirrored places may also fit to neighbours.
    """
    axial = np.asarray(there["axial"], np.float64)
    here, any_height = np.zeros(1), np.unique(np.round(positions[0, 1] - axial))
    first: list[np.ndarray] = []
    for heights, farthest in ((here, ORIGIN), (here, np.inf), (any_height, np.inf)):
        matches = {
            rows.tobytes(): rows
            for pitch in PITCHES
            for side in SIDES
            for rows in _matches(positions, there, pitch, side, heights, farthest)
        }
        ascending = [rows for rows in matches.values() if (np.diff(rows) > 0).all()]
        if ascending:
            return ascending[0] if len(ascending) == 1 else None
        first = first or list(matches.values())
    return first[0] if len(first) == 1 else None


def _matches(
    positions: np.ndarray, there: Mapping[str, list], pitch: float, side: int, heights: np.ndarray, farthest: float
) -> Iterator[np.ndarray]:
    """All ways to lay places on those of the recording, which may be counted from the other side of the probe."""
    lateral = np.asarray(there["lateral"], np.float64) + pitch * np.asarray(there["shank"], np.float64)
    axial = np.asarray(there["axial"], np.float64)
    known = {place: row for row, place in enumerate(zip(_grid(-side * lateral), _grid(axial), strict=True))}
    if len(known) < len(axial):
        return
    shifts = np.unique(np.round(positions[0, 0] + side * lateral))
    for shift in shifts[np.abs(shifts) <= farthest].tolist():
        for height in heights.tolist():
            rows = []
            for pair in zip(_grid(positions[:, 0] - shift), _grid(positions[:, 1] - height), strict=True):
                if (row := known.get(pair, -1)) < 0:
                    break
                rows.append(row)
            if len(rows) == len(positions):
                yield np.array(rows)


def _grid(values: np.ndarray) -> list[int]:
    """Places on a grid of 2 um."""
    return np.round(values / NEAR).astype(int).tolist()
