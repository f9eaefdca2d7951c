"""The registry of task kinds: what each reads and writes, what it waits for, and what it needs of a computer.

What runs is found here, in code that is installed on the computer. A name that comes from a server is looked up in
this registry and never imported.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from pipeline.errors import NotFoundError, UserError

Each = Literal["session", "task", "probe", "camera", "microphone"]
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


class Job(Protocol):
    """One task as the function of its kind sees it: a folder to read, a folder to write, words to the person."""

    folder: Path
    """The session folder; it is read only."""
    scratch: Path
    """A folder of this task alone, which is deleted afterwards."""
    arguments: Mapping[str, Any]
    """What distinguishes the task, e.g. `{"label": "left"}`."""
    command: Sequence[str]
    """The program of the environment that the kind needs; empty where it needs none."""
    cores: int
    """How many processors it may use."""

    def inputs(self, pattern: str) -> list[Path]:
        """The files of the session that match a pattern below its folder, with its arguments put in, by name."""

    def output(self, path: str) -> Path:
        """Where to write a file that becomes `path` below the session folder."""

    def progress(self, done: float, activity: str = "") -> None:
        """Say how far it is, 0 to 1, and what it does."""

    def log(self, text: str) -> None:
        """Write a line into the log."""

    def doubt(self, path: str, why: str) -> None:
        """An output that rests on what a person stated and nothing proves: its QC becomes WARNING; people see why."""

    def may_go(self, path: Path) -> None:
        """A raw file that the outputs replace: it may be removed once they are registered and verified."""


@dataclass(frozen=True)
class Needs:
    """What a kind needs of a computer.

    Attributes
    ----------
    cores, gpus : processors, graphics processors
    memory : MiB
    io : load on the disk, 0-100
    scratch : scratch space, in multiples of the size of the inputs
    seconds : time limit
    environment : name of the environment that its program runs in; empty: that of neurojoint
    """

    cores: int = 1
    gpus: int = 0
    memory: int = 2048
    io: int = 5
    scratch: float = 1.0
    seconds: int = 7200
    environment: str = ""


@dataclass(frozen=True)
class Kind:
    """A kind of task.

    Attributes
    ----------
    name : in lower case; names of tasks begin with it
    version : of what it does; another one makes outputs stale
    run : `package.module:function` or the function, called with a `Job`; imported where it runs only
    inputs : patterns of files below the session folder that must be there; `{name}` stands for an argument, and `|`
        separates patterns of which one is enough
    outputs : patterns of what it writes; anything else that it leaves is an error
    required : those outputs without which it has failed
    parents : kinds that have to be done first, of the same device, else of all
    each : one task a session, or one for each task, probe, camera or microphone of its description
    when : rules that must all hold: names of `pipeline.tasks.plan.RULES`, `not NAME` for the opposite
    needs : of the computer
    priority : the higher, the sooner
    attempts : after so many it is given up
    upload : patterns of outputs that are sent to the central server; others stay where they were made
    description : one sentence
    """

    name: str
    version: str
    run: str | Callable[[Job], None]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()
    each: Each = "session"
    when: tuple[str, ...] = ()
    needs: Needs = field(default_factory=Needs)
    priority: int = 50
    attempts: int = 4
    upload: tuple[str, ...] = ("alf/*",)
    description: str = ""

    def function(self) -> Callable[[Job], None]:
        """The function that runs it, imported if it is not yet."""
        if not isinstance(self.run, str):
            return self.run
        module, _, name = self.run.partition(":")
        return getattr(importlib.import_module(module), name)


class TaskFailure(Exception):
    """A task cannot be done, for a reason that a person can read.

    Attributes
    ----------
    exit : `data`: the inputs are at fault, another attempt would not help. `program`: it may. `resource`: memory, disk
        or time were not enough.
    """

    def __init__(self, message: str, remedy: str = "", exit: str = "data") -> None:
        super().__init__(f"{message}: {remedy}" if remedy else message)
        self.exit = exit


class NothingToDo(Exception):
    """The inputs of a task are there, and hold nothing for it: it ends as Empty."""


_kinds: dict[str, Kind] = {}


def register(kind: Kind) -> Kind:
    """Add a kind to the registry; the same kind twice is one.

    Raises
    ------
    UserError : another kind has the name, or the name cannot be used.
    """
    if not NAME.fullmatch(kind.name):
        raise UserError(f"{kind.name!r} cannot be the name of a task kind", "use a-z, 0-9 and _, at most 40 characters")
    known = _kinds.get(kind.name)
    if known is not None and known != kind:
        raise UserError(f"there is a task kind {kind.name!r} already", "choose another name")
    _kinds[kind.name] = kind
    return kind


def kinds() -> dict[str, Kind]:
    """All kinds by name, in the order in which they were registered."""
    return dict(_kinds)


def get(name: str) -> Kind:
    """A kind by its name.

    Raises
    ------
    NotFoundError : there is none.
    """
    kind = kinds().get(name)
    if kind is None:
        raise NotFoundError(f"there is no task kind {name!r} here", "install the module that registers it")
    return kind


def unregister(name: str) -> None:
    """Take a kind out of the registry, e.g. after a test."""
    _kinds.pop(name, None)
