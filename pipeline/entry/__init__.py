"""The only door for what people, clients and files enter: `write`, `remove`, `write_list`, `undo`.

`tables` describes every writable column as data, `names` says what a name may be, `parse` reads single values, `check`
compares rows with each other and with the database, `audit` keeps what was before.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.entry.fields import Field, TableEntry
    from pipeline.entry.removal import remove, write_list, write_lists
    from pipeline.entry.reversal import undo
    from pipeline.entry.tables import entry_of, field_of
    from pipeline.entry.writer import write
    from pipeline.entry.written import ConflictingEntry, InvalidEntry, RowError, Written

_WHERE = {
    "ConflictingEntry": "written",
    "Field": "fields",
    "InvalidEntry": "written",
    "RowError": "written",
    "TableEntry": "fields",
    "Written": "written",
    "entry_of": "tables",
    "field_of": "tables",
    "remove": "removal",
    "undo": "reversal",
    "write": "writer",
    "write_list": "removal",
    "write_lists": "removal",
}

__all__ = [
    "ConflictingEntry",
    "Field",
    "InvalidEntry",
    "RowError",
    "TableEntry",
    "Written",
    "entry_of",
    "field_of",
    "remove",
    "undo",
    "write",
    "write_list",
    "write_lists",
]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(f"pipeline.entry.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'pipeline.entry' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
