"""Modules of a lab: bound, populated and migrated like the program's tables; a broken one costs nothing else."""

from __future__ import annotations

import sys
from pathlib import Path

import datajoint as dj
import pytest

import pipeline
from pipeline import lab, settings
from pipeline.database import lab_modules, migrate, registry
from pipeline.errors import NeurojointError, NotFoundError, UserError
from pipeline.worker import Queue, drain, populate, tables_named
from pipeline.worker.status import collect

pytestmark = pytest.mark.slow

TONES = '''
import datajoint as dj
from pipeline import lab
from pipeline.database import registry

schema = registry.schema(__name__)

@schema
class Tone(dj.Manual):
    definition = """
    # a pure tone of a lab's task
    -> lab.Lab
    tone_id : int32
    ---
    tone_frequency : float64  # Hz
    """
'''
OCTAVES = '''
import datajoint as dj
import numpy as np
from auditory import tones
from pipeline.database import registry

schema = registry.schema(__name__, name="auditory_octave")

@schema
class Octave(dj.Computed):
    definition = """
    -> tones.Tone
    ---
    tone_octave : float64  # above 1 kHz
    """
    def make(self, key):
        self.insert1(key | {"tone_octave": np.log2((tones.Tone & key).fetch1("tone_frequency") / 1000)})
'''
BROKEN = "import datajoint as dj\nraise RuntimeError('the rig is on fire')\n"


@pytest.fixture
def package(tmp_path: Path, database: dj.Connection, monkeypatch: pytest.MonkeyPatch):
    """A package `auditory` with two modules that refer to each other and a broken one, named in the settings."""
    folder = tmp_path / "auditory"
    folder.mkdir()
    for name, text in {"__init__": "", "tones": TONES, "octaves": OCTAVES, "broken": BROKEN}.items():
        (folder / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with settings.override(modules=("auditory.octaves", "auditory.broken", "auditory.tones")):
        yield folder
    for name in ("octaves", "tones", "broken", None):
        registry.forget(f"auditory.{name}")
        sys.modules.pop(f"auditory.{name}" if name else "auditory", None)
    for name in ("auditory_octave", "auditory_tones"):
        dj.Schema(f"neurojoint_{name}", connection=database).drop(prompt=False)
    table = database.adapter.make_full_table_name("neurojoint_task", "module_migration")
    database.query(f"DELETE FROM {table}")
    lab_modules._failures.clear()
    compat_names()


def compat_names() -> None:
    """What DataJoint's patches remember of the columns of all tables."""
    from pipeline.database import compat

    compat._keys.clear()


def again(database: dj.Connection, create: bool = True) -> None:
    migrate.prepare(database, "neurojoint_", create=create)
    lab_modules.bind(database, "neurojoint_", create)


def fill(tones) -> None:
    lab.Lab.insert1({"lab": "a"})
    tones.Tone.insert([{"lab": "a", "tone_id": n, "tone_frequency": 1000 * 2**n} for n in range(3)])


def as_in_a_new_process() -> None:
    for name in ("tones", "octaves"):
        registry.forget(f"auditory.{name}")
        del sys.modules[f"auditory.{name}"]
    del sys.modules["auditory"]


def test_modules_are_bound_in_order_of_dependency_and_populated(package, database):
    again(database)
    assert registry.modules_of_labs() == ["auditory.tones", "auditory.octaves"], "what is imported comes first"
    fill(pipeline.module("auditory.tones"))
    assert drain(tables_named(["Octave"])) == {"auditory_octave.Octave": 3}
    octaves = pipeline.module("auditory.octaves")
    assert sorted(octaves.Octave.to_arrays("tone_octave")) == [0, 1, 2]
    collected = {table.table: table.done for table in collect().tables}
    assert collected["auditory_octave.Octave"] == 3
    assert populate(processes=2, progress=False).failed == {}


def test_a_broken_module_is_named_and_costs_nothing_else(package, database):
    again(database)
    assert [module.example for module in collect().modules] == ["auditory.broken"]
    assert "the rig is on fire" in collect().modules[0].what
    with pytest.raises(NeurojointError, match="on fire"):
        pipeline.module("auditory.broken")
    with pytest.raises(NotFoundError, match="modules = "):
        pipeline.module("auditory.visual")
    assert Queue(registry.populated_tables()).schedule() is not None


def test_a_definition_that_no_longer_fits_is_left_out_until_it_is_migrated(package, database):
    again(database)
    fill(pipeline.module("auditory.tones"))
    as_in_a_new_process()
    (package / "tones.py").write_text(TONES.replace("# Hz\n", "# Hz\n    tone_level=null : float64  # dB SPL\n"))
    again(database)
    problems = {failure.module: failure.problem for failure in lab_modules.failures()}
    assert "tone_level" in problems["auditory.tones"] and "migration" in problems["auditory.tones"]
    assert "auditory.octaves" in problems, "it refers to the other"
    again(database, create=False)
    assert (
        "neurojoint db upgrade"
        in {failure.module: failure.problem for failure in lab_modules.failures()}["auditory.tones"]
    )

    (package / "migrations" / "tones").mkdir(parents=True)
    for backend, quote in (("postgresql", '"'), ("mysql", "`")):
        table = f"{quote}{{prefix}}auditory_tones{quote}.{quote}tone{quote}"
        text = f"ALTER TABLE {table} ADD COLUMN tone_level double precision DEFAULT NULL;\n"
        (package / "migrations" / "tones" / f"0001_level.{backend}.sql").write_text(text)
    assert [item.number for item in lab_modules.upgrade(database, "neurojoint_")["auditory.tones"]] == [1]
    assert [failure.module for failure in lab_modules.failures()] == ["auditory.broken"]
    tones = pipeline.module("auditory.tones")
    assert "tone_level" in tones.Tone.heading.names and len(tones.Tone()) == 3
    again(database, create=False)
    assert [failure.module for failure in lab_modules.failures()] == ["auditory.broken"]


@pytest.mark.parametrize(
    ("definition", "words"),
    [
        ("tone_frequency : varchar(20)  # a note", "tone_frequency as double"),
        ("tone_frequency=null : float64  # Hz", "forbids tone_frequency to be null"),
        ("tone_frequency : float32  # Hz", "not "),
    ],
)
def test_a_column_of_another_type_is_named(package, database, definition, words):
    again(database)
    as_in_a_new_process()
    (package / "tones.py").write_text(TONES.replace("tone_frequency : float64  # Hz", definition))
    again(database)
    (problem,) = (failure.problem for failure in lab_modules.failures() if failure.module == "auditory.tones")
    assert words in problem and "tone_frequency" in problem and "migration" in problem


def test_the_programs_own_tables_fit_their_definitions(database):
    tables = [part for master in registry.tables() for part in (master, *registry.parts(master))]
    assert len(tables) > 200
    assert {registry.label(table): wrong for table in tables if (wrong := lab_modules.misfits(table))} == {}


def test_names_of_schemas_are_checked():
    with pytest.raises(UserError, match="at most"):
        registry.schema("a_lab_with_a_name.that_is_too_long")
    with pytest.raises(UserError, match="one schema name"):
        registry.schema("mylab.analyses", name="behavior")
    assert "mylab.analyses" not in registry.modules_of_labs()
