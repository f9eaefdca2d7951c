"""What was refused, in the table data.Quarantine: entered when met, dated when met again, resolved when gone."""

from __future__ import annotations

import datetime
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from ingest.files.scan import Problem, SessionKey, printable
from ingest.rows.writing import Writer
from pipeline.alf.reasons import REASONS
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data

__all__ = ["REASONS", "Entry", "Quarantine"]

_COLUMNS = (
    "quarantine_id", "repository", "lab", "subject", "session_date", "session_number", "quarantine_path",
    "quarantine_column", "reason", "detail", "remedy", "first_seen", "last_seen", "resolved",
)  # fmt: skip


class Entry(NamedTuple):
    """One row as it is in the table."""

    session: SessionKey | None
    path: str
    column: str
    reason: str
    detail: str
    first_seen: Any  # datetime, UTC
    is_open: bool


class Quarantine:
    """The entries of one repository, read once; rows go through a `Writer`."""

    def __init__(self, writer: Writer, repository: str) -> None:
        self._writer, self._repository, self._table = writer, repository, data.Quarantine
        rows = fetch_columns(data.Quarantine & {"repository": repository}).to_pylist()
        self._entries: dict[str, Entry] = {}
        for row in rows:
            session = None
            if row["lab"] is not None:
                session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
            self._entries[row["quarantine_id"]] = Entry(
                session, row["quarantine_path"], row["quarantine_column"], row["reason"], row["detail"],
                row["first_seen"], row["resolved"] is None,
            )  # fmt: skip
        self._by_session: dict[SessionKey | None, set[str]] = {}
        for identity, entry in self._entries.items():
            self._by_session.setdefault(entry.session, set()).add(identity)
        self.n_resolved = 0

    @property
    def n_open(self) -> int:
        """How many entries are open."""
        return sum(entry.is_open for entry in self._entries.values())

    def open_by_reason(self) -> dict[str, int]:
        """How many entries are open, by reason, the most frequent first."""
        counts: dict[str, int] = {}
        for entry in self._entries.values():
            if entry.is_open:
                counts[entry.reason] = counts.get(entry.reason, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    def sessions_update(self, problems: Iterable[tuple[SessionKey, list[Problem]]]) -> None:
        """Replace the entries of these sessions: what is not among the problems any more is resolved."""
        met: list[tuple[SessionKey | None, Problem]] = []
        gone = []
        for session, raw in problems:
            storable = [_storable(problem) for problem in raw]
            identities = {self.identity(problem) for problem in storable}
            met += [(session, problem) for problem in storable]
            gone += [i for i in self._by_session.get(session, ()) if i not in identities and self._entries[i].is_open]
        self._write(met, gone)

    def others_update(self, problems: list[Problem], is_covered: Any) -> None:
        """Replace the entries that belong to no session and for which `is_covered(entry)` holds."""
        problems = [_storable(problem) for problem in problems]
        identities = {self.identity(problem) for problem in problems}
        gone = [
            identity
            for identity in self._by_session.get(None, ())
            if identity not in identities and self._entries[identity].is_open and is_covered(self._entries[identity])
        ]
        self._write([(None, problem) for problem in problems], gone)

    def identity(self, problem: Problem) -> str:
        """md5 of repository, path and column."""
        text = f"{self._repository}\0{problem.path[:500]}\0{problem.column[:96]}"
        return hashlib.md5(text.encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()

    def see_again(self, scope: str) -> None:
        """Date all open entries below `scope` with this run."""
        if self._writer.dry_run:
            return
        table = self._table.full_table_name
        sql = f"UPDATE {table} SET last_seen = %s WHERE repository = %s AND resolved IS NULL"
        args: tuple = (self._writer.now, self._repository)
        if scope:
            sql, args = f"{sql} AND LEFT(quarantine_path, {len(scope)}) = %s", (*args, scope)
        self._writer.connection.query(sql, args=args)

    def _write(self, met: list[tuple[SessionKey | None, Problem]], gone: list[str]) -> None:
        now = self._writer.now
        rows: dict[str, tuple[Entry, datetime.datetime | None]] = {}
        for session, problem in met:
            identity = self.identity(problem)
            before = self._entries.get(identity)
            entry = Entry(
                session, problem.path[:500], problem.column[:96], problem.reason, problem.detail[:1000],
                before.first_seen if before else now, True,
            )  # fmt: skip
            if entry != before:
                rows[identity] = (entry, None)
        for identity in gone:
            entry = self._entries[identity]._replace(is_open=False)
            rows[identity] = (entry, now)
            self.n_resolved += 1
        for identity, (entry, _) in rows.items():
            self._entries[identity] = entry
            self._by_session.setdefault(entry.session, set()).add(identity)
        values = [
            (
                identity, self._repository, *(entry.session or (None,) * 4), entry.path, entry.column, entry.reason,
                entry.detail, REASONS[entry.reason][1], entry.first_seen, now, resolved,
            )
            for identity, (entry, resolved) in rows.items()
        ]  # fmt: skip
        for some in ([row for row in values if row[2]], [row for row in values if not row[2]]):
            names: Sequence[str] = _COLUMNS
            stored: list[tuple] = some
            if some and not some[0][2]:
                names, stored = [*_COLUMNS[:2], *_COLUMNS[6:]], [(*row[:2], *row[6:]) for row in some]
            self._writer.put(self._table, names, stored, "update")


def _storable(problem: Problem) -> Problem:
    """The problem without characters that a table cannot hold (file names are bytes)."""
    path, detail, column = printable(problem.path), problem.detail, problem.column
    if not (detail + column).isprintable():
        detail, column = printable(detail), printable(column)
    return problem._replace(path=path, detail=detail, column=column)
