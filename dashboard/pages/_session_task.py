"""What the page of a session shows of a task that the lab describes; of one that nobody describes, what to add."""

from __future__ import annotations

from typing import Any

from dash import html

from dashboard.components import shell
from dashboard.figures import described_task as figures
from dashboard.queries.session import Session
from dashboard.site import Component
from pipeline import paradigms
from pipeline.analysis import curves, protocols
from pipeline.errors import NotFoundError

_MEASURES = {
    "hit_rate": ("Hits", 2), "false_alarm_rate": ("False alarms", 2), "d_prime": ("d′", 2),
    "criterion": ("Criterion", 2), "early_fraction": ("Early responses", 3), "reward_rate": ("Rewarded", 2),
    "stay_after_reward": ("Stays after reward", 2), "stay_after_no_reward": ("Stays after none", 2),
    "matching_sensitivity": ("Matching sensitivity", 2),
}  # fmt: skip
"""Measure of a design -> what it is called, and how many digits are shown."""


def section(session: Session) -> Component:
    """The section of the task; None for the program's own task."""
    trial_set = session.trial_set or {}
    if not trial_set.get("paradigm"):
        protocol = trial_set.get("trials_protocol", "")
        if protocol and trial_set["task_kind"] == protocols.OTHER:
            return shell.section("Task", shell.sentence("This task is not described.", paradigms.advice(protocol)))
        return None
    try:
        task = paradigms.named(trial_set["paradigm"])
    except NotFoundError as error:
        return shell.section("Task", shell.sentence(str(error), error.remedy, kind="problem"))
    if session.described is None:
        return shell.section(
            task.title or task.name,
            shell.sentence("The task is not summarised yet.", "It appears once a worker has done it."),
        )
    row = session.described
    axis = "" if task.stimulus is None else figures.axis_title(task.stimulus)
    made: list[tuple[str, str, Any]] = []
    if row["curves"] and task.stimulus is not None:
        where = figures.curve_axis(row["curves"], task.stimulus)
        made.append(("task-curves", "Psychometric curve", figures.task_curves(row["curves"], *where)))
    if row["levels"]:
        made.append(
            ("task-levels", f"Choices by {axis.lower()}", figures.choices_by_level(row["levels"], task.labels, axis))
        )
    if row["blocks"]:
        made.append(("task-blocks", "Choices over blocks", figures.choices_over_blocks(row["blocks"], task.labels)))
    cards = [shell.figure(name, drawing, title) for name, title, drawing in made if drawing.data]
    notes = [html.P(note, className="nj-hint") for note in row["task_notes"]]
    return shell.section(
        task.title or task.name,
        shell.columns(_facts(row), *([_parameters(row["curves"])] if row["curves"] else [])),
        shell.columns(*cards, least=420) if cards else None,
        *notes,
        hint=paradigms.DESIGNS[task.design],
        id="session-task",
    )


def _facts(row: dict[str, Any]) -> Component:
    measures = row["measures"]
    pairs = [
        ("With a response", shell.number(row["n_answered"])),
        ("Without", shell.number(row["n_no_response"])),
        ("Correct", shell.percent(row["fraction_correct"], 1)),
        ("Response time", shell.number(row["median_response_time"], 2, "s")),
        *((words, shell.number(measures.get(name), digits)) for name, (words, digits) in _MEASURES.items()),
    ]
    return shell.card(shell.facts(pair for pair in pairs if pair[1] != shell.DASH), title="Task")


def _parameters(rows: list[dict[str, Any]]) -> Component:
    """The fitted parameters, with their standard errors."""
    table = []
    for row in rows:
        cells = []
        for name in curves.PARAMETERS:
            value, error = row[f"curve_{name}"], row[f"curve_{name}_error"]
            cells.append(
                shell.DASH if value is None else f"{value:.3g}" + (f" ± {error:.2g}" if error is not None else "")
            )
        table.append(
            [row["curve_block"], row["curve_of"], *cells, "" if row["curve_identifiable"] else "not determined"]
        )
    heads = ["Block", "P of", "Centre", "Width", "Lapse low", "Lapse high", ""]
    return shell.card(shell.table(heads, table, numbers=range(2, 6)), title="Curve")
