"""The regions of interest (ROI) of a field of view: the files of the ALF object `mpciROIs` as columns, checked."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import atlas
from pipeline.alf.reasons import refuse
from pipeline.analysis import coordinates
from pipeline.electrophysiology.channel_locations import side_names
from pipeline.schemas.inputs import files

OBJECT, TYPES = "mpciROIs", "mpciROITypes"
PLACES, REGIONS = "mlapdv", "brainLocationIds_ccf_2017"
ESTIMATE = "_estimate"
"""The end of names of what was estimated before histology."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True)
class Rois:
    """What the files say of each region of interest.

    Attributes
    ----------
    columns : column of `imaging.RoiSet.Roi` -> a value for each, NaN and None where it is not known
    is_estimate : whether places and regions were estimated before histology; None without either
    n_outside : how many lie outside of the brain (region 0 in the file)
    unknown : ids of regions that the atlas does not have
    """

    columns: dict[str, Any]
    is_estimate: bool | None
    n_outside: int
    unknown: list[int]

    def __len__(self) -> int:
        return len(self.columns["roi"])

    @property
    def n_located(self) -> int:
        """How many lie in a known region."""
        return int(np.isfinite(self.columns["region_id"]).sum())


def read(key: Mapping[str, Any], collection: str, accepted: Collection[str], with_types: bool) -> Rois:
    """Read the regions of interest of a folder.

    Parameters
    ----------
    key : mapping
        Primary key of the session; other entries are ignored.
    collection : str
        The folder below the session, e.g. `alf/FOV_00`.
    accepted : collection of str
        Attributes of `mpciROIs` that can be read.
    with_types : bool
        Whether the folder has names of the types.

    Raises
    ------
    InvalidData
        A file that is not as it should be, or files of unequal length.
    """
    end = next((end for end in ("", ESTIMATE) if {PLACES + end, REGIONS + end} & set(accepted)), None)
    names = ("mpciROITypes", "cellClassifier", "stackPos", "uuids", *(f"{name}{end}" for name in (PLACES, REGIONS)))
    contents: dict[str, np.ndarray] = {}
    for name in names:
        if name in accepted:
            content = files.read_attribute(key, OBJECT, name, collection)
            contents[name.removesuffix(ESTIMATE)] = _checked(name.removesuffix(ESTIMATE), content, collection)
    lengths = {name: len(values) for name, values in contents.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{length} in {name}" for name, length in lengths.items())
        raise refuse(f"{collection}/{OBJECT}", "unequal_length", f"numbers of regions of interest: {said}")
    n_rois = next(iter(lengths.values()), 0)
    types = files.read_attribute(key, TYPES, "names", collection) if with_types else None
    return _assembled(contents, n_rois, types, None if end is None else bool(end))


def _assembled(contents: Mapping[str, np.ndarray], n_rois: int, types: Any, is_estimate: bool | None) -> Rois:
    nothing = np.full(n_rois, np.nan)
    places = contents.get(PLACES, np.full((n_rois, 3), np.nan))
    position = contents.get("stackPos", np.full((n_rois, 3), np.nan))
    told = contents.get(REGIONS, nothing)
    given = ~np.isnan(told)
    ids, signs = atlas.unsigned(np.where(given, told, 0).astype(np.int64))
    known = atlas.regions().known(ids)
    if (signs < 0).any():  # where left is told apart, what has no sign is right
        signs[known & (signs == 0)] = 1
    sides = coordinates.hemispheres(places[:, 0])
    columns = {
        "roi": np.arange(n_rois),
        "roi_uuid": contents["uuids"].tolist() if "uuids" in contents else [None] * n_rois,
        "roi_type": _type_names(contents.get("mpciROITypes"), n_rois, types),
        "cell_probability": contents.get("cellClassifier", nothing),
        "region_id": np.where(known, ids.astype(float), np.nan),
        "roi_hemisphere": side_names(np.where(sides == 0, signs, sides)),
    }
    columns |= {f"roi_{name}": position[:, i] for i, name in enumerate(("x", "y", "plane"))}
    columns |= {f"roi_{name}": places[:, i] for i, name in enumerate(("ml", "ap", "dv"))}
    unknown = np.unique(ids[given & ~known & (ids != 0)]).tolist()
    return Rois(columns, is_estimate, int((given & (ids == 0)).sum()), unknown)


def _type_names(numbers: np.ndarray | None, n_rois: int, table: Any) -> list[str]:
    """The names of the types, from their numbers and the table of names; empty where none is stated."""
    if numbers is None:
        return [""] * n_rois
    names = {} if table is None else dict(zip(table.iloc[:, 0].tolist(), table.iloc[:, 1].tolist(), strict=True))
    return [str(names.get(value, value))[:32] for value in numbers.astype(np.int64).tolist()]


def _checked(name: str, content: Any, collection: str) -> np.ndarray:
    try:
        return _CHECKS[name](content)
    except (ValueError, TypeError) as error:
        raise refuse(f"{collection}/{OBJECT}.{name}", "value_range", str(error)[:900]) from None


def _numbers(width: int) -> Callable[[Any], np.ndarray]:
    def check(content: Any) -> np.ndarray:
        values = np.asarray(content)
        if (
            values.dtype.kind not in "fiub"
            or values.ndim != (2 if width else 1)
            or (width and values.shape[1] != width)
        ):
            raise ValueError(f"{values.dtype} of shape {values.shape} where numbers are expected, a row each")
        return values.astype(np.float64)

    return check


def _whole(content: Any) -> np.ndarray:
    values = _numbers(0)(content)
    known = values[~np.isnan(values)]
    if (known != np.rint(known)).any() or (np.abs(known) >= 2**53).any():
        raise ValueError("ids of regions are whole numbers")
    return values


def _types(content: Any) -> np.ndarray:
    values = _whole(content)
    if np.isnan(values).any():
        raise ValueError("numbers of types are whole numbers")
    return values


def _probabilities(content: Any) -> np.ndarray:
    values = _numbers(0)(content)
    known = values[~np.isnan(values)]
    if ((known < 0) | (known > 1)).any():
        raise ValueError("probabilities lie between 0 and 1")
    return values


def _uuids(content: Any) -> np.ndarray:
    values = np.asarray(content.iloc[:, -1] if hasattr(content, "iloc") else content).reshape(-1).astype(str)
    values = np.char.lower(np.char.strip(values))
    if not all(_UUID.fullmatch(item) for item in values.tolist()):
        raise ValueError("not all are uuids")
    if len(np.unique(values)) < len(values):
        raise ValueError("two have one uuid")
    return values


_CHECKS: dict[str, Callable[[Any], np.ndarray]] = {
    "mpciROITypes": _types, "cellClassifier": _probabilities, "stackPos": _numbers(3), "uuids": _uuids,
    PLACES: coordinates.checked_um, REGIONS: _whole,
}  # fmt: skip
