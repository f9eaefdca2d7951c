"""What people change about tasks: they hold, let go, abandon and restart them, if the policy lets them in that lab."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.alf import identity
from pipeline.entry import policy
from pipeline.entry.policy import Person
from pipeline.schemas import data
from pipeline.tasks import states
from pipeline.tasks.queue import Queue

SESSION = ("lab", "subject", "session_date", "session_number")


@dataclass(frozen=True)
class Change:
    """One kind of change.

    Attributes
    ----------
    done : the word for what was done, also in `data.Change`
    make : changes tasks by their identifiers, and says how many
    fits : whether it makes sense for a task with this status, and whether a person holds that back
    """

    done: str
    make: Callable[[Queue, list[str]], int]
    fits: Callable[[str, bool], bool]


CHANGES: dict[str, Change] = {
    "hold": Change("held", lambda queue, ids: queue.hold(ids),
                   lambda status, held: status in ("Waiting", "Held") and not held),
    "unhold": Change("let go", lambda queue, ids: queue.hold(ids, False),
                     lambda status, held: held and status in ("Waiting", "Held")),
    "abandon": Change("abandoned", lambda queue, ids: queue.abandon(ids),
                      lambda status, held: status not in ("Abandoned", "Complete")),
    "restart": Change("restarted", lambda queue, ids: queue.restart(ids),
                      lambda status, held: status in states.ENDED),
}  # fmt: skip
"""Name of a change, for the command, the site and REST alike -> what it is."""


def require(person: Person, row: Mapping[str, Any]) -> None:
    """Refuse a person who may not change a task; one without a session is the administrator's.

    Raises
    ------
    PermissionDenied
    """
    lab = row["lab"]
    policy.require(person, "preprocess" if lab else "administer", lab or "")


def change(queue: Queue, name: str, rows: Iterable[Mapping[str, Any]], person: Person) -> int:
    """Change tasks for a person and write down who did; returns how many were changed.

    Raises
    ------
    PermissionDenied : the person may not change one of them; then none is.
    """
    rows, made = list(rows), CHANGES[name]
    for row in rows:
        require(person, row)
    with queue.transaction():
        changed = [row for row in rows if made.make(queue, [row["task_uuid"]])]
        data.Change.record(
            [data.ChangeNote(made.done, f"{_place(row)}{row['task_name']}", row["task_uuid"]) for row in changed],
            person.name,
        )
    return len(changed)


def _place(row: Mapping[str, Any]) -> str:
    return f"{identity.session_path(*(row[name] for name in SESSION))}/" if row["lab"] else ""
