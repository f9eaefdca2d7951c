"""The notebooks run from top to bottom on a simulated lab, as a scientist would run them."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

import ingest
from ingest.simulate import write_lab
from pipeline import worker
from pipeline.database import registry

FOLDER = Path(__file__).parents[1] / "notebooks"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_first_look_shows_learning_curves(database, server, tmp_path, monkeypatch):
    write_lab(tmp_path / "lab", n_mice=2, n_sessions=6, seed=1, wheel=False)
    ingest.register(tmp_path / "lab", metadata=[tmp_path / "lab"])
    worker.drain(registry.populated_tables())
    for name, value in server.items():
        monkeypatch.setenv(f"NEUROJOINT_{name.upper()}", str(value))
    notebook = nbformat.read(FOLDER / "01_first_look.ipynb", as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert len(pictures) == 2, "learning curves and a psychometric curve"
    warnings = [output.text for output in outputs if output.output_type == "stream" and output.name == "stderr"]
    assert warnings == []


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_notebooks_are_kept_without_outputs(path):
    """Outputs in the repository grow old and hide what changed."""
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in cells)
