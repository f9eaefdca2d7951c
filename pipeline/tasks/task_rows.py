"""SQL on the tables of tasks: their names, the clock of the database, rows as dicts, changes of columns."""

from __future__ import annotations

import contextlib
import datetime
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import datajoint as dj

from pipeline.errors import NotFoundError
from pipeline.schemas import task
from pipeline.tasks import states

_NOW = {"postgresql": "(STATEMENT_TIMESTAMP() AT TIME ZONE 'UTC')", "mysql": "UTC_TIMESTAMP(6)"}


class Sql(str):
    """A value of a column that is SQL of our own, not text."""

    __slots__ = ()


class TaskRows:
    """The tasks of a database; `pipeline.connect()` first.

    Parameters
    ----------
    clock : the time (UTC) instead of the database's; for tests.
    """

    def __init__(self, clock: Callable[[], datetime.datetime] | None = None) -> None:
        self.clock = clock
        self.connection: dj.Connection = task.Task().connection
        self.backend: str = self.connection.adapter.backend
        self.task, self.edge = task.Task().full_table_name, task.TaskEdge().full_table_name
        self.logs, self.outputs = task.TaskLog().full_table_name, task.TaskOutput().full_table_name

    def now(self) -> datetime.datetime:
        """The clock of the database, UTC."""
        return self.connection.query(f"SELECT {self.time()}").fetchone()[0]

    def time(self, later: float = 0.0) -> Sql:
        """SQL for the present time, or for one that is so many seconds later."""
        now = f"TIMESTAMP '{self.clock():%Y-%m-%d %H:%M:%S.%f}'" if self.clock else _NOW[self.backend]
        if not later:
            return Sql(now)
        seconds = f"'{later:f} seconds'" if self.backend == "postgresql" else f"{later:f} SECOND"
        return Sql(f"({now} + INTERVAL {seconds})")

    def get(self, task_uuid: str) -> dict[str, Any]:
        """One task.

        Raises
        ------
        NotFoundError : there is none.
        """
        rows = self._rows(f"SELECT * FROM {self.task} WHERE task_uuid = %s", str(task_uuid).lower())
        if not rows:
            raise NotFoundError(f"there is no task {task_uuid}", "see `neurojoint task list`")
        return rows[0]

    def parents(self, task_uuid: str) -> list[str]:
        """The identifiers of those that a task waits for."""
        rows = self._all(f"SELECT parent_id FROM {self.edge} WHERE task_uuid = %s ORDER BY parent_id", task_uuid)
        return [row[0] for row in rows]

    def descendants(self, ids: Iterable[str]) -> list[str]:
        """All tasks that wait for some others, near or far."""
        seen, todo = set(ids), list(ids)
        descendants: list[str] = []
        while todo:
            listed = ", ".join(["%s"] * len(todo))
            rows = self._all(f"SELECT DISTINCT task_uuid FROM {self.edge} WHERE parent_id IN ({listed})", *todo)
            todo = [row[0] for row in rows if row[0] not in seen]
            seen.update(todo)
            descendants += todo
        return descendants

    def update(self, task_uuid: str, columns: Mapping[str, Any]) -> None:
        """Change columns of a task that say nothing of its state."""
        self._update(dict(columns) | {"task_changed": self.time()}, "task_uuid = %s", task_uuid)

    def blocked(self, alias: str) -> str:
        """SQL that says whether a task, of this name in the query, has a parent that is not done."""
        done = ", ".join(f"'{name}'" for name in states.DONE)
        return (
            f"EXISTS (SELECT 1 FROM {self.edge} AS edge JOIN {self.task} AS parent "
            f"ON parent.task_uuid = edge.parent_id "
            f"WHERE edge.task_uuid = {alias}.task_uuid AND parent.task_state NOT IN ({done}))"
        )

    def transaction(self) -> Any:
        """A context that commits what is done in it together; part of the transaction that is open, if one is."""
        return contextlib.nullcontext() if self.connection.in_transaction else self.connection.transaction

    def _each(self, ids: Iterable[str], columns: Mapping[str, Any], where: str, *values: Any) -> int:
        changed = dict(columns) | {"task_changed": self.time()}
        return sum(self._update(changed, f"task_uuid = %s AND {where}", id_, *values) for id_ in ids)

    def _update(self, columns: Mapping[str, Any], where: str, *values: Any) -> int:
        assigned, given = _assigned(columns)
        return self._run(f"UPDATE {self.task} SET {assigned} WHERE {where}", *given, *values)

    def _there(self, where: str, *values: Any) -> bool:
        """Whether a task fits: MySQL does not count rows that an update leaves as they were."""
        return self._one(f"SELECT 1 FROM {self.task} WHERE {where}", *values) is not None

    def _insert(self, table: str, columns: Mapping[str, Any]) -> None:
        places = ", ".join(value if isinstance(value, Sql) else "%s" for value in columns.values())
        given = [value for value in columns.values() if not isinstance(value, Sql)]
        self._run(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", *given)

    def _run(self, sql: str, *values: Any) -> int:
        return self.connection.query(sql, args=values).rowcount

    def _all(self, sql: str, *values: Any) -> list[tuple]:
        return list(self.connection.query(sql, args=values).fetchall())

    def _one(self, sql: str, *values: Any) -> Any:
        return self.connection.query(sql, args=values).fetchone()

    def _rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        cursor = self.connection.query(sql, args=values)
        names = [column[0] for column in cursor.description]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        for row in rows:
            arguments = row.get("task_arguments")
            row["task_arguments"] = json.loads(arguments) if isinstance(arguments, str | bytes) else arguments
            row["task_held"] = bool(row["task_held"])
        return rows


def _assigned(columns: Mapping[str, Any]) -> tuple[str, list[Any]]:
    """`name = value, …` of SQL, and the values that the driver puts in."""
    assigned = ", ".join(f"{name} = {value if isinstance(value, Sql) else '%s'}" for name, value in columns.items())
    return assigned, [value for value in columns.values() if not isinstance(value, Sql)]
