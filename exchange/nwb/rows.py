"""The rows that stand around a session, as JSON lines: the session, its animal with its history, lab, people, probes.

Which rows these are follows from the tables' keys and foreign keys, so that columns and tables of later versions come
along. What registration and the workers make again from the files is left out, and so is what tells about the place of
the files and not about the session (data.Repository, RepositoryLayout, MountPoint, FileRecord, SourceRow; transfer).
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator, Mapping
from typing import Any

import datajoint as dj

from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, data, subject

SCHEMAS = ("lab", "subject", "action", "acquisition", "identity", "ephys", "histology")
REMADE = {"SessionTask", "Recording", "Compression", "ChannelMap", "Clustering"}
"""Tables that registration fills from the files."""
LOGS = {"KeyChange"}
"""Tables that say what was done in one database, with what undoing it there needs."""
OF_FILES = ("Revision", "Tag", "DatasetTag")
"""Tables of the schema `data` that people fill."""
OF_LAB = {"lab.HusbandryRules", "subject.GrowthCurveUse"}
"""Tables whose rows of the lab decide what is computed of its animals."""
AFTER = frozenset({"data.DatasetTag"})
"""Tables whose rows need the datasets, which registration makes."""


def collect(key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a session.

    Parameters
    ----------
    key : primary key of the session.

    Returns
    -------
    One dict a row: `table` (schema.Table) and `row`, in an order in which they can be inserted.
    """
    tables = list(_tables())
    by_name = {table().full_table_name: table for table in tables}
    found: dict[str, dict[str, dict[str, Any]]] = {registry.label(table): {} for table in tables}
    waiting = [
        (table, _put(found, table, table & restriction))
        for table in tables
        if (restriction := _restriction(table, key)) is not None
    ]
    while waiting:  # what rows refer to, and what that consists of
        table, rows = waiting.pop()
        for parent_name, properties in table().connection.dependencies.parents(table().full_table_name):
            parent, mapping = by_name.get(parent_name), properties["attr_map"]
            keys = {
                tuple(row[child] for child in mapping): {up: row[child] for child, up in mapping.items()}
                for row in rows
                if all(row.get(child) is not None for child in mapping)
            }
            if parent is not None and keys:
                waiting += [(item, _put(found, item, item & [*keys.values()])) for item in (parent, *_pieces(parent))]
    return [{"table": name, "row": row} for name, some in found.items() for row in some.values()]


def _pieces(table: type[dj.Table]) -> list[type[dj.Table]]:
    """The parts that say what a row is, such as the alleles of a line; not those that list animals or people."""
    people = {"user_name", "subject"}
    return [part for part in registry.parts(table) if not people & set(part().heading.names)]


def _tables() -> Iterator[type[dj.Table]]:
    """The tables that people, rigs and metadata files fill, parts after their masters, in order of dependency."""
    for table in registry.tables():
        schema, _, name = registry.label(table).partition(".")
        by_people = schema in SCHEMAS and name not in REMADE | LOGS and not issubclass(table, dj.Imported | dj.Computed)
        if (by_people and not hasattr(table, "constant")) or (schema == "data" and name in OF_FILES):
            yield table
            yield from registry.parts(table)


def _restriction(table: type[dj.Table], key: Mapping[str, Any]) -> Any:
    """The rows of a table that are of this session or its animal; None for what is of neither."""
    names = set(table().heading.names)
    if registry.label(table) == "action.Note":
        ids = [(acquisition.Session & key).fetch1("eid"), (subject.Subject & key).fetch1("subject_uuid")]
        return [{"note_object_id": id_} for id_ in ids]
    if registry.label(table) == "data.DatasetTag":
        return (data.Dataset & key).proj()
    if registry.label(table) == "data.Revision":
        found = sorted(set((data.Dataset & key & "dataset_revision <> ''").to_arrays("dataset_revision")))
        return [{"revision": str(item)} for item in found]
    if registry.label(table) in OF_LAB:
        return {"lab": key["lab"]}
    if not {"lab", "subject"} <= names:
        return None
    return {name: value for name, value in key.items() if name in names}


def _put(found: dict[str, dict[str, dict[str, Any]]], table: type[dj.Table], query: Any) -> list[dict[str, Any]]:
    """Add rows; returns those that are new."""
    rows, new = found[registry.label(table)], []
    for row in query.to_dicts():
        text = {name: _plain(value) for name, value in row.items()}
        name = json.dumps([text[name] for name in table().primary_key])
        if name not in rows:
            rows[name] = text
            new.append(text)
    return new


def _plain(value: Any) -> Any:
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return value


def dumped(rows: list[dict[str, Any]]) -> str:
    """As text, one row a line."""
    return "\n".join(json.dumps(row, sort_keys=True) for row in rows)


def loaded(text: str) -> list[dict[str, Any]]:
    """From text.

    Raises
    ------
    ValueError : a line is no row.
    """
    found = [json.loads(line) for line in text.splitlines() if line]
    for item in found:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("table"), str)
            or not isinstance(item.get("row"), dict)
        ):
            raise ValueError("a line of the rows is not {table, row}")
    return found


def store(rows: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Insert rows that are not there yet; what is there stays as it is.

    Returns
    -------
    How many are new, and a sentence for each row or column that was not taken.
    """
    known = {registry.label(table): table for table in _tables()}
    said = [
        f"{name}: this version has no such table" for name in sorted({item["table"] for item in rows} - known.keys())
    ]
    n_new = 0
    for name, table in known.items():
        some = [_typed(table, item["row"], said) for item in rows if item["table"] == name]
        if not some:
            continue
        key = table().primary_key
        there = {
            tuple(row[k] for k in key): row for row in (table & [{k: row[k] for k in key} for row in some]).to_dicts()
        }
        new = [row for row in some if tuple(row[k] for k in key) not in there]
        for row in some:
            before = there.get(tuple(row[k] for k in key), row)
            differs = [f"{n} {before[n]!r} (file: {value!r})" for n, value in row.items() if before.get(n) != value]
            if differs and not issubclass(table, dj.Lookup):
                said.append(f"{name} {'/'.join(str(row[k]) for k in key)} stays as it is here: {', '.join(differs)}")
        if new:
            names = list(new[0])
            insert_many(table, {n: [row.get(n) for row in new] for n in names}, "skip")
            n_new += len(new)
    return n_new, said


def _typed(table: type[dj.Table], row: Mapping[str, Any], said: list[str]) -> dict[str, Any]:
    """The values of a row as its table takes them."""
    heading = table().heading
    label = registry.label(table)
    found: dict[str, Any] = {}
    for name, value in row.items():
        if name not in heading:
            said.append(f"{label}.{name}: this version has no such column")
        elif value is not None and heading[name].type.startswith("date") and isinstance(value, str):
            exact = datetime.datetime.fromisoformat(value)
            found[name] = exact if "T" in value else exact.date()
        else:
            found[name] = bool(value) if heading[name].type == "bool" and value is not None else value
    return found


def of_session(rows: list[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    """The rows of one table."""
    return [row["row"] for row in rows if row["table"] == table]
