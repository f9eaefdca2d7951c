"""Plans: which animal is trained on which rig, and when."""

from __future__ import annotations

import datetime

from pipeline.entry.actions.model import Context, Input, action, member_or_none
from pipeline.schemas import action as tables


@action("plan_training", "Plan training", "plan",
        Input.of("action.PlannedTraining", "planned_date", "Date", required=True),
        Input.of("action.PlannedTraining", "planned_start", "Start"),
        Input.of("action.PlannedTraining", "planned_minutes", "Minutes"),
        Input.of("action.PlannedTraining", "planned_location", "Rig"),
        Input.of("action.PlannedTraining", "planned_user", "Who"),
        Input.of("action.PlannedTraining", "planned_text", "Remarks"))  # fmt: skip
def plan_training(context: Context, lab: str, subject: str, planned_date: datetime.date,
                  planned_start: datetime.datetime | None, planned_minutes: int | None, planned_location: str | None,
                  planned_user: str | None, planned_text: str | None) -> int:  # fmt: skip
    """Plan a training; two animals on one rig at one time are asked back. Returns its number on the day."""
    context.animal(lab, subject)
    if planned_start is not None and planned_location:
        minutes = datetime.timedelta(minutes=planned_minutes or 60)
        day = {"lab": lab, "planned_date": planned_date, "planned_location": planned_location}
        for other in (tables.PlannedTraining & day & "planned_start IS NOT NULL").to_dicts():
            ends = other["planned_start"] + datetime.timedelta(minutes=other["planned_minutes"])
            if planned_start < ends and other["planned_start"] < planned_start + minutes:
                context.ask("rig", f"{other['subject']} is on {planned_location} at that time.")
    context.settle()
    key = {"lab": lab, "subject": subject, "planned_date": planned_date}
    number = 1 + max((tables.PlannedTraining & key).to_arrays("planned_number").tolist(), default=0)
    row = {"planned_start": planned_start, "planned_minutes": planned_minutes, "planned_location": planned_location,
           "planned_user": planned_user or member_or_none(context.actor.person.name),
           "planned_text": planned_text}  # fmt: skip
    new = key | {"planned_number": number} | {k: v for k, v in row.items() if v is not None}
    context.write("action.PlannedTraining", [new], "create")
    return number


@action("cancel_training", "Cancel training", "plan",
        Input.of("action.PlannedTraining", "planned_date", "Date", required=True),
        Input.of("action.PlannedTraining", "planned_number", "Number", required=True))  # fmt: skip
def cancel_training(context: Context, lab: str, subject: str, planned_date: datetime.date, planned_number: int) -> None:
    """Cancel a planned training."""
    context.animal(lab, subject, alive=False)
    key = {"lab": lab, "subject": subject, "planned_date": planned_date, "planned_number": planned_number}
    context.remove("action.PlannedTraining", [key], "cancelled")
