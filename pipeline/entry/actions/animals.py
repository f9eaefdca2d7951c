"""What is known of an animal: registering, changing, notes, its person, its cage, its end."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from pipeline.entry.actions.model import Context, Input, action, member_or_none
from pipeline.entry.actions.protocols import check_protocol
from pipeline.entry.fields import Field
from pipeline.entry.tables import entry_of
from pipeline.schemas import subject as subjects

EDITABLE = ("sex", "birth_date", "wean_date", "species", "line", "strain", "source", "ear_mark", "protocol_number",
            "light_cycle", "food_protein", "weekend_water", "subject_description", "to_be_genotyped", "to_be_culled",
            "reduced_date", "actual_severity")  # fmt: skip
"""Columns of `subject.Subject` that a form changes one by one; cage, person and death have actions of their own."""


def _inputs() -> tuple[Input, ...]:
    known = {field.column for field in entry_of("subject.Subject").fields}
    return tuple(Input.of("subject.Subject", name) for name in EDITABLE if name in known)


@action("note", "Write a note", "care",
        Input.of("action.Note", "note_text", "Text", required=True),
        Input.of("action.Note", "note_image", "Picture", name="image"))  # fmt: skip
def note(context: Context, lab: str, subject: str, note_text: str, image: str | None) -> str:
    """Write a remark on an animal."""
    animal = context.animal(lab, subject, alive=False)
    note_id = str(uuid.uuid4())
    row = {"note_id": note_id, "note_time": context.now, "note_object": "subject.Subject",
           "note_object_id": animal["subject_uuid"], "note_text": note_text,
           "note_user": member_or_none(context.actor.person.name)}  # fmt: skip
    context.write("action.Note", [row | ({"note_image": image} if image else {})], "create")
    return note_id


@action("register_animal", "Register an animal", "assign", *_inputs(),
        Input.of("subject.Subject", "responsible_user", "Responsible"))  # fmt: skip
def register_animal(context: Context, lab: str, subject: str, responsible_user: str | None, **values: Any) -> None:
    """Register an animal that comes from elsewhere."""
    person = responsible_user or member_or_none(context.actor.person.name)
    context.require("assign", lab, person, "register an animal")
    check_protocol(context, {"lab": lab, "protocol_number": None}, joining=values.get("protocol_number"))
    context.settle()
    row = {"lab": lab, "subject": subject, "responsible_user": person}
    context.write("subject.Subject", [row | {k: v for k, v in values.items() if v is not None}], "create")


@action("edit_animal", "Change", "assign", *_inputs())
def edit_animal(context: Context, lab: str, subject: str, **values: Any) -> None:
    """Change what is known of an animal; what is not given stays."""
    animal = context.animal(lab, subject, alive=False)
    changes = {name: value for name, value in values.items() if value is not None}
    if not changes:
        context.fail("", "nothing was changed")
    number = changes.get("protocol_number")
    if number and number != animal["protocol_number"]:
        check_protocol(context, animal, joining=number)
        context.settle()
    seen = {name: value for name, value in context.seen.items() if name in changes}
    context.write("subject.Subject", [{"lab": lab, "subject": subject} | changes], "update", expected=[seen])


@action("assign", "Give to a person", "assign",
        Input.of("subject.Subject", "responsible_user", "New responsible person", required=True))  # fmt: skip
def assign(context: Context, lab: str, subject: str, responsible_user: str) -> None:
    """Make another person responsible; both are told."""
    context.animal(lab, subject, alive=False)
    context.write("subject.Subject", [{"lab": lab, "subject": subject, "responsible_user": responsible_user}],
                  "update")  # fmt: skip


@action("move", "Move to a cage", "colony",
        Input("cage", "Cage", Field("cage_name", "name", longest=64, rule="term"), required=True),
        Input.of("subject.Housing", "housing_start", "Since", name="date"))  # fmt: skip
def move(context: Context, lab: str, subject: str, cage: str, date: datetime.date | None) -> None:
    """Move an animal to a cage; it leaves the one it was in. Cages that are new are added."""
    context.animal(lab, subject)
    day = date or context.today(lab)
    if day > context.today(lab):
        context.fail("date", "it is in the future: move it when it is moved")
    _house(context, lab, subject, cage, day)


def _house(context: Context, lab: str, subject: str, cage: str, day: datetime.date) -> None:
    key = {"lab": lab, "subject": subject}
    there = (subjects.Housing & key).to_dicts(order_by="housing_start")
    later = [row for row in there if row["housing_start"] > day]
    if later:
        context.fail("date", f"it was moved to {later[0]['cage_name']} on {later[0]['housing_start']}, after that")
    place = {"lab": lab, "cage_label": cage}
    if not (subjects.Cage & place):
        context.write("subject.Cage", [place], "create")
    elif not (subjects.Cage & place).fetch1("cage_in_use"):
        context.fail("cage", f"the cage {cage} was given up: take it into use first")
    for row in there:
        if row["housing_end"] is None or row["housing_end"] > day:
            if row["cage_name"] == cage and row["housing_end"] is None:
                return
            if row["housing_start"] == day:
                context.remove("subject.Housing", [key | {"housing_start": day}], "moved again on the same day")
            else:
                context.write("subject.Housing", [key | {"housing_start": row["housing_start"], "housing_end": day}],
                              "update")  # fmt: skip
    about = (subjects.Cage & place).fetch1()
    row = {"housing_start": day, "cage_name": cage, "cage_type": about["cage_kind"],
           "enrichment": about["cage_enrichment"]}  # fmt: skip
    context.write("subject.Housing", [key | {k: v for k, v in row.items() if v not in (None, "")}], "create")
    context.write("subject.Subject", [key | {"cage": cage}], "update")


@action("cull", "Cull", "cull",
        Input.of("subject.Cull", "cull_method", "Method", required=True),
        Input.of("subject.Cull", "cull_reason", "Reason", required=True),
        Input.of("subject.Subject", "actual_severity", "Severity that it had", name="severity"),
        Input.of("subject.Cull", "cull_date", "Date", name="date"),
        Input.of("subject.Cull", "cull_description", "Remarks", name="remarks"))  # fmt: skip
def cull(context: Context, lab: str, subject: str, cull_method: str, cull_reason: str, severity: int | None,
         date: datetime.date | None, remarks: str | None) -> None:  # fmt: skip
    """Note the end of an animal; its restriction ends and it leaves its cage."""
    context.animal(lab, subject)
    day = date or context.today(lab)
    if day > context.today(lab):
        context.fail("date", "it is in the future")
    key = {"lab": lab, "subject": subject}
    row = {"cull_date": day, "cull_method": cull_method, "cull_reason": cull_reason, "cull_description": remarks,
           "cull_user": member_or_none(context.actor.person.name)}  # fmt: skip
    context.write("subject.Cull", [key | {k: v for k, v in row.items() if v is not None}], "create")
    about: dict[str, Any] = {"to_be_culled": False} | ({"actual_severity": severity} if severity else {})
    context.write("subject.Subject", [key | about], "update")


@action("set_project", "Add to a project", "assign",
        Input.of("subject.SubjectProject", "project", "Project", required=True))  # fmt: skip
def set_project(context: Context, lab: str, subject: str, project: str) -> None:
    """Add an animal to a project."""
    context.animal(lab, subject, alive=False)
    context.write("subject.SubjectProject", [{"lab": lab, "subject": subject, "project": project}])
