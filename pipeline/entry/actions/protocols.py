"""The limits of the approved protocol that an animal is on: what goes beyond them is asked back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.entry.actions.model import Context
from pipeline.schemas import action as tables
from pipeline.schemas import subject as subjects


def check_protocol(
    context: Context, animal: Mapping[str, Any], *, severity: int | None = None, joining: str | None = None,
    operations: int = 0, injected: float = 0.0, drug_volume: float | None = None,
) -> None:  # fmt: skip
    """Ask about what goes beyond the limits of the animal's protocol; a protocol without a row here has none.

    Parameters
    ----------
    animal : row of `subject.Subject`.
    severity : that the action means for the animal.
    joining : number of a protocol that the animal comes to.
    operations : that the action adds to those of the animal.
    injected : nL that the action adds to what was injected into the animal.
    drug_volume : of a drug that the action gives, mL/kg.
    """
    number = joining or animal["protocol_number"]
    rows = (subjects.Protocol & {"approved_protocol": number}).to_dicts() if number else []
    if not rows:
        return
    limits = rows[0]
    ended, most = limits["protocol_end"], limits["animal_limit"]
    if ended is not None and ended < context.today(animal["lab"]):
        context.ask("protocol", f"The protocol {number} ended on {ended}.")
    if severity and severity > limits["severity_limit"]:
        context.ask("severity", f"Severity {severity} is above the limit of the protocol, {limits['severity_limit']}.")
    if joining and most and (used := len(subjects.Subject & {"protocol_number": number})) >= most:
        context.ask("animals", f"The protocol {number} allows {most} animals, and has {used}.")
    key = {name: animal[name] for name in ("lab", "subject") if name in animal}
    most = limits["operation_limit"]
    if operations and most and (done := len(tables.Surgery & key)) + operations > most:
        context.ask("operations", f"The protocol {number} allows {most} operations of an animal, it has had {done}.")
    most = limits["injection_limit"]
    if injected and most:
        before = sum(row["injection_volume"] or 0.0 for row in (tables.VirusInjection & key).to_dicts())
        if before + injected > most:
            context.ask("injected", f"The protocol {number} allows {most:g} nL in an animal, it has had {before:g} nL.")
    most = limits["drug_volume_limit"]
    if drug_volume and most and drug_volume > most:
        context.ask("drug_volume", f"{drug_volume:.3g} mL/kg is above the limit of the protocol, {most:g} mL/kg.")
