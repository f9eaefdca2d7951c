"""A schema of one's own: tables made on the spot, computed in parallel, dropped without leftovers, grafted."""

from __future__ import annotations

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


def test_tables_move_into_a_module_with_their_rows(schema, database, tmp_path, monkeypatch):
    number, multiple = define(schema)
    populate(multiple, processes=1, progress=False)
    (tmp_path / "grafted.py").write_text(GRAFTED)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        with settings.override(modules=("grafted",)):
            lab_modules.bind(database, "neurojoint_", create=True)
            with pytest.raises(ConflictError, match="Multiple|multiple"):
                personal.graft(database, "Ada.Lovelace", "grafted")
            schema.drop_tables(multiple)
            assert personal.graft(database, "Ada.Lovelace", "grafted") == {"Number": 6}
            moved = pipeline.module("grafted").Number
            assert sorted(moved.to_arrays("parity")) == ["even"] * 3 + ["odd"] * 3
            assert schema.tables() == []
            with pytest.raises(NotFoundError, match="no table that grafted defines"):
                personal.graft(database, "Ada.Lovelace", "grafted")
    finally:
        dj.Schema("neurojoint_grafted", connection=database).drop(prompt=False)
        database.query(f"DELETE FROM {database.adapter.make_full_table_name('neurojoint_task', 'module_migration')}")
        registry.forget("grafted")
        sys.modules.pop("grafted", None)
