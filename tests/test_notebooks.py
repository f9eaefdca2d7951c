"""The notebooks run from top to bottom on a simulated lab, as a scientist would run them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

import ingest
from ingest.simulate import SessionParams, simulate_trials, write_lab
from ingest.simulate.ephys.session import write_probes_of_session
from ingest.simulate.files import write_trials
from pipeline import worker
from pipeline.database import registry

FOLDER = Path(__file__).parents[1] / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_first_look_shows_learning_curves(database, server, tmp_path, monkeypatch):
    fill(tmp_path / "lab", n_mice=2, n_sessions=6, seed=1, wheel=False)
    outputs = run("01_first_look", server, tmp_path, monkeypatch)
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "learning curves and a psychometric curve"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_units_spikes_and_responses(database, server, tmp_path, monkeypatch):
    session = tmp_path / "lab/simlab/Subjects/SIM_001/2024-05-01/001"
    trials = simulate_trials(SessionParams(n_trials=300), seed=1)
    write_trials(session / "alf", trials)
    write_probes_of_session(session, trials, n_probes=1, n_units=30, seed=[1], raw=True)
    ingest.register(tmp_path / "lab")
    worker.drain(registry.populated_tables())
    outputs = run("03_ephys", server, tmp_path, monkeypatch)
    figures = [output for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})]
    assert len(figures) == 3, "PETH, raster and drift map"
    assert "2500 samples of 384 channels" in str(outputs)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_figures_are_drawn_from_tables(database, server, tmp_path, monkeypatch):
    fill(tmp_path / "lab", n_mice=4, n_sessions=8, seed=1, wheel=False)
    outputs = run("04_figures", server, tmp_path, monkeypatch)
    kept = [output["data"].get("application/vnd.plotly.v1+json") for output in outputs if "data" in output]
    drawn = [figure["data"] for figure in kept if figure]
    assert len(drawn) == 9 and all(drawn)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_training_time_is_predicted_from_a_table_of_mice(server, tmp_path, monkeypatch):
    draw = np.random.default_rng(0)
    change = draw.normal(0, 1, 60)
    mice = {"subject": [f"m{n}" for n in range(60)], "perf_delta1": change, "weight_start": draw.normal(20, 2, 60)}
    mice["training_time"] = np.round(np.exp(2.8 - 0.5 * change))
    pd.DataFrame(mice).to_csv(tmp_path / "mice.csv", index=False)
    monkeypatch.setenv("FEATURES", str(tmp_path / "mice.csv"))
    outputs = run("05_training_time", server, tmp_path, monkeypatch, {"100": "10"})
    figures = [output for output in outputs if "application/vnd.plotly.v1+json" in output.get("data", {})]
    assert len(figures) == 4, "the four panels"
    assert "60 trained mice" in str(outputs) and "leak-free" in str(outputs)


def fill(root: Path, **lab: Any) -> None:
    """A database with a simulated lab."""
    write_lab(root, **lab)
    ingest.register(root, metadata=[root])
    worker.drain(registry.populated_tables())


def run(
    name: str,
    server: dict[str, object],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    shorter: dict[str, str] | None = None,
) -> list:
    """Everything that a notebook shows; it warns of nothing. `shorter` are numbers that make it quicker."""
    for option, value in server.items():
        monkeypatch.setenv(f"NEUROJOINT_{option.upper()}", str(value))
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        for long, short in (shorter or {}).items():
            cell.source = cell.source.replace(long, short)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"] == []
    return outputs


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    """Outputs in the repository grow old and hide what changed."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_notebooks_run_on_real_mice(database, server, real_data, tmp_path, monkeypatch):
    """Whose files lack columns that a simulated rig always writes: times, wheels, or the trials of ephys sessions."""
    for lab in ("ibllib_fixtures", "ibl_KS014"):
        shutil.copytree(real_data / lab, tmp_path / "lab" / lab)
    ingest.register(tmp_path / "lab")
    worker.drain(registry.populated_tables())
    outputs = run("01_first_look", server, tmp_path, monkeypatch)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    outputs = run("04_figures", server, tmp_path, monkeypatch)
    assert sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    run("02_one", server, tmp_path, monkeypatch)
