"""From names to rows: what a value refers to must exist, in whatever case it is written."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from pipeline.alf.names import shown
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.reading import names_in, rows_by_key
from pipeline.entry.tables import TABLES, class_of

SUGGESTIONS = 3


class Resolver:
    """Finds the rows that values name, each table read once.

    Parameters
    ----------
    create_missing : whether names that are new are added to their lists.
    planned : table -> keys of rows that are going to exist.

    Attributes
    ----------
    missing : table -> keys of rows that do not exist and may be created.
    respelled : (value as written, name as stored) of every value that was found in another case.
    """

    def __init__(self, create_missing: bool, planned: Mapping[str, Collection[tuple[Any, ...]]]) -> None:
        self.create_missing, self.planned = create_missing, planned
        self.missing: dict[str, set[tuple[Any, ...]]] = {}
        self.respelled: set[tuple[str, str]] = set()
        self._known: dict[str, set[tuple[Any, ...]]] = {}

    def look_up(self, entry: TableEntry, rows: Sequence[Mapping[str, Any]]) -> None:
        """Read what the rows of a table refer to."""
        for field in entry.fields:
            if not field.to:
                continue
            keys = {key for row in rows if (key := _key(field, row)) is not None}
            if not keys:
                continue
            target = class_of(field.to)
            if _is_small(field.to):
                if field.to not in self._known:
                    self._known[field.to] = set(names_in(target))
            else:
                self._known.setdefault(field.to, set()).update(rows_by_key(target, list(keys), target.primary_key))
            self._known[field.to].update(self.planned.get(field.to, ()))

    def resolve(self, field: Field, row: Mapping[str, Any]) -> Any:
        """The name as it is stored.

        Raises
        ------
        ValueError
            There is no such row; the message names similar ones.
        """
        key = _key(field, row)
        if key is None:
            return row[field.column]
        known = self._known[field.to]
        if key in known:
            return key[-1]
        similar = [value for value in known if value[:-1] == key[:-1]] if _is_small(field.to) else []
        same = [item for item in similar if str(item[-1]).casefold() == str(key[-1]).casefold()]
        if len(same) == 1:
            self.respelled.add((str(key[-1]), same[0][-1]))
            return same[0][-1]
        target = TABLES.get(field.to)
        if self.create_missing and target is not None and target.vocabulary:
            self.missing.setdefault(field.to, set()).add(key)
            known.add(key)
            return key[-1]
        raise ValueError(_unknown(field, row, key, [str(item[-1]) for item in similar]))

    def to_create(self, entry: TableEntry, rows: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[Any, ...]]]:
        """Table -> keys of the rows that have to be created before these rows are written."""
        wanted: dict[str, dict[tuple[Any, ...], None]] = {}
        for row in rows:
            for field in entry.fields:
                if field.to in self.missing and (key := _key(field, row)) in self.missing[field.to]:
                    wanted.setdefault(field.to, {})[key] = None
        return {table: list(keys) for table, keys in wanted.items()}


def _key(field: Field, row: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Key of the row that a field names: its last part is the value, the others are columns of the same name."""
    if row.get(field.column) is None:
        return None
    *others, _ = class_of(field.to).primary_key
    if any(row.get(name) is None for name in others):
        return None
    return (*(row[name] for name in others), row[field.column])


def _is_small(table: str) -> bool:
    return table not in TABLES or TABLES[table].vocabulary or table in ("data.Tag", "data.Repository", "data.Revision")


def _unknown(field: Field, row: Mapping[str, Any], key: tuple[Any, ...], similar: Iterable[str]) -> str:
    label = TABLES[field.to].label if field.to in TABLES else field.column.replace("_", " ")
    if len(key) > 1:
        where = "/".join(str(part) for part in key[:-1])
        message = f"there is no {label} {shown(str(key[-1]))} of {where}"
    else:
        message = f"there is no {label} {shown(str(key[-1]))}"
    names = sorted(set(similar))
    close = difflib.get_close_matches(str(key[-1]), names, SUGGESTIONS)
    if close:
        return f"{message}: did you mean {' or '.join(close)}?"
    if 0 < len(names) <= 20:
        return f"{message}: there are {', '.join(names)}"
    return f"{message}: enter it first, or correct the name"
