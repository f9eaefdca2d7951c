"""What the tables that read ALF objects have in common: which sessions or tasks they hold, and when a row is stale."""

from __future__ import annotations

import datajoint as dj
import pyarrow as pa

from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
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
    fingerprint: str
    """The column that holds the fingerprint of the files that were read."""

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Sessions with what is needed."""
        return acquisition.Session.proj() & self._found().proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every session (of `key`) that should have a row now."""
        names = acquisition.Session.primary_key
        return fingerprints.combine(fetch_columns(self._found() & (key or {}), *names, *_PARTS), names, _PARTS)

    def _fingerprint_of(self, key: dict) -> dict[str, str]:
        """The fingerprint column of the row that `make` is about to insert."""
        return {self.fingerprint: self.current_fingerprints(key)["fingerprint"][0].as_py()}

    def _found(self) -> dj.expression.QueryExpression:
        found = data.AlfObject & f"object_name LIKE '{self.objects.replace('%', '%%')}'" & "accepted_columns <> ''"
        for name in self.needs:
            found &= f"accepted_columns LIKE '%%,{name},%%'"
        return found


class OfTask(FromFiles):
    """A table with a row for each task of a session that has an ALF object."""

    place = "task_collection"
    """The column of SessionTask that says where the object lies."""
    facts: tuple[str, ...] = ()
    """What else of session and task a row is made from."""

    @property
    def key_source(self) -> dj.expression.QueryExpression:
        """Tasks with what is needed."""
        found = self._found().proj(**{self.place: "object_collection"})
        # The folder of an object and that of a task have the same values and other origins.
        return acquisition.SessionTask().restrict(found, semantic_check=False).proj()

    def current_fingerprints(self, key: dict | None = None) -> pa.Table:
        """Key and fingerprint of every task (of `key`) that should have a row now."""
        names = acquisition.SessionTask.primary_key
        session = {name: value for name, value in (key or {}).items() if name in names[:-1]}
        task = {name: value for name, value in (key or {}).items() if name in names}
        of_task = [name for name in dict.fromkeys((self.place, *self.facts)) if name in acquisition.SessionTask.heading]
        of_session = [name for name in self.facts if name not in of_task]
        found = fetch_columns(self._found() & session, *names[:-1], *_PARTS)
        tasks = acquisition.SessionTask.proj(*of_task) * acquisition.Session.proj(*of_session) & task
        there = fetch_columns(tasks, *dict.fromkeys((*names, *of_task, *of_session)))
        place = there[self.place].cast(found["object_collection"].type)
        there = there.append_column("object_collection", place)
        on = [*names[:-1], "object_collection"]
        return fingerprints.combine(there.join(found, on, join_type="inner"), names, [*_PARTS, *self.facts])
