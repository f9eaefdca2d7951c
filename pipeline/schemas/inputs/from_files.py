"""What the tables that read ALF objects have in common: which sessions or tasks they hold, and when a row is stale."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import datajoint as dj
import pyarrow as pa

from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.database.prepared import Prepared
from pipeline.provenance import fingerprints

acquisition = registry.tables_of("acquisition")
data = registry.tables_of("data")

_PARTS = ["object_collection", "object_name", "object_fingerprint"]


class FromFiles:
    """A table with a row for each session that has an ALF object."""

    objects: str
    """ALF object; `%` stands for anything, as in SQL."""
    needs: tuple[str, ...] = ()
    """Columns or attributes without which there is nothing to read."""
    beside: tuple[str, ...] = ()
    """Objects that are read too where they are there."""
    fingerprint: str
    """The column that holds the fingerprint of the files that were read."""

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Sessions with what is needed."""
        return acquisition.Session.proj() & self._found().proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every session (of `key`) that should have a row now."""
        names = acquisition.Session.primary_key
        return fingerprints.combine(fetch_columns(self._read() & (key or {}), *names, *_PARTS), names, _PARTS)

    def _fingerprint_of(self, key: dict) -> dict[str, str]:
        """The fingerprint column of the row that `make` is about to insert: as `current_fingerprints`, of one key."""
        parts = [tuple(row[name] for name in _PARTS) for row in self._objects_of(key)]
        return {self.fingerprint: self._extended(fingerprints.of_rows(parts), key)}

    def _extended(self, fingerprint: str, key: dict) -> str:
        """The fingerprint with what a row is made from besides its files, e.g. a setting."""
        return fingerprint

    def _objects_of(self, key: dict) -> list[dict[str, Any]]:
        """The rows of data.AlfObject of a session that are read."""
        session = {name: key[name] for name in acquisition.Session.primary_key}
        return _prepared(type(self), lambda: self._read().proj(*_PARTS[2:])).rows(session)

    def _names_of(self, key: dict) -> list[str]:
        """The names of the objects of a session that a row is made from, in alphabetical order."""
        return sorted(row["object_name"] for row in self._objects_of(key))

    def _found(self) -> dj.expression.QueryExpression:
        return data.AlfObject & self._is_needed()

    def _read(self) -> dj.expression.QueryExpression:
        """What a row is made from: what is needed and, where it is there, what is read `beside` it."""
        if not self.beside:
            return self._found()
        names = ", ".join(f"'{name}'" for name in self.beside)
        return data.AlfObject & f"({self._is_needed()}) OR object_name IN ({names})"

    def _is_needed(self) -> str:
        """The condition for the objects without which there is no row."""
        needs = [f"accepted_columns LIKE '%%,{name},%%'" for name in self.needs]
        return " AND ".join([f"object_name LIKE '{self.objects.replace('%', '%%')}'", "accepted_columns <> ''", *needs])


class OfTask(FromFiles):
    """A table with a row for each task of a session that has an ALF object."""

    place = "task_collection"
    """The column of SessionTask that says where the object lies."""
    facts: tuple[str, ...] = ()
    """What else of session and task a row is made from."""

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Tasks with what is needed."""
        objects = self._found().proj(**{self.place: "object_collection"})
        # The folder of an object and that of a task have the same values and other origins.
        return acquisition.SessionTask().restrict(objects, semantic_check=False).proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every task (of `key`) that should have a row now."""
        names = acquisition.SessionTask.primary_key
        session = {name: value for name, value in (key or {}).items() if name in names[:-1]}
        task = {name: value for name, value in (key or {}).items() if name in names}
        objects = fetch_columns(self._read() & session, *names[:-1], *_PARTS)
        tasks = self._tasks() & self.key_source if self.beside else self._tasks()
        there = fetch_columns(tasks & task, *tasks.heading.names)
        place = there[self.place].cast(objects["object_collection"].type)
        there = there.append_column("object_collection", place)
        on = [*names[:-1], "object_collection"]
        return fingerprints.combine(there.join(objects, on, join_type="inner"), names, [*_PARTS, *self.facts])

    def _fingerprint_of(self, key: dict) -> dict[str, str]:
        """The fingerprint column of the row that `make` is about to insert: as `current_fingerprints`, of one key."""
        parts = [
            tuple((row | there)[name] for name in (*_PARTS, *self.facts))
            for there in self._tasks_of(key)
            for row in self._objects_of(key)
            if row["object_collection"] == there[self.place]
        ]
        return {self.fingerprint: self._extended(fingerprints.of_rows(parts), key)}

    def _tasks_of(self, key: dict) -> list[dict[str, Any]]:
        """As `_tasks`, of one key."""
        task = {name: key[name] for name in acquisition.SessionTask.primary_key}
        return _prepared((type(self), "tasks"), self._tasks).rows(task)

    def _tasks(self) -> dj.expression.QueryExpression:
        """All tasks with what of session and task a row is made from."""
        of_task = [name for name in dict.fromkeys((self.place, *self.facts)) if name in acquisition.SessionTask.heading]
        of_session = [name for name in self.facts if name not in of_task]
        return acquisition.SessionTask.proj(*of_task) * acquisition.Session.proj(*of_session)


_known: dict[Any, Prepared] = {}


def _prepared(name: Any, compose: Callable[[], dj.expression.QueryExpression]) -> Prepared:
    """The query of this name, prepared once."""
    return _known.setdefault(name, Prepared(compose))
