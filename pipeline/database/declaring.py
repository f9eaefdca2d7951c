"""Fewer statements while tables are declared: DataJoint sends some 25 for each table, most of them again and again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import datajoint as dj
from datajoint import heading, lineage


class Comments:
    """Comments of tables and columns, which wait and are sent with one statement before the next one of another kind.

    Parameters
    ----------
    send : sends a statement.
    """

    def __init__(self, send: Callable[[str], Any]) -> None:
        self._send = send
        self._waiting: list[str] = []

    def take(self, statement: str) -> bool:
        """Keep a comment until later; before any other statement, send those that wait."""
        if statement.startswith("COMMENT ON "):
            self._waiting.append(statement)
            return True
        self.flush()
        return False

    def flush(self) -> None:
        """Send what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._send(";\n".join(waiting))


@contextlib.contextmanager
def in_few_statements(connection: Any) -> Iterator[None]:
    """Declare tables within it, while nobody else does; what is declared is the same."""
    with _lineages_asked_once():
        if connection.adapter.backend != "postgresql":  # MySQL has comments within CREATE TABLE
            yield
            return
        plain: Any = dj.Connection
        connection.comments = Comments(lambda text: plain.query(connection, text))
        try:
            yield
            connection.comments.flush()
        finally:
            connection.comments = None


@contextlib.contextmanager
def _lineages_asked_once() -> Iterator[None]:
    """Where an attribute comes from is asked for each foreign key, and first whether its schema says such things."""
    exists, get = lineage.lineage_table_exists, lineage.get_lineage
    schemas: set[str] = set()
    origins: dict[tuple[str, ...], str] = {}

    def lineage_table_exists(connection: dj.Connection, database: str) -> bool:
        if database not in schemas and exists(connection, database):
            schemas.add(database)
        return database in schemas

    def get_lineage(connection: dj.Connection, *attribute: str) -> str | None:
        if attribute not in origins and (origin := get(connection, *attribute)) is not None:
            origins[attribute] = origin
        return origins.get(attribute)

    modules: tuple[Any, ...] = (lineage, heading)
    try:
        for module in modules:
            module.lineage_table_exists = lineage_table_exists
        lineage.get_lineage = get_lineage
        yield
    finally:
        for module in modules:
            module.lineage_table_exists = exists
        lineage.get_lineage = get
