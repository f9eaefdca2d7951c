"""Answers that are given again for as long as nobody has written to the database."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol, TypeVar
from uuid import UUID

import datajoint as dj

State = tuple[str, str]
"""A snapshot of PostgreSQL (the transactions whose rows are seen), and when the server was started."""
_T = TypeVar("_T")
_B = TypeVar("_B", bound="Basis")
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


class Basis(Protocol):
    """What answers are made from: rows of the database in memory."""

    def follow(self, since: State) -> State | None:
        """Take over what was committed since a state; the state that is reached, or None if it cannot."""


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
        self._state: State | None = None
        self._answers = Answers()
        self._basis: tuple[Any, State] | None = None  # and the state that it has reached

    def get(self, question: Hashable | None, make: Callable[[], _T]) -> _T:
        """The answer to a question, made again if it is not known to be the same; None: a question not to be kept."""
        return make() if question is None or self._followed() is None else self._answers.get(question, make)

    def get_from(
        self,
        question: Hashable | None,
        make_basis: Callable[[], _B],
        of_basis: Callable[[_B], _T],
        make: Callable[[], _T],
    ) -> _T:
        """As `get`; from the second question on, which shows that questions come faster than changes, an answer is made
        from a basis, which is kept and follows what is committed for as long as it can.
        """
        if question is None or (state := self._followed()) is None:
            return make()

        def answer() -> _T:
            basis = self._current_basis(state, make_basis)
            return make() if basis is None else of_basis(basis)

        return self._answers.get(question, answer)

    def _current_basis(self, state: State, make_basis: Callable[[], _B]) -> _B | None:
        """The basis in a state, or a later one; None before there is one, and where it cannot follow."""
        if self._basis is None:
            if len(self._answers):
                self._basis = make_basis(), state
        elif self._basis[1] != state:
            basis, since = self._basis
            self._basis = None
            if (reached := basis.follow(since)) is not None:
                self._basis = basis, reached
        return self._basis and self._basis[0]

    def _followed(self) -> State | None:
        """The state of now, None if answers cannot be kept; forgets those that may have changed."""
        if self._connection.adapter.backend != "postgresql" or self._connection.in_transaction:
            return None
        state = self._connection.query(_STATE).fetchone()
        if state != self._state:
            self._answers = Answers()
            self._state = state
        return state


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
