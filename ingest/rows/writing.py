"""Puts rows of registered files into tables, and notes what happened in data.Change; nothing at all in a dry run."""

from __future__ import annotations

import datetime
import getpass
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence

import datajoint as dj

from pipeline.database.bulk import insert_many
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
