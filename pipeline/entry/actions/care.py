"""Daily care: weighing, water, restrictions, drugs, and harm that was seen."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

from pipeline.entry.actions.model import Context, Input, action, member_or_none
from pipeline.entry.actions.protocols import check_protocol
from pipeline.entry.fields import Field
from pipeline.schemas import acquisition
from pipeline.schemas import action as tables
from pipeline.schemas import subject as subjects

HALF, TWICE = 0.5, 2.0  # of the last weight
DAILY_CHANGE = 0.15  # of the weight, in a day; more than any water restriction does
RECENT = datetime.timedelta(days=30)
REFERENCE_AGE = datetime.timedelta(days=7)
LARGE_VOLUME = 3.0  # mL at once
MICE = (5.0, 60.0)  # g


@action(
    "weigh", "Weigh", "care",
    Input.of("action.Weighing", "weight", "Weight", required=True),
    Input.of("action.Weighing", "weighing_time", "Time", name="time"),
)  # fmt: skip
def weigh(context: Context, lab: str, subject: str, weight: float, time: datetime.datetime | None) -> None:
    """Note the weight of an animal, with implant."""
    animal = context.animal(lab, subject)
    when = context.time(time, "time")
    key = {"lab": lab, "subject": subject}
    before = (tables.Weighing & key & f"weighing_time < '{when}'").to_dicts(order_by="weighing_time DESC", limit=1)
    if before and when - before[0]["weighing_time"] <= RECENT:
        last, ago = before[0]["weight"], when - before[0]["weighing_time"]
        days = max(ago.total_seconds() / 86400, 1.0)
        change = abs(weight - last) / last
        if not HALF * last <= weight <= TWICE * last or (change > DAILY_CHANGE * days and change > DAILY_CHANGE):
            context.ask("weight", f"{weight:g} g is {100 * (weight / last - 1):+.0f} % of the last weight, {last:g} g.")
    elif not before and animal["species"] in (None, "Mus musculus") and not MICE[0] <= weight <= MICE[1]:
        context.ask("weight", f"{weight:g} g is not what a mouse weighs.")
    context.settle()
    row = key | {"weighing_time": when, "weight": weight, "weighing_user": member_or_none(context.actor.person.name)}
    context.write("action.Weighing", [row], "create")


@action(
    "give_water", "Give water", "care",
    Input.of("action.WaterAdministration", "water_volume", "Volume", name="volume", required=True),
    Input.of("action.WaterAdministration", "water_type", "Supplement"),
    Input.of("action.WaterAdministration", "administration_time", "Time", name="time"),
)  # fmt: skip
def give_water(
    context: Context, lab: str, subject: str, volume: float, water_type: str | None, time: datetime.datetime | None
) -> None:
    """Note water that an animal got outside a session."""
    context.animal(lab, subject)
    if volume > LARGE_VOLUME:
        context.ask("volume", f"{volume:g} mL is much at once.")
    context.settle()
    _give(context, lab, subject, context.time(time, "time"), {"water_volume": volume, "adlib": False}, water_type)


@action(
    "free_water", "Free water", "care",
    Input.of("action.WaterAdministration", "water_type", "Supplement"),
    Input.of("action.WaterAdministration", "administration_time", "Time", name="time"),
)  # fmt: skip
def free_water(
    context: Context, lab: str, subject: str, water_type: str | None, time: datetime.datetime | None
) -> None:
    """Note that an animal has free access to water on this day."""
    context.animal(lab, subject)
    _give(context, lab, subject, context.time(time, "time"), {"water_volume": None, "adlib": True}, water_type)


def _give(
    context: Context, lab: str, subject: str, when: datetime.datetime, what: dict[str, Any], water_type: str | None
) -> None:
    key = {"lab": lab, "subject": subject}
    if water_type is None:
        current = tables.WaterRestriction & key & "restriction_end IS NULL"
        stated = (tables.WaterRestriction.Water & current.proj()).to_dicts()
        water_type = stated[0]["water_type"] if stated else "Water"
    row = key | {"administration_time": when, "water_type": water_type} | what
    row["water_user"] = member_or_none(context.actor.person.name)
    context.write("action.WaterAdministration", [row], "create")


@action(
    "start_restriction", "Start restriction", "restrict",
    Input.of("action.WaterRestriction", "reference_weight", "Reference weight"),
    Input.of("action.WaterRestriction.Water", "water_type", "Supplement", name="restriction_water"),
    Input.of("action.RestrictionDetail", "restriction_reason", "Remarks", name="reason"),
    Input.of("action.WaterRestriction", "restriction_start", "Start", name="start"),
)  # fmt: skip
def start_restriction(
    context: Context, lab: str, subject: str, reference_weight: float | None, restriction_water: str | None,
    reason: str | None, start: datetime.datetime | None,
) -> None:  # fmt: skip
    """Restrict the water of an animal. Without a reference weight it is the last weighing, at most 7 days old."""
    check_protocol(context, context.animal(lab, subject))
    when = context.time(start, "start")
    key = {"lab": lab, "subject": subject}
    for other in (tables.WaterRestriction & key).to_dicts():
        if other["restriction_end"] is None or other["restriction_end"] > when:
            context.fail(
                "start", f"its water is restricted since {other['restriction_start']:%Y-%m-%d}: end that first"
            )
    last = (tables.Weighing & key & f"weighing_time <= '{when}'").to_dicts(order_by="weighing_time DESC", limit=1)
    recent = last[0]["weight"] if last and when - last[0]["weighing_time"] < REFERENCE_AGE else None
    if reference_weight is None:
        if recent is None:
            context.fail("reference_weight", "it has not been weighed in the last 7 days: weigh it, or state a weight")
        reference_weight = recent
    elif recent is not None and not 0.85 <= reference_weight / recent <= 1.15:
        context.ask("reference_weight", f"{reference_weight:g} g is far from the last weight, {recent:g} g.")
    context.settle()
    begun = key | {"restriction_start": when}
    context.write("action.WaterRestriction", [begun | {"reference_weight": reference_weight}], "create")
    if restriction_water:
        context.write("action.WaterRestriction.Water", [begun | {"water_type": restriction_water}], "create")
    detail = {"restriction_reason": reason, "restriction_user": member_or_none(context.actor.person.name)}  # fmt: skip
    context.write("action.RestrictionDetail", [begun | {k: v for k, v in detail.items() if v is not None}], "create")


@action(
    "end_restriction", "End restriction", "restrict",
    Input.of("action.RestrictionDetail", "end_reason", "Reason", name="reason"),
    Input.of("action.WaterRestriction", "restriction_end", "End", name="end"),
)  # fmt: skip
def end_restriction(
    context: Context, lab: str, subject: str, reason: str | None, end: datetime.datetime | None
) -> None:
    """End the restriction that an animal is under."""
    context.animal(lab, subject)
    key = {"lab": lab, "subject": subject}
    rows = (tables.WaterRestriction & key & "restriction_end IS NULL").to_dicts()
    if not rows:
        context.fail("subject", f"the water of {subject} is not restricted")
    when = context.time(end, "end")
    for row in rows:
        begun = key | {"restriction_start": row["restriction_start"]}
        context.write("action.WaterRestriction", [begun | {"restriction_end": when}], "update")
        if reason:
            context.write("action.RestrictionDetail", [begun | {"end_reason": reason}])


@action(
    "give_drug", "Give a drug", "care",
    Input.of("action.DrugAdministration", "drug_name", "Drug", required=True),
    Input.of("action.DrugAdministration", "drug_dose", "Dose"),
    Input.of("action.DrugAdministration", "drug_unit", "Unit"),
    Input.of("action.DrugAdministration", "drug_route", "Route"),
    Input.of("action.DrugAdministration", "drug_time", "Time", name="time"),
)  # fmt: skip
def give_drug(
    context: Context, lab: str, subject: str, drug_name: str, drug_dose: float | None, drug_unit: str | None,
    drug_route: str | None, time: datetime.datetime | None,
) -> None:  # fmt: skip
    """Note a drug that an animal got; a volume above the limit of the protocol is asked back."""
    animal = context.animal(lab, subject)
    if drug_dose is not None and not drug_unit:
        context.fail("drug_unit", "a dose needs its unit: mg/kg, mg, mL or mL/kg")
    check_protocol(context, animal, drug_volume=_volume_per_weight(animal, drug_dose, drug_unit))
    context.settle()
    row = {"lab": lab, "subject": subject, "drug_time": context.time(time, "time"), "drug_name": drug_name,
           "drug_dose": drug_dose, "drug_unit": drug_unit, "drug_route": drug_route,
           "drug_user": member_or_none(context.actor.person.name)}  # fmt: skip
    context.write("action.DrugAdministration", [{k: v for k, v in row.items() if v is not None}], "create")


def _volume_per_weight(animal: Mapping[str, Any], dose: float | None, unit: str | None) -> float | None:
    """The volume of a dose in mL/kg; None where it is no volume, or the animal was never weighed."""
    if dose is None or unit not in ("mL", "mL/kg"):
        return None
    if unit == "mL/kg":
        return dose
    key = {name: animal[name] for name in ("lab", "subject")}
    last = (tables.Weighing & key).to_dicts(order_by="weighing_time DESC", limit=1)
    return 1000 * dose / last[0]["weight"] if last else None


@action(
    "report_harm", "Report harm", "care",
    Input.of("subject.AdverseEffect", "effect_text", "What was seen and done", required=True),
    Input.of("subject.AdverseEffect", "effect_severity", "Severity"),
    Input.of("subject.AdverseEffect", "effect_date", "Date", name="date"),
)  # fmt: skip
def report_harm(
    context: Context, lab: str, subject: str, effect_text: str, effect_severity: int | None,
    date: datetime.date | None,
) -> None:  # fmt: skip
    """Note an adverse effect; a severity above the limit of the protocol is asked back."""
    animal = context.animal(lab, subject, alive=False)
    day = date or context.today(lab)
    key = {"lab": lab, "subject": subject, "effect_date": day}
    check_protocol(context, animal, severity=effect_severity)
    context.settle()
    number = 1 + max((subjects.AdverseEffect & key).to_arrays("effect_number").tolist(), default=0)
    row = key | {"effect_number": number, "effect_text": effect_text, "effect_severity": effect_severity}
    row["effect_user"] = member_or_none(context.actor.person.name)
    context.write("subject.AdverseEffect", [{k: v for k, v in row.items() if v is not None}], "create")
    if effect_severity and effect_severity > (animal["actual_severity"] or 0):
        context.write("subject.Subject", [{"lab": lab, "subject": subject, "actual_severity": effect_severity}],
                      "update")  # fmt: skip


@action("task_water", "Correct water of a session", "care",
        Input("session_date", "Date of the session", Field("session_date", "date"), required=True),
        Input("session_number", "Number", Field("session_number", "integer", low=0, high=999), required=True),
        Input.of("action.WaterAdministration", "water_volume", "Volume", name="volume", required=True))  # fmt: skip
def task_water(
    context: Context, lab: str, subject: str, session_date: datetime.date, session_number: int, volume: float
) -> None:
    """Correct, or note, the water that an animal got in a session."""
    context.animal(lab, subject, alive=False)
    session = {"lab": lab, "subject": subject, "session_date": session_date, "session_number": session_number}
    if not (acquisition.Session & session):
        context.fail("session_number", f"{subject} has no session {session_number} on {session_date}")
    links = (acquisition.SessionWater & session).to_dicts()
    key: dict[str, Any] = {"lab": lab, "subject": subject}
    if links:
        key |= {"administration_time": links[0]["administration_time"]}
        context.write("action.WaterAdministration", [key | {"water_volume": volume}], "update")
        return
    start = (acquisition.Session & session).fetch1("start_time") or context.now
    key |= {"administration_time": start}
    context.write("action.WaterAdministration", [key | {"water_volume": volume}], "create")
    context.write("acquisition.SessionWater", [key | session], "create")
