"""The page of a mouse: its tasks that a lab describes, over days; of one that nobody describes, what to add."""

from __future__ import annotations

from typing import Any

from dashboard.components import shell
from dashboard.figures import described_task as figures
from dashboard.queries.mouse import Mouse
from dashboard.queries.mouse_tasks import TaskOfMouse
from dashboard.site import Component
from pipeline import paradigms
from pipeline.errors import NotFoundError

COMPARED = 3
"""How many of the last sessions are compared by their curves."""


def has_own_task(mouse: Mouse) -> bool:
    """Whether the mouse has had the program's own task, or no trials yet."""
    return not mouse.tasks or any(not task.paradigm and task.is_described for task in mouse.tasks)


def sections(mouse: Mouse) -> list[Component]:
    """A section for each task but the program's own, whose figures the page has anyway."""
    return [_section(task) for task in mouse.tasks if task.paradigm or not task.is_described]


def _section(task: TaskOfMouse) -> Component:
    if not task.is_described:
        title = task.protocol or "A task without a name"
        words = f"This task is not described: of its {task.n_sessions:,} sessions there are trial counts only."
        return shell.section(title, shell.sentence(words, paradigms.advice(task.protocol)))
    try:
        description = paradigms.named(task.paradigm)
    except NotFoundError as error:
        return shell.section(task.paradigm, shell.sentence(str(error), error.remedy, kind="problem"))
    title = description.title or description.name
    if not task.sessions:
        return shell.section(title, shell.sentence("The task is not summarised yet.", "A worker will do it."))
    made: list[tuple[str, str, Any]] = [
        ("over-days", "Fractions of trials", figures.fractions_over_days(task.sessions)),
        ("d-prime", "d′ and criterion", figures.detection_over_days(task.sessions)),
    ]
    stimulus = description.stimulus
    if stimulus is not None and any(row["curves"] for row in task.sessions):
        axis = figures.axis_title(stimulus)
        made.append(("centre", "Centre of the curve", figures.centre_over_days(task.sessions, axis, stimulus.scale)))
        curves = _last_curves(task)
        kind, scale, reference = figures.curve_axis(curves, stimulus)
        made.append(("curves", "Psychometric curves", figures.task_curves(curves, kind, scale, reference)))
    cards = [
        shell.figure(f"task-{task.paradigm}-{name}", drawing, words) for name, words, drawing in made if drawing.data
    ]
    note = None if cards else shell.sentence("Its trials have nothing that could be drawn over days.")
    return shell.section(
        title, shell.columns(*cards, least=420) if cards else None, note, hint=paradigms.DESIGNS[description.design]
    )


def _last_curves(task: TaskOfMouse) -> list[dict[str, Any]]:
    """The curves over all trials of the last sessions, called by their dates."""
    found = []
    for row in task.sessions:
        number = f", no. {row['session_number']}" if row["session_number"] > 1 else ""
        whole = [curve for curve in row["curves"] if curve["curve_block"] == "all"]
        found += [curve | {"curve_block": f"{shell.date(row['session_date'])}{number}"} for curve in whole]
    return found[-COMPARED:]
