"""Where the channels of an insertion are: which ALF files say it, and what may be taken from them.

`electrodeSites` holds places found after the sorting and goes before `channels`, as where the ONE client reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline import atlas
from pipeline.analysis import coordinates
from pipeline.electrophysiology import indices, measurement_units

OBJECTS = ("electrodeSites", "channels")
"""ALF objects that may hold the places of channels; the first goes before the second."""
REGIONS, PLACES, GEOMETRY, RAW = "brainLocationIds_ccf_2017", "mlapdv", "localCoordinates", "rawInd"
ATTRIBUTES = (REGIONS, PLACES, GEOMETRY, RAW)
"""What is read of them; one of the first two must be there."""


@dataclass
class Channels:
    """The channels of one insertion, a row each; NaN where the files do not say.

    Attributes
    ----------
    raw : (n,) channel in the raw file
    lateral, axial : (n,) place on the probe, um
    places : (n, 3) ML, AP, DV, um from bregma
    regions : (n,) ids of the atlas
    sides : (n,) int8 hemisphere: -1 left, 1 right, 0 unknown
    n_outside : channels outside of the brain
    n_sides_differ : channels whose region is of the other hemisphere than their ML says
    unknown : ids that the atlas does not have
    refused : attribute -> why it was not taken
    """

    raw: np.ndarray
    lateral: np.ndarray
    axial: np.ndarray
    places: np.ndarray
    regions: np.ndarray
    sides: np.ndarray
    n_outside: int = 0
    n_sides_differ: int = 0
    unknown: list[int] = field(default_factory=list)
    refused: dict[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.regions)

    def columns(self) -> dict[str, Any]:
        """The columns of histology.ChannelLocation.Channel."""
        return {
            "channel": np.arange(len(self)),
            "region_id": self.regions,
            "raw_channel": self.raw,
            "channel_lateral": self.lateral,
            "channel_axial": self.axial,
            **{f"channel_{name}": self.places[:, i] for i, name in enumerate(("ml", "ap", "dv"))},
            "channel_hemisphere": side_names(self.sides),
        }


def assemble(contents: Mapping[str, Any], channel_map: Mapping[str, list] | None = None) -> Channels:
    """Check and join the attributes of `channels` or `electrodeSites`.

    Parameters
    ----------
    contents : attribute (of `ATTRIBUTES`) -> array with one row a channel. An attribute that is not as it should be
        costs only itself; of unequal lengths that of the regions counts, without them that of the places.
    channel_map : `axial` (um) and `shank` of each column of the raw recording: tells whether `rawInd` counts from 1.

    Raises
    ------
    ValueError : neither regions nor places can be taken; the message says why.

    Examples
    --------
    >>> located = assemble({REGIONS: np.array([-733, 0, 5]), PLACES: np.array([[-1500, -1600, -3000]] * 3)})
    >>> located.regions.tolist(), located.sides.tolist(), located.n_outside, located.unknown
    ([733.0, nan, nan], [-1, -1, -1], 1, [5])
    >>> assemble({REGIONS: np.array([733, 382]), RAW: np.array([1, 2])}).raw.tolist()
    [0.0, 1.0]
    """
    checked: dict[str, np.ndarray] = {}
    refused: dict[str, str] = {}
    for name in ATTRIBUTES:
        if name not in contents:
            continue
        try:
            checked[name] = _CHECKS[name](contents[name])
        except ValueError as error:
            refused[name] = str(error)
    leading = REGIONS if REGIONS in checked else PLACES
    if leading not in checked:
        raise ValueError("; ".join(f"{name}: {why}" for name, why in refused.items()) or "no regions and no places")
    n_rows = len(checked[leading])
    for name in [name for name in checked if len(checked[name]) != n_rows]:
        refused[name] = f"{len(checked.pop(name))} rows, {leading} has {n_rows}"
    checked = as_read(checked, channel_map)
    nothing = np.full(n_rows, np.nan)
    places = checked.get(PLACES, np.full((n_rows, 3), np.nan))
    geometry = checked.get(GEOMETRY, np.full((n_rows, 2), np.nan))
    told = checked.get(REGIONS, nothing)
    given = ~np.isnan(told)
    ids, signs = atlas.unsigned(np.where(given, told, 0).astype(np.int64))
    known = atlas.regions().known(ids)
    unknown = given & ~known & (ids != 0)
    if (signs < 0).any():  # where left is told apart, what has no sign is right
        signs[known & (signs == 0)] = 1
    sides = coordinates.hemispheres(places[:, 0])
    return Channels(
        raw=checked.get(RAW, nothing),
        lateral=geometry[:, 0],
        axial=geometry[:, 1],
        places=places,
        regions=np.where(known, ids.astype(float), np.nan),
        sides=np.where(sides == 0, signs, sides),
        n_outside=int((given & (ids == 0)).sum()),
        n_sides_differ=int((sides * signs < 0).sum()),
        unknown=np.unique(ids[unknown]).tolist(),
        refused=refused,
    )


def as_read(contents: Mapping[str, np.ndarray], channel_map: Mapping[str, list] | None = None) -> dict[str, np.ndarray]:
    """`rawInd` counted from 0 and `localCoordinates` in um, by the rules that clusterings are read by.

    Examples
    --------
    >>> as_read({RAW: np.array([2, 1])})[RAW].tolist()
    [1, 0]
    """
    corrected = dict(contents)
    if RAW not in corrected:
        return corrected
    columns = np.nan_to_num(np.asarray(corrected[RAW], np.float64), nan=-1).astype(np.int64).reshape(-1)
    geometry = corrected.get(GEOMETRY)
    if indices.raw_from_one(columns, geometry, channel_map):
        corrected[RAW], columns = corrected[RAW] - 1, columns - 1
    if geometry is not None and channel_map is not None and len(columns) == len(geometry):
        corrected[GEOMETRY] = (
            geometry * measurement_units.places(geometry, indices.axial_of(columns, channel_map)).factor
        )
    return corrected


def match(own: Mapping[str, np.ndarray], channels: Mapping[str, np.ndarray], n_rows: int) -> np.ndarray:
    """Rows of histology.ChannelLocation.Channel at which the rows of another object of channels of that probe are.

    Parameters
    ----------
    own : `rawInd` (n,) and `localCoordinates` (n, 2; um) of the other object, as far as it has them.
    channels : raw_channel, channel_lateral and channel_axial of the channels with places, NaN where not known.
    n_rows : rows of the other object; where the two have as many, they are the same channels in the same order.

    Returns
    -------
    (n_rows,) int64, -1 where there is none.

    Examples
    --------
    >>> sites = assemble({REGIONS: np.array([733, 382, 385]), RAW: np.array([0, 1, 2])}).columns()
    >>> match({RAW: np.array([2, 7])}, sites, 2)
    array([ 2, -1])
    """
    if n_rows == len(channels["raw_channel"]):
        return np.arange(n_rows)
    there = {
        RAW: np.asarray(channels["raw_channel"], float)[:, None],
        GEOMETRY: np.column_stack([channels["channel_lateral"], channels["channel_axial"]]).astype(float),
    }
    for name, places in there.items():
        if name in own and len(own[name]) == n_rows and not np.isnan(places).any():
            rows = {tuple(place): row for row, place in enumerate(places.tolist())}
            wanted = np.asarray(own[name], float).reshape(n_rows, -1).tolist()
            return np.array([rows.get(tuple(place), -1) for place in wanted], np.int64)
    return np.full(n_rows, -1)


def side_names(sides: np.ndarray) -> list[str | None]:
    """`left`, `right` or None for -1, 1 and 0."""
    return [("left", None, "right")[side + 1] for side in sides.tolist()]


def taken(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The values at some rows, NaN at -1."""
    return np.append(np.asarray(values, np.float64), np.nan)[rows]


def region_counts(regions: np.ndarray, name: str) -> dict[str, np.ndarray]:
    """How often each region occurs, as columns."""
    ids, counts = np.unique(regions[np.isfinite(regions)].astype(np.int64), return_counts=True)
    return {"region_id": ids, name: counts}


def _regions(values: Any) -> np.ndarray:
    values = _column(values)
    known = ~np.isnan(values)
    if (values[known] != np.trunc(values[known])).any() or (np.abs(values[known]) >= 2**53).any():
        raise ValueError("ids of regions are whole numbers")
    return values


def _raw_channels(values: Any) -> np.ndarray:
    values = _column(values)
    if np.isnan(values).any() or (values != np.trunc(values)).any() or (values < 0).any() or (values >= 2**31).any():
        raise ValueError("channels are whole numbers from 0")
    return values


def _geometry(values: Any) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != 2 or values.shape[1] != 2 or values.dtype.kind not in "fiu":
        raise ValueError(f"{values.dtype} of shape {values.shape} where numbers of shape (n, 2) are expected")
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("a place on the probe is no finite number")
    return values


def _column(values: Any) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(f"{values.dtype} of shape {values.shape} where numbers of shape (n,) are expected")
    values = values.astype(np.float64)
    if np.isinf(values).any():
        raise ValueError("an infinite number")
    return values


_CHECKS = {REGIONS: _regions, PLACES: coordinates.checked_um, GEOMETRY: _geometry, RAW: _raw_channels}
