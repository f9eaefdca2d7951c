"""Whether other tables refer to one: asked for one table, where DataJoint would read the keys of all of them."""

from __future__ import annotations

import datajoint as dj


def has_dependents(table: dj.Table) -> bool:
    """Whether a foreign key of any table, of ours or not, leads to this one."""
    connection = table.connection
    if connection.adapter.backend == "postgresql":
        sql = "SELECT 1 FROM pg_constraint WHERE contype = 'f' AND confrelid = CAST(%s AS regclass) LIMIT 1"
        return connection.query(sql, (table.full_table_name,)).fetchone() is not None
    sql = (
        "SELECT 1 FROM information_schema.referential_constraints "
        "WHERE unique_constraint_schema = %s AND referenced_table_name = %s LIMIT 1"
    )
    return connection.query(sql, (table.database, table.table_name)).fetchone() is not None
