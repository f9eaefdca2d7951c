"""Checks of a row against itself, the present and the database: order of times, an animal's life, unique columns."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import datajoint as dj

from pipeline.alf.dates import has_come
from pipeline.database.bulk import fetch_columns
from pipeline.entry import zones
from pipeline.entry.fields import TableEntry
from pipeline.entry.reading import FEW, rows_by_key
from pipeline.entry.tables import TABLES, class_of

Row = Mapping[str, Any]
Animal = tuple[str, str]


class Checker:
    """Checks the rows of one write.

    Parameters
    ----------
    entry : the table.
    rows : complete rows as they will be stored.
    labs : lab -> time zone.
    """

    def __init__(self, entry: TableEntry, rows: Sequence[Row], labs: Mapping[str, str]) -> None:
        self.entry, self.labs = entry, labs
        self._happened = entry.happened
        self._lives: dict[tuple[Any, ...], dict[str, Any]] = {}
        if entry.events:
            animals = list({(row["lab"], row["subject"]) for row in rows})
            self._lives = rows_by_key(class_of("subject.Subject"), animals, ("birth_date", "death_date"))
        self._owners = {column: self._read_owners(column, rows) for column in entry.unique}
        self._spelled: dict[Animal, str] = {}
        if entry.table == "subject.Subject":
            lab_keys = [{"lab": item} for item in sorted({row["lab"] for row in rows})]
            for item in fetch_columns(class_of(entry.table)() & lab_keys, "lab", "subject").to_pylist():
                self._spelled[item["lab"], item["subject"].casefold()] = item["subject"]

    def problems(self, key: tuple[Any, ...], row: Row, before: Row | None) -> Iterator[tuple[str, str]]:
        """What is wrong with a row as it will be stored: column and sentence.

        Parameters
        ----------
        key : values of its primary key.
        row : the columns.
        before : the row as it is now, if there is one: what does not change is not checked again.
        """
        changed = {name for name in row if before is None or before.get(name) != row[name]}
        for first, second in self.entry.spans:
            if changed & {first, second} and _comes_before(row.get(second), row.get(first)):
                culprit = second if second in changed else first
                yield (
                    culprit,
                    f"{_words(second)} {row[second]} is before {_words(first)} {row[first]}: correct one of them",
                )
        for column in self._happened & changed:
            if row[column] is not None and not has_come(row[column]):
                yield column, f"{row[column]} is in the future: correct it, or the clock of the computer"
        for column in self.entry.events:
            if column in changed and row.get(column) is not None:
                yield from self._outside_life(column, row)
        if self.entry.table == "subject.Subject" and before is not None and changed & {"birth_date", "death_date"}:
            yield from self._events_outside(row, changed)
        if self.entry.table == "subject.Subject" and before is None:
            there = self._spelled.setdefault((row["lab"], row["subject"].casefold()), row["subject"])
            if there != row["subject"]:
                yield (
                    "subject",
                    f"there is {there}, and on many disks folders cannot differ in upper and lower case only: "
                    f"write {there}, or choose another name",
                )
        for column in self.entry.unique:
            owner = self._owners[column].get(row.get(column))
            if column in changed and owner is not None and owner != key:
                yield (
                    column,
                    f"{row[column]} is the {column} of {'/'.join(str(part) for part in owner)}: leave it empty",
                )
            elif row.get(column) is not None:
                self._owners[column][row[column]] = key

    def _outside_life(self, column: str, row: Row) -> Iterator[tuple[str, str]]:
        life = self._lives.get((row["lab"], row["subject"]), {})
        day = self._day(row[column], row["lab"])
        born, died = life.get("birth_date"), life.get("death_date")
        if died is not None and day > died:
            yield column, f"{day} is after the death of {row['subject']} on {died}: correct one of the two dates"
        elif born is not None and day < born:
            yield column, f"{day} is before the birth of {row['subject']} on {born}: correct one of the two dates"

    def _events_outside(self, row: Row, changed: set[str]) -> Iterator[tuple[str, str]]:
        """Entries of an animal that its new dates of birth and death would not cover."""
        animal = {"lab": row["lab"], "subject": row["subject"]}
        for entry in TABLES.values():
            for column in entry.events:
                first, last = _extent(class_of(entry.table), column, animal)
                if last is None or first is None:
                    continue
                died, born = row.get("death_date"), row.get("birth_date")
                last_day, first_day = self._day(last, row["lab"]), self._day(first, row["lab"])
                if "death_date" in changed and died is not None and last_day > died:
                    yield (
                        "death_date",
                        f"{row['subject']} has a {entry.label} on {last_day}, after {died}: correct one of the two",
                    )
                    return
                if "birth_date" in changed and born is not None and first_day < born:
                    yield (
                        "birth_date",
                        f"{row['subject']} has a {entry.label} on {first_day}, before {born}: correct one of the two",
                    )
                    return

    def _day(self, value: datetime.date, lab: str) -> datetime.date:
        if isinstance(value, datetime.datetime):
            return zones.local_date(value, self.labs, lab)
        return value

    def _read_owners(self, column: str, rows: Sequence[Row]) -> dict[Any, tuple[Any, ...]]:
        table = class_of(self.entry.table)
        given = {row[column] for row in rows if row.get(column) is not None}
        if not given:
            return {}
        query = table() & [{column: value} for value in given] if len(given) <= FEW else table()
        owners = fetch_columns(query, *table.primary_key, column).to_pylist()
        return {row[column]: tuple(row[name] for name in table.primary_key) for row in owners}


def _extent(table: type[dj.Table], column: str, animal: Row) -> tuple[Any, Any]:
    """The first and the last value of a column among the rows of an animal."""
    query = dj.U("lab", "subject").aggr(table & dict(animal), first_event=f"MIN({column})", last_event=f"MAX({column})")
    rows = query.to_dicts()
    return (rows[0]["first_event"], rows[0]["last_event"]) if rows else (None, None)


def _comes_before(second: Any, first: Any) -> bool:
    return second is not None and first is not None and second < first


def _words(column: str) -> str:
    return column.replace("_", " ")
