"""Which tasks there are: those of the program, of the settings (`[[tasks]]`) and of the lab's modules (`TASKS`)."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable

from pipeline.errors import AmbiguousError, NotFoundError, UserError
from pipeline.paradigms.description import DESIGNS, TaskDescription
from pipeline.settings import settings

IBL = TaskDescription(
    name="ibl",
    title="IBL task: a grating on the left or right, turned to the centre with a wheel",
    protocols=("*training*", "*biased*", "*ephys*", "*habituation*"),
    choices=((1, "left"), (-1, "right")),
    blocks=("probability_left",),
    _is_built_in=True,
)
"""Its summaries are `behavior_analysis.SessionPerformance` and `PsychometricFit`."""

PASSIVE = TaskDescription(
    name="passive", title="Passive", protocols=("*passive*",), design="passive", correct="", is_training=False,
    _is_built_in=True,
)  # fmt: skip

_of_modules: dict[str, tuple[TaskDescription, ...]] = {}


def register(module: str, tasks: Iterable[TaskDescription]) -> None:
    """Take over the tasks that a module of a lab describes, in place of those that it described before.

    Raises
    ------
    UserError : one of them is no description, or another module or the settings describe a task of its name.
    """
    tasks = tuple(tasks)
    others = {item.name for name, listed in _of_modules.items() if name != module for item in listed}
    others |= {item.name for item in (*_of_settings(), PASSIVE, IBL)}
    for task in tasks:
        if not isinstance(task, TaskDescription):
            raise UserError(f"TASKS of {module} holds {task!r}", "list instances of pipeline.paradigms.TaskDescription")
        if task.name in others:
            raise UserError(
                f"{module} describes the task {task.name}, which is described already", "choose another name"
            )
    _of_modules.pop(module, None)
    if tasks:
        _of_modules[module] = tasks


def described() -> tuple[TaskDescription, ...]:
    """The tasks of the lab: of its settings, then of its modules."""
    return (*_of_settings(), *(task for tasks in _of_modules.values() for task in tasks))


def of_protocol(protocol: str) -> TaskDescription | None:
    """The task of a protocol: one of the lab, else one of the program; None where nobody describes it.

    Raises
    ------
    AmbiguousError : the lab describes two tasks that cover the protocol.
    """
    fitting = [item for item in described() if item.covers(protocol)]
    if len(fitting) > 1:
        names = ", ".join(item.name for item in fitting)
        raise AmbiguousError(
            f"the protocol {protocol!r} belongs to several tasks: {names}", "make their patterns differ"
        )
    built_in = (item for item in (PASSIVE, IBL) if item.covers(protocol))
    return fitting[0] if fitting else next(built_in, None)


def named(name: str) -> TaskDescription:
    """A task by its name.

    Raises
    ------
    NotFoundError : nobody describes it any more.
    """
    known = {item.name: item for item in (*described(), PASSIVE, IBL)}
    if name not in known:
        raise NotFoundError(
            f"the task {name} is not described here (known are {', '.join(known)})",
            "add its description to the settings or modules of this machine, or run `neurojoint refresh`",
        )
    return known[name]


def choice_codes() -> frozenset[float]:
    """Codes in the column `choice` of the lab's tasks, which its files may have besides those of the program's own."""
    return frozenset(
        float(code)
        for item in described() if item.choice == "choice"
        for code in (*(code for code, _ in item.choices), *item.no_choice) if not isinstance(code, str)
    )  # fmt: skip


def advice(protocol: str) -> str:
    """What to add so that the trials of a protocol are understood, in a sentence."""
    return (
        f"The task {protocol!r} is not described, so nothing is said about choices and performance beyond the columns "
        f"that ALF defines. Add [[tasks]] to neurojoint.toml, with name, protocols, a design ({', '.join(DESIGNS)}) "
        "and the columns that it has (docs/tasks-of-animals.md)."
    )


def _of_settings() -> tuple[TaskDescription, ...]:
    return _parsed(json.dumps(settings().tasks, default=str)) if settings().tasks else ()


@functools.lru_cache(maxsize=8)
def _parsed(tables: str) -> tuple[TaskDescription, ...]:
    descriptions = tuple(TaskDescription.from_mapping(load) for load in json.loads(tables))
    names = [item.name for item in (*descriptions, PASSIVE, IBL)]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two tasks are called {twice}", "choose another name in [[tasks]]")
    return descriptions
