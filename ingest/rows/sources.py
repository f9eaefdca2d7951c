"""Which file says what, in data.SourceRow: rows follow their file, and the time zone under which it was read.

A statement is a row of a table with the columns that a file gives it. What a file said before and does not say any more
is withdrawn, unless another file says it too.
"""

from __future__ import annotations

import datetime
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.rows.writing import Writer
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data

FOLDER = 0
"""Line of what a session folder says; lines of metadata files are counted from 1."""

Fact = tuple[str, str]
"""Table and key (see `key_text`) of a row."""

_COLUMNS = (
    "source_row_id", "repository", "source_file", "source_line", "source_zone", "stated_lab", "stated_table",
    "stated_key", "stated_values",
)  # fmt: skip
_LONGEST = 4000


@dataclass(frozen=True)
class Statement:
    """What a file says of one row.

    Attributes
    ----------
    table, key
        The row.
    values
        The columns that the file gives.
    line
        Of the file; `FOLDER` for a session folder.
    zone
        Time zone in which times without an offset were read.
    """

    table: str
    key: Mapping[str, Any]
    values: Mapping[str, Any] = field(default_factory=dict)
    line: int = FOLDER
    zone: str = "UTC"

    @property
    def fact(self) -> Fact:
        """Table and key of the row."""
        return self.table, key_text(self.key)


class Sources:
    """The statements of the files of one repository."""

    def __init__(self, writer: Writer, repository: str) -> None:
        self._writer, self._repository = writer, repository

    def before(self, files: Iterable[str]) -> dict[str, dict[Fact, Statement]]:
        """What some files said when they were last read: file -> row -> statement."""
        statements: dict[str, dict[Fact, Statement]] = defaultdict(dict)
        names = sorted(set(files))
        for start in range(0, len(names), 200):
            some = [{"source_file": name} for name in names[start : start + 200]]
            rows = fetch_columns(data.SourceRow & {"repository": self._repository} & some, *_COLUMNS)
            for row in rows.to_pylist():
                statement = _statement(row)
                statements[row["source_file"]][statement.fact] = statement
        return statements

    def of_rows(
        self, table: str, keys: Sequence[Mapping[str, Any]], restriction: Any = None
    ) -> dict[str, list[Statement]]:
        """What all files say of some rows: key as text -> statements."""
        statements: dict[str, list[Statement]] = defaultdict(list)
        texts = sorted({key_text(key) for key in keys})
        for start in range(0, len(texts), 200):
            some = [{"stated_key": text} for text in texts[start : start + 200]]
            query = data.SourceRow & {"stated_table": table} & some
            query = query if restriction is None else query & restriction
            for row in fetch_columns(query, *_COLUMNS).to_pylist():
                statements[row["stated_key"]].append(_statement(row))
        return statements

    def all_of(self, table: str, *restrictions: Any) -> list[Statement]:
        """All that files say of one table."""
        query = data.SourceRow & {"stated_table": table}
        for restriction in restrictions:
            query &= restriction
        return [_statement(row) for row in fetch_columns(query, *_COLUMNS).to_pylist()]

    def under_other_zones(self, zones: Mapping[str, str]) -> set[str]:
        """Metadata files whose times were read in another time zone than the lab has now."""
        query = data.SourceRow & {"repository": self._repository} & f"source_line > {FOLDER}" & "source_zone <> ''"
        rows = fetch_columns(query, "source_file", "stated_lab", "source_zone").to_pylist()
        return {row["source_file"] for row in rows if row["source_zone"] != zones.get(row["stated_lab"], "UTC")}

    def files_in(self, folder: str) -> set[str]:
        """The metadata files directly in a folder that said something."""
        query = data.SourceRow & {"repository": self._repository} & f"source_line > {FOLDER}"
        names = set(fetch_columns(query, "source_file")["source_file"].to_pylist())
        return {name for name in names if name.rpartition("/")[0] == folder}

    def moved_to(self, said: Mapping[str, Mapping[Fact, Statement]], is_there: Callable[[str], bool]) -> dict[str, str]:
        """The metadata files that are where another one was: that one -> where it is now.

        A file is known by what it says, not by its path alone: one that is new here is the former one if that is not
        there any more and more than half of what it said stands in the new one.
        """
        seen = {file for file, facts in self.before(said).items() if facts}
        new = {file: facts.keys() for file, facts in said.items() if facts and file not in seen}
        if not new:
            return {}
        query = data.SourceRow & {"repository": self._repository} & f"source_line > {FOLDER}"
        known = set(fetch_columns(query, "source_file")["source_file"].to_pylist())
        vanished = [file for file in sorted(known - set(said)) if not is_there(file)]
        moved = {}
        for old, facts in self.before(vanished).items():
            best = max(new, key=lambda file: len(new[file] & facts.keys()))
            if 2 * len(new[best] & facts.keys()) > len(facts):
                moved[old] = best
        return moved

    def replace(
        self, before: Mapping[str, Mapping[Fact, Statement]], now: Mapping[str, Mapping[Fact, Statement]]
    ) -> dict[Fact, Statement]:
        """Write down what files say now; returns what is said by none any more, as it was said."""
        gone: dict[Fact, Statement] = {}
        old_ids: list[str] = []
        for file, statements in before.items():
            for fact, statement in statements.items():
                if fact not in now.get(file, {}):
                    gone[fact] = statement
                    old_ids.append(self._id(file, fact))
        rows = [
            self._row(file, statement)
            for file, statements in now.items()
            for fact, statement in statements.items()
            if before.get(file, {}).get(fact) != statement
        ]
        if self._writer.dry_run:
            return gone
        for start in range(0, len(old_ids), 500):
            (data.SourceRow & [{"source_row_id": old_id_} for old_id_ in old_ids[start : start + 500]]).delete_quick()
        self._writer.put(data.SourceRow, _COLUMNS, rows, "update")
        by_table: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for statement in gone.values():
            by_table[statement.table].append(statement.key)
        still_said = {(table, text) for table, keys in by_table.items() for text in self.of_rows(table, keys)}
        return {fact: statement for fact, statement in gone.items() if fact not in still_said}

    def _row(self, file: str, statement: Statement) -> tuple:
        table, text = statement.fact
        values = _json(statement.values)
        if len(values) > _LONGEST:
            values = _json(dict.fromkeys(statement.values))
        return (
            self._id(file, statement.fact), self._repository, file[:500], statement.line, statement.zone,
            str(statement.key.get("lab", ""))[:32], table, text[:500], values,
        )  # fmt: skip

    def _id(self, file: str, fact: Fact) -> str:
        text = "\0".join([self._repository, file, *fact])
        return hashlib.md5(text.encode("utf-8", "backslashreplace"), usedforsecurity=False).hexdigest()


def key_text(key: Mapping[str, Any]) -> str:
    """A key as text, the same for equal keys.

    >>> key_text({"lab": "a", "session_date": datetime.date(2024, 1, 31)})
    '{"lab": "a", "session_date": "2024-01-31"}'
    """
    return _json(key)


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in values.items()}, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _statement(row: Mapping[str, Any]) -> Statement:
    key = {name: _read(name, value) for name, value in json.loads(row["stated_key"]).items()}
    values = {name: _read(name, value) for name, value in json.loads(row["stated_values"]).items()}
    return Statement(row["stated_table"], key, values, row["source_line"], row["source_zone"])


def _read(name: str, value: Any) -> Any:
    """A value as the tables have it: days and times by the name of the column."""
    if isinstance(value, str) and name.endswith(("_time", "_start", "_end")):
        return datetime.datetime.fromisoformat(value)
    if isinstance(value, str) and name.endswith("_date"):
        return datetime.date.fromisoformat(value)
    return value
