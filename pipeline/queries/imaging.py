"""The two-photon data of a field of view, as the files of its folder hold them: frames, cells, mean image, places; and
regions of interest of all fields of view, found by brain region."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import atlas
from pipeline.analysis.coordinates import checked_um
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.errors import InvalidData, NotFoundError, UserError
from pipeline.queries.search import DEFAULT_RULES, Names, Regions, listed, sessions_that_fit
from pipeline.schemas import imaging
from pipeline.schemas.inputs.files import load
from pipeline.schemas.inputs.local_copies import path_of

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")

ESTIMATE = "_estimate"
"""The end of names of places that were estimated and not found by histology; the others are preferred."""


@dataclass(frozen=True)
class FieldData:
    """What one field of view recorded. What its folder does not have is None.

    Attributes
    ----------
    times : (n_frames,) float64, s of the session
    fluorescence : (n_frames, n_cells), of each region of interest, arbitrary units; mapped into memory, not read
    neuropil : (n_frames, n_cells), around each, mapped
    deconvolved : (n_frames, n_cells), mapped
    bad_frames : (n_frames,) bool
    cell_types : (n_cells,) of names
    cell_probability : (n_cells,), that the region of interest is a cell, 0-1
    positions : (n_cells, 3) float64, pixels in the mean image (x, y) and plane
    places : (n_cells, 3) float64, um from bregma (ML, AP, DV)
    region_ids : (n_cells,) int64, of the Allen atlas
    is_estimate : bool, whether places and regions were estimated before histology
    mean_image : (n_rows, n_columns)
    line_shift : (n_rows,) float64, s from the start of a frame to each line
    """

    times: np.ndarray
    fluorescence: np.ndarray | None = None
    neuropil: np.ndarray | None = None
    deconvolved: np.ndarray | None = None
    bad_frames: np.ndarray | None = None
    cell_types: np.ndarray | None = None
    cell_probability: np.ndarray | None = None
    positions: np.ndarray | None = None
    places: np.ndarray | None = None
    region_ids: np.ndarray | None = None
    is_estimate: bool = False
    mean_image: np.ndarray | None = None
    line_shift: np.ndarray | None = None

    def __repr__(self) -> str:
        there = [field.name for field in fields(self) if getattr(self, field.name) is not None]
        return f"FieldData({len(self.times)} frames, {self.n_cells} cells: {', '.join(there)})"

    @property
    def n_cells(self) -> int:
        """The number of regions of interest, 0 where none are known."""
        of_cells = (self.fluorescence, self.neuropil, self.deconvolved)
        by_cell = (self.cell_types, self.positions, self.places, self.region_ids, self.cell_probability)
        counts = [of_cell.shape[1] for of_cell in of_cells if of_cell is not None]
        counts += [len(item) for item in by_cell if item is not None]
        return counts[0] if counts else 0

    def cell_times(self) -> np.ndarray:
        """When the scan passes each cell: (n_frames, n_cells) float64, s; frame times where shifts or places lack."""
        if self.line_shift is None or self.positions is None:
            return np.repeat(self.times[:, None], self.n_cells, axis=1)
        rows = np.clip(np.rint(self.positions[:, 1]).astype(int), 0, len(self.line_shift) - 1)
        return self.times[:, None] + self.line_shift[rows]


_FRAMES = {
    "mpci.ROIActivityF": "fluorescence", "mpci.ROINeuropilActivityF": "neuropil",
    "mpci.ROIActivityDeconvolved": "deconvolved",
}  # fmt: skip
_CELLS = {"mpciROIs.cellClassifier": "cell_probability", "mpciROIs.stackPos": "positions"}


def field_data(key: Mapping[str, Any], name: str = "FOV_00") -> FieldData:
    """Read the files of a field of view, below `alf/<name>` of its session.

    Parameters
    ----------
    key : mapping
        Primary key of the session; other entries are ignored.
    name : str
        Of the field of view, as its folder.

    Returns
    -------
    FieldData

    Raises
    ------
    NotFoundError
        The session has no such folder with times of frames; those that it has are named.
    InvalidData
        Files that do not belong together, or a file that cannot be read.
    """
    session = {item: key[item] for item in acquisition.Session.primary_key}
    rows = (data.Dataset() & session & {"default_dataset": True}).proj("rel_path", "collection").to_dicts()
    paths = {_stem(row["rel_path"]): row["rel_path"] for row in rows if row["collection"] == f"alf/{name}"}
    if "mpci.times" not in paths:
        there = sorted({row["collection"][4:] for row in rows if _stem(row["rel_path"]) == "mpci.times"})
        raise NotFoundError(f"this session has no mpci.times in alf/{name}", f"it has {', '.join(there) or 'none'}")

    def read(stem: str) -> Any:
        return None if stem not in paths else load(path_of(session, paths[stem]), paths[stem])

    contents: dict[str, Any] = {"times": np.asarray(read("mpci.times"), np.float64)}
    for stem, attribute in _FRAMES.items():
        if stem in paths:
            contents[attribute] = np.load(path_of(session, paths[stem]), mmap_mode="r", allow_pickle=False)
    if (bad := read("mpci.badFrames")) is not None:
        contents["bad_frames"] = np.asarray(bad).astype(bool)
    contents |= {attribute: np.asarray(read(stem), np.float64) for stem, attribute in _CELLS.items() if stem in paths}
    contents |= _places(read, paths) | _image(read)
    contents["cell_types"] = _types(read)
    made = FieldData(**contents)
    _check(made, f"{'/'.join(map(str, session.values()))}/alf/{name}")
    return made


def find_rois(
    region: Regions = None,
    kind: Names = None,
    min_probability: float | None = None,
    hemisphere: str | None = None,
    *,
    lab: Names = None,
    subject: Names = None,
    since: datetime.date | str | None = None,
    until: datetime.date | str | None = None,
) -> pa.Table:
    """The regions of interest (ROI) of two-photon sessions that lie in a brain region.

    Parameters
    ----------
    region
        Acronyms or ids of the Allen atlas, with all within them; None: anywhere, also where the place is not known.
    kind
        Only of these types, as the files call them, e.g. `cell`.
    min_probability
        Only those that are cells with at least this probability, 0-1.
    hemisphere
        `left` or `right`.
    lab, subject
        Their names.
    since, until
        First and last date of the session.

    Returns
    -------
    pyarrow.Table
        A row for each, by session, field of view and number: lab, subject, session_date, session_number, fov_name, roi
        (row in the files, from 0), eid, fov_uuid, region_id, acronym, roi_ml, roi_ap, roi_dv (um from bregma),
        roi_hemisphere, roi_type, cell_probability, roi_uuid.

    Raises
    ------
    NeurojointError
        There is no such region or hemisphere.
    """
    sessions, _ = sessions_that_fit(None, DEFAULT_RULES, lab, subject, since, until)
    rois = imaging.RoiSet.Roi & sessions.proj()
    if region is not None:
        rois &= f"region_id IN ({', '.join(map(str, atlas.region_ids(region)))})"
    if kind is not None:
        rois &= [{"roi_type": name} for name in listed(kind)]
    if min_probability is not None:
        if not 0 <= min_probability <= 1:
            raise UserError(f"{min_probability} is no probability", "give a number from 0 to 1")
        rois &= f"cell_probability >= {float(min_probability)!r}"
    if hemisphere is not None:
        if hemisphere not in ("left", "right"):
            raise UserError(f"there is no hemisphere {hemisphere!r}", "choose left or right")
        rois &= {"roi_hemisphere": hemisphere}
    key = imaging.RoiSet.Roi.primary_key
    names = ("region_id", "roi_ml", "roi_ap", "roi_dv", "roi_hemisphere", "roi_type", "cell_probability", "roi_uuid")
    where = imaging.FieldOfView.proj("fov_uuid") * acquisition.Session.proj("eid")
    rows = fetch_columns(rois.proj(*names) * where, *key, "eid", "fov_uuid", *names)
    rows = rows.sort_by([(name, "ascending") for name in key])
    tree = atlas.regions()
    acronyms = pa.array(tree.acronyms).take(pc.index_in(rows["region_id"].combine_chunks(), pa.array(tree.ids)))
    return rows.add_column(rows.column_names.index("region_id") + 1, "acronym", acronyms)


def _stem(rel_path: str) -> str:
    """Object and attribute of a file, with its time scale.

    >>> _stem("alf/FOV_00/#2024-01-01#/mpciROIs.mlapdv_estimate.npy")
    'mpciROIs.mlapdv_estimate'
    """
    return ".".join(rel_path.rpartition("/")[2].split(".")[:2])


def _places(read: Any, paths: Mapping[str, str]) -> dict[str, Any]:
    """Places and regions of cells: those of histology, else the estimated ones; never some of each."""
    for end in ("", ESTIMATE):
        names = {"places": f"mpciROIs.mlapdv{end}", "region_ids": f"mpciROIs.brainLocationIds_ccf_2017{end}"}
        if any(name in paths for name in names.values()):
            result: dict[str, Any] = {"is_estimate": bool(end)}
            if (places := read(names["places"])) is not None:
                try:
                    result["places"] = checked_um(places)
                except ValueError as error:
                    raise InvalidData(
                        paths[names["places"]], "unknown_unit", str(error), "write um from bregma"
                    ) from None
            if (regions := read(names["region_ids"])) is not None:
                result["region_ids"] = np.asarray(regions).astype(np.int64)
            return result
    return {}


def _image(read: Any) -> dict[str, Any]:
    image, shift = read("mpciMeanImage.images"), read("mpciStack.timeshift")
    return {
        "mean_image": None if image is None else np.asarray(image),
        "line_shift": None if shift is None else np.asarray(shift, np.float64),
    }


def _types(read: Any) -> np.ndarray | None:
    """The names of the types of cells, from their numbers and the table of names."""
    numbers, table = read("mpciROIs.mpciROITypes"), read("mpciROITypes.names")
    if numbers is None:
        return None
    if table is None:
        return np.asarray(numbers).astype(str)
    columns = [table.column(i).to_pylist() for i in range(2)]
    names = dict(zip(columns[0], columns[1], strict=True))
    return np.array([str(names.get(value, value)) for value in np.asarray(numbers).tolist()])


def _check(content: FieldData, where: str) -> None:
    """Frames and cells are as many in all files."""
    n_frames, n_cells = len(content.times), content.n_cells
    if np.any(np.diff(content.times) <= 0):
        raise InvalidData(where, "time_backwards", "mpci.times does not increase", "write the times of frames in order")
    wrong = []
    for attribute in (*_FRAMES.values(), "bad_frames"):
        values = getattr(content, attribute)
        if values is not None and len(values) != n_frames:
            wrong.append(f"{attribute} has {len(values)} frames, mpci.times has {n_frames}")
        if values is not None and values.ndim == 2 and values.shape[1] != n_cells:
            wrong.append(f"{attribute} has {values.shape[1]} cells, others have {n_cells}")
    for attribute in (*_CELLS.values(), "places", "region_ids", "cell_types"):
        values = getattr(content, attribute)
        if values is not None and len(values) != n_cells:
            wrong.append(f"{attribute} is of {len(values)} cells, others of {n_cells}")
    if wrong:
        raise InvalidData(
            where, "unequal_length", "; ".join(wrong), "export the field of view again, all files at once"
        )
