"""Correct the day or time that is part of the key of what was entered: a weighing, water, a restriction, a surgery.

The row is entered again under its new key with all that belongs to it, and the former one is deleted: with the same
checks and the same audit as any entry, so that `pipeline.entry.undo` takes it back. Its uuid stays.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from pipeline.database import registry
from pipeline.entry import record_ids, zones
from pipeline.entry.fields import TableEntry
from pipeline.entry.parse import parse
from pipeline.entry.removal import remove
from pipeline.entry.tables import TABLES, class_of, entry_of
from pipeline.entry.writer import transaction, write
from pipeline.entry.written import InvalidEntry, RowError, Written
from pipeline.errors import NotFoundError
from pipeline.provenance import rekey


def correctable(entry: TableEntry) -> tuple[str, ...]:
    """The days and times in the key of a table that can be corrected.

    >>> correctable(entry_of("action.Weighing")), correctable(entry_of("acquisition.Session"))
    (('weighing_time',), ())
    """
    if entry.table not in record_ids.TABLES:
        return ()
    return tuple(
        field.column for field in entry.fields if field.fixed and not field.to and field.type in ("time", "date")
    )


def correct(
    table: str, key: Mapping[str, Any], changes: Mapping[str, Any], *, user: str, source: str, batch: str = ""
) -> dict[str, Any]:
    """Give a row another day or time.

    Parameters
    ----------
    table
        `schema.Table`.
    key
        Its primary key now.
    changes
        Columns of `correctable` with their new values, as people write them.
    user, source, batch
        As in `write`.

    Returns
    -------
    dict
        The primary key after it.

    Raises
    ------
    InvalidEntry
        A value cannot be used, or there is such a row already; nothing was changed.
    NotFoundError
        There is no such row.
    """
    entry, cls = entry_of(table), class_of(table)
    origin: dict[str, Any] = {"user": user, "source": source, "batch": batch or str(uuid.uuid4())}
    with transaction(cls().connection):
        rows = (cls & dict(key)).to_dicts()
        if not rows:
            raise NotFoundError(f"this {entry.label} is not there any more", "look at the list again")
        zone = zones.of_labs().get(rows[0].get("lab", ""), "UTC")
        new = {name: _parsed(entry, name, value, zone) for name, value in changes.items()}
        if all(rows[0][name] == value for name, value in new.items()):
            return dict(key)
        written = write(table, [_writable(entry, rows[0] | new)], action="create", **origin)
        after = _key_of(written)
        for place in rekey.places(cls)[1:]:
            label = registry.label(place.table)
            depends = (place.table() & [dict(zip(role, key.values(), strict=True)) for role in place.roles]).to_dicts()
            if depends and label in TABLES:
                write(label, [_writable(entry_of(label), row | new) for row in depends], **origin)
        remove(table, [key], reason=f"the time of a {entry.label} was corrected", **origin)
        record_ids.keep(table, cls.primary_key, [(key, after)])
    return after


def _parsed(entry: TableEntry, name: str, value: Any, zone: str) -> Any:
    field = entry.field(name)
    if field is None or field.column not in correctable(entry):
        raise InvalidEntry(entry.table, [RowError(0, name, f"it is not a day or time of a {entry.label}")])
    try:
        return parse(field, value, zone)
    except ValueError as error:
        raise InvalidEntry(entry.table, [RowError(0, name, str(error))]) from None


def _writable(entry: TableEntry, row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if entry.field(name) is not None and value is not None}


def _key_of(written: Written) -> dict[str, Any]:
    (key,) = written.keys
    if key is None:
        raise AssertionError("a row without errors has a key")
    return key
