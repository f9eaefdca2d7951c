"""Endpoints of people, places and names that other records refer to."""

from __future__ import annotations

from one_bridge.server import field_getters
from one_bridge.server.endpoint_model import Endpoint, Field, Many, Relation, table
from one_bridge.server.endpoints.fields import KINDS, LAB, USER, field, made, names, token, url

USERS = Endpoint(
    "users",
    "LabMember",
    "lab.LabMember",
    ("user_name",),
    (
        made("id", field_getters.column("user_name"), "user_name"),
        field("username", "user_name", filter="iexact", required=True),
        field("fullname", "full_name"),
        field("email"),
        field("is_active", "member_active", "bool"),
    ),
    many=(
        Many("lab", "lab.LabMembership", "lab", filter="iexact", write=False),
        Many(
            "subjects_responsible",
            "subject.Subject",
            "subject",
            write=False,
            detail=True,
            rows=lambda: table("subject.Subject").proj(user_name="responsible_user") & "user_name IS NOT NULL",
        ),
    ),
    order=("user_name",),
    write="manager",
    delete="admin",
)

LABS = names(
    "labs", "Lab", "lab.Lab", "lab",
    field("institution"),
    field("address"),
    field("timezone", "time_zone"),
    field("reference_weight_pct", kind="float"),
    field("zscore_weight_pct", kind="float"),
    made("repositories", field_getters.nothing_list),
    made("json", field_getters.nothing, kind="json"),
    order=("lab",), write="admin", delete="admin",
)  # fmt: skip

LOCATIONS = Endpoint(
    "locations",
    "LabLocation",
    "lab.LabLocation",
    ("lab", "location"),
    (
        token("lab", "location"),
        field("name", "location", filter="iexact", required=True),
        field("lab", filter="iexact", to=LAB, required=True),
        field("description", "location_description"),
        made("json", field_getters.nothing, kind="json"),
        url("locations", "lab", "location"),
    ),
    relations={"lab": Relation("labs", ("lab",))},
    alias="location",
    order=("lab", "location"),
    write="manager",
)

NAMES = (
    names(
        "projects", "Project", "lab.Project", "project",
        field("description", "project_description"),
        made("json", field_getters.nothing, kind="json"),
        many=(Many("users", "lab.Project.Member", "user_name", USER, "iexact"),), order=("project",),
    ),
    names(
        "procedures", "ProcedureType", "action.ProcedureType", "procedure_type",
        field("description", "procedure_description"), order=("procedure_type",),
    ),
    names("water-type", "WaterType", "action.WaterType", "water_type", order=("water_type",)),
    names(
        "dataset-types", "DatasetType", "data.DatasetType", "dataset_type",
        field("description", "type_description"), field("filename_pattern"), made("created_by", field_getters.nothing),
        order=("dataset_type",),
    ),
    names(
        "data-formats", "DataFormat", "data.DataFormat", "data_format",
        Field("file_extension", "file_extension", say=field_getters.dotted, needs=("file_extension",), required=True),
        field("description", "format_description"), order=("data_format",),
    ),
    names(
        "data-repository", "DataRepository", "data.Repository", "repository",
        Field("repository_type", "repository_kind", choices=KINDS, required=True, filter="exact"),
        field("hostname", "repository_host"),
        field("globus_path", "repository_root", required=True),
        made("data_url", field_getters.nothing),
        Field("globus_is_personal", "repository_kind", "bool", say=field_getters.false, needs=("repository_kind",),
              sql=lambda _: "(repository_kind IS NULL)", write=False),
        made("globus_endpoint_id", field_getters.nothing),
        made("timezone", field_getters.nothing),
        made("json", field_getters.nothing, kind="json"),
        order=("repository",), write="admin", delete="admin",
    ),
    names(
        "revisions", "Revision", "data.Revision", "revision",
        field("description", "revision_description"), order=("revision",),
    ),
    names(
        "tags", "Tag", "data.Tag", "tag",
        field("protected", "tag_protected", "bool", "exact"), field("public", "tag_public", "bool", "exact"),
        field("description", "tag_description"), order=("tag",),
    ),
)  # fmt: skip
"""What has little more than a name."""
