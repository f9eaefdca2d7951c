"""The limits of the approved protocol that an animal is on: what goes beyond them is asked back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.entry.actions.model import Context
from pipeline.schemas import subject as subjects


def check_protocol(
    context: Context, animal: Mapping[str, Any], *, severity: int | None = None, joining: str | None = None
) -> None:
    """Ask about what goes beyond the limits of the animal's protocol; a protocol without a row here has none.

    Parameters
    ----------
    animal : row of `subject.Subject`.
    severity : that the action means for the animal.
    joining : number of a protocol that the animal comes to.
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
