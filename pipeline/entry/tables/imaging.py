"""Fields of view of imaging sessions, the stacks that they form, and where they lie in the brain."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from pipeline.alf import identity
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import SESSION, region, term, text

PROVENANCES = {"e": "estimate", "f": "functional", "l": "landmark", "h": "histology"}
"""Alyx's letters, in lower case -> how a place is known."""

FIELD = (
    *SESSION,
    term("fov_name", 64, "imaging.FieldOfView", required=True, fixed=True, aliases=("name",),
         description="as the folder, e.g. FOV_00"),
)  # fmt: skip
_LOCATION = (
    *FIELD,
    Field("fov_provenance", "choice", choices=tuple(PROVENANCES.values()), words=PROVENANCES, required=True, fixed=True,
          description="how the place is known"),
)  # fmt: skip


def _uuid(key: Mapping[str, Any]) -> dict[str, Any]:
    path = identity.session_path(key["lab"], key["subject"], key["session_date"], key["session_number"])
    return {"fov_uuid": identity.dataset_id(path, f"alf/{key['fov_name']}")}


TABLES = (
    TableEntry(
        "imaging.ImagingType",
        "imaging type",
        (term("imaging_type", 64, required=True, fixed=True),),
        vocabulary=True,
    ),
    TableEntry(
        "imaging.ImagingStack",
        "imaging stack",
        (
            Field("stack_id", "uuid", required=True, fixed=True),
            text("stack_name", 128),
            Field("stack_json", "json", description="what other programs keep with it"),
        ),
    ),
    TableEntry(
        "imaging.FieldOfView",
        "field of view",
        (
            *FIELD[:-1],
            dataclasses.replace(FIELD[-1], to=""),
            Field("fov_uuid", "uuid", description="derived from the path if not given"),
            term("imaging_type", 64, "imaging.ImagingType"),
            Field("stack_id", "uuid", to="imaging.ImagingStack"),
            Field("fov_json", "json", description="what other programs keep with it"),
        ),
        unique=("fov_uuid",),
        derive=_uuid,
    ),
    TableEntry(
        "imaging.FieldLocation",
        "location of a field of view",
        (
            *_LOCATION,
            Field("fov_location_uuid", "uuid", required=True),
            Field("default_location", "boolean", description="the one that searches by region look at"),
            term("coordinate_system", 32, "histology.CoordinateSystem", default="IBL-Allen"),
            Field("corners_ml", "json", required=True, description="of the corners, um from bregma, right positive"),
            Field("corners_ap", "json", required=True, description="um from bregma, anterior positive"),
            Field("corners_dv", "json", required=True, description="um from bregma, dorsal positive"),
            Field("n_pixels", "json", required=True, description="along the three axes"),
            Field("location_json", "json", description="what other programs keep with it"),
            Field("location_changed", "time", required=True),
            Field("location_of_files", "boolean", description="the files say it, and nobody has entered it"),
        ),
        unique=("fov_location_uuid",),
    ),
    TableEntry(
        "imaging.FieldLocation.Region",
        "region of a field of view",
        (
            *_LOCATION[:-1],
            dataclasses.replace(_LOCATION[-1], to="imaging.FieldLocation"),
            region(required=True, fixed=True),
        ),
    ),
)
