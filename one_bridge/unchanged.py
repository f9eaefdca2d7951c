"""Answers that are given again for as long as nobody has written to the database."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Mapping
from typing import Any, TypeVar
from uuid import UUID

import datajoint as dj

_T = TypeVar("_T")
_B = TypeVar("_B")
_STATE = "SELECT pg_current_snapshot()::text, pg_postmaster_start_time()::text"
_PLAIN = (str, int, float, bool, type(None), datetime.date, UUID)
LARGEST = 32  # answers


class Answers:
    """The latest answers, each made once."""

    def __init__(self) -> None:
        self._answers: dict[Hashable, Any] = {}

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, question: Hashable | None, make: Callable[[], _T]) -> _T:
        """The answer to a question, made if it is not here; None: a question not to be kept."""
        if question is None:
            return make()
        if question not in self._answers:
            answer = make()
            if len(self._answers) >= LARGEST:
                self._answers.pop(next(iter(self._answers)))
            self._answers[question] = answer
        return self._answers[question]


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
        self._answers = Answers()
        self._basis: Any = None

    def get(self, question: Hashable | None, make: Callable[[], _T]) -> _T:
        """The answer to a question, made again if it is not known to be the same; None: a question not to be kept."""
        return make() if question is None or not self._is_followed() else self._answers.get(question, make)

    def get_from(
        self,
        question: Hashable | None,
        make_basis: Callable[[], _B],
        of_basis: Callable[[_B], _T],
        make: Callable[[], _T],
    ) -> _T:
        """As `get`; from the second question on, which shows that questions come faster than changes, an answer is made
        from a basis that is kept beside the answers.
        """
        if question is None or not self._is_followed():
            return make()

        def answer() -> _T:
            if not len(self._answers):
                return make()
            if self._basis is None:
                self._basis = make_basis()
            return of_basis(self._basis)

        return self._answers.get(question, answer)

    def _is_followed(self) -> bool:
        """Whether answers can be kept now; forgets those that may have changed."""
        if self._connection.adapter.backend != "postgresql" or self._connection.in_transaction:
            return False
        state = self._connection.query(_STATE).fetchone()
        if state != self._state:
            self._answers, self._basis = Answers(), None
            self._state = state
        return True


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
