"""The policy in force: what settings and the table of embargoes say, and the ways in which it is applied."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import datajoint as dj
import pyarrow as pa

from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.policy import columns, pseudonyms
from pipeline.schemas import lab as lab_schema
from pipeline.settings import Publication, settings

_Row = TypeVar("_Row", bound=Mapping[str, Any])
HIDDEN_PERSON = "not stated"


@dataclass(frozen=True)
class Policy:
    """What may leave, and under which names.

    Parameters
    ----------
    rules : the settings `[publication]`.
    """

    rules: Publication

    @property
    def has_pseudonyms(self) -> bool:
        """Whether animals go under other names."""
        return self.rules.subjects == "pseudonym"

    @property
    def has_shifted_dates(self) -> bool:
        """Whether the dates of each animal are moved."""
        return self.rules.dates == "shifted"

    def described(self) -> dict[str, Any]:
        """The policy as it goes with a release."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in self.rules.model_dump().items()
            if name in ("subjects", "people", "dates", "keep", "drop")
        }

    def subject(self, lab: str, subject: str) -> str:
        """What an animal is called outside."""
        if not self.has_pseudonyms:
            return subject
        if (lab, subject) not in self._pseudonyms:  # asked for each row and file
            self._pseudonyms[lab, subject] = pseudonyms.subject(lab, subject)
        return self._pseudonyms[lab, subject]

    @cached_property
    def _pseudonyms(self) -> dict[tuple[str, str], str]:
        return {}

    def person(self, user: str, full_name: str = "") -> str | None:
        """What a person is called outside; None where people are not named."""
        if self.rules.people == "hidden":
            return None
        return (full_name or user) if self.rules.people == "name" else pseudonyms.person(user)

    def day(self, lab: str, subject: str, day: Any) -> Any:
        """A date or time of an animal as it is told outside."""
        if day is None or not self.has_shifted_dates:
            return day
        return day - datetime.timedelta(days=pseudonyms.days(lab, subject))

    def session_path(self, lab: str, subject: str, day: datetime.date, number: int) -> str:
        """The folder of a session outside."""
        return f"{lab}/Subjects/{self.subject(lab, subject)}/{self.day(lab, subject, day)}/{number:03d}"

    def text(self, column: str, value: Any) -> Any:
        """A text for people, e.g. `subject.Subject.subject_description`; empty where it may not leave."""
        return value if self.allows(column) else ""

    def allows(self, column: str) -> bool:
        """Whether a column may leave, written as `schema.Table.column` or by its name alone."""
        name = column.rpartition(".")[2]
        if {column, name} & set(self.rules.drop):
            return False
        return bool(name in columns.TEXT or {column, name} & set(self.rules.keep))

    @cached_property
    def embargoed(self) -> frozenset[tuple[str, str]]:
        """Lab and name of the animals that are not to be told of yet; read once."""
        publication = registry.bind("publication")
        today = datetime.datetime.now(datetime.UTC).date()
        rows = fetch_columns(publication.Embargo, "lab", "subject", "embargo_until").to_pylist()
        return frozenset(
            (row["lab"], row["subject"]) for row in rows if row["embargo_until"] is None or row["embargo_until"] > today
        )

    def without_embargoed(self, query: dj.Table) -> dj.Table:
        """The rows of a table with lab and subject that are not of animals under embargo."""
        barred = [{"lab": lab, "subject": subject} for lab, subject in sorted(self.embargoed)]
        return query - barred if barred else query

    def rows(self, table: type[dj.Table], label: str, rows: pa.Table) -> pa.Table:
        """Rows of a table as they may leave: names replaced, columns emptied.

        Parameters
        ----------
        label : of the table, `schema.Table`.
        rows : the rows, with all columns of the key.
        """
        heading = table().heading
        animals = _animals(rows)
        shift = [-pseudonyms.days(*animal) if animal else 0 for animal in animals] if self.has_shifted_dates else None
        people = _people(table)
        arrays: dict[str, Any] = {}
        for name in rows.column_names:
            column, kind = rows[name], rows.schema.field(name).type
            if name in people:
                arrays[name] = pa.array([self._user(row) for row in column.to_pylist()], kind)
            elif name in columns.SUBJECTS:
                labs = rows["parent_lab" if name == "parent_subject" else "lab"].to_pylist()
                names = [self.subject(*pair) for pair in zip(labs, column.to_pylist(), strict=True)]
                arrays[name] = pa.array(names, kind)
            elif name == "subject_uuid" and self.has_pseudonyms:
                arrays[name] = pa.array([pseudonyms.identifier(row) for row in column.to_pylist()], kind)
            elif pa.types.is_string(kind) and heading[name].type.split("(")[0] in _TEXT_TYPES:
                barred = {f"{label}.{name}", name} & set(self.rules.drop)
                arrays[name] = _emptied(heading[name], rows.num_rows) if barred or not self.allows(f"{label}.{name}") else column  # noqa: E501  # fmt: skip
            elif {f"{label}.{name}", name} & set(self.rules.drop) and name not in heading.primary_key:
                arrays[name] = _emptied(heading[name], rows.num_rows, kind)
            elif name in columns.DATES_ALONE and "session_date" in rows.column_names:
                arrays[name] = rows["session_date"]
            else:
                arrays[name] = column
        if shift is not None:
            for name in rows.column_names:
                if pa.types.is_temporal(rows.schema.field(name).type) or _is_time(heading[name]):
                    arrays[name] = _moved(arrays[name], shift)
        return pa.table({name: _column(arrays[name], heading[name]) for name in rows.column_names})

    def _user(self, user: str | None) -> str | None:
        return None if user is None else {"name": user, "pseudonym": pseudonyms.person(user)}.get(self.rules.people)


_TEXT_TYPES = ("varchar", "char", "json", "character varying", "character", "jsonb", "longtext", "text", "bpchar")


def current(pseudonymous: bool = False) -> Policy:
    """The policy of the settings.

    Parameters
    ----------
    pseudonymous : animals and people have pseudonyms whatever the settings say, as on the public site.
    """
    rules = settings().publication
    if pseudonymous:
        people = "pseudonym" if rules.people == "name" else rules.people
        rules = rules.model_copy(update={"subjects": "pseudonym", "people": people})
    return Policy(rules)


def hidden(rows: Iterable[_Row], barred: frozenset[tuple[str, str]]) -> list[_Row]:
    """Rows with lab and subject, without those of animals under embargo."""
    return [row for row in rows if (row["lab"], row["subject"]) not in barred]


def _animals(rows: pa.Table) -> list[tuple[str, str] | None]:
    if not {"lab", "subject"} <= set(rows.column_names):
        return [None] * rows.num_rows
    return list(zip(rows["lab"].to_pylist(), rows["subject"].to_pylist(), strict=True))


def _people(table: type[dj.Table]) -> set[str]:
    """Columns that refer to people."""
    name = lab_schema.LabMember().full_table_name
    return {
        child
        for parent, info in table().parents(as_objects=False, foreign_key_info=True)
        if parent == name
        for child in info["attr_map"]
    }


def _emptied(attribute: Any, length: int, kind: pa.DataType | None = None) -> pa.Array:
    if attribute.nullable:
        return pa.nulls(length, kind or pa.string())
    is_json = "json" in attribute.type or attribute.type == "longtext"
    return pa.array(["{}" if is_json else ""] * length, pa.string())


def _is_time(attribute: Any) -> bool:
    return attribute.type.startswith(("date", "timestamp"))


def _moved(column: pa.Array | pa.ChunkedArray, days: list[int]) -> pa.Array:
    """Dates and times, each moved by its number of days; times may be text, as databases give them."""
    values = []
    for value, number in zip(column.to_pylist(), days, strict=True):
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value)
        values.append(None if value is None else value + datetime.timedelta(days=number))
    return pa.array(values)


def _column(column: pa.Array | pa.ChunkedArray, attribute: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
