"""The record of what was entered: a row of `audit.Edit` for each row, and a line in `data.Change` for a correction."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipeline.database.bulk import insert_many
from pipeline.schemas import audit, data

Action = Literal["create", "update", "delete"]


@dataclass(frozen=True)
class Origin:
    """Where a change comes from.

    Attributes
    ----------
    user : account of the person.
    source : through what, e.g. `rest`, `csv subjects.csv`.
    batch : identifier of all that is written together.
    undoes : the batch that it takes back.
    """

    user: str
    source: str
    batch: str
    undoes: str = ""


@dataclass(frozen=True)
class Edit:
    """A row that was created, updated or deleted.

    Attributes
    ----------
    action : what was done.
    key : of the row.
    before, after : the columns that were deleted or changed, and those that were created or changed; else None.
    """

    action: Action
    key: Mapping[str, Any]
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


def latest_entry() -> tuple[str, str] | None:
    """Identifies the latest row that was written through `pipeline.entry`: another one means that something changed."""
    rows = audit.Edit.proj("edit_time").to_dicts(order_by="edit_time DESC, edit_id", limit=1)
    return (str(rows[0]["edit_time"]), rows[0]["edit_id"]) if rows else None


def record(origin: Origin, table: str, edits: Sequence[Edit]) -> None:
    """Write down some edits of one table; to be called in the transaction that made them.

    Parameters
    ----------
    origin : where they come from.
    table : `schema.Table`.
    edits : in the order in which they were made.
    """
    if not edits:
        return
    batch = {"edit_batch": origin.batch}
    first = len(audit.Edit() & batch)
    insert_many(
        audit.Edit,
        batch
        | {
            "edit_id": [str(uuid.uuid4()) for _ in edits],
            "edit_number": list(range(first, first + len(edits))),
            "edit_time": datetime.datetime.now(datetime.UTC).replace(tzinfo=None),
            "edit_user": origin.user[:64],
            "edit_source": origin.source[:255],
            "edit_action": [edit.action for edit in edits],
            "edit_table": table,
            "edit_path": [path_of(edit.key)[:500] for edit in edits],
            "edit_key": [to_json(edit.key) for edit in edits],
            "edit_before": [None if edit.before is None else to_json(edit.before) for edit in edits],
            "edit_after": [None if edit.after is None else to_json(edit.after) for edit in edits],
            "edit_undoes": origin.undoes,
        },
    )
    label = table.partition(".")[2]
    notes = [
        data.ChangeNote("replaced", path_of(edit.key), f"{label} {_difference(edit)}")
        for edit in edits
        if edit.action == "update"
    ]
    data.Change.record(notes, origin.user, origin.batch)


def to_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON can hold it: days and times as text."""
    return {name: value.isoformat() if isinstance(value, datetime.date) else value for name, value in values.items()}


def path_of(key: Mapping[str, Any]) -> str:
    """A key as people read it.

    >>> path_of({"lab": "mylab", "subject": "m1"})
    'mylab/m1'
    """
    return "/".join(str(value) for value in key.values())


def _difference(edit: Edit) -> str:
    before, after = edit.before or {}, edit.after or {}
    return ", ".join(f"{name}: {before.get(name)} -> {value}" for name, value in after.items())
