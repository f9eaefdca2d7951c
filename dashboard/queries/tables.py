"""Rows of any table that people fill in, as the generic grid and the exports show them."""

from __future__ import annotations

import datetime
from typing import Any

from pipeline.entry import entry_of
from pipeline.entry.tables import class_of


def read_rows(table: str, limit: int | None = None) -> tuple[list[str], list[dict[str, Any]]]:
    """Writable columns of a table, and its rows with times as text."""
    entry = entry_of(table)
    columns = [field.column for field in entry.fields]
    cls = class_of(table)
    rows = (
        cls()
        .proj(*[name for name in columns if name not in cls.primary_key])
        .to_dicts(order_by=list(cls.primary_key), limit=limit)
    )
    return columns, [{name: _plain(row[name]) for name in columns} for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.isoformat() + "Z"
    return value.isoformat() if isinstance(value, datetime.date) else value
