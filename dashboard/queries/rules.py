"""Training rules on the site: what there is, whom other rules would promote, and saving a new version."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from pipeline.entry import policy, training_rules
from pipeline.errors import UserError
from pipeline.queries.training_rules import preview, read_rules, saved_rules
from pipeline.schemas import behavior_analysis, lab

SOURCE = "site"


def saved() -> list[dict[str, Any]]:
    """Name, version and description of each rule set, the last version of each name first."""
    rows = behavior_analysis.TrainingCriteria.to_dicts(order_by="criteria, criteria_version DESC")
    names = ("criteria", "criteria_version", "criteria_description")
    return [{name: row[name] for name in names} for row in rows]


def labs() -> list[str]:
    """The names of the labs."""
    return sorted(lab.Lab.to_arrays("lab").tolist())


def as_text(name: str) -> str:
    """A rule set (`name:version`) as text to be edited.

    Raises
    ------
    UserError : there is none.
    """
    return json.dumps(dataclasses.asdict(saved_rules(name)), indent=2)


def changes(text: str, compared: str, of_lab: str) -> list[dict[str, Any]]:
    """What each animal of a lab (of all, where it is empty) would be by the rules in a text, see `preview`.

    Raises
    ------
    UserError : the text is no rule set, or there are no rules of that name to compare with.
    """
    return preview(read_rules(text), saved_rules(compared), {"lab": of_lab} if of_lab else ()).to_pylist()


def save(text: str, name: str, description: str, user: str, role: str) -> str:
    """Save the rules in a text as the next version of a name, for somebody who may; returns `name:version`.

    Raises
    ------
    PermissionDenied : the person is no admin.
    UserError : the text is no rule set, the name cannot be used, no words say why, or nothing has changed.
    """
    policy.require(policy.person_of(user, role), "administer", "", what="training rules")
    if not description.strip():
        raise UserError("the change has no description", "say in a sentence what has changed, and why")
    made = training_rules.save(read_rules(text), name.strip(), description.strip(), user=user, source=SOURCE)
    return f"{made.name}:{made.version}"
