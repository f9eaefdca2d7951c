"""Whether rows of other tables refer to some: asked of their tables alone, where DataJoint would read all of them."""

from __future__ import annotations

from collections import defaultdict

import datajoint as dj

_POSTGRESQL = """
    SELECT k.conname, n.nspname, c.relname, own.attname, theirs.attname
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL unnest(k.conkey, k.confkey) AS pair(own_number, their_number)
    JOIN pg_attribute own ON own.attrelid = k.conrelid AND own.attnum = pair.own_number
    JOIN pg_attribute theirs ON theirs.attrelid = k.confrelid AND theirs.attnum = pair.their_number
    WHERE k.contype = 'f' AND k.confrelid = CAST(%s AS regclass)
"""
_MYSQL = """
    SELECT constraint_name, table_schema, table_name, column_name, referenced_column_name
    FROM information_schema.key_column_usage WHERE referenced_table_schema = %s AND referenced_table_name = %s
"""


def has_dependent_rows(rows: dj.Table) -> bool:
    """Whether a row of any table, of ours or not, refers to one of these rows by a foreign key.

    Parameters
    ----------
    rows : a table, restricted by its own columns.
    """
    keys = _references(rows)
    if not keys:
        return False
    quote = rows.connection.adapter.quote_identifier
    where = rows.where_clause()
    asked = []
    for (_, schema, child), pairs in keys.items():
        own, theirs = (", ".join(quote(name) for name in names) for names in zip(*pairs, strict=True))
        inside = f"SELECT {theirs} FROM {rows.full_table_name}{where}"
        asked.append(f"EXISTS (SELECT 1 FROM {quote(schema)}.{quote(child)} WHERE ({own}) IN ({inside}))")
    return bool(rows.connection.query(f"SELECT {' OR '.join(asked)}").fetchone()[0])


def _references(table: dj.Table) -> dict[tuple[str, str, str], list[tuple[str, str]]]:
    """(name, schema, table) of each foreign key that leads to a table -> its pairs of columns."""
    connection = table.connection
    if connection.adapter.backend == "postgresql":
        rows = connection.query(_POSTGRESQL, (table.full_table_name,)).fetchall()
    else:
        rows = connection.query(_MYSQL, (table.database, table.table_name)).fetchall()
    keys: dict[tuple[str, str, str], list[tuple[str, str]]] = defaultdict(list)
    for name, schema, child, own, theirs in rows:
        keys[name, schema, child].append((own, theirs))
    return dict(keys)
