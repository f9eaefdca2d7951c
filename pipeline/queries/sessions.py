"""Which sessions have trials of which quality, and how far their animal was."""

from __future__ import annotations

import datetime
import json

import pyarrow as pa

from pipeline.database.bulk import fetch_columns
from pipeline.errors import UserError
from pipeline.queries import search
from pipeline.queries.trial_counts import fulfilling
from pipeline.schemas import behavior, behavior_analysis, photostimulation
from pipeline.settings import settings

TRIALS_QC = ("NOT_SET", "PASS", "WARNING", "FAIL")
SESSION_QC = (*TRIALS_QC, "CRITICAL")
KINDS = ("training", "biased", "ephys", "passive", "habituation", "other")

_FACTS = ("eid", "task_protocol", "session_qc")
_TRIALS = ("task_kind", "trials_protocol", "n_trials", "trials_qc", "trials_checks")


def find_sessions(
    status: search.Names = None,
    *,
    rules: str | None = None,
    trials_qc: search.Names = None,
    wheel_qc: search.Names = None,
    qc: search.Names = None,
    kind: search.Names = None,
    lab: search.Names = None,
    subject: search.Names = None,
    since: datetime.date | str | None = None,
    until: datetime.date | str | None = None,
    condition: str | None = None,
    period: str | None = None,
    min_trials: int = 1,
    light: bool = False,
) -> pa.Table:
    """The tasks of sessions with trials that fit all that is given.

    Parameters
    ----------
    status : training status of the animal after the session, e.g. `trained_1b`; `trained_1b+`: that or higher.
    rules : the rule set of that status, e.g. `ibllib_4` or `ibllib_4:1`; by default that of the settings.
    trials_qc : outcomes of the checks of the trials (`TrialSet.trials_qc`): NOT_SET, PASS, WARNING, FAIL.
    wheel_qc : outcomes of the checks of the wheel (`WheelMoveSet.wheel_qc`); sessions without a wheel have none.
    qc : QC of the session.
    kind : kinds of the task, e.g. `training,biased`.
    lab, subject, since, until : of the session.
    condition, period : count the trials that fulfil a condition and have a period (docs/conditions.md), as in
        `pipeline.queries.trial_counts`; tasks with fewer than `min_trials` such trials are left out.
    light : only sessions in which light was given to the brain (docs/photostimulation.md).

    Returns
    -------
    pa.Table
        Key of the task, `eid`, `task_protocol`, `session_qc`, `task_kind`, `trials_protocol`, `n_trials`, `trials_qc`,
        `trials_findings` (list of text: what the checks found), `wheel_qc` (null without a wheel), `wheel_notes`,
        `performance_easy` (fraction; null where unknown); with a condition or period `n_fulfilling`, its trials.

    Raises
    ------
    UserError : a word is not among those that are possible; the message lists them.
    """
    chosen, _ = search.sessions_that_fit(status, rules or settings().criteria, lab, subject, since, until)
    tasks = chosen.proj(*_FACTS) * behavior.TrialSet.proj(*_TRIALS)
    for column, given, known in (
        ("trials_qc", trials_qc, TRIALS_QC), ("session_qc", qc, SESSION_QC), ("task_kind", kind, KINDS),
    ):  # fmt: skip
        if given is not None:
            tasks &= [{column: item} for item in _known(search.listed(given), known, column)]
    if light:
        tasks &= photostimulation.StimulationSet.proj()
    names = behavior.TrialSet.primary_key
    if wheel_qc is not None:
        outcomes = [{"wheel_qc": item} for item in _known(search.listed(wheel_qc), TRIALS_QC, "wheel_qc")]
        tasks &= (behavior.WheelMoveSet & outcomes).proj()
    table = fetch_columns(tasks, *names, *_FACTS, *_TRIALS, order_by=", ".join(names))
    wheels = fetch_columns(behavior.WheelMoveSet & chosen.proj(), *names, "wheel_qc", "wheel_notes").to_pylist()
    turned = {tuple(row[name] for name in names): row for row in wheels}
    easy = fetch_columns(behavior_analysis.SessionPerformance & chosen.proj(), *names, "performance_easy")
    of_task = {tuple(row[name] for name in names): row["performance_easy"] for row in easy.to_pylist()}
    if condition is not None or period is not None:
        number = fulfilling(table, names, condition, period, chosen)
        table = table.append_column("n_fulfilling", pa.array(number)).filter(pa.array(number >= min_trials))
    keys = list(zip(*(table[name].to_pylist() for name in names), strict=True))
    said = [
        [load["detail"] for load in json.loads(text or "[]") if load.get("detail")]
        for text in table["trials_checks"].to_pylist()
    ]
    return (
        table.drop_columns(["trials_checks"])
        .append_column("trials_findings", pa.array(said, pa.list_(pa.string())))
        .append_column("wheel_qc", pa.array([turned.get(key, {}).get("wheel_qc") for key in keys], pa.string()))
        .append_column("wheel_notes", pa.array([turned.get(key, {}).get("wheel_notes") for key in keys], pa.string()))
        .append_column("performance_easy", pa.array([of_task.get(key) for key in keys], pa.float64()))
    )


def _known(given: list[str], known: tuple[str, ...], what: str) -> list[str]:
    spelled = {value.lower(): value for value in known}
    wrong = [value for value in given if value.lower() not in spelled]
    if wrong:
        raise UserError(f"{what} cannot be {wrong[0]!r}", f"choose from {', '.join(known)}")
    return [spelled[value.lower()] for value in given]
