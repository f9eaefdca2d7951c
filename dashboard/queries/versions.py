"""Short texts that change when rows do, for pages that are kept until something is new."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import datajoint as dj


def of_rows(counted: Sequence[tuple[type[dj.Table], str, Mapping[str, Any]]]) -> str:
    """A text that changes when rows are added or removed, or their largest value changes; one statement.

    Parameters
    ----------
    counted : tables, of each a column, and the values by which its rows are found.
    """
    connection = counted[0][0]().connection
    quote = connection.adapter.quote_identifier
    parts: list[str] = []
    values: list[Any] = []
    for table, column, key in counted:
        where = " AND ".join(f"{quote(name)} = %s" for name in key)
        largest = f"max(concat({quote(column)}, ''))"
        parts.append(f"(SELECT concat(count(*), {largest}) FROM {table().full_table_name} WHERE {where})")
        values += key.values()
    row = connection.query(f"SELECT {', '.join(parts)}", values).fetchone()
    return hashlib.md5(repr(row).encode(), usedforsecurity=False).hexdigest()[:12]
