"""The class starts by binding what it needs and no more, and is refused by tables of another version."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from one_bridge.tables import join_database
from pipeline import acquisition, settings
from pipeline.database import migrate, registry
from pipeline.errors import NeurojointError

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

START = """
import sys
from one_bridge import ONE
one = ONE()
assert one.search() == [], one.search()
print(sorted({"numba", "pipeline.schemas.behavior", "pipeline.schemas.ephys"} & set(sys.modules)))
assert one.search_insertions() == []
assert len(one.table("behavior.TrialSet.Trial")) == 0
"""


@pytest.mark.slow
def test_a_start_imports_no_analysis(database, server):
    """What takes long to import is imported when it is asked for."""
    environment = os.environ | {f"NEUROJOINT_{name.upper()}": str(value) for name, value in server.items()}
    done = subprocess.run([sys.executable, "-c", START], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_tables_of_another_version_are_refused(database, tmp_path):
    for backend in ("postgresql", "mysql"):
        (tmp_path / f"9001_more.{backend}.sql").write_text("SELECT 1;\n")
    for path in migrate.FOLDER.glob("*.sql"):
        (tmp_path / path.name).write_text(path.read_text())
    prefix = acquisition.schema.database.removesuffix("acquisition")
    with pytest.raises(NeurojointError, match="migration 9001 is missing"):
        migrate.prepare(database, prefix, create=False, folder=tmp_path)


def test_joining_twice_is_nothing_new(database, server):
    with settings.override(**server):
        before = acquisition.schema.connection
        join_database()
        assert acquisition.schema.connection is before
        assert registry.bind("ephys").ProbeInsertion() is not None
