"""Versions of the tables: a migration is applied once and whole; a database of another version is refused in words."""

from __future__ import annotations

from pathlib import Path

import datajoint as dj
import pytest

from pipeline import lab
from pipeline.database import migrate
from pipeline.errors import NeurojointError

PREFIX = "neurojoint_"


@pytest.fixture
def folder(tmp_path: Path, database: dj.Connection):
    """An empty folder of migrations; what they did to the database is undone afterwards."""
    yield tmp_path
    name = lab.Lab.full_table_name
    columns = {row[0] for row in database.query(f"SELECT * FROM {name} LIMIT 0").description}
    if "lab_color" in columns:
        database.query(f"ALTER TABLE {name} DROP COLUMN lab_color")
    record = database.adapter.make_full_table_name(f"{PREFIX}task", "schema_migration")
    database.query(f"DELETE FROM {record} WHERE migration_number > 0")
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
    write(folder, 1, ADD_COLUMN)
    with pytest.raises(NeurojointError, match="neurojoint db upgrade"):
        migrate.prepare(database, PREFIX, create=True, folder=folder)
    assert [one.number for one in migrate.upgrade(database, PREFIX, folder)] == [1]
    assert colors(database) == {"a": "red", "b": "blue; 100%"}
    migrate.prepare(database, PREFIX, create=True, folder=folder)
    assert migrate.upgrade(database, PREFIX, folder) == [], "applied once"


def test_a_newer_database_is_refused(folder, database):
    write(folder, 1, ADD_COLUMN)
    migrate.upgrade(database, PREFIX, folder)
    with pytest.raises(NeurojointError, match="install the newer version"):
        migrate.prepare(database, PREFIX, create=True)


def test_a_migration_that_fails_says_where_and_counts_as_not_applied(folder, database):
    write(folder, 1, ADD_COLUMN + "SELECT * FROM no_such_table;\n")
    with pytest.raises(NeurojointError, match=r"0001_test.*statement 3 of 3"):
        migrate.upgrade(database, PREFIX, folder)
    if database.adapter.backend == "postgresql":
        assert "lab_color" not in [c[0] for c in database.query(f"SELECT * FROM {lab.Lab.full_table_name}").description]
    with pytest.raises(NeurojointError, match="migration 0001 is missing"):
        migrate.prepare(database, PREFIX, create=True, folder=folder)


def test_a_new_database_counts_every_migration_as_applied(folder, database):
    """Its tables are declared as they are today: the changes that led there are not repeated."""
    write(folder, 1, "SELECT * FROM no_such_table;\n")
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


def test_both_backends_have_the_same_migrations():
    numbers = [[(one.number, one.name) for one in migrate.shipped(backend)] for backend in ("postgresql", "mysql")]
    assert numbers[0] == numbers[1]


@pytest.mark.parametrize("name", ["1_short.mysql.sql", "0001_name.sql", "0001_name.oracle.sql"])
def test_a_misnamed_migration_is_an_error(tmp_path, name):
    (tmp_path / name).write_text("SELECT 1;\n")
    with pytest.raises(NeurojointError, match="no migration"):
        migrate.shipped("mysql", tmp_path)
