"""The states of a task, as Alyx numbers them, and what follows from how an attempt ended."""

from __future__ import annotations

from typing import Literal

NUMBERS: dict[str, int] = {
    "Waiting": 20, "Held": 25, "Started": 30, "Errored": 40, "Abandoned": 45, "Empty": 50, "Incomplete": 55,
    "Complete": 60,
}  # fmt: skip
"""All states that a person or a client sees. Held is never stored: it is a waiting task that a person holds back, or
one with a parent that is not done."""
DONE = ("Complete", "Incomplete", "Empty")
"""Children of such tasks may begin."""
FAILED = ("Errored", "Abandoned")
"""Children of such tasks wait until a person does something."""
ENDED = (*DONE, *FAILED)

Exit = Literal["ok", "data", "program", "resource", "lost", "cancelled"]
EXITS: tuple[str, ...] = ("ok", "data", "program", "resource", "lost", "cancelled")
RETRIED = ("program", "resource", "lost")
"""After these another attempt may succeed; after `data` it would not."""

LEASE_S = 180.0
HEARTBEAT_S = 30.0
_WAITS_S = (60.0, 300.0, 1500.0)


def wait(attempts: int) -> float:
    """Seconds until a task is handed out again that has failed so many times.

    >>> [wait(n) for n in (1, 2, 3, 9)]
    [60.0, 300.0, 1500.0, 1500.0]
    """
    return _WAITS_S[min(max(attempts, 1), len(_WAITS_S)) - 1]


def parse(text: object) -> str:
    """A state by its name, in any case, or its number.

    Raises
    ------
    ValueError : there is no such state.

    Examples
    --------
    >>> parse("waiting"), parse(20)
    ('Waiting', 'Waiting')
    """
    words = str(text).strip()
    for name, number in NUMBERS.items():
        if words.casefold() == name.casefold() or words == str(number):
            return name
    raise ValueError(f"{words[:40]!r} is none of {', '.join(NUMBERS)}.")
