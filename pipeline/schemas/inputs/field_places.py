"""The corners of a field of view in the brain, as the files of its session state them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.alf import identity
from pipeline.alf.reasons import refuse
from pipeline.analysis.coordinates import LARGEST
from pipeline.database import registry
from pipeline.schemas.inputs import files, local_copies

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")

CORNERS = ("topLeft", "topRight", "bottomLeft", "bottomRight")
META = "_ibl_rawImagingData.meta.json"


@dataclass(frozen=True)
class Place:
    """Where a field of view lies.

    Attributes
    ----------
    corners : ML, AP and DV (um from bregma) of the four corners (first and last row of the image, from left to right);
        None where no file says them
    n_pixels : along the columns, the rows and the planes of the image; None where it is not known
    """

    corners: list[list[float | None]]
    n_pixels: list[int | None]

    @staticmethod
    def uuid(key: Mapping[str, Any], provenance: str) -> str:
        """The identifier of a location that nobody gave one."""
        path = identity.session_path(key["lab"], key["subject"], key["session_date"], key["session_number"])
        return identity.dataset_id(path, f"alf/{key['fov_name']}/{provenance}")


def read(key: Mapping[str, Any], shape: Sequence[int]) -> Place:
    """Where the files see a field of view: the mean image's `mlapdv`, else what the settings of the microscope say.

    Parameters
    ----------
    key : mapping
        Of the field of view.
    shape : sequence of int
        Rows and columns of the mean image; empty where it is not known.

    Raises
    ------
    InvalidData
        A file that is not as it should be.
    """
    collection = f"alf/{key['fov_name']}"
    session = {name: key[name] for name in acquisition.Session.primary_key}
    rows = (data.AlfObject & session & {"object_collection": collection, "object_name": "mpciMeanImage"}).to_dicts()
    accepted = rows[0]["accepted_columns"].split(",") if rows else []
    pixels: list[int | None] = [int(shape[1]), int(shape[0]), 1] if len(shape) == 2 else [None] * 3
    for name in ("mlapdv", "mlapdv_estimate"):
        if name in accepted:
            image = np.asarray(files.read_attribute(key, "mpciMeanImage", name, collection))
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind not in "fiu":
                words = f"{image.dtype} of shape {image.shape} where (rows, columns, 3) is expected"
                raise refuse(f"{collection}/mpciMeanImage.{name}", "value_range", words)
            corners = image[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.float64).T
            return Place(_known(corners), [image.shape[1], image.shape[0], 1])
    stated = _of_settings(session, key["fov_name"])
    if stated is None:
        return Place([[None] * 4] * 3, pixels)
    return Place(stated.corners, [own or other for own, other in zip(pixels, stated.n_pixels, strict=True)])


def _of_settings(session: Mapping[str, Any], name: str) -> Place | None:
    """What the settings of the microscope say of the field of view that has this number."""
    number = name.rpartition("_")[2]
    rows = (data.Dataset & session & {"default_dataset": True} & f"rel_path LIKE '%%/{META}'").to_dicts(
        order_by="rel_path"
    )
    if not number.isdecimal() or not rows:
        return None
    path = rows[0]["rel_path"]
    settings = files.load(local_copies.path_of(session, path), path)
    fields = settings.get("FOV") if isinstance(settings, dict) else None
    if not isinstance(fields, list) or int(number) >= len(fields) or not isinstance(fields[int(number)], dict):
        return None
    one = fields[int(number)]
    places = one.get("MLAPDV")
    places = places.get("estimate", places) if isinstance(places, dict) else None
    pixels = one.get("nXnYnZ")
    n_pixels: list[int | None]
    try:
        corners = np.array([places[corner] for corner in CORNERS], np.float64).T if places else np.full((3, 4), np.nan)
        n_pixels = [int(item) for item in pixels] if pixels else [None] * 3
    except (KeyError, TypeError, ValueError):
        corners, n_pixels = np.empty((0, 0)), []
    if corners.shape != (3, 4) or len(n_pixels) != 3:
        words = f"FOV {number}: MLAPDV of the corners {', '.join(CORNERS)} and three nXnYnZ are expected"
        raise refuse(path, "value_range", f"{words}, not {json.dumps(one.get('MLAPDV'))[:200]}")
    return Place(_known(corners), n_pixels)


def _known(corners: np.ndarray) -> list[list[float | None]]:
    """Numbers as JSON has them: null where a corner lies nowhere."""
    fine = np.isfinite(corners) & (np.abs(corners) <= LARGEST)
    return [
        [float(value) if is_fine else None for value, is_fine in zip(*rows, strict=True)]
        for rows in zip(corners, fine, strict=True)
    ]
