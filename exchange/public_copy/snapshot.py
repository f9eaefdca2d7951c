"""The rows and files that a tag makes public, under the policy: what a public copy and a paper capsule are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj
import pyarrow as pa
import pyarrow.compute as pc

from exchange.releases import frozen
from one_bridge import query
from pipeline import policy
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError, NotFoundError
from pipeline.policy import Policy, columns, contents
from pipeline.schemas import data

SESSION = ("lab", "subject", "session_date", "session_number")


@dataclass
class Snapshot:
    """What may leave, as of one moment.

    Attributes
    ----------
    tables : label -> rows, in order of dependency.
    files : dataset -> the file here, its path in the copy, md5, size (byte).
    """

    tables: dict[str, pa.Table] = field(default_factory=dict)
    files: dict[str, tuple[Path, str, str, int]] = field(default_factory=dict)


def take(tag: str, rules: Policy) -> Snapshot:
    """Read what the datasets of a public tag need: themselves, their sessions and animals, and what these refer to.

    Raises
    ------
    NotFoundError : no such tag, or it is not public.
    NeurojointError : files are not here.
    """
    registry.load_modules()
    row = next(iter((data.Tag & {"tag": tag}).to_dicts()), None)
    if row is None or not row["tag_public"]:
        raise NotFoundError(f"there is no public tag {tag!r}", f"neurojoint tag define {tag} --public")
    snapshot = Snapshot()
    datasets = rules.without_embargoed(query.datasets(reading=query.Reading(tag=tag)))
    _take_files(snapshot, datasets, rules)
    raw: dict[str, pa.Table] = {}
    for label in columns.TABLES:
        table = _table(label)
        rows = _wanted(table, label, raw, tag)
        if rows is not None:
            raw[label] = rows
    _close(raw)
    for label, rows in raw.items():
        snapshot.tables[label] = rules.rows(_table(label), label, rows)
    return snapshot


def _take_files(snapshot: Snapshot, datasets: dj.Table, rules: Policy) -> None:
    names = (*SESSION, "dataset_id", "rel_path", "dataset_hash", "file_size", "dataset_online")
    rows = fetch_columns(datasets, *names).to_pylist()
    online = [row for row in rows if row["dataset_online"]]
    paths = frozen.local_paths((row["dataset_id"] for row in online), datasets.proj())
    missing = [row["rel_path"] for row in online if row["dataset_id"] not in paths]
    if missing:
        raise NeurojointError(f"{len(missing)} files are not here, e.g. {missing[0]}", "`neurojoint retrieve`")
    if rules.has_pseudonyms:
        contents.check((Path(paths[row["dataset_id"]]), row["subject"]) for row in online)
    for row in online:
        place = rules.session_path(row["lab"], row["subject"], row["session_date"], row["session_number"])
        path = f"{place}/{row['rel_path']}"
        snapshot.files[row["dataset_id"]] = (
            Path(paths[row["dataset_id"]]),
            path,
            row["dataset_hash"].strip(),
            row["file_size"],
        )


def _wanted(table: type[dj.Table], label: str, raw: dict[str, pa.Table], tag: str) -> pa.Table | None:
    """The rows of a table that belong to the datasets; of vocabularies, all: those that nothing needs go later."""
    if label == "data.Tag":
        return _all(table & {"tag": tag})
    if label == "data.DatasetTag":
        rows = _all(table & {"tag": tag})
        return rows.filter(pc.is_in(rows["dataset_id"], raw["data.Dataset"]["dataset_id"].combine_chunks()))
    if label == "data.Dataset":
        rows = _all(data.Dataset & (data.DatasetTag & {"tag": tag}).proj())
        return _of(rows, raw["acquisition.Session"], SESSION)
    heading = set(table().heading.names)
    if label == "acquisition.Session":
        sessions = data.Dataset & (data.DatasetTag & {"tag": tag}).proj()
        rows = _all(table & (dj.U(*SESSION) & sessions))
        return _of(rows, raw["subject.Subject"], SESSION[:2])
    if label == "subject.Subject":
        tagged = fetch_columns(data.Dataset & (data.DatasetTag & {"tag": tag}).proj(), *SESSION[:2])
        tagged = tagged.group_by(list(SESSION[:2])).aggregate([])

        barred = policy.current().embargoed
        allowed = [row for row in tagged.to_pylist() if (row["lab"], row["subject"]) not in barred]
        return _of(_all(table), pa.Table.from_pylist(allowed, schema=tagged.schema), SESSION[:2])
    rows = _all(table)
    if set(SESSION) <= heading:
        rows = _of(rows, raw["acquisition.Session"], SESSION)
    elif set(SESSION[:2]) <= heading:
        rows = _of(rows, raw["subject.Subject"], SESSION[:2])
    if "dataset_id" in heading:
        rows = rows.filter(pc.is_in(rows["dataset_id"], raw["data.Dataset"]["dataset_id"].combine_chunks()))
    if label == "data.AlfObject":
        rows = _whole_objects(rows, raw["data.Dataset"])
    return rows


def _whole_objects(objects: pa.Table, datasets: pa.Table) -> pa.Table:
    """Of ALF objects those whose default datasets are all public: of others the tables would be of files not here."""
    everything = fetch_columns(data.Dataset & {"default_dataset": True}, *SESSION, "collection", "alf_object")
    key = [*SESSION, "collection", "alf_object"]
    total = everything.group_by(key).aggregate([([], "count_all")]).rename_columns([*key, "total"])
    public = datasets.filter(datasets["default_dataset"]).select(key)
    here = public.group_by(key).aggregate([([], "count_all")]).rename_columns([*key, "here"])
    both = total.join(here, key)
    whole = both.filter(pc.equal(both["total"], both["here"])).select(key)
    whole = whole.rename_columns([*SESSION, "object_collection", "object_name"])
    return _of(objects, whole, (*SESSION, "object_collection", "object_name"))


def _close(raw: dict[str, pa.Table]) -> None:
    """Leave out the rows of vocabularies that nothing refers to, and rows whose parents may not leave."""
    labels = {_table(label)().full_table_name: label for label in raw}
    for label in list(raw):  # parents come first
        table = _table(label)()
        for parent, info in table.parents(as_objects=False, foreign_key_info=True):
            above = labels.get(parent)
            if above is not None:
                pairs = info["attr_map"]
                raw[label] = _with_parent(raw[label], raw[above], pairs)
    for label in reversed(list(raw)):
        if not label.startswith(("lab.", "subject.S", "subject.L", "subject.A", "data.Rev", "ephys.Probe")):
            continue
        named: Any = _table(label)
        if "." in label.partition(".")[2] or {"subject", "session_date"} & set(named().heading.names):
            continue
        key = list(named.primary_key)
        used: list[pa.Table] = []
        for child_label, rows in raw.items():
            for parent, info in _table(child_label)().parents(as_objects=False, foreign_key_info=True):
                if parent == named().full_table_name:
                    mapped = {up: down for down, up in info["attr_map"].items()}
                    used.append(rows.select([mapped[name] for name in key]).rename_columns(key).cast(
                        pa.schema([raw[label].schema.field(name) for name in key])))  # fmt: skip
        if used:
            raw[label] = _of(raw[label], pa.concat_tables(used), key)


def _with_parent(rows: pa.Table, parents: pa.Table, pairs: dict[str, str]) -> pa.Table:
    """The rows whose parent is there, or that have none."""
    if not rows.num_rows:
        return rows
    known = set(zip(*(parents[name].to_pylist() for name in pairs.values()), strict=True))
    mine = list(zip(*(rows[name].to_pylist() for name in pairs), strict=True))
    return rows.filter(pa.array([None in item or item in known for item in mine], pa.bool_()))


def _table(label: str) -> Any:
    schema, *path = label.split(".")
    target: Any = registry.bind(schema)
    for part in path:
        target = getattr(target, part)
    return target


def _all(query: Any) -> pa.Table:
    return fetch_columns(query)


def _of(rows: pa.Table, others: pa.Table, names: Iterable[str]) -> pa.Table:
    """The rows that agree with one of the others in these columns, in the order of the key."""
    chosen = list(names)
    keys = others.select(chosen).group_by(chosen).aggregate([]) if others.num_rows else others.select(chosen)
    known = set(zip(*(keys[name].to_pylist() for name in chosen), strict=True))
    mine = zip(*(rows[name].to_pylist() for name in chosen), strict=True)
    return rows.filter(pa.array([item in known for item in mine], pa.bool_()))
