"""Several keys of one table computed in one transaction: questions are asked once, rows are written together.

A `make` runs as ever, key by key. While a `Batch` is open on its connection, a prepared query (`database.prepared`)
that is asked for one of the keys is answered for all of them, and the rows that `make` inserts wait, encoded and
checked, until another statement needs them or the batch is complete. The transaction sees one state of the database,
so answers do not age; queries of the table itself are never answered from memory.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import datajoint as dj

_INSERT = re.compile(r'\s*INSERT INTO ((?:"[^"]+"|`[^`]+`)\.(?:"[^"]+"|`[^`]+`))\(', re.IGNORECASE)
_REMEMBERED = 100  # answers to one question, each perhaps a session's trials (150 kB)
_T = TypeVar("_T")
_READS = re.compile(r"\s*(SELECT|SHOW|WITH)\b", re.IGNORECASE)


@dataclass
class _Waiting:
    """Rows for one table with the same columns; `owners`: the number of the key that inserted each item."""

    write: Callable[[list[Any]], None]
    items: list[Any] = field(default_factory=list)
    owners: list[int] = field(default_factory=list)


class Batch:
    """What the keys of one batch have in common.

    Attributes
    ----------
    keys : the keys, in the order in which they are computed.
    key : the one that is being computed.
    answers : what was asked, in which form -> the answer for all keys; `database.prepared` fills it.
    is_broken : a statement failed, so that nothing of the transaction may be committed.
    """

    def __init__(self, connection: dj.Connection, names: Sequence[str], keys: Sequence[dict[str, Any]]) -> None:
        self.connection, self.keys = connection, keys
        self.key: dict[str, Any] = {}
        self.answers: dict[Any, Any] = {}
        self.is_broken = False
        self._names = tuple(names)
        self._number = -1
        self._waiting: dict[Any, _Waiting] = {}
        self._is_writing = False
        self._has_written = False  # something of the present key

    def begin(self, key: dict[str, Any]) -> None:
        """From now on `key` is computed."""
        self.key, self._number, self._has_written = key, self._number + 1, False

    def forget(self) -> bool:
        """Drop the rows of the present key, which failed; False where some are in the database already."""
        if self._has_written or self.is_broken:
            return False
        for waiting in self._waiting.values():
            mine = [number for number, owner in enumerate(waiting.owners) if owner == self._number]
            for number in reversed(mine):
                del waiting.items[number], waiting.owners[number]
        return True

    def split(self, asked: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
        """The names for which the present key gives the value that is asked for, and the other conditions."""
        names = tuple(name for name, value in asked.items() if name in self.key and self.key[name] == value)
        return names, {name: value for name, value in asked.items() if name not in names}

    def values(self, names: Sequence[str]) -> tuple[tuple[Any, ...], ...]:
        """What the keys have under these names, each once."""
        return tuple({tuple(key[name] for name in names): None for key in self.keys})

    def is_about_itself(self, sql: str) -> bool:
        """Whether a statement reads what the batch writes."""
        return any(name in sql for name in self._names)

    def before(self, query: str, values: Sequence[Any]) -> bool:
        """Take an insert into the table or its parts (True), or get the database ready for any other statement."""
        if self._is_writing:
            return False
        into = _INSERT.match(query)
        if into and into[1] in self._names and " VALUES " in query and not query.rstrip().endswith("VALUES ()"):
            head, _, rows = query.partition(" VALUES ")
            if rows.count("(") == rows.count(")") and _is_plain(rows):
                self._wait((into[1], head), (rows, tuple(values)), lambda items: self._insert(head, items))
                return True
        self.write()
        if not _READS.match(query):
            self.answers.clear()
            self._has_written = True
        return False

    def wait_for_columns(self, table: dj.Table, names: tuple[str, ...], item: Any, write: Callable) -> bool:
        """Let rows that are given as columns wait, where they are for the table or its parts."""
        if table.full_table_name not in self._names or self._is_writing:
            return False
        self._wait((table.full_table_name, names), item, write)
        return True

    def write(self) -> None:
        """Insert what waits."""
        if self._is_writing or not self._waiting:
            return
        waiting, self._waiting = self._waiting, {}
        self._is_writing = True
        try:
            for place in sorted(waiting, key=lambda place: self._names.index(place[0])):  # masters before their parts
                group = waiting[place]
                self._has_written |= self._number in group.owners
                if group.items:
                    group.write(group.items)
        except BaseException:
            self.is_broken = True
            raise
        finally:
            self._is_writing = False

    def _wait(self, place: Any, item: Any, write: Callable[[list[Any]], None]) -> None:
        group = self._waiting.setdefault(place, _Waiting(write))
        group.items.append(item)
        group.owners.append(self._number)

    def _insert(self, head: str, items: list[tuple[str, tuple[Any, ...]]]) -> None:
        rows = ",".join(rows for rows, _ in items)
        self.connection.query(f"{head} VALUES {rows}", [value for _, values in items for value in values])


def batch_of(connection: dj.Connection) -> Batch | None:
    """The batch that is open on a connection."""
    return vars(connection).get("batch")


def once(connection: dj.Connection, question: str, about: Any, ask: Callable[[], _T]) -> _T:
    """What `ask` returns; while several keys are computed together, asked once for those that follow one another.

    The answer must not depend on what the keys write. Of each question only the last answer stays in memory.
    """
    opened = batch_of(connection)
    if opened is None:
        return ask()
    known = opened.answers.get(question)
    if known is None or known[0] != about:
        known = (about, ask())
        opened.answers[question] = known
    return known[1]


@contextlib.contextmanager
def memory(connection: dj.Connection) -> Iterator[None]:
    """While it is open, `remembered` keeps what it was asked for."""
    vars(connection)["memory"] = {}
    try:
        yield
    finally:
        del vars(connection)["memory"]


def remembered(
    connection: dj.Connection, question: str, about: Any, ask: Callable[[], _T], most: int = _REMEMBERED
) -> _T:
    """What `ask` returns; in a worker, asked once for the tables that ask the same about the same keys in turn.

    `about` must determine the answer, e.g. hold the fingerprint of what it is made from: it outlives transactions. The
    latest answers stay in memory, at most so many.
    """
    if "memory" not in vars(connection):
        return ask()
    if recalled(connection, question, about) is None:
        remember(connection, question, about, ask, most)
    return recalled(connection, question, about)


def remember(
    connection: dj.Connection, question: str, about: Any, ask: Callable[[], Any], most: int = _REMEMBERED
) -> None:
    """Let `remembered` know in a worker what `ask` returns, e.g. of rows that it has just written."""
    known = vars(connection).get("memory")
    if known is None:
        return
    answers = known.setdefault(question, {})
    answers.pop(about, None)
    answers[about] = ask()
    if len(answers) > most:
        del answers[next(iter(answers))]


def recalled(connection: dj.Connection, question: str, about: Any) -> Any:
    """What `remembered` would return without asking; None where it does not know."""
    answers = vars(connection).get("memory", {}).get(question, {})
    if about not in answers:
        return None
    answers[about] = answers.pop(about)  # the latest are last
    return answers[about]


@contextlib.contextmanager
def batch(connection: dj.Connection, names: Sequence[str], keys: Sequence[dict[str, Any]]) -> Iterator[Batch]:
    """Open a batch on a connection for keys of one table; `names`: the full names of the table and its parts."""
    opened = vars(connection)["batch"] = Batch(connection, names, keys)
    try:
        yield opened
    finally:
        del vars(connection)["batch"]


def _is_plain(rows: str) -> bool:
    """Whether what follows VALUES is nothing but places for values, as DataJoint writes them."""
    return not re.sub(r"%s|DEFAULT|[(),\s]", "", rows)
