"""A capsule gives back the figures and tables that it was made with, and says where it does not."""

from __future__ import annotations

import json
import sqlite3
import zipfile
from pathlib import Path

import nbformat
import pytest

import pipeline
from exchange.capsule import outputs
from exchange.capsule.check import check
from exchange.capsule.create import create
from one_bridge import dataset_admin
from pipeline import settings
from pipeline.database import capsule
from pipeline.errors import NeurojointError, NotFoundError
from tests.exchange.releases import lab as small

CELLS = (
    "import neurojoint as nj\nnj.connect()\nsorted(nj.behavior.TrialSet.to_arrays('n_trials').tolist())",
    "import plotly.graph_objects as go\ny = nj.behavior.TrialSet.Trial.to_arrays('choice').tolist()",
    "go.Figure(go.Scatter(y=y))",
    "nj.subject.Subject.to_arrays('subject').tolist()",
)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_a_capsule_showed_it_shows_again(database, tmp_path, monkeypatch):
    small.build(tmp_path / "data")
    dataset_admin.define_tag("paper", public=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbformat.write(notebook, tmp_path / "figures.ipynb")
    monkeypatch.setattr("exchange.capsule.create._lock", lambda packages: "neurojoint\n")  # a wheel takes seconds
    folder = create("box", "paper", [tmp_path / "figures.ipynb"], tmp_path / "out")
    shown = json.loads((folder / "expected/figures.json").read_text())
    assert "[6, 6, 6]" in shown[0]["text"] and shown[1]["figure"][0]["type"] == "scatter"
    with sqlite3.connect(folder / "tables.sqlite") as opened:
        assert opened.execute('SELECT count(*) FROM "behavior.TrialSet.Trial"').fetchone() == (18,)
    (folder / "expected/figures.json").write_text(json.dumps([*shown[:2], {"text": "['x']"}]))
    (difference,) = check(folder, fresh=False)  # the first two are as stored
    assert difference.startswith("figures.ipynb/3/text")
    before, connection = settings.settings(), None
    archive = tmp_path / "elsewhere/box.zip"
    archive.parent.mkdir()
    (tmp_path / "out/box.zip").rename(archive)
    try:
        connection = pipeline.connect(str(archive))
        assert len(pipeline.behavior.TrialSet()) == 3 and len(pipeline.behavior.TrialSet.Trial()) == 18
        root = pipeline.data.Repository.fetch1("repository_root")
        paths = pipeline.data.FileRecord.to_arrays("file_path")
        assert all((Path(root) / path).is_file() for path in paths)
        with pytest.raises(Exception, match="read-only"):
            pipeline.lab.Lab.insert1({"lab": "other"})
    finally:
        if connection is not None:
            connection.close()
        settings._current = before
        capsule.stop(archive.with_suffix(""))
        pipeline.connect()


def test_numbers_may_differ_by_rounding_and_nothing_else():
    assert outputs.differences([{"y": [1.0, 2.0]}], [{"y": [1.0, 2.0 + 1e-9]}]) == []
    assert outputs.differences({"y": [1.0]}, {"y": [1.1]}) == ["/y/1: '1.1' instead of '1.0'"]
    assert outputs.differences({"y": [1]}, {"y": [1, 2]}) == ["/y: 2 instead of 1"]


def test_what_is_no_capsule_or_leads_out_is_refused(tmp_path):
    with pytest.raises(NotFoundError, match="no capsule"):
        capsule.unpacked(tmp_path / "nothing.zip")
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr("capsule.json", "{}")
        archive.writestr("../evil", "x")
    with pytest.raises(NeurojointError, match="leads out"):
        capsule.unpacked(tmp_path / "evil.zip")
    assert [path.name for path in tmp_path.iterdir()] == ["evil.zip"]
