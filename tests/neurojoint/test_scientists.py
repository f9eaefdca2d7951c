"""The shell knows every schema by name; the notebooks of a person are not overwritten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import pipeline
from neurojoint import scientists
from pipeline.errors import DatabaseUnavailable
from pipeline.settings import config_file


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


def test_the_kernel_of_a_notebook_has_the_settings_of_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """It runs in the folder of the notebook, where no neurojoint.toml is."""
    manager = pytest.importorskip("jupyter_client").kernelspec.KernelSpecManager
    (tmp_path / "lab").mkdir()
    (tmp_path / "lab" / "neurojoint.toml").write_text('prefix = "mine_"\n')
    monkeypatch.chdir(tmp_path / "lab")
    monkeypatch.setenv("NEUROJOINT_HOME", "home")
    for name, value in scientists.kernel_environment(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    assert config_file() == tmp_path / "lab" / "neurojoint.toml"
    assert pipeline.settings.load().prefix == "mine_"
    kernel = manager().get_kernel_spec("python3")
    assert (
        kernel.argv[:3] == json.loads((tmp_path / "home/jupyter/kernels/python3/kernel.json").read_text())["argv"][:3]
    )
    assert "begin_kernel" in kernel.argv[-1]


def test_a_notebook_without_a_database_says_so(monkeypatch: pytest.MonkeyPatch, capsys):
    def refuse(**options):
        raise DatabaseUnavailable("the database does not answer", "start it")

    monkeypatch.setattr(pipeline, "connect", refuse)
    names: dict = {}
    scientists.begin_kernel(names)
    assert names.keys() == {"nj", "dj"} and "does not answer: start it" in capsys.readouterr().out
