"""Which tasks a session needs, in which order: rules as data over its description and its files. No database."""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.analysis import protocols
from pipeline.errors import OperatorError
from pipeline.tasks.description import Description
from pipeline.tasks.kinds import Kind, kinds


@dataclass(frozen=True)
class Facts:
    """What the rules look at: the session, and the device or task that a kind would work on."""

    description: Description
    files: frozenset[str]
    protocol: str
    arguments: Mapping[str, Any]


RULES: dict[str, Callable[[Facts], bool]] = {
    "synchronised by nidq": lambda facts: facts.description.sync == "nidq",
    "synchronised by bpod": lambda facts: facts.description.sync in ("", "bpod"),
    "has trials": lambda facts: protocols.kind(facts.protocol) not in ("passive",),
    "several probes": lambda facts: len(facts.description.labels("probe")) > 1,
}
"""Name -> whether it holds. A kind names those that must."""


@dataclass(frozen=True)
class Planned:
    """A task that a session needs.

    Attributes
    ----------
    name : unique in the session, e.g. compress_video_left
    arguments : what distinguishes it from others of its kind
    parents : names of tasks
    level : length of the longest way to it
    """

    name: str
    kind: Kind
    arguments: dict[str, Any] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    level: int = 0


def plan(
    description: Description, files: Iterable[str] = (), protocol: str = "", among: Sequence[Kind] | None = None
) -> list[Planned]:
    """The tasks of a session, parents before children.

    Parameters
    ----------
    description : what the session consists of.
    files : paths below its folder.
    protocol : of its task, where the description does not say it.
    among : the kinds; by default all that are registered.

    Raises
    ------
    OperatorError : kinds wait for each other in a circle, or for one that there is not.

    Examples
    --------
    >>> from pipeline.tasks.description import infer
    >>> [one.name for one in plan(infer(["raw_video_data/_iblrig_leftCamera.raw.avi"])) if not one.parents]
    ['register_raw', 'compress_video_left']
    """
    chosen = list(kinds().values()) if among is None else list(among)
    paths = frozenset(files)
    tasks: dict[str, Planned] = {}
    by_kind: dict[str, list[Planned]] = {}
    for kind in _ordered(chosen):
        for arguments in _instances(kind, description):
            facts = Facts(description, paths, str(arguments.get("protocol") or protocol), arguments)
            if not all(_holds(rule, facts) for rule in kind.when):
                continue
            parents = [
                item for name in kind.parents for item in by_kind.get(name, ()) if _related(item, arguments, kind)
            ]
            label = str(arguments.get("label", ""))
            name = f"{kind.name}_{label}" if label else kind.name
            level = 1 + max((parent.level for parent in parents), default=-1)
            made = Planned(name[:64], kind, arguments, tuple(parent.name for parent in parents), level)
            tasks[made.name] = made
            by_kind.setdefault(kind.name, []).append(made)
    return sorted(tasks.values(), key=lambda one: one.level)


def filled(pattern: str, arguments: Mapping[str, Any]) -> list[str]:
    """The patterns of one input or output, with its arguments put in.

    >>> filled("{folder}/*.ap.bin|{folder}/*.ap.cbin", {"folder": "raw_ephys_data/probe00"})
    ['raw_ephys_data/probe00/*.ap.bin', 'raw_ephys_data/probe00/*.ap.cbin']
    """
    text = pattern
    for name, value in arguments.items():
        text = text.replace(f"{{{name}}}", _literal(str(value)))
    return text.split("|")


def matching(pattern: str, arguments: Mapping[str, Any], paths: Iterable[str]) -> list[str]:
    """Those of some paths below a session that a pattern of a kind means; `*` does not reach into other folders."""
    wanted = filled(pattern, arguments)
    return sorted(path for path in paths if any(_matches(path, value) for value in wanted))


def unique(session: str, name: str, arguments: Mapping[str, Any] | None) -> str:
    """The md5 that tells tasks apart."""
    text = json.dumps([session, name, arguments], sort_keys=True, default=str)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def drawn(tasks: Sequence[Planned], states: Mapping[str, str] | None = None) -> list[str]:
    """The graph as lines of text: each task under its first parent, the others named.

    >>> from pipeline.tasks.kinds import Kind
    >>> one, two = Kind("pack", "1", "x:y"), Kind("check", "1", "x:y", parents=("pack",))
    >>> print("\\n".join(drawn(plan(Description(), among=[one, two]))))
    pack
    └─ check
    """
    states = states or {}
    children: dict[str, list[Planned]] = {}
    for one in tasks:
        children.setdefault(one.parents[0] if one.parents else "", []).append(one)
    lines: list[str] = []

    def add(one: Planned, before: str, connector: str) -> None:
        words = f"  [{states[one.name]}]" if one.name in states else ""
        also = f"  (also after {', '.join(one.parents[1:])})" if len(one.parents) > 1 else ""
        needs = f"  needs {one.kind.needs.environment}" if one.kind.needs.environment else ""
        lines.append(f"{before}{connector}{one.name}{words}{needs}{also}")
        below = children.get(one.name, [])
        deeper = before + ("" if not connector else "   " if connector.startswith("└") else "│  ")
        for place, child in enumerate(below):
            add(child, deeper, "└─ " if place == len(below) - 1 else "├─ ")

    for root in children.get("", []):
        add(root, "", "")
    return lines


def _instances(kind: Kind, description: Description) -> list[dict[str, Any]]:
    """The arguments of each task of a kind."""
    if kind.each == "session":
        return [{"folder": description.sync_folder}] if description.sync_folder else [{}]
    if kind.each == "task":
        return [
            {"label": f"{task.number:02d}", "folder": task.folder, "collection": _collection(task.folder),
             "protocol": task.protocol}
            for task in description.tasks
        ]  # fmt: skip
    return [{"label": label.label, "folder": label.folder} for label in description.labels(kind.each)]


def _collection(folder: str) -> str:
    """Where the ALF files of a task with this folder of raw data go."""
    return f"alf/task_{folder[-2:]}" if folder.startswith("raw_task_data_") else "alf"


def _related(parent: Planned, arguments: Mapping[str, Any], kind: Kind) -> bool:
    """A parent of the same sort of device is that of the same device."""
    return parent.kind.each != kind.each or parent.arguments == arguments


def _holds(rule: str, facts: Facts) -> bool:
    name = rule.removeprefix("not ")
    if name not in RULES:
        raise OperatorError(f"there is no rule {name!r} for tasks", f"use one of {', '.join(RULES)}")
    return RULES[name](facts) != rule.startswith("not ")


def _ordered(chosen: Sequence[Kind]) -> list[Kind]:
    """Parents before children."""
    by_name = {kind.name: kind for kind in chosen}
    ordered: list[Kind] = []
    state: dict[str, int] = {}

    def visit(kind: Kind) -> None:
        if state.get(kind.name) == 2:
            return
        if state.get(kind.name) == 1:
            raise OperatorError(f"the task kind {kind.name!r} waits for itself", "correct its parents")
        state[kind.name] = 1
        for name in kind.parents:
            if name not in by_name:
                raise OperatorError(f"the task kind {kind.name!r} waits for {name!r}, which is not registered", "")
            visit(by_name[name])
        state[kind.name] = 2
        ordered.append(kind)

    for kind in chosen:
        visit(kind)
    return ordered


def _literal(text: str) -> str:
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in text)


def _matches(path: str, pattern: str) -> bool:
    if pattern.endswith("/*") and fnmatch.fnmatchcase(path, pattern):
        return True  # a folder with all below it
    return path.count("/") == pattern.count("/") and fnmatch.fnmatchcase(path, pattern)
