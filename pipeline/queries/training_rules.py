"""Whom other training rules would promote, before they are saved."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa

from pipeline.analysis import training
from pipeline.analysis.criteria import RuleSet
from pipeline.errors import UserError
from pipeline.schemas import behavior, behavior_analysis, subject
from pipeline.schemas.inputs import subject_history

SAME, PROMOTED, DEMOTED = "", "promoted", "demoted"


def read_rules(text: str) -> RuleSet:
    """A rule set from JSON text.

    Raises
    ------
    UserError : it is no rule set; the message says what is wrong.
    """
    try:
        return RuleSet.from_json(text)
    except ValueError as error:
        raise UserError(f"these are no training rules: {error}", "begin with `neurojoint rules show`") from None


def saved_rules(name: str) -> RuleSet:
    """A rule set that is saved: `name`, its last version, or `name:version`.

    Raises
    ------
    UserError : there is none.
    """
    own, _, version = name.partition(":")
    wanted: dict[str, Any] = {"criteria": own} | ({"criteria_version": int(version)} if version.isdigit() else {})
    rows = (behavior_analysis.TrainingCriteria & wanted).to_dicts(order_by="criteria_version")
    if not rows or (version and not version.isdigit()):
        known = behavior_analysis.TrainingCriteria.to_dicts(order_by="criteria, criteria_version")
        listed = ", ".join(f"{row['criteria']}:{row['criteria_version']}" for row in known)
        raise UserError(f"there are no training rules {name}", f"choose from {listed}")
    return RuleSet.from_json(json.dumps(rows[-1]["rules"]))


def preview(rules: RuleSet, compared: RuleSet, restriction: Any = ()) -> pa.Table:
    """What the animals would be by other rules, now; nothing is written.

    Parameters
    ----------
    rules : the new rules.
    compared : those that they are compared with.
    restriction : of the animals, what restricts `subject.Subject`; by default all with trials.

    Returns
    -------
    pa.Table
        Animals in order: `lab`, `subject`, `status_before`, `status_after`, `change` (promoted, demoted, or empty),
        `first_date_before` and `first_date_after` of these statuses, `missing` (what the next status takes, in words).
    """
    animals = subject.Subject & restriction if restriction else subject.Subject()
    rows = []
    for key in (animals & behavior.TrialSet.proj()).proj().to_dicts(order_by="lab, subject"):
        sessions = subject_history.sessions_of(key)
        before, after = (
            training.evaluate([session.record(rule_set.no_go) for session in sessions], rule_set)
            for rule_set in (compared, rules)
        )
        ranks = compared.rank(before.status), rules.rank(after.status)
        change = SAME if before.status == after.status else PROMOTED if ranks[1] > ranks[0] else DEMOTED
        dates = [
            None if (step := course.reached(course.status)) is None else str(step.session_date)
            for course in (before, after)
        ]
        rows.append(
            key
            | {"status_before": before.status, "status_after": after.status, "change": change}
            | {"first_date_before": dates[0], "first_date_after": dates[1], "missing": after.missing_words}
        )
    names = ("lab", "subject", "status_before", "status_after", "change", "first_date_before", "first_date_after",
             "missing")  # fmt: skip
    return pa.Table.from_pylist(rows, schema=pa.schema([(name, pa.string()) for name in names]))
