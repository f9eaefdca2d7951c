"""The ONE walk runs from top to bottom on a simulated lab with one probe, as a scientist would run it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pandas as pd
import pytest
from nbclient import NotebookClient

from ingest.simulate import write_lab
from tests.histology.trees import populate, probe

pytestmark = pytest.mark.slow

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_one.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_walk_runs_and_finds_what_is_there(database, server, tmp_path, monkeypatch):
    write_lab(tmp_path / "lab", n_mice=2, n_sessions=3, seed=1)
    session = sorted((tmp_path / "lab").glob("*/Subjects/*/*/*"))[0]
    probe(session, "probe00")
    folder = tmp_path / "lab/aggregates/Subjects" / session.parts[-5] / session.parts[-3]
    folder.mkdir(parents=True)
    pd.DataFrame({"training_day": [1, 2]}).to_parquet(folder / "_ibl_subjectTraining.table.pqt")
    populate(tmp_path / "lab")
    for name, value in server.items():
        monkeypatch.setenv(f"NEUROJOINT_{name.upper()}", str(value))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )
    for expected in (
        "3 sessions of",
        "samples of the wheel",
        "probe00 {'",
        "root 1 insertions",
        "channels in",
        "training_day",
        "One (offline",
    ):
        assert expected in printed
