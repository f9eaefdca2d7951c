"""Protects that ibllib's loaders work on a lab of ours: over HTTP with the unmodified client, on the class, and on
cache tables, with the same results.

NEUROJOINT_IBLLIB_PYTHON names a Python that has ibllib and neurojoint; `.ci/ibllib_environment.sh` makes one.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ingest.simulate import write_lab
from one_bridge import cache, client_config
from pipeline.schemas import acquisition
from tests.histology.trees import probe
from tests.ingest import tree

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("programs") / "in_ibllib.py"
VARIABLE = "NEUROJOINT_IBLLIB_PYTHON"
OF_ALYX = {"get_subject_training_status", "SpikeSortingLoader(pid)", "EphysSessionLoader"}


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_loaders_find_the_same_on_every_face(database, server, serve, tmp_path, monkeypatch):
    python = os.environ.get(VARIABLE)
    if not python:
        pytest.skip(f"{VARIABLE} names no Python with ibllib")
    monkeypatch.setenv("HOME", str(tmp_path))
    root = tmp_path / "lab"
    write_lab(root, n_mice=1, n_sessions=3, seed=1)
    session = sorted(root.glob("*/Subjects/*/*/*"))[-1]
    probe(session, "probe00")
    tree.ingest(root)
    cache.export(root)
    day = session.parts[-2]
    eid = (acquisition.Session() & {"session_date": day}).fetch1("eid")
    served = serve(root)
    client_config.configure(served.url, "mia", served.token("mia"), tmp_path / "downloads")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    environment |= {f"NEUROJOINT_{name.upper()}": str(value) for name, value in server.items()}

    places = {"http": served.url, "class": "", "tables": str(root)}
    running = {
        face: subprocess.Popen(
            [python, PROGRAM, face, where, eid, "probe00"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for face, where in places.items()
    }
    by_face: dict[str, dict[str, Any]] = {}
    for face, process in running.items():
        said, complained = process.communicate(timeout=900)
        assert process.returncode == 0, f"{face}: {complained[-3000:]}"
        by_face[face] = json.loads(said.strip().splitlines()[-1])
    failed = {face: {k: v for k, v in one.items() if "FAILED" in str(v)} for face, one in by_face.items()}
    assert not any(failed.values()), failed
    assert by_face["class"] == by_face["http"]
    assert by_face["tables"] == {name: one for name, one in by_face["http"].items() if name not in OF_ALYX}
    n_spikes = len(np.load(session / "alf/probe00/spikes.times.npy"))
    assert by_face["class"]["SpikeSortingLoader(pid)"][0] == n_spikes
    assert by_face["class"]["get_subject_training_status"] is True
