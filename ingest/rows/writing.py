"""Puts rows into tables: new ones, and changed ones with an entry in data.Change; nothing at all in a dry run."""

from __future__ import annotations

import datetime
import getpass
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import datajoint as dj

from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.schemas import data


class Writer:
    """Writes for one run of the registration.

    Attributes:
        now: time of the run, UTC.
        run_id: of data.IngestRun; None in a dry run.
    """

    def __init__(self, connection: dj.Connection, dry_run: bool) -> None:
        self.connection, self.dry_run = connection, dry_run
        self.run_id = str(uuid.uuid4())
        self.user = getpass.getuser()[:64]
        self._changes: list[data.ChangeNote] = []
        self._names: dict[type, set[tuple]] = defaultdict(set)

    @property
    def now(self) -> datetime.datetime:
        """The present time, UTC."""
        return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)

    def put(
        self, table: type[dj.Table], names: Sequence[str], rows: Sequence[tuple], on_duplicate: str = "error"
    ) -> None:
        """Insert `rows`, tuples in the order of the columns `names`."""
        if rows and not self.dry_run:
            insert_many(table, dict(zip(names, zip(*rows, strict=True), strict=True)), on_duplicate)

    def ensure(self, table: type[dj.Table], rows: Iterable[tuple], names: Sequence[str] = ()) -> None:
        """Insert the names that a lookup does not have yet; `names` are its columns, by default its key."""
        known = self._names[table]
        new = sorted({row for row in rows if row not in known})
        self.put(table, names or table.primary_key, new, "skip")
        known.update(new)

    def change(self, action: str, path: str, detail: str = "", old: str = "", new: str = "") -> None:
        """Note what happened; `flush_changes` writes it down."""
        self._changes.append(data.ChangeNote(action, path, detail, old, new))

    def flush_changes(self) -> None:
        """Write the notes into data.Change."""
        if not self.dry_run:
            data.Change.record(self._changes, self.user, self.run_id)
        self._changes.clear()

    def merge(
        self,
        table: type[dj.Table],
        rows: Sequence[Mapping[str, Any]],
        defaults: Mapping[str, Any],
        restriction: Any = None,
    ) -> tuple[int, int]:
        """Insert rows that are new and update columns of those that are there.

        Parameters
        ----------
        rows : with the key and those columns that are known; None leaves a column as it is.
        defaults : column -> value for a new row that does not give it.
        restriction : of the rows to compare with, if not all.

        Returns
        -------
        How many rows are new, and how many changed.
        """
        key = table.primary_key
        columns = [name for name in table.heading.names if name not in key and not name.endswith("_json")]
        query = table & restriction if restriction is not None else table()
        there = fetch_columns(query, *key, *columns).to_pylist()
        existing = {tuple(row[name] for name in key): row for row in there}
        new: dict[tuple, dict] = {}
        changed: dict[tuple, dict] = {}
        for row in rows:
            identity = tuple(row[name] for name in key)
            known = {name: value for name, value in row.items() if value is not None}
            if identity in new:
                new[identity] |= known
            elif identity not in existing:
                new[identity] = dict.fromkeys(columns) | dict(defaults) | known
            elif differs := {n: v for n, v in known.items() if n not in key and existing[identity][n] != v}:
                said = ", ".join(f"{name}: {existing[identity][name]} -> {value}" for name, value in differs.items())
                self.change("replaced", "/".join(str(part) for part in identity), f"{table.__name__} {said}")
                existing[identity] = existing[identity] | differs
                changed[identity] = existing[identity]
        names = [*key, *columns]
        self.put(table, names, [tuple(row[name] for name in names) for row in new.values()], "skip")
        self.put(table, names, [tuple(row[name] for name in names) for row in changed.values()], "update")
        return len(new), len(changed)
