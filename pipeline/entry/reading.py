"""Rows as they are now: read by their keys, and locked while they are being changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import datajoint as dj

from pipeline.database.bulk import fetch_columns

FEW, AT_ONCE = 100, 500
"""Up to `FEW` rows are selected by their keys and can be locked. Of more, all rows with the same few values in the
first column of the key (a lab) are read; where that has many values too, rows are selected `AT_ONCE` by their keys."""

Key = tuple[Any, ...]


def rows_by_key(
    table: type[dj.Table], keys: Sequence[Key], columns: Sequence[str] = (), lock: bool = False
) -> dict[Key, dict[str, Any]]:
    """The rows with these keys.

    Parameters
    ----------
    table : the table.
    keys : values of its primary key, in order.
    columns : that are read beside the key; all if none is given.
    lock : keep others from changing the rows until the transaction ends (few rows only).
    """
    if not keys:
        return {}
    primary = table.primary_key
    names = [name for name in table().heading.names if not columns or name in columns or name in primary]
    wanted, first = set(keys), {key[0] for key in keys}
    by_key: dict[Key, dict[str, Any]] = {}
    if len(keys) > FEW and len(first) <= FEW and len(primary) > 1:
        parts = [[{primary[0]: value} for value in first]]
    else:
        listed = [dict(zip(primary, key, strict=True)) for key in wanted]
        parts = [listed[start : start + AT_ONCE] for start in range(0, len(listed), AT_ONCE)]
    for part in parts:
        query = table() & part
        rows = _locked(query, names) if lock and len(keys) <= FEW else fetch_columns(query, *names).to_pylist()
        for row in rows:
            key = tuple(row[name] for name in primary)
            if key in wanted:
                by_key[key] = _plain(query, row)
    return by_key


def names_in(table: type[dj.Table]) -> list[Key]:
    """The keys of all rows of a small table."""
    columns = fetch_columns(table, *table.primary_key)
    return list(zip(*(columns[name].to_pylist() for name in table.primary_key), strict=True))


def default_of(table: type[dj.Table], column: str) -> Any:
    """The value that a column has where none is given."""
    attribute = table().heading[column]
    if attribute.nullable or attribute.default is None:
        return None
    written = str(attribute.default).partition("::")[0].strip()
    if written[:1] in ("'", '"', ""):
        return written.strip("'\"")
    declared = str(attribute.original_type or attribute.type).lower()
    if declared.startswith(("bool", "tinyint(1)")):
        return written.lower() in ("1", "true")
    try:
        return int(written) if "int" in declared else float(written)
    except ValueError:
        return written


def _locked(query: dj.Table, names: Sequence[str]) -> list[dict[str, Any]]:
    cursor = query.connection.query(query.make_sql(names) + " FOR UPDATE")
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _plain(query: dj.Table, row: dict[str, Any]) -> dict[str, Any]:
    """The row with Python values for JSON and booleans."""
    for name in row:
        attribute = query.heading[name]
        if attribute.json or attribute.original_type == "json":
            if isinstance(row[name], str | bytes):
                row[name] = json.loads(row[name])
        elif isinstance(row[name], int) and str(attribute.original_type or attribute.type).lower().startswith("bool"):
            row[name] = bool(row[name])
    return row
