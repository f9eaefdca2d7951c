"""The headings of all tables from five queries, where DataJoint asks seven for each table when it is used first.

A worker uses nearly every table, and each of these queries reads the catalog for about a millisecond.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import datajoint as dj

_LINEAGES = re.compile(
    r"""\s*SELECT attribute_name, lineage FROM ["`]([^"`]+)["`]\.["`]~lineage["`]\s+WHERE table_name = %s\s*"""
)

_TABLES = """SELECT t.*, obj_description(format('%%I.%%I', t.table_schema, t.table_name)::regclass, 'pg_class')
    AS table_comment FROM information_schema.tables t WHERE t.table_schema = ANY(%s)"""
_COLUMNS = """SELECT c.table_schema, c.table_name, c.column_name, c.data_type, c.udt_name, c.is_nullable,
    c.column_default, c.character_maximum_length, c.numeric_precision, c.numeric_scale,
    col_description(format('%%I.%%I', c.table_schema, c.table_name)::regclass, c.ordinal_position) AS column_comment
    FROM information_schema.columns c WHERE c.table_schema = ANY(%s) ORDER BY c.ordinal_position"""
_PRIMARY_KEYS = """SELECT n.nspname AS table_schema, r.relname AS table_name, a.attname AS column_name
    FROM pg_index i JOIN pg_class r ON r.oid = i.indrelid JOIN pg_namespace n ON n.oid = r.relnamespace
    JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = ANY(i.indkey)
    WHERE i.indisprimary AND n.nspname = ANY(%s)"""
_INDEXES = """SELECT schemaname AS table_schema, tablename AS table_name, indexname, indexdef FROM pg_indexes
    WHERE schemaname = ANY(%s)"""
_POSTGRESQL = (_TABLES, _COLUMNS, _PRIMARY_KEYS, _INDEXES)

_MYSQL = (  # of one schema: MySQL looks at no other one then
    """SELECT t.*, t.table_schema AS table_schema, t.table_name AS table_name FROM information_schema.tables t
    WHERE t.table_schema = %s""",
    """SELECT table_schema AS table_schema, table_name AS table_name, ordinal_position AS place, column_name AS `Field`,
    column_type AS `Type`, is_nullable AS `Null`, column_default AS `Default`, column_comment AS `Comment`,
    column_key AS `Key`, extra AS `Extra` FROM information_schema.columns WHERE table_schema = %s""",
    """SELECT table_schema AS table_schema, table_name AS table_name, ordinal_position AS place,
    column_name AS column_name FROM information_schema.key_column_usage
    WHERE table_schema = %s AND constraint_name = 'PRIMARY'""",
    """SELECT table_schema AS table_schema, table_name AS table_name, index_name AS index_name, seq_in_index AS place,
    column_name AS column_name, non_unique AS non_unique, seq_in_index AS seq_in_index
    FROM information_schema.statistics WHERE table_schema = %s AND index_name <> 'PRIMARY'""",
)


def read_ahead(tables: Sequence[Any]) -> None:
    """Read what the headings of tables are made from, of those that are not known yet; each is made when it is used.

    Parameters
    ----------
    tables : tables that are bound to one connection, classes or instances.
    """
    waiting = [item._heading for item in tables if item._heading is not None and item._heading._attributes is None]
    waiting = [heading for heading in waiting if heading.table_info and heading.table_info["conn"] is not None]
    connections = {id(heading.table_info["conn"]): heading.table_info["conn"] for heading in waiting}
    if len(connections) != 1:
        return
    (connection,) = connections.values()
    if isinstance(connection, _Catalog):
        return
    catalog = _Catalog(connection, sorted({heading.table_info["database"] for heading in waiting}))
    for heading in waiting:
        heading.table_info = {**heading.table_info, "conn": catalog}


class _Catalog:
    """A connection that knows the answers to what `Heading` asks about tables; the rest it asks the real one."""

    def __init__(self, connection: dj.Connection, schemas: list[str]) -> None:
        self.adapter, self._connection = connection.adapter, connection
        self._answers: dict[Any, list[Any]] = defaultdict(list)
        tables, *described = (_rows(connection, number, schemas) for number in range(4))
        for row in tables:
            self._answers[self.adapter.get_table_info_sql(row["table_schema"], row["table_name"])].append(row)
            for ask in (self.adapter.get_columns_sql, self.adapter.get_primary_key_sql, self.adapter.get_indexes_sql):
                self._answers[ask(row["table_schema"], row["table_name"])] = []
        for rows, ask in zip(
            described,
            (self.adapter.get_columns_sql, self.adapter.get_primary_key_sql, self.adapter.get_indexes_sql),
            strict=True,
        ):
            for row in rows:
                self._answers[ask(row["table_schema"], row["table_name"])].append(row)
        traced = [row["table_schema"] for row in tables if row["table_name"] == "~lineage"]
        self._traced = set(traced)
        if traced:
            quote = self.adapter.quote_identifier
            every = " UNION ALL ".join(
                f"SELECT %s, table_name, attribute_name, lineage FROM {quote(schema)}.{quote('~lineage')}"
                for schema in traced
            )
            for schema, table, attribute, lineage in connection.query(every, traced).fetchall():
                self._answers[schema, table].append((attribute, lineage))

    def query(self, query: str, args: Sequence[Any] = (), **options: Any) -> Any:
        lineages = _LINEAGES.fullmatch(query)
        if lineages and lineages[1] in self._traced:
            return _Rows(self._answers.get((lineages[1], args[0]), []))
        if query in self._answers:
            return _Rows(self._answers[query])
        return self._connection.query(query, args, **options)


def _rows(connection: dj.Connection, number: int, schemas: list[str]) -> list[dict[str, Any]]:
    """What one of the four queries says of the tables of some schemas, in order."""
    if connection.adapter.backend == "postgresql":
        return connection.query(_POSTGRESQL[number], (schemas,), as_dict=True).fetchall()
    every = " UNION ALL ".join([_MYSQL[number]] * len(schemas))
    rows = sorted(
        connection.query(every, schemas, as_dict=True).fetchall(),
        key=lambda row: (row.get("index_name", ""), row.get("place", 0)),
    )
    if getattr(connection, "server", ("",))[0] == "MariaDB":  # which writes defaults as literals of SQL
        for row in rows:
            if "Default" in row:
                row["Default"] = _value(row["Default"])
    return rows


def _value(literal: str | None) -> str | None:
    """The default that a literal of MariaDB stands for.

    >>> _value("'it''s'"), _value("NULL"), _value("0"), _value("current_timestamp(6)")
    ("it's", None, '0', 'current_timestamp(6)')
    """
    if literal is None or literal == "NULL":
        return None
    is_text = len(literal) > 1 and literal[0] == literal[-1] == "'"
    return literal[1:-1].replace("''", "'").replace("\\\\", "\\") if is_text else literal


class _Rows:
    """As much of a cursor as `Heading` uses."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows
        self.rowcount = len(rows)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def fetchone(self) -> Any:
        return self._rows[0] if self._rows else None

    def fetchall(self) -> list[Any]:
        return self._rows
