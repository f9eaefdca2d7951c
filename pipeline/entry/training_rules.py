"""Training rules of one's own: a change is a new version, with who made it."""

from __future__ import annotations

import dataclasses
import json
import uuid

from pipeline.analysis.criteria import RuleSet
from pipeline.entry.audit import Edit, Origin, record
from pipeline.errors import UserError
from pipeline.schemas import behavior_analysis


def save(rules: RuleSet, name: str, description: str, *, user: str, source: str) -> RuleSet:
    """Save rules as the next version of a name; returns them as they were saved.

    The workers then judge all animals by them; the status of animals by other rules stays.

    Raises
    ------
    UserError : the name cannot be used, or its last version has the same rules.
    """
    if not name.isidentifier() or len(name) > 32:
        raise UserError(f"{name!r} cannot be the name of training rules", "use letters, digits and _, at most 32")
    table = behavior_analysis.TrainingCriteria
    with table().connection.transaction:
        there = (table & {"criteria": name}).to_dicts(order_by="criteria_version")
        if there:
            last = RuleSet.from_json(json.dumps(there[-1]["rules"]))
            if dataclasses.replace(rules, name=name, version=last.version, description=last.description) == last:
                raise UserError(f"{name}:{last.version} has the same rules", "there is nothing to save")
        version = int(there[-1]["criteria_version"]) + 1 if there else 1
        saved = dataclasses.replace(
            rules, name=name, version=version, description=(description or rules.description)[:1000]
        )
        key = {"criteria": name, "criteria_version": version}
        row = {"criteria_description": saved.description, "rules": json.loads(saved.to_json())}
        table.insert1(key | row)
        origin = Origin(user, source, str(uuid.uuid4()))
        record(origin, "behavior_analysis.TrainingCriteria", [Edit("create", key, None, row)])
    return saved
