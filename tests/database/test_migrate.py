"""Versions of the tables: a migration is applied once and whole; a database of another version is refused in words."""

from __future__ import annotations

import datetime
import shutil
from pathlib import Path

import datajoint as dj
import pytest

from pipeline import acquisition, behavior, data, lab, task
from pipeline.database import migrate
from pipeline.errors import NeurojointError
from tests.one_bridge.trees import File, Session, build

pytestmark = pytest.mark.slow

PREFIX = "neurojoint_"
NEXT = 9001  # number of a migration that no version has


@pytest.fixture
def folder(tmp_path: Path, database: dj.Connection):
    """A folder with the migrations of this version; what others in it did to the database is undone afterwards."""
    shutil.copytree(migrate.FOLDER, tmp_path, dirs_exist_ok=True)
    yield tmp_path
    name = lab.Lab.full_table_name
    columns = {row[0] for row in database.query(f"SELECT * FROM {name} LIMIT 0").description}
    if "lab_color" in columns:
        database.query(f"ALTER TABLE {name} DROP COLUMN lab_color")
    record = database.adapter.make_full_table_name(f"{PREFIX}task", "schema_migration")
    database.query(f"DELETE FROM {record} WHERE migration_number >= {NEXT}")
    migrate.prepare(database, PREFIX, create=True)


def write(folder: Path, number: int, statements: str) -> None:
    """One migration for both backends; {table} stands for lab.Lab."""
    for backend, quote in (("postgresql", '"'), ("mysql", "`")):
        table = f"{quote}{{prefix}}lab{quote}.{quote}lab{quote}"
        path = folder / f"{number:04d}_test.{backend}.sql"
        path.write_text(statements.replace("{table}", table))


ADD_COLUMN = """-- a comment; with a semicolon
ALTER TABLE {table} ADD COLUMN lab_color varchar(16) DEFAULT 'blue; 100%';
UPDATE {table} SET lab_color = 'red'
  WHERE lab LIKE 'a%';
"""


def colors(connection: dj.Connection) -> dict[str, str]:
    return dict(connection.query(f"SELECT lab, lab_color FROM {lab.Lab.full_table_name}").fetchall())


def test_an_older_database_is_refused_until_it_is_upgraded(folder, database):
    lab.Lab.insert([{"lab": "a"}, {"lab": "b"}])
    write(folder, NEXT, ADD_COLUMN)
    with pytest.raises(NeurojointError, match="neurojoint db upgrade"):
        migrate.prepare(database, PREFIX, create=True, folder=folder)
    assert [migration.number for migration in migrate.upgrade(database, PREFIX, folder)] == [NEXT]
    assert colors(database) == {"a": "red", "b": "blue; 100%"}
    migrate.prepare(database, PREFIX, create=True, folder=folder)
    assert migrate.upgrade(database, PREFIX, folder) == [], "applied once"


def test_a_newer_database_is_refused(folder, database):
    write(folder, NEXT, ADD_COLUMN)
    migrate.upgrade(database, PREFIX, folder)
    with pytest.raises(NeurojointError, match="install the newer version"):
        migrate.prepare(database, PREFIX, create=True)


def test_a_migration_that_fails_says_where_and_counts_as_not_applied(folder, database):
    write(folder, NEXT, ADD_COLUMN + "SELECT * FROM no_such_table;\n")
    with pytest.raises(NeurojointError, match=r"9001_test.*statement 3 of 3"):
        migrate.upgrade(database, PREFIX, folder)
    if database.adapter.backend == "postgresql":
        assert "lab_color" not in [c[0] for c in database.query(f"SELECT * FROM {lab.Lab.full_table_name}").description]
    with pytest.raises(NeurojointError, match="migration 9001 is missing"):
        migrate.prepare(database, PREFIX, create=True, folder=folder)


def test_a_new_database_counts_every_migration_as_applied(folder, database):
    """Its tables are declared as they are today: the changes that led there are not repeated."""
    write(folder, NEXT, "SELECT * FROM no_such_table;\n")
    prefix = "fresh_"
    try:
        migrate.prepare(database, prefix, create=True, folder=folder)
        assert migrate.upgrade(database, prefix, folder) == []
    finally:
        drop(database, prefix)
        migrate.prepare(database, PREFIX, create=True)


def drop(connection: dj.Connection, prefix: str) -> None:
    if connection.adapter.backend != "postgresql":
        connection.query("SET FOREIGN_KEY_CHECKS=0")
    for name in migrate.registry.SCHEMAS:
        cascade = " CASCADE" if connection.adapter.backend == "postgresql" else ""
        connection.query(f"DROP SCHEMA {connection.adapter.quote_identifier(prefix + name)}{cascade}")
    if connection.adapter.backend != "postgresql":
        connection.query("SET FOREIGN_KEY_CHECKS=1")


def test_datasets_of_an_older_database_know_whether_they_are_online(database, tmp_path):
    """The migration makes the column and the index that a new database is declared with, filled from the copies."""
    there, gone = Session(files=[File("alf/a.b.npy", b"1")]), Session(number=2, files=[File("alf/a.b.npy")])
    build(tmp_path / "data", [there, gone])
    today, name = declared(database), data.Dataset.full_table_name
    if database.adapter.backend == "postgresql":
        database.query(f'DROP INDEX "{PREFIX}data"."idx_dataset_rel_path_lab_subject_session_d"')
        database.query(f"CREATE INDEX idx_dataset_rel_path ON {name} (rel_path)")
    else:
        database.query(f"ALTER TABLE {name} DROP INDEX rel_path, ADD INDEX rel_path (rel_path)")
    database.query(f"ALTER TABLE {name} DROP COLUMN dataset_online")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 1")
    with pytest.raises(NeurojointError, match="migration 0001 is missing"):
        migrate.prepare(database, PREFIX, create=True)
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [1]
    assert declared(database) == today
    assert (data.Dataset & {"dataset_online": True}).fetch1("session_number") == 1


def test_sessions_of_an_older_database_are_found_by_day(database):
    today, name = declared(database, "acquisition", "session"), acquisition.Session.full_table_name
    if database.adapter.backend == "postgresql":
        database.query(f'DROP INDEX "{PREFIX}acquisition"."idx_session_session_date_subject_session_n"')
    else:
        database.query(f"ALTER TABLE {name} DROP INDEX session_date")
    assert declared(database, "acquisition", "session") != today
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 145")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [145]
    assert declared(database, "acquisition", "session") == today


def test_an_older_database_learns_what_ephys_lacks(database):
    """With the tables as they were, and without them."""
    names = ("__unit_metrics", "__peth", "__depth_peth", "__drift_map")
    today = [declared(database, "ephys_analysis", name) for name in names]
    columns = ("metrics_missing", "peth_missing", "depth_peth_missing", "drift_missing")
    for name, column in zip(names, columns, strict=True):
        table = database.adapter.make_full_table_name(f"{PREFIX}ephys_analysis", name)
        database.query(f"ALTER TABLE {table} DROP COLUMN {column}")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 2")
    assert [one.number for one in migrate.upgrade(database, PREFIX)] == [2]
    for name, expected in zip(names, today, strict=True):
        assert declared(database, "ephys_analysis", name) == expected
    (migration,) = [one for one in migrate.shipped(database.adapter.backend) if one.number == 2]
    for statement in migration.statements("no_such_"):
        database.query(statement)


def declared(connection: dj.Connection, schema: str = "data", table: str = "dataset") -> tuple[set, set]:
    """Columns and indices of a table, as the server has them."""
    of_table = f"schemaname = '{PREFIX}{schema}' AND tablename = '{table}'"
    regclass = f"{PREFIX}{schema}.{table}"
    schema = f"table_schema = '{PREFIX}{schema}' AND table_name = '{table}'"
    columns = "column_name, data_type, column_default, is_nullable"
    if connection.adapter.backend == "postgresql":
        indices = f"SELECT indexname, indexdef FROM pg_indexes WHERE {of_table}"
        comments = f"SELECT col_description('{regclass}'::regclass, n) FROM generate_series(1, 40) AS n"
    else:
        indices = f"SELECT index_name, seq_in_index, column_name FROM information_schema.statistics WHERE {schema}"
        comments = f"SELECT column_comment, column_type FROM information_schema.columns WHERE {schema}"
    columns = connection.query(f"SELECT {columns} FROM information_schema.columns WHERE {schema}").fetchall()
    comments = connection.query(comments).fetchall()
    return {*columns, *comments}, set(connection.query(indices).fetchall())


def test_both_backends_have_the_same_migrations():
    numbers = [
        [(migration.number, migration.name) for migration in migrate.shipped(backend)]
        for backend in ("postgresql", "mysql")
    ]
    assert numbers[0] == numbers[1]


OF_THE_COLONY = {
    "line": ["line_nickname", "strain_code", "source_url", "expression_url", "name_pattern", "last_animal", "last_pair",
             "last_litter"],
    "subject": ["to_be_genotyped", "to_be_culled", "genotype_date", "reduced_date", "actual_severity"],
    "litter": ["n_born", "n_weaned", "litter_wean_date"],
    "genotype": ["genotype_origin"],
    "protocol": ["operation_limit", "injection_limit", "drug_volume_limit"],
}  # fmt: skip
"""Table -> columns that the notebook brought."""


def test_an_older_database_gets_what_the_colony_keeps(database):
    today = {name: declared(database, "subject", name) for name in OF_THE_COLONY}
    for name, columns in OF_THE_COLONY.items():
        table = database.adapter.make_full_table_name(f"{PREFIX}subject", name)
        for column in columns:
            database.query(f"ALTER TABLE {table} DROP COLUMN {column}")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number IN (150, 350)")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [150, 350]
    for name, expected in today.items():
        definition = declared(database, "subject", name)
        assert [a ^ b for a, b in zip(definition, expected, strict=True)] == [set(), set()], name


@pytest.mark.parametrize("name", ["1_short.mysql.sql", "0001_name.sql", "0001_name.oracle.sql"])
def test_a_misnamed_migration_is_an_error(tmp_path, name):
    (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(NeurojointError, match="no migration"):
        migrate.shipped("mysql", tmp_path)


def test_an_older_database_finds_copies_by_index(database):
    """Two indices tell which datasets lack a copy; in MariaDB their names are others than in a new database."""
    wanted = {
        "dataset": ("dataset_id", "dataset_hash"),
        "file_record": ("repository", "file_state", "dataset_id", "record_hash"),
    }
    is_mysql = database.adapter.backend != "postgresql"

    def indices(table: str) -> dict[str, tuple[str, ...]]:
        definition = declared(database, "data", table)[1]
        if is_mysql:
            names = {name for name, *_ in definition}
            return {
                name: tuple(column for _, _, column in sorted(row for row in definition if row[0] == name))
                for name in names
            }
        columns = {name: text[text.index("(") + 1 : text.rindex(")")].split(", ") for name, text in definition}
        return {name: tuple(value) for name, value in columns.items()}

    today = {table: sorted(indices(table).values()) for table in wanted}
    for table, columns in wanted.items():
        names = [name for name, value in indices(table).items() if value == columns]
        assert len(names) == 1
        full = database.adapter.make_full_table_name(f"{PREFIX}data", table)
        if is_mysql and table == "file_record":  # the reference to a repository needs an index that begins with it
            database.query(f"CREATE INDEX `of_repository` ON {full} (`repository`)")
        if is_mysql:
            database.query(f"DROP INDEX `{names[0]}` ON {full}")
        else:
            database.query(f'DROP INDEX "{PREFIX}data"."{names[0]}"')
    if not is_mysql:
        full = database.adapter.make_full_table_name(f"{PREFIX}data", "file_record")
        database.query(f"CREATE INDEX idx_file_record_repository ON {full} (repository)")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 195")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [195]
    if is_mysql:
        full = database.adapter.make_full_table_name(f"{PREFIX}data", "file_record")
        database.query(f"DROP INDEX IF EXISTS `of_repository` ON {full}")
    assert {table: sorted(indices(table).values()) for table in wanted} == today


def test_an_older_database_takes_new_kinds_of_repositories(database):
    today, name = declared(database, "data", "repository"), data.Repository.full_table_name
    kinds = "'local', 'http', 's3', 'globus'"
    if database.adapter.backend == "postgresql":
        database.query(f'CREATE TYPE "{PREFIX}data".old_kinds AS ENUM ({kinds})')
        column = f'TYPE "{PREFIX}data".old_kinds USING repository_kind::"{PREFIX}data".old_kinds'
        database.query(f"ALTER TABLE {name} ALTER COLUMN repository_kind {column}")
        database.query(f"COMMENT ON COLUMN {name}.repository_kind IS ':enum:'")
    else:
        database.query(f"ALTER TABLE {name} MODIFY COLUMN repository_kind enum({kinds}) NOT NULL COMMENT ':enum:'")
    data.Repository.insert1({"repository": "r", "repository_kind": "s3", "repository_root": "s3://b"})
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 90")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [90]
    assert declared(database, "data", "repository") == today
    data.Repository.insert1({"repository": "q", "repository_kind": "sftp", "repository_root": "/d"})
    if database.adapter.backend == "postgresql":
        database.query(f'DROP TYPE "{PREFIX}data".old_kinds')


def test_the_sessions_of_an_older_database_have_a_task_each(database, tmp_path):
    """Tables whose key got the task are declared again with all their rows; wheels are to be read again."""
    import ingest
    from ingest.simulate import write_lab
    from pipeline import (
        acquisition,
        behavior,
        behavior_analysis,
        ephys_analysis,
        photostimulation,
        task_analysis,
        worker,
    )
    from pipeline.database import registry

    write_lab(tmp_path, n_mice=1, n_sessions=1, seed=3)
    ingest.register(tmp_path)
    worker.drain([behavior.TrialSet, behavior.WheelMoveSet, behavior_analysis.PsychometricFit])
    masters = (behavior.TrialSet, behavior.WheelMoveSet, behavior_analysis.SessionPerformance)
    masters += (behavior_analysis.PsychometricFit, ephys_analysis.Peth, ephys_analysis.DepthPeth)
    newer = (behavior_analysis.SubjectTraining.Reached, behavior.TrialSet.OtherColumn, ephys_analysis.DepthPeth.Shank)
    later = (task_analysis.TaskPerformance, task_analysis.TrialComparison, ephys_analysis.UnitSelectivity,
             photostimulation.StimulationEffect)  # fmt: skip
    newer += tuple(part for table in later for part in (*registry.parts(table), table))
    moved = [part for table in masters for part in (table, *registry.parts(table)) if part not in newer]
    today = [declared(database, registry.label(item).partition(".")[0], item().table_name) for item in (*moved, *newer)]
    rows = {item: item.to_dicts(order_by=", ".join(item.primary_key)) for item in moved}
    is_mysql = database.adapter.backend != "postgresql"
    if is_mysql:
        database.query("SET FOREIGN_KEY_CHECKS=0")
    for item in newer:
        database.query(f"DROP TABLE {item.full_table_name}")
    for item in moved:  # as they were: without the task in the key
        columns = [name for name in item.heading.names if name != "task_collection"]
        columns += ["task_collection AS trials_collection"] if item is behavior.TrialSet else []
        name, old = item.full_table_name, database.adapter.make_full_table_name(f"{PREFIX}behavior", "as_it_was")
        database.query(f"CREATE TABLE {old} AS SELECT {', '.join(columns)} FROM {name}")
        database.query(f"DROP TABLE {name}{'' if is_mysql else ' CASCADE'}")
        database.query(f"CREATE TABLE {name} AS SELECT * FROM {old}")
        database.query(f"DROP TABLE {old}")
    acquisition.SessionTask().delete_quick()
    if is_mysql:
        database.query("SET FOREIGN_KEY_CHECKS=1")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 11")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [11]
    assert today == [
        declared(database, registry.label(item).partition(".")[0], item().table_name) for item in (*moved, *newer)
    ]
    for item in moved:
        result = item.to_dicts(order_by=", ".join(item.primary_key))
        changed = {"wheel_fingerprint": " " * 32} if item is behavior.WheelMoveSet and not is_mysql else {}
        changed |= {"wheel_fingerprint": ""} if item is behavior.WheelMoveSet and is_mysql else {}
        summarised = item.__module__ == behavior_analysis.__name__  # workers make these again
        assert result == ([] if summarised else [row | changed for row in rows[item]]), registry.label(item)
    assert [(row["task_collection"], row["protocol"]) for row in acquisition.SessionTask.to_dicts()] == [("alf", "")]
    assert not (data.SessionScan & "scan_signature <> ''")


def without(connection: dj.Connection, table: type[dj.Table], *columns: str) -> None:
    """Take columns out of a table, as an older version declared it."""
    for column in columns:
        connection.query(f"ALTER TABLE {table.full_table_name} DROP COLUMN {column}")


def as_declared(connection: dj.Connection, table: type[dj.Table]) -> tuple[set, set]:
    """Columns and indices of a table, as the server has them."""
    return declared(connection, table().database.removeprefix(PREFIX), table().table_name)


def test_an_older_database_learns_how_animals_are_kept(database):
    from pipeline import subject

    moved = {
        lab.Lab: ("lab_light_cycle", "lab_food_protein", "lab_weekend_water"),
        subject.Subject: ("food_protein", "weekend_water"),
    }
    today = [as_declared(database, table) for table in moved]
    for table, columns in moved.items():
        without(database, table, *columns)
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 110")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [110]
    assert [as_declared(database, table) for table in moved] == today


def test_summaries_of_an_older_database_are_made_again(database):
    """Columns were renamed, days join by date: what workers compute in milliseconds is dropped and declared again."""
    from pipeline import action
    from pipeline import behavior_analysis as analysis
    from pipeline.database import registry

    masters = (analysis.SessionPerformance, analysis.PsychometricFit, analysis.BehaviorHistory)
    masters += (analysis.SubjectTraining, action.WaterHistory)
    made = [part for table in masters for part in (*registry.parts(table), table)]
    today = [as_declared(database, item) for item in made]
    for item in made:  # an older version had them with other columns
        database.query(f"DROP TABLE {item.full_table_name}")
    database.query(f"CREATE TABLE {analysis.SessionPerformance.full_table_name} (reaction_time int)")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 111")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [111]
    assert [as_declared(database, item) for item in made] == today
    assert len(analysis.DailySummary * action.WaterStatus) == 0, "they join by date"


def test_free_access_of_an_older_database_gets_an_end(database):
    from pipeline import action, subject

    today = as_declared(database, action.WaterAdministration)
    without(database, action.WaterAdministration, "adlib_end")
    lab.Lab.insert1({"lab": "a"})
    subject.Subject.insert1({"lab": "a", "subject": "m", "subject_uuid": "00000000-0000-4000-8000-000000000001"})
    action.WaterType.insert1({"water_type": "Citric Acid Water 2%"})
    name = action.WaterAdministration.full_table_name
    database.query(
        f"INSERT INTO {name} (lab, subject, administration_time, water_type, adlib) "
        "VALUES ('a', 'm', '2026-01-05 12:00:00', 'Citric Acid Water 2%%', TRUE)"
    )
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 112")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [112]
    assert as_declared(database, action.WaterAdministration) == today
    assert action.WaterAdministration.fetch1("water_type") == "Water 2% Citric Acid"
    assert not (action.WaterType & "water_type LIKE 'Citric%%'")


def test_trials_of_an_older_database_learn_of_which_task_they_are(database):
    """Its module of light, which is declared again, takes no migration."""
    from pipeline import photostimulation
    from pipeline.database import registry

    tables = [table for table in registry.tables() if table.__module__ == photostimulation.__name__]
    made = [item for table in tables for item in (*registry.parts(table), table)]
    assert len(tables) > 5
    today = [as_declared(database, item) for item in (behavior.TrialSet, *made)]
    without(database, behavior.TrialSet, "paradigm")
    is_mysql = database.adapter.backend != "postgresql"
    if is_mysql:
        database.query("SET FOREIGN_KEY_CHECKS=0")
    for item in made:
        database.query(f"DROP TABLE {item.full_table_name}{'' if is_mysql else ' CASCADE'}")
    if is_mysql:
        database.query("SET FOREIGN_KEY_CHECKS=1")
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 240")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [240]
    assert [as_declared(database, item) for item in (behavior.TrialSet, *made)] == today


def test_water_of_restrictions_moves_to_where_rest_has_it(database):
    from pipeline import action, subject

    lab.Lab.insert1({"lab": "a"})
    animals = [{"lab": "a", "subject": name, "restriction_start": datetime.datetime(2026, 1, 5)} for name in "mn"]
    for number, key in enumerate(animals):
        uuid = f"00000000-0000-4000-8000-00000000000{number}"
        subject.Subject.insert1({"lab": "a", "subject": key["subject"], "subject_uuid": uuid})
        action.WaterRestriction.insert1(key)
        action.RestrictionDetail.insert1(key | {"restriction_water": "Hydrogel"})
    action.WaterRestriction.Water.insert1(animals[0] | {"water_type": "Water"})  # stated over REST: it stays
    database.query(f"DELETE FROM {task.SchemaMigration.full_table_name} WHERE migration_number = 380")
    assert [migration.number for migration in migrate.upgrade(database, PREFIX)] == [380]
    kinds = action.WaterRestriction.Water().to_arrays("water_type", order_by="subject").tolist()
    assert kinds == ["Water", "Hydrogel"]
    assert not action.RestrictionDetail & "restriction_water IS NOT NULL"
