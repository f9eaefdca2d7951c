"""A schema of one's own: tables made on the spot, computed in parallel, dropped without leftovers, grafted."""

from __future__ import annotations

import os
import subprocess
import sys

import datajoint as dj
import pytest

import pipeline
from pipeline import lab, settings
from pipeline.database import lab_modules, personal, registry
from pipeline.errors import ConflictError, NeurojointError, NotFoundError
from pipeline.worker import populate

pytestmark = pytest.mark.slow


@pytest.fixture
def schema(database):
    made = pipeline.personal_schema("Ada.Lovelace")
    yield made
    made.drop(prompt=False)


def define(schema: dj.Schema) -> tuple[type[dj.Table], type[dj.Table]]:
    """Two tables as a notebook defines them: no module holds them."""
    factor = 3

    @schema
    class Number(dj.Manual):
        definition = """
        -> lab.Lab
        number : int32
        ---
        parity : enum('even', 'odd')
        """

    @schema
    class Multiple(dj.Computed):
        definition = """
        -> Number
        ---
        multiple : int32
        """

        class Digit(dj.Part):
            definition = """
            -> master
            place : int32
            ---
            digit : int32
            """

        def make(self, key):
            if key["number"] == 4:
                raise ValueError("four is not multiplied")
            assert (Number & key).fetch1("parity") in ("even", "odd")
            value = factor * key["number"]
            self.insert1(key | {"multiple": value})
            self.Digit.insert(key | {"place": n, "digit": int(one)} for n, one in enumerate(reversed(str(value))))

    lab.Lab.insert1({"lab": "a"})
    Number.insert({"lab": "a", "number": n, "parity": ("even", "odd")[n % 2]} for n in range(6))
    return Number, Multiple


def test_tables_of_a_notebook_are_computed_in_parallel_and_errors_kept(schema):
    number, multiple = define(schema)
    done = populate(multiple, processes=2, progress=False)
    label = f"{schema.database.removeprefix('neurojoint_')}.Multiple"
    assert done.done == {label: 5} and done.failed == {label: 1}
    assert sorted(multiple.to_arrays("multiple")) == [0, 3, 6, 9, 15]
    assert len(multiple.Digit()) == 6
    assert "four is not multiplied" in multiple().jobs.errors.fetch1("error_message")


def test_a_table_is_dropped_without_leftovers(schema):
    number, multiple = define(schema)
    populate(multiple, processes=1, progress=False)
    with pytest.raises(NeurojointError, match="depends on Number"):
        schema.drop_tables(number)
    schema.drop_tables(multiple, number)
    adapter, connection = schema.connection.adapter, schema.connection
    left = [row[0] for row in connection.query(adapter.list_tables_sql(schema.database)).fetchall()]
    assert set(left) <= {"~lineage"}
    assert schema.tables() == []


SCRIPT = """
import neurojoint as nj
import datajoint as dj

nj.connect(create=False)
schema = nj.personal_schema("Ada.Lovelace")

def half(number):
    return number / 2

@schema
class Number(dj.Lookup):
    definition = "number : int32"
    contents = [{"number": n} for n in range(4)]

@schema
class Half(dj.Computed):
    definition = '''
    -> Number
    ---
    half : float64
    '''
    def make(self, key):
        self.insert1(key | {"half": half(key["number"])})

print(nj.populate(Half, processes=2).done, sorted(Half.to_arrays("half").tolist()))
schema.drop_tables(Half, Number)
print(schema.tables())
"""


@pytest.mark.one_database
def test_a_script_without_a_main_guard_fills_its_tables(schema, server, tmp_path):
    """Its workers do not run it once more."""
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, str(tmp_path / "script.py")], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"NEUROJOINT_HOME": str(server["home"])},
    )  # fmt: skip
    label = f"{schema.database.removeprefix('neurojoint_')}.Half"
    assert done.stdout.splitlines() == [f"{{'{label}': 4}} [0.0, 0.5, 1.0, 1.5]", "[]"], done.stderr
    assert "Traceback" not in done.stderr and "WARNING" not in done.stderr, done.stderr


def test_what_depends_on_a_table_is_known_also_from_schemas_that_nobody_opened(schema, database):
    number, multiple = define(schema)
    other = pipeline.personal_schema("colleague")
    try:

        @other
        class Liked(dj.Manual):
            definition = """
            -> number
            """

        forget(database, schema, other)
        with pytest.raises(NeurojointError, match="liked.* depends on Number"):
            schema.drop_tables(multiple, number)
    finally:
        other.drop(prompt=False)


def forget(database: dj.Connection, *schemas: dj.Schema) -> None:
    """The connection as in a process that has not opened these schemas."""
    for one in schemas:
        database.schemas.pop(one.database)
    database.dependencies.clear()


GRAFTED = """
import datajoint as dj
from pipeline import lab
from pipeline.database import registry

schema = registry.schema(__name__)

@schema
class Number(dj.Manual):
    definition = '''
    -> lab.Lab
    number : int32
    ---
    parity : enum('even', 'odd')
    '''
"""


GRAFTED_PARTS = """
@schema
class Multiple(dj.Computed):
    definition = '''
    -> Number
    ---
    multiple : int32
    '''

    class Digit(dj.Part):
        definition = '''
        -> master
        place : int32
        ---
        digit : int32
        '''
"""


@pytest.fixture
def grafted(database, tmp_path, monkeypatch):
    """Binds the module `grafted` with a text."""
    monkeypatch.syspath_prepend(tmp_path)

    def bind(text: str) -> None:
        (tmp_path / "grafted.py").write_text(text)
        lab_modules.bind(database, "neurojoint_", create=True)

    with settings.override(modules=("grafted",)):
        yield bind
    dj.Schema("neurojoint_grafted", connection=database).drop(prompt=False)
    database.query(f"DELETE FROM {database.adapter.make_full_table_name('neurojoint_task', 'module_migration')}")
    registry.forget("grafted")
    sys.modules.pop("grafted", None)


def test_tables_move_into_a_module_with_their_rows(schema, database, grafted):
    number, multiple = define(schema)
    populate(multiple, processes=1, progress=False)
    grafted(GRAFTED)
    with pytest.raises(ConflictError, match="Multiple|multiple"):
        personal.graft(database, "Ada.Lovelace", "grafted")
    schema.drop_tables(multiple)
    assert personal.graft(database, "Ada.Lovelace", "grafted") == {"Number": 6}
    moved = pipeline.module("grafted").Number
    assert sorted(moved.to_arrays("parity")) == ["even"] * 3 + ["odd"] * 3
    assert schema.tables() == []
    with pytest.raises(NotFoundError, match="no table that grafted defines"):
        personal.graft(database, "Ada.Lovelace", "grafted")


def test_parts_move_too_and_the_schema_need_not_be_open(schema, database, grafted):
    """`neurojoint module graft` opens a connection of its own, and knows nothing of the schema."""
    _, multiple = define(schema)
    populate(multiple, processes=1, progress=False)
    forget(database, schema)
    grafted(GRAFTED + GRAFTED_PARTS)
    assert personal.graft(database, "Ada.Lovelace", "grafted") == {"Number": 6, "Multiple": 5}
    assert len(pipeline.module("grafted").Multiple.Digit()) == 6
    assert schema.tables() == []
