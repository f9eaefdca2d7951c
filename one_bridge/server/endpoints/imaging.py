"""Endpoints of two-photon imaging: fields of view, where they lie in the brain, and the stacks that they form."""

from __future__ import annotations

import datajoint as dj

from one_bridge.server import field_getters
from one_bridge.server.endpoint_model import Endpoint, Many, Nested, Relation, table
from one_bridge.server.endpoints.fields import READ_ONLY, SESSION, field, made, names, notes_of, token, url

FIELD = (*SESSION, "fov_name")
LOCATION = (*FIELD, "fov_provenance")
PROVENANCES = {"E": "estimate", "F": "functional", "L": "landmark", "H": "histology"}
"""Alyx's letters -> how the place of a field of view is known."""


def _datasets() -> dj.expression.QueryExpression:
    """The datasets in the folders of fields of view."""
    rows = table("data.Dataset").proj("collection") * table("imaging.FieldOfView").proj("fov_uuid")
    return rows & "POSITION(CONCAT('/', fov_name, '/') IN CONCAT('/', collection, '/')) > 0"


FIELDS_OF_VIEW = Endpoint(
    "fields-of-view",
    "FOV",
    "imaging.FieldOfView",
    ("fov_uuid",),
    (
        field("id", "fov_uuid", "uuid"),
        field("session", "eid", "uuid", required=True),
        field("name", "fov_name", required=True),
        field("imaging_type", to=("imaging.ImagingType", "name"), required=True),
        field("stack", "stack_id", "uuid"),
        field("json", "fov_json", "json", "json"),
        made("session_info", field_getters.session_info, "eid", "start_time", "task_protocol", *SESSION),
        url("fields-of-view", "fov_uuid"),
    ),
    rows=lambda rows: rows * table("acquisition.Session").proj("eid", "start_time", "task_protocol"),
    many=(
        Many("datasets", "data.Dataset", "dataset_id", write=False, rows=_datasets),
        Many("_projects", "acquisition.SessionProject", "project", write=False),
        Many(
            "file_brain_region", "imaging.FileLocation.Region", "region_id", ("histology.BrainRegion", "id"),
            write=False, kind="int",
        ),
    ),
    nested=(
        Nested(
            "location", "fov-location", "fov_uuid", "fov_uuid",
            ("id", "provenance", "default_provenance", "coordinate_system", "x", "y", "z", "n_xyz", "brain_region",
             "auto_datetime"),
            detail=False,
        ),
    ),
    relations={
        "session": Relation("sessions", SESSION),
        "location": Relation("fov-location", FIELD),
        "stack": Relation("imaging-stack", ("stack_id",)),
        "datasets": Relation("datasets", ("fov_uuid",), ("dataset_id",), rows=_datasets),
        "rois": Relation("rois", FIELD),
        "file_brain_region": Relation("brain-regions", FIELD, ("region_id",), "imaging.FileLocation.Region"),
        "notes": notes_of("fov_uuid"),
    },
    search="fields_of_view",
    terms={name: name for name in (
        "session", "subject", "lab", "project", "projects", "date_range", "number", "name", "imaging_type", "datasets",
        "dataset_types", "dataset_qc_lte", "tag", "task_protocol", "provenance", "stack", "atlas_acronym", "atlas_id",
        "atlas_name")}
    | {"experiment_number": "number", "date": "date_range"},
    order=("session_date DESC", "subject DESC", "session_number DESC", "eid", "fov_name"),
    create="field_of_view",
    update="field_of_view",
)  # fmt: skip

LOCATIONS_OF_FIELDS = Endpoint(
    "fov-location",
    "FOVLocation",
    "imaging.FieldLocation",
    ("fov_location_uuid",),
    (
        field("id", "fov_location_uuid", "uuid"),
        field("field_of_view", "fov_uuid", "uuid", "exact", required=True),
        field("provenance", "fov_provenance", filter="exact", words=PROVENANCES, default="L"),
        field("default_provenance", "default_location", "bool", "exact"),
        field("coordinate_system", filter="iexact", to=("histology.CoordinateSystem", "name"), default="IBL-Allen"),
        field("x", "corners_ml", "json", required=True),
        field("y", "corners_ap", "json", required=True),
        field("z", "corners_dv", "json", required=True),
        field("n_xyz", "n_pixels", "json", required=True),
        field("auto_datetime", "location_changed", "time", write=False),
        field("of_files", "location_of_files", "bool", "exact", write=False),
        field("json", "location_json", "json", "json"),
        url("fov-location", "fov_location_uuid"),
    ),
    rows=lambda rows: rows * table("imaging.FieldOfView").proj("fov_uuid"),
    many=(
        Many("brain_region", "imaging.FieldLocation.Region", "region_id", ("histology.BrainRegion", "id"), kind="int"),
    ),
    relations={
        "field_of_view": Relation("fields-of-view", FIELD),
        "session": Relation("sessions", SESSION),
        "brain_region": Relation("brain-regions", LOCATION, ("region_id",), "imaging.FieldLocation.Region"),
    },
    order=("default_location DESC", *LOCATION),
    create="field_location",
    update="field_location",
)

ROIS = Endpoint(
    "rois",
    "ROI",
    "imaging.RoiSet.Roi",
    (*FIELD, "roi"),
    (
        token(*FIELD, "roi"),
        field("field_of_view", "fov_uuid", "uuid", "exact"),
        field("number", "roi", "int", "exact"),
        field("uuid", "roi_uuid", "uuid", "exact"),
        field("type", "roi_type", filter="iexact"),
        field("probability", "cell_probability", "float"),
        field("column", "roi_x", "float"),
        field("row", "roi_y", "float"),
        field("plane", "roi_plane", "float"),
        field("x", "roi_ml", "float"),
        field("y", "roi_ap", "float"),
        field("z", "roi_dv", "float"),
        field("hemisphere", "roi_hemisphere", choices=("left", "right")),
        field("brain_region", "region_id", "int", "exact"),
        url("rois", *FIELD, "roi"),
    ),
    rows=lambda rows: rows * table("imaging.FieldOfView").proj("fov_uuid"),
    relations={
        "field_of_view": Relation("fields-of-view", FIELD),
        "session": Relation("sessions", SESSION),
        "brain_region": Relation("brain-regions", ("region_id",)),
    },
    search="rois",
    terms={name: name for name in (
        "session", "subject", "lab", "project", "projects", "date_range", "name", "imaging_type", "stack", "tag",
        "task_protocol", "atlas_acronym", "atlas_id", "atlas_name")}
    | {"experiment_number": "number", "date": "date_range"},
    order=("session_date DESC", "subject DESC", "session_number DESC", "lab", "fov_name", "roi"),
    verbs=READ_ONLY,
)  # fmt: skip
"""Regions of interest of fields of view as the files say them; Alyx has none."""

IMAGING_STACK = Endpoint(
    "imaging-stack",
    "ImagingStack",
    "imaging.ImagingStack",
    ("stack_id",),
    (
        field("id", "stack_id", "uuid"),
        field("name", "stack_name", filter="iexact", required=True),
        field("json", "stack_json", "json", "json"),
        url("imaging-stack", "stack_id"),
    ),
    nested=(
        Nested(
            "slices", "fields-of-view", "stack_id", "stack_id", ("id", "session", "name", "imaging_type", "location")
        ),
    ),
    relations={"slices": Relation("fields-of-view", ("stack_id",))},
    order=("stack_name", "stack_id"),
    create="stack",
)

IMAGING_TYPES = names(
    "imaging-type", "ImagingType", "imaging.ImagingType", "imaging_type", order=("imaging_type",),
    relations={"field_of_view": Relation("fields-of-view", ("imaging_type",))},
)  # fmt: skip


IMAGING = (FIELDS_OF_VIEW, LOCATIONS_OF_FIELDS, ROIS, IMAGING_STACK, IMAGING_TYPES)
