"""A database of an older version, with data, becomes by `neurojoint db upgrade` what a new one is."""

from __future__ import annotations

import contextlib
import dataclasses
import lzma
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.database import backup, migrate, registry
from pipeline.database.connection import Connection, raw_connection
from pipeline.errors import NeurojointError
from pipeline.schemas import action, behavior, data

pytestmark = pytest.mark.slow

DUMPS = sorted(Path(__file__).with_name("dumps").glob("*.postgresql.sql.xz"))
PREFIX = "neurojoint_"
NAME = "upgraded"


@pytest.fixture(params=DUMPS, ids=lambda path: path.name.split(".postgresql")[0])
def older(request, server, database) -> Iterator[Connection]:
    """A connection to a database of an older version; afterwards the tables are bound to the present one again."""
    if database.adapter.backend != "postgresql":
        pytest.skip("the dump is of PostgreSQL")
    address = dataclasses.replace(database.address, database=NAME)
    database.query(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
    database.query(f"CREATE DATABASE {NAME}")
    command, secret = backup.shell_command(address)
    text = lzma.decompress(request.param.read_bytes())
    subprocess.run(
        [*command, "--quiet", "-v", "ON_ERROR_STOP=1"], input=text, check=True, stdout=subprocess.DEVNULL, env=secret
    )
    connection = Connection(address)
    yield connection
    connection.close()
    migrate.prepare(database, PREFIX, create=True)
    database.query(f"DROP DATABASE {NAME} WITH (FORCE)")


def catalogue(connection) -> dict[str, list[tuple]]:
    """Columns, constraints, indices and comments of all tables of the pipeline, in no order that history gives."""
    like = f"LIKE '{PREFIX.replace('_', chr(92) + '_')}%%'"
    queries = {
        "columns": "SELECT table_schema, table_name, column_name, data_type, character_maximum_length, is_nullable, "
        "SPLIT_PART(column_default, '::', 1), (SELECT STRING_AGG(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum "
        "AS e JOIN pg_type AS t ON t.oid = e.enumtypid JOIN pg_namespace AS n ON n.oid = t.typnamespace "
        "WHERE t.typname = udt_name AND n.nspname = udt_schema) "
        f"FROM information_schema.columns WHERE table_schema {like}",
        "constraints": "SELECT n.nspname, r.relname, c.contype, pg_get_constraintdef(c.oid) FROM pg_constraint AS c "
        "JOIN pg_class AS r ON r.oid = c.conrelid JOIN pg_namespace AS n ON n.oid = r.relnamespace "
        f"WHERE n.nspname {like} AND c.contype <> 'n'",
        "indices": f"SELECT schemaname, tablename, indexdef FROM pg_indexes WHERE schemaname {like}",
        "comments": "SELECT n.nspname, r.relname, a.attname, col_description(r.oid, a.attnum) FROM pg_attribute AS a "
        "JOIN pg_class AS r ON r.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = r.relnamespace "
        f"WHERE n.nspname {like} AND a.attnum > 0 AND NOT a.attisdropped AND r.relkind = 'r'",
    }
    with contextlib.closing(raw_connection(connection.address)) as raw, raw.cursor() as cursor:
        collected = {}
        for name, sql in queries.items():
            cursor.execute(sql.replace("%%", "%"))
            collected[name] = sorted(cursor.fetchall(), key=repr)
    # Before the second colon of a comment stands the type that DataJoint reads; what follows is for people.
    collected["comments"] = [
        (*row[:3], (row[3] or "")[: (row[3] or "").find(":", 1) + 1]) for row in collected["comments"]
    ]
    return collected


def test_an_upgraded_database_equals_a_new_one_and_keeps_its_rows(older, database):
    before = older.query(f"SELECT COUNT(*) FROM {PREFIX}behavior._trial_set__trial").fetchone()[0]
    with pytest.raises(NeurojointError, match="db upgrade"):
        migrate.prepare(older, PREFIX, create=True)
    applied = [migration.number for migration in migrate.upgrade(older, PREFIX)]
    assert applied == sorted(applied) and applied
    fresh, upgraded = catalogue(database), catalogue(older)
    for name, rows in fresh.items():
        assert [row for row in upgraded[name] if row not in rows] == [], f"{name} that a new database has not"
        assert [row for row in rows if row not in upgraded[name]] == [], f"{name} that the upgrade lacks"
    assert before == len(behavior.TrialSet.Trial()) > 1000
    for table in (data.Dataset, data.FileRecord, action.Weighing, behavior.WheelMoveSet):
        assert len(table()), table.__name__
    for table in registry.tables():
        table().to_dicts(limit=1)
    assert migrate.upgrade(older, PREFIX) == [], "a second time there is nothing to do"


def test_an_upgrade_that_was_cut_off_goes_on_where_it_was(older, monkeypatch):
    missing = [one.number for one in migrate.shipped("postgresql") if one.number > 2]
    apply = migrate._apply

    def cut_off(connection, prefix, migration, **half):
        if migration.number == missing[1]:
            raise KeyboardInterrupt
        apply(connection, prefix, migration, **half)

    monkeypatch.setattr(migrate, "_apply", cut_off)
    with pytest.raises(KeyboardInterrupt):
        migrate.upgrade(older, PREFIX)
    monkeypatch.undo()
    assert [one.number for one in migrate.upgrade(older, PREFIX)] == missing[1:]


def test_an_upgrade_waits_for_the_workers_of_the_older_version_to_end(older):
    older.query(
        f"INSERT INTO {PREFIX}task.worker (worker_id, worker_host, worker_pid, worker_start, heartbeat) "
        "VALUES ('x', 'rig9', 17, CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    with pytest.raises(NeurojointError, match="1 workers of the older version are alive .process 17 on rig9"):
        migrate.upgrade(older, PREFIX)
    older.query(f"UPDATE {PREFIX}task.worker SET heartbeat = CURRENT_TIMESTAMP - INTERVAL '2 MINUTE'")
    assert migrate.upgrade(older, PREFIX)


def test_a_database_of_a_newer_version_is_refused(older):
    older.query(
        f"INSERT INTO {PREFIX}task.schema_migration VALUES (9999, 'of tomorrow', CURRENT_TIMESTAMP, '{'0' * 64}')"
    )
    with pytest.raises(NeurojointError, match="newer than this version"):
        migrate.upgrade(older, PREFIX)
