"""The one door for what people, clients and files enter: parse, resolve, check, write and audit in one transaction."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

import datajoint as dj

from pipeline.alf.names import shown
from pipeline.database.bulk import insert_many
from pipeline.entry import audit, followers, zones
from pipeline.entry.audit import Edit, Origin
from pipeline.entry.check import Checker
from pipeline.entry.fields import Field, TableEntry
from pipeline.entry.parse import parse
from pipeline.entry.reading import Key, default_of, rows_by_key
from pipeline.entry.resolve import Resolver
from pipeline.entry.tables import class_of, entry_of
from pipeline.entry.written import ConflictingEntry, InvalidEntry, RowError, Written
from pipeline.errors import ConflictError

Action = Literal["create", "update", "save"]
OnError = Literal["raise", "skip_row", "skip_value"]


def write(
    table: str | type[dj.Table],
    rows: Sequence[Mapping[str, Any]],
    *,
    user: str,
    source: str,
    action: Action = "save",
    on_error: OnError = "raise",
    create_missing: bool = False,
    expected: Sequence[Mapping[str, Any] | None] = (),
    batch: str = "",
    undoes: str = "",
    planned: Mapping[str, Collection[Key]] | None = None,
    dry_run: bool = False,
) -> Written:
    """Create or change rows of one table.

    Everything happens in one transaction: the open one if there is one, else one of its own.

    Parameters
    ----------
    table
        `schema.Table`, or its class.
    rows
        Each a mapping of column (or one of its aliases) to value: text as people write it, or Python values. A column
        that is not there keeps its value; None empties it.
    user
        Account of the person, for the audit.
    source
        Through what, for the audit, e.g. `rest`, `csv subjects.csv`, `command`.
    action
        `create`: rows that exist are errors. `update`: rows that do not exist are errors. `save`: either.
    on_error
        `raise`: nothing is written if anything is wrong. `skip_row`: rows with an error are left out. `skip_value`:
        a value that cannot be used is left out, and its row only if it cannot be without that value.
    create_missing
        Add names that are used and not known yet to their lists (lines, people, projects …) instead of refusing them.
    expected
        For each row the columns as the writer last saw them: where they differ by now, the row is a conflict.
    batch
        Identifier of a larger change that this write is a part of; by default a new one.
    undoes
        The batch that this write takes back (see `pipeline.entry.undo`).
    planned
        Table -> keys of rows that do not exist yet, since this is part of a dry run, and that rows may refer to.
    dry_run
        Check everything and count, but write nothing.

    Returns
    -------
    Written
        Counts, keys, and with `on_error` other than `raise` what was left out.

    Raises
    ------
    InvalidEntry
        With `on_error="raise"`: what is wrong, for each row and column.
    ConflictingEntry
        The same where the only fault is that somebody else wrote first.
    """
    entry = entry_of(table)
    with transaction(class_of(entry.table)().connection, dry_run):
        origin = Origin(user, source, batch or str(uuid.uuid4()), undoes)
        return _Write(entry, action, on_error, origin, create_missing, planned or {}, dry_run).run(rows, expected)


class _Write:
    """One call of `write`."""

    def __init__(
        self, entry: TableEntry, action: Action, on_error: OnError, origin: Origin, create_missing: bool,
        planned: Mapping[str, Collection[Key]], dry_run: bool,
    ) -> None:  # fmt: skip
        self.entry, self.action, self.on_error, self.origin, self.dry_run = entry, action, on_error, origin, dry_run
        self.table = class_of(entry.table)
        self.result = Written(origin.batch)
        self.resolver = Resolver(create_missing, planned)
        self.time_zones = zones.of_labs()
        self._key_columns = self.table.primary_key

    def run(self, rows: Sequence[Mapping[str, Any]], expected: Sequence[Mapping[str, Any] | None]) -> Written:
        self.result.keys = [None] * len(rows)
        parsed = self._parse(rows)
        self._resolve(parsed)
        keyed = self._keyed(parsed)
        merged, owners = self._merge(keyed)
        existing = rows_by_key(self.table, list(merged), lock=not self.dry_run)
        new, changed = self._compare(merged, owners, existing, expected)
        self._check(new, changed, owners, existing)
        self._settle(rows, keyed, new, changed, existing)
        self._raise_errors()
        if not self.dry_run:
            self._store(new, changed, existing)
        return self.result

    def _parse(self, rows: Sequence[Mapping[str, Any]]) -> dict[int, dict[str, Any]]:
        """Python values of each row; the lab first, since it says the time zone of the others."""
        parsed: dict[int, dict[str, Any]] = {}
        for index, given in enumerate(rows):
            row: dict[str, Any] = {}
            usable = True
            fields = [(self.entry.field(name), name, value) for name, value in given.items()]
            for one, name, value in sorted(fields, key=lambda item: item[0] is None or item[0].column != "lab"):
                if one is None:
                    self._fail(index, str(name)[:80], self._unknown_column(str(name)), None)
                    usable &= self.on_error == "skip_value"
                    continue
                zone = self.time_zones.get(row.get("lab") or "", "UTC")
                try:
                    value = parse(one, value, zone)
                    if value is None and (one.required or one.column in self._key_columns):
                        raise ValueError("it is empty: a value is needed here")
                except ValueError as error:
                    usable &= self._fail(index, one.column, str(error), one)
                    continue
                row[one.column] = value
            if usable:
                parsed[index] = row
        return parsed

    def _unknown_column(self, name: str) -> str:
        known = ", ".join(item.column for item in self.entry.fields)
        return f"{shown(name)} is not a column of a {self.entry.label}: there are {known}"

    def _resolve(self, parsed: dict[int, dict[str, Any]]) -> None:
        self.resolver.look_up(self.entry, list(parsed.values()))
        for index, row in list(parsed.items()):
            for item in self.entry.fields:
                if not item.to or row.get(item.column) is None:
                    continue
                try:
                    row[item.column] = self.resolver.resolve(item, row)
                except ValueError as error:
                    del row[item.column]
                    if not self._fail(index, item.column, str(error), item):
                        parsed.pop(index, None)
                        break
        self.result.respelled = self.resolver.respelled

    def _keyed(self, parsed: Mapping[int, dict[str, Any]]) -> list[tuple[int, Key, dict[str, Any]]]:
        """Index, key and other columns of the rows that have a key."""
        keyed = []
        for index, row in parsed.items():
            absent = [name for name in self._key_columns if row.get(name) is None]
            for name in absent:
                self._fail(index, name, "a value is needed here", self.entry.field(name))
            if not absent:
                key = tuple(row[name] for name in self._key_columns)
                keyed.append(
                    (index, key, {name: value for name, value in row.items() if name not in self._key_columns})
                )
        return keyed

    def _merge(
        self, keyed: Sequence[tuple[int, Key, dict[str, Any]]]
    ) -> tuple[dict[Key, dict[str, Any]], dict[Key, int]]:
        """One row for each key, and where it stands; rows with one key must not contradict each other."""
        merged: dict[Key, dict[str, Any]] = {}
        owners: dict[Key, int] = {}
        for index, key, row in keyed:
            if key not in merged:
                merged[key], owners[key] = dict(row), index
                continue
            if self.action == "create":
                self._fail(
                    index, "", f"it is the same {self.entry.label} as row {owners[key] + 1}: leave one out", None
                )
                continue
            for name, value in row.items():
                if merged[key].setdefault(name, value) != value:
                    message = (
                        f"row {owners[key] + 1} says {merged[key][name]} of the same {self.entry.label}: correct one"
                    )
                    self._fail(index, name, message, self.entry.field(name))
        return merged, owners

    def _compare(
        self,
        merged: Mapping[Key, dict[str, Any]],
        owners: Mapping[Key, int],
        existing: Mapping[Key, dict[str, Any]],
        expected: Sequence[Mapping[str, Any] | None],
    ) -> tuple[dict[Key, dict[str, Any]], dict[Key, dict[str, Any]]]:
        """The rows to create and the columns to change."""
        new: dict[Key, dict[str, Any]] = {}
        changed: dict[Key, dict[str, Any]] = {}
        for key, row in merged.items():
            index, before = owners[key], existing.get(key)
            if before is None:
                if self.action == "update" or not self.entry.can_create:
                    self._fail(index, "", f"there is no {self.entry.label} {_shown_key(key)}", None)
                    continue
                complete = self._complete(index, row)
                if complete is not None:
                    new[key] = complete
                continue
            if self.action == "create":
                message = f"the {self.entry.label} {_shown_key(key)} exists already: change it instead"
                self._fail(index, "", message, None, conflict=True)
                continue
            seen = expected[index] if index < len(expected) else None
            if stale := [name for name, value in (seen or {}).items() if not self._is_still(name, value, before)]:
                said = f"{stale[0]} is {before.get(stale[0])} by now: look at it again before you change it"
                self._fail(index, stale[0], said, None, conflict=True)
                continue
            values = {name: self._or_default(name, value) for name, value in row.items()}
            if self.entry.derive is not None and None in values.values():
                derived = self.entry.derive(dict(zip(self._key_columns, key, strict=True)))
                values |= {name: value for name, value in derived.items() if name in values and values[name] is None}
            for name in [name for name, value in values.items() if value is None and not self._may_be_empty(name)]:
                self._fail(index, name, "it is empty: a value is needed here", self.entry.field(name))
                del values[name]
            changed[key] = {name: value for name, value in values.items() if before.get(name) != value}
        return new, changed

    def _is_still(self, name: str, seen: Any, before: Mapping[str, Any]) -> bool:
        """Whether a column holds what somebody saw, as text or as a value."""
        one, now = self.entry.field(name), before.get(name)
        with contextlib.suppress(ValueError):
            if one is not None:
                seen = parse(one, seen, self.time_zones.get(before.get("lab") or "", "UTC"))
        return now == seen or (now in (None, "") and seen in (None, ""))

    def _complete(self, index: int, row: Mapping[str, Any]) -> dict[str, Any] | None:
        """A new row with its defaults; None where something is missing."""
        complete = {name: value for name, value in row.items() if value is not None}
        for item in self.entry.fields:
            if item.column in complete or item.column in self._key_columns:
                continue
            if item.required:
                self._fail(index, item.column, "a value is needed here", item)
                return None
            if item.default is not None:
                complete[item.column] = item.default
        return complete

    def _may_be_empty(self, name: str) -> bool:
        attribute = self.table().heading[name]
        return attribute.nullable or attribute.default is not None

    def _or_default(self, name: str, value: Any) -> Any:
        if value is None:
            one = self.entry.field(name)
            return one.default if one is not None and one.default is not None else default_of(self.table, name)
        return value

    def _check(
        self,
        new: dict[Key, dict[str, Any]],
        changed: dict[Key, dict[str, Any]],
        owners: Mapping[Key, int],
        existing: Mapping[Key, dict[str, Any]],
    ) -> None:
        """Drop what contradicts the rest of the row, or what the database holds."""
        rows = {key: dict(zip(self._key_columns, key, strict=True)) | row for key, row in new.items()}
        rows |= {key: existing[key] | row for key, row in changed.items() if row}
        entry = self.entry
        if not rows or not (entry.spans or entry.events or entry.unique or entry.happened):
            return
        checker = Checker(self.entry, list(rows.values()), self.time_zones)
        for key, row in rows.items():
            for column, message in checker.problems(key, row, existing.get(key)):
                stays = self._fail(owners[key], column, message, self.entry.field(column))
                target = new if key in new else changed
                if stays and column not in self._key_columns:
                    target.get(key, {}).pop(column, None)
                else:
                    target.pop(key, None)

    def _settle(
        self,
        rows: Sequence[Mapping[str, Any]],
        keyed: Sequence[tuple[int, Key, dict[str, Any]]],
        new: Mapping[Key, Any],
        changed: dict[Key, dict[str, Any]],
        existing: Mapping[Key, dict[str, Any]],
    ) -> None:
        """Count, and say the key of each row that is written or was as it should be."""
        for index, key, _ in keyed:
            if key in new or key in changed:
                self.result.keys[index] = dict(zip(self._key_columns, key, strict=True))
        self.result.created = len(new)
        self.result.unchanged = sum(not row for row in changed.values())
        self.result.updated = len(changed) - self.result.unchanged

    def _raise_errors(self) -> None:
        if self.result.errors and self.on_error == "raise":
            are_conflicts = all(error.conflict for error in self.result.errors)
            raise (ConflictingEntry if are_conflicts else InvalidEntry)(self.entry.table, self.result.errors)

    def _store(
        self,
        new: Mapping[Key, dict[str, Any]],
        changed: Mapping[Key, dict[str, Any]],
        existing: Mapping[Key, dict[str, Any]],
    ) -> None:
        written = [
            dict(zip(self._key_columns, key, strict=True)) | row for key, row in (*new.items(), *changed.items())
        ]
        for table, keys in self.resolver.to_create(self.entry, written).items():
            names = class_of(table).primary_key
            rows = [dict(zip(names, key, strict=True)) for key in keys]
            write(
                table, rows, user=self.origin.user, source=self.origin.source, batch=self.origin.batch,
                create_missing=True,
            )  # fmt: skip
        if self.entry.derive is not None:
            for key, row in new.items():
                derived = self.entry.derive(dict(zip(self._key_columns, key, strict=True)))
                row |= {name: value for name, value in derived.items() if row.get(name) is None}
        columns = list(dict.fromkeys(name for row in new.values() for name in row))
        created = [dict(zip(self._key_columns, key, strict=True)) | row for key, row in new.items()]
        self._insert(created, [*self._key_columns, *columns], "error")
        changed = {key: row for key, row in changed.items() if row}
        everything = list(self.table().heading.names)
        self._insert([existing[key] | row for key, row in changed.items()], everything, "update")
        edits = [
            Edit("create", dict(zip(self._key_columns, key, strict=True)), None, row) for key, row in new.items()
        ] + [
            Edit(
                "update",
                dict(zip(self._key_columns, key, strict=True)),
                {name: existing[key].get(name) for name in row},
                row,
            )
            for key, row in changed.items()
        ]
        audit.record(self.origin, self.entry.table, edits)
        followers.follow(self.origin, self.entry.table, edits)

    def _insert(self, rows: Sequence[Mapping[str, Any]], names: Sequence[str], on_duplicate: str) -> None:
        if not rows:
            return
        try:
            insert_many(self.table, {name: [row.get(name) for row in rows] for name in names}, on_duplicate)
        except dj.errors.DuplicateError:
            raise ConflictError(
                f"somebody else has just entered the same {self.entry.label}", "look at it, then try again"
            ) from None

    def _fail(self, index: int, column: str, message: str, one: Field | None, conflict: bool = False) -> bool:
        """Note what is wrong; returns whether the row can be written without that value."""
        self.result.errors.append(RowError(index, column, message, conflict))
        if self.on_error != "skip_value" or one is None or one.required or one.column in self._key_columns:
            return False
        return one.default is None  # else its default would be stored in the place of what was meant


@contextlib.contextmanager
def transaction(connection: dj.Connection, dry_run: bool = False) -> Iterator[None]:
    """All or nothing, in the transaction that is open or in one of its own."""
    if dry_run or connection.in_transaction:
        yield
    else:
        with connection.transaction:
            yield


def _shown_key(key: Key) -> str:
    return "/".join(str(part) for part in key)
