"""The writable tables as data, in modules named like the schemas: every column with its type, unit and limits."""

from __future__ import annotations

import importlib
from typing import Any

import datajoint as dj

from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.tables import (
    acquisition,
    action,
    data,
    ephys,
    imaging,
    lab,
    notification,
    photostimulation,
    publication,
    subject,
)

TABLES: dict[str, TableEntry] = {
    entry.table: entry
    for module in (lab, subject, action, acquisition, data, ephys, imaging, photostimulation, notification, publication)
    for entry in module.TABLES
}
"""`schema.Table` -> how its rows are written."""


def entry_of(table: str | type[dj.Table]) -> TableEntry:
    """The description of a table.

    Raises
    ------
    KeyError
        Rows of this table are computed or registered from files: nobody enters them.
    """
    return TABLES[table if isinstance(table, str) else label_of(table)]


def field_of(table: str, column: str) -> Field:
    """The description of a column.

    >>> field_of("action.Weighing", "weight").limits()
    'a number from 0.1 to 2000 g'
    """
    field = TABLES[table].field(column)
    if field is None:
        raise KeyError(f"{table} has no writable column {column}")
    return field


def class_of(table: str) -> type[dj.Table]:
    """The class of a table by its name.

    >>> class_of("lab.Project.Member").__name__
    'Member'
    """
    schema, *path = table.split(".")
    target: Any = importlib.import_module(f"pipeline.schemas.{schema}")
    for part in path:
        target = getattr(target, part)
    found: type[dj.Table] = target
    return found


def label_of(table: type[dj.Table]) -> str:
    """`schema.Table` of a class."""
    return f"{table.__module__.rsplit('.', 1)[-1]}.{table.__qualname__}"
