"""Endpoints of people, places and names that other records refer to."""

from __future__ import annotations

from one_bridge.server import field_getters
from one_bridge.server.endpoint_model import Endpoint, Field, Many, Relation, table
from one_bridge.server.endpoints.fields import KINDS, LAB, SESSION, USER, absent, field, made, names, token, url

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
    relations={
        "session": Relation("sessions", ("user_name",), SESSION, "acquisition.SessionUser"),
        "subjects_responsible": Relation("subjects", ("user_name",), ("responsible_user",)),
    },
    order=("user_name",),
)

LABS = names(
    "labs", "Lab", "lab.Lab", "lab",
    field("institution"),
    field("address"),
    field("timezone", "time_zone"),
    field("reference_weight_pct", kind="float"),
    field("zscore_weight_pct", kind="float"),
    made("repositories", field_getters.nothing_list),
    absent("json", kind="json"),
    relations={"session": Relation("sessions", ("lab",)), "subject": Relation("subjects", ("lab",)),
               "locations": Relation("locations", ("lab",)),
               "repositories": Relation("data-repository", ("lab",), ("repository",), "transfer.Access")},
    order=("lab",),
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
        absent("json", kind="json"),
        url("locations", "lab", "location"),
    ),
    relations={"lab": Relation("labs", ("lab",)), "session": Relation("sessions", ("lab", "location"))},
    alias="location",
    order=("lab", "location"),
)

NAMES = (
    names(
        "projects", "Project", "lab.Project", "project",
        field("description", "project_description"),
        absent("json", kind="json"),
        many=(Many("users", "lab.Project.Member", "user_name", USER, "iexact"),), order=("project",),
        relations={
            "session": Relation("sessions", ("project",), SESSION, "acquisition.SessionProject"),
            "subject": Relation("subjects", ("project",), ("lab", "subject"), "subject.SubjectProject"),
            "users": Relation("users", ("project",), ("user_name",), "lab.Project.Member"),
        },
    ),
    names(
        "procedures", "ProcedureType", "action.ProcedureType", "procedure_type",
        field("description", "procedure_description"), absent("json", kind="json"), order=("procedure_type",),
        relations={"session": Relation("sessions", ("procedure_type",), SESSION, "acquisition.SessionProcedure")},
    ),
    names("water-type", "WaterType", "action.WaterType", "water_type", order=("water_type",)),
    names(
        "dataset-types", "DatasetType", "data.DatasetType", "dataset_type",
        field("description", "type_description"), field("filename_pattern"), absent("created_by"),
        order=("dataset_type",), relations={"dataset": Relation("datasets", ("dataset_type",))},
    ),
    names(
        "data-formats", "DataFormat", "data.DataFormat", "data_format",
        Field("file_extension", "file_extension", getter=field_getters.dotted, needs=("file_extension",),
              required=True),
        field("description", "format_description"), order=("data_format",),
    ),
    names(
        "data-repository", "DataRepository", "data.Repository", "repository",
        Field("repository_type", "repository_kind", choices=KINDS, required=True, filter="exact"),
        field("hostname", "repository_host"),
        field("globus_path", "repository_root", required=True),
        absent("data_url"),
        Field("globus_is_personal", "repository_kind", "bool", getter=field_getters.false, needs=("repository_kind",),
              sql=lambda _: "(repository_kind IS NULL)", write=False),
        Field("globus_endpoint_id", filter="exact", getter=field_getters.globus_collection,
              needs=("repository_kind", "repository_host"),
              sql=lambda _: "(CASE WHEN repository_kind = 'globus' THEN repository_host END)", write=False),
        absent("timezone"),
        field("json", "repository_json", "json", "json"),
        for_members=("json",),
        relations={"files": Relation("files", ("repository",)), "file_records": Relation("files", ("repository",)),
                   "lab": Relation("labs", ("repository",), ("lab",), "transfer.Access")},
        order=("repository",), create="repository", update="repository",
        hook_inputs={"globus_endpoint_id": ("create", "update")},
    ),
    names(
        "data-repository-type", "DataRepositoryType", "data.RepositoryKind", "kind",
        field("description", "kind_description"), absent("json", kind="json"), order=("kind",), verbs=("list", "read"),
        relations={"data_repository": Relation("data-repository", ("kind",), ("repository_kind",))},
    ),
    names(
        "revisions", "Revision", "data.Revision", "revision",
        field("description", "revision_description"), order=("revision",),
        relations={"datasets": Relation("datasets", ("revision",), ("dataset_revision",))},
    ),
    names(
        "tags", "Tag", "data.Tag", "tag",
        field("protected", "tag_protected", "bool", "exact"), field("public", "tag_public", "bool", "exact"),
        field("description", "tag_description"), order=("tag",),
        relations={"datasets": Relation("datasets", ("tag",), ("dataset_id",), "data.DatasetTag")},
    ),
)  # fmt: skip
"""What has little more than a name."""
