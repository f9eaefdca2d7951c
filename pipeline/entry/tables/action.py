"""What is done to the animals: weighing, water, surgery, notes."""

from __future__ import annotations

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables.common import LAB, SUBJECT, term, text, um_from_bregma, user
from pipeline.entry.tables.subject import HEAVIEST, LIGHTEST

LEAST_WATER, MOST_WATER = 0.001, 50.0  # mL at once
MOST_VIRUS = 10_000.0  # nL


def _substance(**more: object) -> Field:
    return Field("water_type", "name", longest=64, rule="substance", **more)  # type: ignore[arg-type]


TABLES = (
    TableEntry(
        "action.Weighing",
        "weighing",
        (
            *SUBJECT,
            Field("weighing_time", "time", aliases=("date_time",), required=True, fixed=True),
            Field(
                "weight", "number", unit="g", low=LIGHTEST, high=HEAVIEST, required=True, description="with implant"
            ),
            user("weighing_user", aliases=("user",)),
        ),
        events=("weighing_time",),
    ),
    TableEntry("action.WaterType", "water type", (_substance(required=True, fixed=True),), vocabulary=True),
    TableEntry(
        "action.WaterAdministration",
        "water administration",
        (
            *SUBJECT,
            Field("administration_time", "time", aliases=("date_time",), required=True, fixed=True),
            Field(
                "water_volume", "number", unit="mL", low=LEAST_WATER, high=MOST_WATER, aliases=("volume",),
                description="none for free access", hint="leave it empty for free access",
            ),
            _substance(to="action.WaterType", default="Water"),
            Field("adlib", "boolean", description="free access to water"),
            Field(
                "adlib_end", "time", planned=True, aliases=("end_time",),
                description="end of free access; none: of that day only",
            ),
            user("water_user", aliases=("user",)),
        ),
        spans=(("administration_time", "adlib_end"),),
        events=("administration_time", "adlib_end"),
    ),
    TableEntry(
        "action.WaterRestriction",
        "water restriction",
        (
            *SUBJECT,
            Field("restriction_start", "time", aliases=("start_time", "start"), required=True, fixed=True),
            Field(
                "restriction_end", "time", planned=True, aliases=("end_time", "end"), description="none while it lasts"
            ),
            Field(
                "reference_weight", "number", unit="g", low=LIGHTEST, high=HEAVIEST,
                description="with implant; none: the last weighing before the start",
            ),
        ),
        spans=(("restriction_start", "restriction_end"),),
        events=("restriction_start", "restriction_end"),
    ),
    TableEntry(
        "action.WaterRestriction.Water",
        "water of a restriction",
        (
            *SUBJECT,
            Field("restriction_start", "time", to="action.WaterRestriction", required=True, fixed=True),
            _substance(to="action.WaterType", required=True),
        ),
    ),
    TableEntry(
        "action.ProcedureType",
        "procedure",
        (term("procedure_type", 128, required=True, fixed=True), text("procedure_description", 255)),
        vocabulary=True,
    ),
    TableEntry(
        "action.Surgery",
        "surgery",
        (
            *SUBJECT,
            Field("surgery_start", "time", aliases=("start_time",), required=True, fixed=True),
            Field("surgery_end", "time", aliases=("end_time",)),
            term("surgery_location", 128, "lab.LabLocation"),
            text("surgery_outcome", 32, description="e.g. acute, recovery, non-recovery"),
            text("surgery_narrative", 1000),
            Field("surgery_json", "json", description="what other programs keep with the operation"),
        ),
        spans=(("surgery_start", "surgery_end"),),
        events=("surgery_start", "surgery_end"),
    ),
    TableEntry(
        "action.Surgery.Procedure",
        "procedure of a surgery",
        (
            *SUBJECT,
            Field("surgery_start", "time", to="action.Surgery", required=True, fixed=True),
            term("procedure_type", 128, "action.ProcedureType", required=True, fixed=True),
        ),
    ),
    TableEntry(
        "action.Surgery.Surgeon",
        "surgeon",
        (
            *SUBJECT,
            Field("surgery_start", "time", to="action.Surgery", required=True, fixed=True),
            user("user_name", required=True, fixed=True),
        ),
    ),
    TableEntry(
        "action.Surgery.Implant",
        "implant of a surgery",
        (
            *SUBJECT,
            Field("surgery_start", "time", to="action.Surgery", required=True, fixed=True),
            Field("implant_date", "date", to="subject.Implant", required=True),
        ),
    ),
    TableEntry(
        "action.VirusInjection",
        "virus injection",
        (
            *SUBJECT,
            Field("injection_time", "time", required=True, fixed=True),
            term("virus_name", 128, required=True),
            Field("injection_volume", "number", unit="nL", low=0, high=MOST_VIRUS),
            Field("injection_rate", "number", unit="nL/min", low=0, high=MOST_VIRUS),
            um_from_bregma("injection_ml", description="from bregma, right positive"),
            um_from_bregma("injection_ap", description="from bregma, anterior positive"),
            um_from_bregma("injection_dv", description="from bregma, dorsal positive"),
        ),
        events=("injection_time",),
    ),
    TableEntry(
        "action.OtherAction",
        "action",
        (
            *SUBJECT,
            Field("action_start", "time", required=True, fixed=True),
            Field("action_end", "time"),
            text("action_description", 1000),
            user("action_user"),
        ),
        spans=(("action_start", "action_end"),),
        events=("action_start", "action_end"),
    ),
    TableEntry(
        "action.Note",
        "note",
        (
            Field("note_id", "uuid", required=True, fixed=True),
            Field("note_time", "time", required=True),
            user("note_user"),
            Field(
                "note_object", "choice", required=True,
                choices=(
                    "acquisition.Session", "subject.Subject", "ephys.ProbeInsertion", "data.Dataset",
                    "ephys.ChronicInsertion", "imaging.FieldOfView",
                ),
                words={
                    "session": "acquisition.Session", "subject": "subject.Subject", "dataset": "data.Dataset",
                    "probeinsertion": "ephys.ProbeInsertion", "chronicinsertion": "ephys.ChronicInsertion",
                    "fov": "imaging.FieldOfView",
                },
                description="table of what it is about",
            ),
            Field("note_object_id", "uuid", required=True, description="UUID of what it is about"),
            text("note_text", 4000),
            text("note_image", 500, description="picture, below the data root"),
            Field("note_json", "json", description="what other programs keep with the note"),
        ),
    ),
    TableEntry(
        "action.RestrictionDetail",
        "detail of a restriction",
        (
            *SUBJECT,
            Field("restriction_start", "time", to="action.WaterRestriction", required=True, fixed=True),
            user("restriction_user"),
            text("restriction_reason", 1000),
            text("end_reason", 255, description="why it ended"),
        ),
    ),
    TableEntry(
        "action.Surgery.Site",
        "site of a surgery",
        (
            *SUBJECT,
            Field("surgery_start", "time", to="action.Surgery", required=True, fixed=True),
            Field("site_number", "integer", low=1, high=999, required=True, fixed=True),
            um_from_bregma("site_ml", description="from bregma, right positive"),
            um_from_bregma("site_ap", description="from bregma, anterior positive"),
            um_from_bregma("site_dv", description="from bregma, dorsal positive"),
            text("site_text", 255, description="what was done there"),
        ),
    ),
    TableEntry(
        "action.DrugAdministration",
        "drug administration",
        (
            *SUBJECT,
            Field("drug_time", "time", required=True, fixed=True),
            term("drug_name", 128, required=True, fixed=True),
            Field("drug_dose", "number", low=0, high=1e5, description="in the unit beside it"),
            Field("drug_unit", "choice", choices=("", "mg/kg", "mg", "mL", "mL/kg")),
            text("drug_route", 32, description="e.g. s.c., i.p., oral"),
            user("drug_user"),
        ),
        events=("drug_time",),
    ),
    TableEntry(
        "action.ProcedureTemplate",
        "text of a procedure",
        (
            LAB,
            term("procedure_type", 128, "action.ProcedureType", required=True, fixed=True),
            text("template_text", 1000, required=True, description="a surgery of the kind begins with it"),
        ),
    ),
    TableEntry(
        "action.PlannedTraining",
        "planned training",
        (
            *SUBJECT,
            Field("planned_date", "date", planned=True, required=True, fixed=True),
            Field("planned_number", "integer", low=1, high=99, required=True, fixed=True),
            Field("planned_start", "time", planned=True),
            Field("planned_minutes", "integer", unit="min", low=1, high=1440),
            term("planned_location", 128, "lab.LabLocation"),
            user("planned_user"),
            text("planned_text", 255),
        ),
        events=("planned_date",),
    ),
)  # fmt: skip
