"""The shell knows every schema by name; the notebooks of a person are not overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

import pipeline
from neurojoint import scientists


def test_notebooks_are_copied_once(tmp_path: Path):
    place = scientists.prepare_notebooks(tmp_path / "mine")
    copied = sorted(path.name for path in place.glob("*.ipynb"))
    assert copied == sorted(path.name for path in scientists.NOTEBOOKS.glob("*.ipynb")) != []
    (place / copied[0]).write_text("my own work")
    scientists.prepare_notebooks(place)
    assert (place / copied[0]).read_text() == "my own work"


@pytest.mark.slow
@pytest.mark.one_database
def test_the_shell_knows_the_schemas_and_draws_what_hangs_together(database, capsys):
    opened = {}
    scientists.open_shell(lambda argv, user_ns: opened.update(user_ns))
    assert set(pipeline.SCHEMAS) | {"nj", "dj", "erd"} <= opened.keys()
    assert "behavior" in capsys.readouterr().out
    nodes = " ".join(opened["erd"](pipeline.behavior.TrialSet).nodes_to_show)
    assert "session_task" in nodes and "_trial_set" in nodes
