"""Operations, implants and injections."""

from __future__ import annotations

import datetime
from typing import Any

from pipeline.entry.actions.model import Context, Input, action, member_or_none
from pipeline.entry.actions.protocols import check_protocol
from pipeline.schemas import action as tables

OUTCOMES = ("acute", "recovery", "non-recovery")
MODERATE = 3  # severity that an operation has at least
LARGE_INJECTION = 2000.0  # nL into a brain at once
MOST_IMPLANT = 0.25  # of the weight


@action(
    "operate", "Operate", "operate",
    Input.of("action.Surgery", "surgery_start", "Start", name="start"),
    Input.of("action.Surgery", "surgery_end", "End", name="end"),
    Input.of("action.Surgery.Procedure", "procedure_type", "Procedures", name="procedures", many=True, required=True),
    Input.of("action.Surgery", "surgery_outcome", "Outcome", name="outcome"),
    Input.of("subject.Implant", "implant_weight", "Weight of all implants"),
    Input.of("action.Surgery.Surgeon", "user_name", "Surgeons", name="surgeons", many=True),
    Input.of("action.Surgery", "surgery_location", "Room", name="location"),
    Input.of("action.Surgery.Site", "site_ml", "ML"),
    Input.of("action.Surgery.Site", "site_ap", "AP"),
    Input.of("action.Surgery.Site", "site_dv", "DV"),
    Input.of("action.Surgery", "surgery_narrative", "Narrative", name="narrative"),
)  # fmt: skip
def operate(context: Context, lab: str, subject: str, start: datetime.datetime | None,
            end: datetime.datetime | None, procedures: list[str], outcome: str | None, implant_weight: float | None,
            surgeons: list[str], location: str | None, site_ml: float | None, site_ap: float | None,
            site_dv: float | None, narrative: str | None) -> None:  # fmt: skip
    """Note an operation: procedures, outcome, implants, site. Without recovery the animal dies on the day it ends."""
    animal = context.animal(lab, subject)
    if outcome and outcome not in OUTCOMES:
        context.fail("outcome", f"use one of {', '.join(OUTCOMES)}")
    when = context.time(start, "start")
    key: dict[str, Any] = {"lab": lab, "subject": subject}
    if implant_weight:
        last = (tables.Weighing & key).to_dicts(order_by="weighing_time DESC", limit=1)
        if last and implant_weight > MOST_IMPLANT * last[0]["weight"]:
            context.ask("implant_weight", f"{implant_weight:g} g is much for an animal of {last[0]['weight']:g} g.")
    check_protocol(context, animal, severity=MODERATE, operations=1)
    context.settle()
    if narrative is None:
        templates = (tables.ProcedureTemplate & {"lab": lab}).to_dicts()
        texts = {row["procedure_type"]: row["template_text"] for row in templates}
        narrative = "\n".join(texts[name] for name in procedures if name in texts) or None
    operated = key | {"surgery_start": when}
    row = {"surgery_end": end, "surgery_outcome": outcome, "surgery_location": location,
           "surgery_narrative": narrative}  # fmt: skip
    context.write("action.Surgery", [operated | {k: v for k, v in row.items() if v is not None}], "create")
    context.write("action.Surgery.Procedure", [operated | {"procedure_type": name} for name in procedures], "create")
    people = surgeons or [item for item in (member_or_none(context.actor.person.name),) if item]
    context.write("action.Surgery.Surgeon", [operated | {"user_name": name} for name in people])
    if any(value is not None for value in (site_ml, site_ap, site_dv)):
        site = {"site_number": 1, "site_ml": site_ml, "site_ap": site_ap, "site_dv": site_dv}
        context.write("action.Surgery.Site", [operated | {k: v for k, v in site.items() if v is not None}], "create")
    day = when.replace(tzinfo=datetime.UTC).astimezone(context.zone(lab)).date()
    if implant_weight is not None:
        implanted = {"implant_date": day, "implant_weight": implant_weight, "implant_description": procedures[0]}
        context.write("subject.Implant", [key | implanted])
        context.write("action.Surgery.Implant", [operated | {"implant_date": day}], "create")
    changes: dict[str, Any] = {}
    if (animal["actual_severity"] or 0) < MODERATE:
        changes["actual_severity"] = MODERATE
    if outcome in ("acute", "non-recovery"):
        last_day = (end or when).replace(tzinfo=datetime.UTC).astimezone(context.zone(lab)).date()
        changes["death_date"] = last_day
    if changes:
        context.write("subject.Subject", [key | changes], "update")


@action(
    "inject_virus", "Inject a virus", "operate",
    Input.of("action.VirusInjection", "virus_name", "Virus", required=True),
    Input.of("action.VirusInjection", "injection_volume", "Volume"),
    Input.of("action.VirusInjection", "injection_rate", "Rate"),
    Input.of("action.VirusInjection", "injection_ml", "ML"),
    Input.of("action.VirusInjection", "injection_ap", "AP"),
    Input.of("action.VirusInjection", "injection_dv", "DV"),
    Input.of("action.VirusInjection", "injection_time", "Time", name="time"),
)  # fmt: skip
def inject_virus(
    context: Context, lab: str, subject: str, virus_name: str, time: datetime.datetime | None, **values: float | None
) -> None:
    """Note the injection of a virus."""
    check_protocol(context, context.animal(lab, subject), injected=values["injection_volume"] or 0.0)
    if (values["injection_volume"] or 0) > LARGE_INJECTION:
        context.ask("injection_volume", f"{values['injection_volume']:g} nL is much at once.")
    context.settle()
    row = {"lab": lab, "subject": subject, "injection_time": context.time(time, "time"), "virus_name": virus_name}
    context.write("action.VirusInjection", [row | {k: v for k, v in values.items() if v is not None}], "create")


@action(
    "set_implant", "Set the weight of implants", "operate",
    Input.of("subject.Implant", "implant_weight", "Weight of all implants", required=True),
    Input.of("subject.Implant", "implant_date", "Since", name="date"),
    Input.of("subject.Implant", "implant_description", "What it is", name="description"),
)  # fmt: skip
def set_implant(
    context: Context, lab: str, subject: str, implant_weight: float, date: datetime.date | None,
    description: str | None,
) -> None:  # fmt: skip
    """State what all implants of an animal weigh together since a day."""
    context.animal(lab, subject)
    row = {"lab": lab, "subject": subject, "implant_date": date or context.today(lab),
           "implant_weight": implant_weight}  # fmt: skip
    context.write("subject.Implant", [row | ({"implant_description": description} if description else {})])
