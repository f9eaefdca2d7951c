"""The rows that stand around a session, as JSON lines: the session, its animal with its history, lab, people, probes.

Which rows these are follows from the tables' keys and foreign keys, so that columns and tables of later versions, and
those of a lab's own modules, come along. What does not is named in `LEFT`, with the reason.
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

_FROM_FILES = "registration fills it from the files"
_PLACE = "says where files lie, and not what the session is"
_LOG = "a log of what was done in one database"
_COLONY = "of the colony, not of the animal"
_LAB = "of the lab as a whole; nothing of a session follows from it"
_DATABASE = "of the work of one database"

LEFT: dict[str, str] = {
    "acquisition.SessionTask": _FROM_FILES,
    "ephys.Recording": _FROM_FILES,
    "ephys.Compression": _FROM_FILES,
    "ephys.ChannelMap": _FROM_FILES,
    "ephys.Clustering": _FROM_FILES,
    "data.Dataset": _FROM_FILES,
    "data.AlfObject": _FROM_FILES,
    "data.Quarantine": _FROM_FILES,
    "data.SessionScan": _FROM_FILES,
    "data.DatasetType": "ships with the program; what a lab's own types mean describes the objects",
    "data.DataFormat": "ships with the program",
    "data.RepositoryKind": "ships with the program",
    "data.Repository": _PLACE,
    "data.RepositoryLayout": _PLACE,
    "data.MountPoint": _PLACE,
    "data.FileRecord": _PLACE,
    "data.SourceRow": _PLACE,
    "data.Aggregate": "files over many sessions",
    "data.IngestRun": _LOG,
    "data.Change": _LOG,
    "data.Download": _LOG,
    "identity.KeyChange": _LOG,
    "identity.RecordId": "identifiers by which programs know rows of one database",
    "lab.LabMembership": _LAB,
    "lab.Delegate": _LAB,
    "lab.Project.Member": _LAB,
    "subject.ZygosityRule": _COLONY,
    "subject.Plug": _COLONY,
    "action.ProcedureTemplate": _LAB,
    "selection.TrialCondition": "names of expressions; what is computed holds the expression itself",
    "histology.BrainRegion": "ships with the program",
    "histology.RegionDescription": "of the atlas",
    "task": _DATABASE,
    "audit": _LOG,
    "transfer": _PLACE,
    "notification": _DATABASE,
    "publication.Release": "lists datasets of many sessions, and is frozen where it was made",
    "publication.Upload": "see publication.Release",
}
"""Table with its parts, or schema, whose rows do not go into the file -> why. Those that workers fill never do."""

OF_LAB = {"lab.HusbandryRules", "subject.GrowthCurveUse", "photostimulation.StimulationSite"}
"""Tables whose rows of the lab decide what is computed of its animals, or what words in its files mean."""
NAMED = {"subject.Protocol": ("approved_protocol", "protocol_number"), "subject.Cage": ("cage_label", "cage")}
"""Tables whose row is named by a column of the animal: the column here, and that of `subject.Subject`."""


def collect(key: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The rows of a session.

    Parameters
    ----------
    key : primary key of the session.

    Returns
    -------
    One dict a row: `table` (schema.Table) and `row`, in an order in which they can be inserted; within a table by key,
    since a database returns them in any order, and a file is written again only where something has changed.
    """
    tables = list(carried())
    by_name = {table().full_table_name: table for table in tables}
    collected: dict[str, dict[str, dict[str, Any]]] = {registry.label(table): {} for table in tables}
    waiting = [
        (table, _put(collected, table, table & restriction))
        for table in tables
        if (restriction := _restriction(table, key)) is not None
    ]
    waiting += [
        (parent, _put(collected, parent, parent & rows)) for parent, rows in _meant_by_computed(key, by_name).items()
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
                waiting += [
                    (item, _put(collected, item, item & [*keys.values()])) for item in (parent, *_pieces(parent))
                ]
    return [{"table": name, "row": some[row_key]} for name, some in collected.items() for row_key in sorted(some)]


def _meant_by_computed(
    key: Mapping[str, Any], by_name: Mapping[str, type[dj.Table]]
) -> dict[type[dj.Table], list[dict[str, Any]]]:
    """The rows of definitions (criteria, events, comparisons) by which something of the session was computed."""
    definitions: dict[type[dj.Table], list[dict[str, Any]]] = {}
    filled = [table for master in registry.populated_tables() for table in (master, *registry.parts(master))]
    for table in filled:
        if not {"lab", "subject"} <= set(names := table().heading.names):
            continue
        own = {name: value for name, value in key.items() if name in names}
        for parent_name, properties in table().connection.dependencies.parents(table().full_table_name):
            parent, mapping = by_name.get(parent_name), properties["attr_map"]
            if parent is None or "subject" in parent().heading.names or "lab" in mapping:
                continue
            rows = (dj.U(*mapping) & (table & own)).to_dicts()
            some = [{up: row[child] for child, up in mapping.items()} for row in rows if None not in row.values()]
            if some:
                definitions.setdefault(parent, []).extend(some)
    return definitions


def _pieces(table: type[dj.Table]) -> list[type[dj.Table]]:
    """The parts that say what a row is, such as the alleles of a line; not those that list animals or people."""
    people = {"user_name", "subject"}
    return [
        part
        for part in registry.parts(table)
        if registry.label(part) not in LEFT and not people & set(part().heading.names)
    ]


def carried() -> Iterator[type[dj.Table]]:
    """The tables whose rows go into a file, parts after their masters, in order of dependency."""
    for master in registry.tables():
        whole = registry.label(master)
        if issubclass(master, dj.Imported | dj.Computed) or {whole, whole.partition(".")[0]} & LEFT.keys():
            continue
        yield master
        yield from (part for part in registry.parts(master) if registry.label(part) not in LEFT)


def need_datasets(table: str) -> bool:
    """Whether rows refer to datasets, which registration makes: `schema.Table`."""
    return table in {registry.label(item) for item in carried() if _of_datasets(item)}


def _of_datasets(table: type[dj.Table]) -> bool:
    names = set(table().heading.names)
    return "dataset_id" in names and not {"lab", "subject"} <= names


def _restriction(table: type[dj.Table], key: Mapping[str, Any]) -> Any:
    """The rows of a table that are of this session or its animal; None for what is of neither."""
    names, label = set(table().heading.names), registry.label(table)
    if label == "action.Note":
        ids = [(acquisition.Session & key).fetch1("eid"), (subject.Subject & key).fetch1("subject_uuid")]
        return [{"note_object_id": id_} for id_ in ids]
    if label == "data.Revision":
        revisions = sorted(set((data.Dataset & key & "dataset_revision <> ''").to_arrays("dataset_revision")))
        return [{"revision": str(item)} for item in revisions]
    if label in NAMED:
        here, of_subject = NAMED[label]
        name = (subject.Subject & key).fetch1(of_subject)
        own = {"lab": key["lab"]} if "lab" in names else {}
        return own | {here: name} if name else None
    if label in OF_LAB:
        return {"lab": key["lab"]}
    if _of_datasets(table):
        return (data.Dataset & key).proj()
    if not {"lab", "subject"} <= names:
        return None
    return {name: value for name, value in key.items() if name in names}


def _put(collected: dict[str, dict[str, dict[str, Any]]], table: type[dj.Table], query: Any) -> list[dict[str, Any]]:
    """Add rows; returns those that are new."""
    rows, new = collected[registry.label(table)], []
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
    rows = [json.loads(line) for line in text.splitlines() if line]
    for item in rows:
        if (
            not isinstance(item, dict)
            or not isinstance(item.get("table"), str)
            or not isinstance(item.get("row"), dict)
        ):
            raise ValueError("a line of the rows is not {table, row}")
    return rows


def store(rows: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Insert rows that are not there yet; what is there stays as it is.

    Returns
    -------
    How many are new, and a sentence for each row or column that was not taken.
    """
    known = {registry.label(table): table for table in carried()}
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
            if differs:
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
    values: dict[str, Any] = {}
    for name, value in row.items():
        if name not in heading:
            said.append(f"{label}.{name}: this version has no such column")
        elif value is not None and heading[name].type.startswith("date") and isinstance(value, str):
            exact = datetime.datetime.fromisoformat(value)
            values[name] = exact if "T" in value else exact.date()
        else:
            values[name] = bool(value) if heading[name].type == "bool" and value is not None else value
    return values


def of_session(rows: list[dict[str, Any]], table: str) -> list[dict[str, Any]]:
    """The rows of one table."""
    return [row["row"] for row in rows if row["table"] == table]
