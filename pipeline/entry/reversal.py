"""Taking back what was entered: the rows become what they were, unless somebody has changed them since."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from typing import Any

import datajoint as dj

from pipeline.entry.reading import rows_by_key
from pipeline.entry.removal import remove
from pipeline.entry.tables import TABLES, class_of, entry_of
from pipeline.entry.writer import transaction, write
from pipeline.entry.written import Written
from pipeline.errors import ConflictError, NotFoundError
from pipeline.provenance.delete import preview
from pipeline.schemas import audit

Row = dict[str, Any]


def undo(batch: str, *, user: str, source: str = "undo") -> Written:
    """Take back one write, all of it or nothing. What is undone can be undone again.

    Parameters
    ----------
    batch
        Identifier of the write (`Written.batch`, `audit.Edit.edit_batch`).
    user, source
        For the audit, as in `pipeline.entry.write`.

    Raises
    ------
    NotFoundError
        There is no such write.
    ConflictError
        It was undone already, a row was changed since, or other entries depend on a row that would be deleted.
    """
    edits = (audit.Edit & {"edit_batch": batch}).to_dicts(order_by="edit_number DESC")
    if not edits:
        raise NotFoundError(f"there is no entry {batch!r}", "look it up in audit.Edit")
    total = Written(str(uuid.uuid4()))
    with transaction(audit.Edit().connection):
        if _is_undone(batch):
            raise ConflictError("this entry was undone already", "nothing is left to do")
        for edit in edits:
            done = _undo_one(edit, {"user": user, "source": source, "batch": total.batch, "undoes": batch})
            total.created += done.created
            total.updated += done.updated
            total.deleted += done.deleted
            total.keys += done.keys
    return total


def _undo_one(edit: Row, origin: dict[str, Any]) -> Written:
    table = edit["edit_table"]
    cls = class_of(table)
    key = from_json(table, edit["edit_key"])
    after = from_json(table, edit["edit_after"] or {})
    before = from_json(table, edit["edit_before"] or {})
    now = rows_by_key(cls, [tuple(key[name] for name in cls.primary_key)], lock=True)
    row = next(iter(now.values()), None)
    if edit["edit_action"] == "delete":
        if row is not None:
            raise ConflictError(f"{edit['edit_path']} was entered again since", "delete it first")
        return write(
            table,
            [key | {name: value for name, value in before.items() if value is not None}],
            action="create",
            **origin,
        )
    if row is None or any(row[name] != value for name, value in after.items()):
        raise ConflictError(f"{edit['edit_path']} was changed since", "undo the later change first")
    if edit["edit_action"] == "update":
        return write(table, [key | before], action="update", **origin)
    dependent = {
        label: n
        for label, n in preview(cls() & _restriction(key), keep_master=issubclass(cls, dj.Part)).items()
        if label != table and label in TABLES
    }
    if dependent:
        listed = ", ".join(f"{n} rows of {label}" for label, n in dependent.items())
        raise ConflictError(f"{edit['edit_path']} has dependent rows: {listed}", "undo or delete those first")
    return remove(table, [key], **origin)


def from_json(table: str, values: Mapping[str, Any]) -> Row:
    """The Python values of a row as the audit keeps it."""
    entry = entry_of(table)
    row: Row = {}
    for name, value in values.items():
        field = entry.field(name)
        if value is not None and field is not None and field.type == "time":
            value = datetime.datetime.fromisoformat(value)
        elif value is not None and field is not None and field.type == "date":
            value = datetime.date.fromisoformat(value)
        row[name] = value
    return row


def _restriction(key: Mapping[str, Any]) -> dj.AndList:
    return dj.AndList([dict(key)])


def _is_undone(batch: str) -> bool:
    """Whether a write was taken back, and that not taken back in turn."""
    later = {row["edit_batch"] for row in (audit.Edit & {"edit_undoes": batch}).to_dicts()}
    return any(not _is_undone(item) for item in later)
