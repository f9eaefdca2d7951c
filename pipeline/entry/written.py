"""What a write to the tables did, and what is wrong with the rows that it did not take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConflictError, UserError


@dataclass(frozen=True)
class RowError:
    """What is wrong with a row.

    Attributes
    ----------
    row : index of the row among those given.
    column : that cannot be used; empty where it is the row as a whole.
    message : what is wrong and what to do.
    conflict : the row is in order, but does not fit what is stored by now.
    """

    row: int
    column: str
    message: str
    conflict: bool = False


class InvalidEntry(UserError):
    """Rows that cannot be written. `errors` has one `RowError` for each fault; nothing was written."""

    def __init__(self, table: str, errors: Sequence[RowError]) -> None:
        self.table, self.errors = table, tuple(errors)
        first = errors[0]
        where = f"row {first.row + 1}" + (f", {first.column}" if first.column else "")
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        super().__init__(f"{where}: {first.message}{more}")


class ConflictingEntry(InvalidEntry, ConflictError):
    """Rows that were in order, but that somebody else has created or changed in the meantime."""


@dataclass
class Written:
    """What a write did.

    Attributes
    ----------
    batch : identifier of the write, for `undo`.
    created, updated, unchanged, deleted : how many rows.
    keys : of each row given, in their order; None for a row that was left out.
    errors : what was left out, and why; rows and values that can be used were written.
    respelled : (value as written, name as stored) of names that were found in another case.
    """

    batch: str
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    keys: list[dict[str, Any] | None] = field(default_factory=list)
    errors: list[RowError] = field(default_factory=list)
    respelled: set[tuple[str, str]] = field(default_factory=set)

    @property
    def changed(self) -> int:
        """How many rows are not as they were."""
        return self.created + self.updated + self.deleted
