"""The columns that sortings got after 0.1.0 come by migration as they come by declaration."""

from __future__ import annotations

import pytest

from pipeline.database import migrate
from pipeline.schemas import ephys

pytestmark = pytest.mark.slow

ADDED = {
    ephys.Clustering: ["clustering_reading"],
    ephys.ClusterSet.Cluster: ["cluster_lateral", "cluster_shank", "sorter_cluster_id", "unit_name"],
    ephys.SessionClock.Line: ["line_name"],
}


def kinds(database, table) -> dict[str, tuple]:
    schema, name = table.full_table_name.replace("`", "").replace('"', "").split(".")
    rows = database.query(
        "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
        f"WHERE table_schema = '{schema}' AND table_name = '{name}'"
    )
    return {row[0]: tuple(row[1:]) for row in rows.fetchall()}


def test_columns_are_added_as_they_are_declared(database):
    declared = {table: kinds(database, table) for table in ADDED}
    for table, names in ADDED.items():
        for name in names:
            database.query(f"ALTER TABLE {table.full_table_name} DROP COLUMN {name}")
    try:
        for migration in migrate.shipped(database.adapter.backend):
            if migration.number in (30, 31, 310):
                for statement in migration.statements("neurojoint_"):
                    database.query(statement.replace("%", "%%"))
        assert {table: kinds(database, table) for table in ADDED} == declared
    finally:
        for table, names in ADDED.items():
            there = kinds(database, table)
            assert set(names) <= there.keys(), "the other tests need them"
