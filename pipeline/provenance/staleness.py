"""Rows whose files or sessions have changed since they were computed: find, show with dependent rows, and delete them.

A table takes part by a class attribute `fingerprint`, the name of the column that says what a row was made from, and a
method `current_fingerprints()` that says what it would be made from now. Tables that are also `rolling` are brought up
to date by the workers; the others wait for `neurojoint refresh`, since their dependent rows may be many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj
import pyarrow.compute as pc

from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.provenance import delete

REASON = "made from files that have changed since"

_KEYS_AT_ONCE = 500  # the cost of a delete is per call; with more keys the condition itself becomes slow


@dataclass
class Stale:
    """What `find` found.

    Attributes
    ----------
    keys : table label -> primary keys of the stale rows, in dependency order, without empty lists
    vanished : table label -> how many of them have nothing left to be made from
    lost : table label -> rows that would be deleted with them, these included
    """

    keys: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    vanished: dict[str, int] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Stale rows, without their dependent rows."""
        return sum(map(len, self.keys.values()))


def find(tables: Sequence[type[dj.Table]] | None = None) -> Stale:
    """The stale rows of all tables that do not bring themselves up to date, and their dependent rows.

    Parameters
    ----------
    tables : populated tables, all when not given.
    """
    stale = Stale()
    for table in _tables(tables):
        present = dict(_stale(table))
        if not present:
            continue
        label = registry.label(table)
        stale.keys[label] = [dict(key) for key in present]
        if vanished := sum(present.values()):
            stale.vanished[label] = vanished
        for chunk in _chunks(stale.keys[label]):
            for name, count in delete.preview(table & chunk).items():
                stale.lost[name] = stale.lost.get(name, 0) + count
    return stale


def refresh(tables: Sequence[type[dj.Table]] | None = None) -> dict[str, int]:
    """Delete the stale rows and their dependent rows in one transaction; the workers compute them again.

    Returns
    -------
    Table label -> rows deleted. What went is also in data.Change.
    """
    tables = _tables(tables)
    deleted: dict[str, int] = {}
    if not tables:
        return deleted
    with tables[0]().connection.transaction:
        for table in tables:
            for chunk in _chunks(stale_keys(table)):
                for name, count in delete.delete(table & chunk, REASON).items():
                    deleted[name] = deleted.get(name, 0) + count
    return deleted


def stale_keys(table: type[dj.Table]) -> list[dict[str, Any]]:
    """Primary keys of the rows of one table that no longer stand for what they were made from.

    Parameters
    ----------
    table : one with a `fingerprint`.
    """
    return [dict(key) for key, _ in _stale(table)]


def delete_quietly(table: type[dj.Table], keys: Sequence[dict[str, Any]]) -> int:
    """Delete rows of a rolling table with their parts, without a record: they are about to be made again."""
    query = table()
    parts = registry.parts(table)
    own = {query.full_table_name, *(part().full_table_name for part in parts)}
    if not set(query.descendants()) <= own:  # rows depend on the summary: DataJoint's cascade finds them
        for chunk in _chunks(keys):
            delete.delete(table & chunk, "sums up what has changed since")
        return len(keys)
    with query.connection.transaction:
        for chunk in _chunks(keys):
            for part in parts:
                (part & chunk).delete_quick()
            (table & chunk).delete_quick()
    return len(keys)


def _tables(tables: Sequence[type[dj.Table]] | None) -> list[type[dj.Table]]:
    tables = registry.populated_tables() if tables is None else tables
    return [table for table in tables if hasattr(table, "fingerprint") and not getattr(table, "rolling", False)]


def _stale(table: type[dj.Table]) -> list[tuple[tuple[tuple[str, Any], ...], bool]]:
    """Keys (as pairs, in order) of the stale rows, each with whether nothing is left to make it from."""
    query = table()
    names = list(query.primary_key)
    stored = fetch_columns(query, *names, table.fingerprint).rename_columns([*names, "stored"])
    if not stored.num_rows:
        return []
    current = query.current_fingerprints().select([*names, "fingerprint"])
    types = [stored.schema.field(name).type for name in (*names, "stored")]
    for number, kind in enumerate(types):
        current = current.set_column(number, current.column_names[number], current.column(number).cast(kind))
    both = stored.join(current, names, join_type="left outer")
    gone = pc.is_null(both["fingerprint"])
    differs = pc.fill_null(pc.not_equal(both["stored"], both["fingerprint"]), True)
    both = both.append_column("gone", gone).filter(differs)
    both = both.sort_by([(name, "ascending") for name in names])
    return [(tuple((name, row[name]) for name in names), row["gone"]) for row in both.to_pylist()]


def _chunks(keys: Sequence[dict[str, Any]]) -> list[Sequence[dict[str, Any]]]:
    return [keys[start : start + _KEYS_AT_ONCE] for start in range(0, len(keys), _KEYS_AT_ONCE)]
