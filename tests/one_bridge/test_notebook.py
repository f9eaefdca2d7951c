"""The ONE walk runs from top to bottom on a simulated lab with one probe, as a scientist would run it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import ingest
from ingest.simulate import write_lab
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, ephys

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_one.ipynb"


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_walk_runs_and_finds_what_is_there(database, server, tmp_path, monkeypatch):
    write_lab(tmp_path / "lab", n_mice=2, n_sessions=3, seed=1)
    session = sorted((tmp_path / "lab").glob("*/Subjects/*/*/*"))[0]
    probe = session / "alf" / "probe00"
    probe.mkdir(parents=True)
    np.save(probe / "spikes.times.npy", np.arange(100.0))
    np.save(probe / "spikes.clusters.npy", np.zeros(100, np.int32))
    ingest.register(tmp_path / "lab")
    if not ephys.ProbeInsertion():
        lab, _, subject, date, number = session.parts[-5:]
        key = {"lab": lab, "subject": subject, "session_date": date, "session_number": int(number)}
        row = (acquisition.Session & key).keys()[0] | {"probe_label": "probe00"}
        insert_many(ephys.ProbeInsertion, row | {"pid": "3c6c9f5c-5b1f-4f5a-9f6e-0d2d3d1c1b1a"})
    for name, value in server.items():
        monkeypatch.setenv(f"NEUROJOINT_{name.upper()}", str(value))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    printed = "".join(
        output.get("text", "") for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs
    )
    for expected in ("3 sessions of", "samples of the wheel", "probe00 {'", "brain region", "One (offline"):
        assert expected in printed
