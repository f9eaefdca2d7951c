"""Rows to records with Alyx's names: the fields of the registry, lists from their own tables, nested records."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import datajoint as dj

from one_bridge.parquet_files import served_forms
from one_bridge.server import values
from one_bridge.server.endpoint_model import Endpoint, Field, Many, Nested, table
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import counting
from one_bridge.server.query.sql import Listed
from pipeline.entry import record_ids
from pipeline.web.threads import Database

_ZONES_KEPT_S = 10.0


class Serialiser:
    """Makes records; keeps the labs' time zones for a few seconds.

    Parameters
    ----------
    database : that is read.
    root : address of the server, before the links in records, e.g. http://127.0.0.1:8000.
    """

    def __init__(self, database: Database) -> None:
        self.database = database
        self._zones: tuple[float, dict[str, str]] = (0.0, {})

    def records(
        self,
        endpoint: Endpoint,
        rows: dj.expression.QueryExpression,
        root: str,
        detail: bool = False,
        fields: Sequence[str] = (),
        **which: Any,
    ) -> list[dict[str, Any]]:
        """The records of some rows.

        Parameters
        ----------
        rows : of the endpoint, restricted.
        root : address of the server, before the links in the records, e.g. `http://127.0.0.1:8000`.
        detail : with the fields and nested records that only single records have.
        fields : only these.
        which : `order_by`, `limit` and `offset` of `Database.select`.
        """
        parts = _Parts(endpoint, detail, fields)
        selected = self.database.select(rows, parts.columns(rows), **which)
        return [record for _, record in self._made(parts, selected, root)]

    def page(self, listed: Listed, root: str, limit: int, offset: int) -> tuple[list[dict[str, Any]], int]:
        """Some records of a list in its order, and how many there are in all.

        Two statements take less than one: the first ends where the page does if an index has the order, the second
        looks at keys only.
        """
        parts, rows = _Parts(listed.endpoint), listed.rows
        selected = self.database.select(rows, parts.columns(rows), listed.endpoint.order, limit, offset)
        is_last = len(selected) < limit and (selected or not offset)
        total = offset + len(selected) if is_last else counting.count(listed.counted, self.database)
        return [record for _, record in self._made(parts, selected, root)], total

    def zone(self, lab: str | None) -> str:
        """The time zone of a lab."""
        return self._known_zones().get(lab or "", "UTC")

    def _known_zones(self) -> Mapping[str, str]:
        if time.monotonic() - self._zones[0] > _ZONES_KEPT_S:
            labs = self.database.select(table("lab.Lab")(), ["lab", "time_zone"])
            self._zones = (time.monotonic(), {item["lab"]: item["time_zone"] for item in labs})
        return self._zones[1]

    def forget(self) -> None:
        """Read the labs' time zones again."""
        self._zones = (0.0, {})

    def _kept_ids(self, endpoint: Endpoint, rows: Sequence[dict[str, Any]]) -> dict[str, str]:
        """The uuid that follows from a key now -> the one of the record, where that is another."""
        if len(endpoint.id) == 1 or endpoint.table not in record_ids.TABLES or not rows:
            return {}
        derived = [[record_ids.derived(endpoint.id, row)] for row in rows]
        which = values.key_condition(("derived_id",), derived, self.database.backend)
        if any(field.name == "trajectory_estimate" for field in endpoint.fields):
            which += " OR record_table = 'histology.Trajectory'"
        ids = self.database.select(table("identity.RecordId") & which, ["derived_id", "record_id"])
        return {item["derived_id"]: item["record_id"] for item in ids}

    def _made(
        self, parts: _Parts, rows: list[dict[str, Any]], root: str
    ) -> list[tuple[dict[str, Any], dict[str, Any]]]:
        """Row and record of each row."""
        ids = self._kept_ids(parts.endpoint, rows)
        zones = self._known_zones() if rows else {}
        for row in rows:
            row["_zone"], row["_ids"] = zones.get(row.get("lab") or "", "UTC"), ids
        for item in parts.many:
            self._add_many(parts.endpoint, item, rows)
        say = [(field.name, _value_of(field, root)) for field in parts.fields]
        say += [(item.name, itemgetter(item.name)) for item in parts.many if not item.name.startswith("_")]
        records = [(row, {name: value(row) for name, value in say}) for row in rows]
        for nested in parts.nested:
            self._add_nested(nested, records, root)
        if parts.endpoint.name == "datasets":
            self._describe_served_tables(records)
        return records

    def _add_many(self, endpoint: Endpoint, many: Many, rows: list[dict[str, Any]]) -> None:
        """Put the names into the rows, read for all rows at once."""
        names = many.rows() if many.rows else table(many.table)()
        unique = endpoint.unique
        if unique and unique not in names.heading.names:
            names *= table(endpoint.table).proj(unique)
        on = [unique] if unique else table(endpoint.table)().primary_key
        key_of = itemgetter(*on)
        by_key: dict[Any, list] = {}
        if rows:
            there = with_keys(names, on, rows, self.database.backend)
            for row in self.database.select(there, [*on, many.column], order_by=[*on, many.column]):
                by_key.setdefault(key_of(row), []).append(row[many.column])
        for row in rows:
            listed = by_key.get(key_of(row), [])
            row[many.name] = _total(listed) if many.single else listed

    def _add_nested(self, nested: Nested, records: list[tuple[dict, dict]], root: str) -> None:
        there = ENDPOINTS[nested.endpoint]
        ids = [row[nested.id_column] for row, _ in records]
        by_parent: dict[Any, list] = {}
        if ids:
            rows = with_keys(there.base(), [nested.column], [[id_] for id_ in ids], self.database.backend)
            if nested.restrict:
                rows &= nested.restrict()
            parts = _Parts(there, True, nested.fields)
            children = self.database.select(rows, parts.columns(rows), order_by=there.order)
            for row, record in self._made(parts, children, root):
                by_parent.setdefault(row[nested.column], []).append((row, record))
        for row, record in records:
            record[nested.name] = [
                child
                for child_row, child in by_parent.get(row[nested.id_column], [])
                if nested.keep is None or nested.keep(row, child_row)
            ]

    def _describe_served_tables(self, records: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
        """Hash and size of tables are those of what is sent: clients compare what they downloaded with them."""
        tables = {
            row["dataset_id"]: record
            for row, record in records
            if record.get("name", "").endswith(".pqt") and ("hash" in record or "file_size" in record)
        }
        for dataset_id, form in self.database.read(lambda: served_forms(tables)).items() if tables else ():
            record = tables[dataset_id]
            record |= {name: value for name, value in (("hash", form.md5), ("file_size", form.size)) if name in record}


class _Parts:
    """Which parts of its records an endpoint shows, and the columns that they take."""

    def __init__(self, endpoint: Endpoint, detail: bool = False, names: Sequence[str] = ()) -> None:
        def is_wanted(one: Field | Many | Nested) -> bool:
            return one.name in names if names else (detail or not one.detail) and not one.name.startswith("_")

        self.endpoint = endpoint
        self.fields = [field for field in endpoint.fields if is_wanted(field) and (names or not field.inside)]
        self.many = [item for item in endpoint.many if is_wanted(item) or item.name.startswith("_")]
        self.nested = [item for item in endpoint.nested if is_wanted(item)]

    def columns(self, query: dj.expression.QueryExpression) -> list[str]:
        """The columns of the rows that are looked at."""
        endpoint = self.endpoint
        wanted = {*endpoint.id, *table(endpoint.table)().primary_key, "lab", endpoint.alias}
        wanted |= {term.partition(" ")[0] for term in endpoint.order}
        for field in self.fields:
            wanted |= set(field.needs) if field.getter else {field.column}
        wanted |= {item.id_column for item in self.nested}
        wanted |= _FOR_NESTING
        return [name for name in query.heading.names if name in wanted]


def with_keys(
    rows: dj.expression.QueryExpression, columns: Sequence[str], keys: Sequence[Any], backend: str
) -> dj.expression.QueryExpression:
    """Rows with these values of some columns; DataJoint would look for names of columns in all the values."""
    result = rows & " AND ".join(f"{name} IS NOT NULL" for name in columns)
    result.restriction[-1] = values.key_condition(columns, keys, backend).replace("%", "%%")
    return result


def _value_of(field: Field, root: str) -> Callable[[Mapping[str, Any]], Any]:
    """What makes the value of a field from a row: decided once for all rows."""
    getter, column = field.getter, field.column
    if getter is not None:
        is_address = field.name.endswith("url") or field.name in _LINKS
        return (lambda row: _with_root(getter(row), root)) if is_address else getter
    if field.kind == "time":
        return lambda row: values.local_time(row[column], row["_zone"])
    if field.words:
        spoken = field.spoken
        return lambda row: spoken.get(row[column], row[column])
    if field.kind == "bool":
        return lambda row: None if row[column] is None else bool(row[column])
    return lambda row: row[column].isoformat() if isinstance(row[column], datetime.date) else row[column]


def _with_root(address: Any, root: str) -> Any:
    return root + address if isinstance(address, str) and address.startswith("/") else address


_FOR_NESTING = {"eid", "subject_uuid", "dataset_id", "note_object_id", "probe_label", "collection", "fov_uuid",
                "stack_id", "chronic_id"}  # fmt: skip
_LINKS = ("session", "dataset", "image")


def _total(numbers: list) -> Any:
    """The value of a single row; the sum over those of the tasks of a session; None where nothing is known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if len(known) > 1 else next(iter(known), None)
