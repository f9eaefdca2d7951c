"""A capsule gives back the figures and tables that it was made with, and says where it does not."""

from __future__ import annotations

import base64
import io
import json
import os
import sqlite3
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
from PIL import Image

import pipeline
from exchange.capsule import outputs
from exchange.capsule.check import AS_STORED, _interpreter, check
from exchange.capsule.create import create
from one_bridge import dataset_admin
from pipeline import settings
from pipeline.database import capsule
from pipeline.errors import NeurojointError, NotFoundError
from tests.exchange.marks import MARK, fill, found_in, mark_every_text
from tests.exchange.releases import lab as small

CELLS = (
    "import neurojoint as nj\nnj.connect()\nsorted(nj.behavior.TrialSet.to_arrays('n_trials').tolist())",
    "import plotly.graph_objects as go\ny = nj.behavior.TrialSet.Trial.to_arrays('choice').tolist()",
    "go.Figure(go.Scatter(y=y))",
    "nj.subject.Subject.to_arrays('subject').tolist()",
)


def run_offline(folder: Path, place: Path) -> subprocess.CompletedProcess[str]:
    """The capsule's own `run` in a new environment, without a network.

    What a registry would give is linked from the packages of these tests; this software comes from the capsule's wheel.
    """
    venv, packages = place / "venv", place / "packages"
    subprocess.run([_interpreter(), "-m", "venv", venv], check=True)
    packages.mkdir()
    for item in (item for path in sys.path if path.endswith("site-packages") for item in Path(path).iterdir()):
        ours = item.name.startswith(("neurojoint", "__editable__", "_virtualenv")) or item.suffix == ".pth"
        if not ours and not (packages / item.name).is_symlink():
            (packages / item.name).symlink_to(item)
    (site,) = venv.glob("lib/python*/site-packages")
    (site / "packages.pth").write_text(f"{packages}\n")
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(place), "LANG": "C.UTF-8", "PYTHON": _interpreter(),
            "CAPSULE_VENV": str(venv), "PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}  # fmt: skip
    return subprocess.run(["./run"], cwd=folder, env=bare, capture_output=True, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_a_capsule_showed_it_shows_again(database, tmp_path):
    fill(tmp_path / f"{MARK}_root")
    mark_every_text(database)
    dataset_admin.define_tag("paper", public=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbformat.write(notebook, tmp_path / "figures.ipynb")
    folder = create("box", "paper", [tmp_path / "figures.ipynb"], tmp_path / "out")
    shown = json.loads((folder / "expected/figures.json").read_text())
    assert "[6, 6, 6]" in shown[0]["text"] and shown[1]["figure"][0]["type"] == "scatter"
    with sqlite3.connect(folder / "tables.sqlite") as opened:
        assert opened.execute('SELECT count(*) FROM "behavior.TrialSet.Trial"').fetchone() == (18,)
    locked = (folder / "requirements.lock").read_text().splitlines()
    (wheel,) = (folder / "packages").glob("neurojoint-*.whl")
    assert f"neurojoint=={wheel.name.split('-')[1]}" in locked
    assert not [item for item in locked if item.startswith("pytest")], "what is needed"
    assert found_in(folder) == set()
    ran = run_offline(folder, tmp_path)
    assert ran.returncode == 0 and ran.stdout.splitlines()[-1] == AS_STORED, ran.stderr
    (folder / "notebooks/figures.ipynb").rename(tmp_path / "away.ipynb")
    with pytest.raises(NeurojointError, match="not whole"):
        check(folder, fresh=False)
    file = next(path for path in (folder / "files").rglob("*.npy"))
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + b"x")
    with pytest.raises(NeurojointError, match=f"{file.name} of the capsule is another"):
        check(folder, fresh=False)
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
        expected = archive.with_suffix("") / "expected/figures.json"
        expected.write_text(json.dumps([*shown[:2], {"text": "['x']"}]))
        (difference,) = check(archive, fresh=False)  # the first two are as stored
        assert difference.startswith("figures.ipynb/3/text")
    finally:
        if connection is not None:
            connection.close()
        settings._current = before
        capsule.stop(archive.with_suffix(""))
        pipeline.connect()


def test_numbers_may_differ_by_rounding_and_nothing_else():
    assert outputs.differences([{"y": [1.0, 2.0]}], [{"y": [1.0, 2.0 + 1e-9]}]) == []
    assert outputs.differences({"y": [1.0]}, {"y": [1.1]}) == ["/y/1: '1.1' instead of '1.0'"]
    assert outputs.differences("0.25 of 3", "0.2500000001 of 3") == [] != outputs.differences("0.25 of 3", "0.25 of 4")
    assert outputs.differences("a 0.25", "a 0.26") and outputs.differences("2020-01-01", "2020-01-02")
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


def test_figures_are_compared_by_what_they_show():
    def shown(kind: str, value: object) -> dict:
        return outputs._shown(nbformat.v4.new_output("display_data", {kind: value}))

    def plotly(values: list[float]) -> dict:
        packed = base64.b64encode(np.array(values).tobytes()).decode()
        return shown("application/vnd.plotly.v1+json", {"data": [{"y": {"dtype": "f8", "bdata": packed}}]})

    assert outputs.differences(plotly([1.0, 2.0]), plotly([1.0, 2.0 + 1e-9])) == []
    assert outputs.differences(plotly([1.0, 2.0]), plotly([1.0, 2.1]))

    def picture(height: int) -> dict:
        sink = io.BytesIO()
        image = Image.new("RGB", (200, 100), "white")
        image.paste("black", (50, 100 - height, 90, 100))
        image.save(sink, "png")
        return shown("image/png", base64.b64encode(sink.getvalue()).decode())

    assert outputs.differences(picture(40), picture(40)) == []
    assert outputs.differences(picture(40), picture(60)) == ["/picture: another picture"]


@pytest.mark.soak
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_capsule_rebuilds_its_figures_on_a_bare_machine_and_then_offline(database, tmp_path):
    small.build(tmp_path / "data")
    dataset_admin.define_tag("paper", public=True)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    nbformat.write(notebook, tmp_path / "figures.ipynb")
    folder = create("box", "paper", [tmp_path / "figures.ipynb"], tmp_path / "out")
    assert check(folder) == []
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LANG": "C.UTF-8", "PYTHON": _interpreter()}
    bare |= {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_", "http"))}
    first = subprocess.run(["./run"], cwd=folder, env=bare, capture_output=True, text=True)
    assert first.returncode == 0 and first.stdout.splitlines()[-1] == AS_STORED, first.stderr
    offline = bare | {"PIP_NO_INDEX": "1", "https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    again = subprocess.run(["./run"], cwd=folder, env=offline, capture_output=True, text=True)
    assert again.returncode == 0 and again.stdout.splitlines()[-1] == AS_STORED, again.stderr
