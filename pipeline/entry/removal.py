"""Deleting rows that were entered, with their dependent rows, and lists that are kept in tables of their own."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import datajoint as dj

from pipeline.database import registry
from pipeline.entry import audit, followers
from pipeline.entry.audit import Edit, Origin
from pipeline.entry.reading import rows_by_key
from pipeline.entry.tables import TABLES, class_of, entry_of
from pipeline.entry.writer import OnError, transaction, write
from pipeline.entry.written import InvalidEntry, RowError, Written
from pipeline.provenance.delete import delete, goes_alone, integrity


def remove(
    table: str | type[dj.Table],
    keys: Sequence[Mapping[str, Any]],
    *,
    user: str,
    source: str,
    reason: str = "",
    batch: str = "",
    undoes: str = "",
) -> Written:
    """Delete rows and all rows that depend on them, in one transaction.

    The audit keeps every deleted row that had been entered, so that `pipeline.entry.undo` can bring them back; what was
    computed from them is computed again.

    Parameters
    ----------
    table
        `schema.Table`, or its class.
    keys
        Primary keys, as Python values.
    user, source
        As in `write`.
    reason
        For data.Change.
    batch, undoes
        As in `write`.

    Raises
    ------
    InvalidEntry
        One of the rows does not exist; nothing was deleted.
    """
    entry = entry_of(table)
    cls = class_of(entry.table)
    origin = Origin(user, source, batch or str(uuid.uuid4()), undoes)
    wanted = [tuple(key[name] for name in cls.primary_key) for key in keys]
    with transaction(cls().connection):
        there = rows_by_key(cls, wanted, cls.primary_key, lock=True)
        if absent := [index for index, key in enumerate(wanted) if key not in there]:
            message = f"there is no {entry.label} {'/'.join(map(str, wanted[absent[0]]))}"
            raise InvalidEntry(entry.table, [RowError(index, "", message) for index in absent])
        rows = cls() & [dict(zip(cls.primary_key, key, strict=True)) for key in there]
        gone = list(reversed(_entered(rows)))  # dependent rows first, as they are deleted
        for label, deleted in gone:
            audit.record(origin, label, deleted)
        delete(rows, reason or f"deleted through {source}", user, keep_master=issubclass(cls, dj.Part))
        for label, deleted in gone:
            followers.follow(origin, label, deleted)
    return Written(origin.batch, deleted=len(there), keys=[dict(key) for key in keys])


def write_list(
    table: str, key: Mapping[str, Any], column: str, names: Sequence[Any], *, user: str, source: str,
    batch: str = "", create_missing: bool = False,
) -> Written:  # fmt: skip
    """Make a list that has a table of its own, e.g. the users of a session, exactly these names.

    Parameters
    ----------
    table
        Its table, e.g. `acquisition.SessionUser`.
    key
        Of the row whose list it is.
    column
        The column of the names.
    names
        As people write them; repeated ones count once.

    Raises
    ------
    InvalidEntry
        One of them cannot be a name, or there is no such row.
    """
    return write_lists(
        table, column, [(key, names)], user=user, source=source, batch=batch, create_missing=create_missing
    )


def write_lists(
    table: str, column: str, lists: Sequence[tuple[Mapping[str, Any], Sequence[Any]]], *, user: str, source: str,
    batch: str = "", create_missing: bool = False, on_error: OnError = "raise", dry_run: bool = False,
) -> Written:  # fmt: skip
    """Make the lists of many rows exactly these names (see `write_list`), in one transaction.

    Parameters
    ----------
    table, column
        As in `write_list`.
    lists
        The key of a row, and the names of its list.
    on_error
        `raise`, or `skip_row`: a name that cannot be used is left out, and `errors` say why.

    Returns
    -------
    Written
        `errors` count the names through all lists.
    """
    batch = batch or str(uuid.uuid4())
    cls = class_of(table)
    with transaction(cls().connection, dry_run):
        rows = [dict(key) | {column: name} for key, names in lists for name in names if name not in (None, "")]
        written = write(
            table, rows, user=user, source=source, on_error=on_error, batch=batch, create_missing=create_missing,
            dry_run=dry_run,
        )  # fmt: skip
        listed = {tuple(item[name] for name in cls.primary_key) for item in written.keys if item is not None}
        present = (cls() & [dict(key) for key, _ in lists]).proj().to_dicts() if lists else []
        gone = [row for row in present if tuple(row[name] for name in cls.primary_key) not in listed]
        if gone and not dry_run:
            written.deleted = remove(cls, gone, user=user, source=source, batch=batch).deleted
    return written


def _entered(rows: dj.Table) -> list[tuple[str, list[Edit]]]:
    """The rows that will go and can be entered, by table, in the order of dependence."""
    labels = {
        item.full_table_name: registry.label(item)
        for table in registry.tables()
        for item in (table, *registry.parts(table))
    }
    entered = []
    is_part = isinstance(rows, dj.Part)
    alone = goes_alone(rows, keep_master=is_part)
    for part in [rows] if alone else dj.Diagram.cascade(rows, part_integrity=integrity(is_part)):
        entry = TABLES.get(labels.get(part.full_table_name, ""))
        if entry is None or not entry.can_create:
            continue
        deleted = part.to_dicts()
        edits = [
            Edit(
                "delete",
                {name: row[name] for name in part.primary_key},
                {name: value for name, value in row.items() if name not in part.primary_key},
                None,
            )
            for row in deleted
        ]
        if edits:
            entered.append((entry.table, edits))
    return entered
