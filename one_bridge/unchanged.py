"""Answers that are given again for as long as nobody has written to the database."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import datajoint as dj

_T = TypeVar("_T")
_STATE = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
_PLAIN = (str, int, float, bool, type(None), datetime.date, UUID)
LARGEST = 32  # answers


class Unchanged:
    """Keeps answers while PostgreSQL says that every statement would see the same rows as before.

    A snapshot of PostgreSQL names the transactions whose rows are seen. As long as it is the same, none was committed,
    in whatever program, and an answer made since is exact. Asking costs one short statement. Where the snapshot does
    not tell (in a transaction of one's own, or in MySQL) nothing is kept.

    Parameters
    ----------
    connection : DataJoint's.
    """

    def __init__(self, connection: dj.Connection) -> None:
        self._connection = connection
        self._state: Any = None
        self._answers: dict[Hashable, Any] = {}

    def get(self, question: Hashable | None, make: Callable[[], _T]) -> _T:
        """The answer to a question, made again if it is not known to be the same; None: a question not to be kept."""
        state = None if question is None else self._state_now()
        if state is None:
            return make()
        if state != self._state:
            self._answers.clear()
            self._state = state
        if question not in self._answers:
            answer = make()
            if len(self._answers) >= LARGEST:
                self._answers.pop(next(iter(self._answers)))
            self._answers[question] = answer
        return self._answers[question]

    def _state_now(self) -> Any:
        if self._connection.adapter.backend != "postgresql" or self._connection.in_transaction:
            return None
        return self._connection.query(_STATE).fetchone()


def question(*parts: Any) -> Hashable | None:
    """What identifies a question: the same for the same plain values (text, numbers, dates, uuids, lists of them).

    Returns
    -------
    None where something else is among them.

    >>> question("search", {"subject": ["a", "b"]}) == question("search", {"subject": ["a", "b"]})
    True
    >>> question({"number": 1}) == question({"number": True})
    False
    >>> question({"number": object()}) is None
    True
    """
    try:
        return tuple(map(_identity, parts))
    except TypeError:
        return None


def _identity(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return tuple((str(name), _identity(item)) for name, item in sorted(value.items()))
    if isinstance(value, list | tuple):
        return (type(value).__name__, *map(_identity, value))
    if isinstance(value, _PLAIN):
        return (type(value).__name__, value)
    raise TypeError(f"{type(value).__name__} is no plain value")
