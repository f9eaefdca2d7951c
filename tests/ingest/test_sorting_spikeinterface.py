"""A real sorter, in an environment of its own, finds the units of a simulated recording."""

from __future__ import annotations

import importlib.util
import os
import sys

import numpy as np
import pytest

import ingest
from ingest.programs import sorting
from ingest.simulate import damage
from ingest.simulate.ephys import Unit, simulate_insertion, write_recording
from pipeline.settings import override
from tests.ingest.sorters import SESSION, runs

pytestmark = pytest.mark.slow

HOW = (
    "no SpikeInterface (docs/sorting.md): python -m venv /tmp/si && "
    "/tmp/si/bin/pip install 'spikeinterface>=0.105' numba scikit-learn hdbscan && "
    "NEUROJOINT_SPIKEINTERFACE_PYTHON=/tmp/si/bin/python pytest tests/ingest/test_sorting_spikeinterface.py"
)


def spikeinterface_python() -> str | None:
    """The Python of an environment with SpikeInterface, and with what its sorter needs."""
    if given := os.environ.get("NEUROJOINT_SPIKEINTERFACE_PYTHON"):
        return given
    is_installed = all(importlib.util.find_spec(name) for name in ("spikeinterface", "hdbscan", "numba"))
    return sys.executable if is_installed else None


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_spykingcircus2_finds_the_simulated_units(database, tmp_path):
    """Four of five units with 9 of 10 spikes within 0.4 ms, and of the spikes of their clusters 9 of 10 are theirs."""
    python = spikeinterface_python()
    if python is None:
        pytest.skip(HOW)
    places = np.linspace(40, 280, 5)
    units = [Unit(depth=d, lateral=35, rate=8, amplitude=200, amplitude_sd=0.05, width=w)
             for d, w in zip(places, (0.3, 0.6, 0.4, 0.7, 0.5), strict=True)]  # fmt: skip
    insertion = simulate_insertion(units=units, duration=40.0, n_sites=32, n_silent=0, seed=3)
    root = tmp_path / "data"
    damage.write_valid(root / SESSION)
    write_recording(root / SESSION, insertion, 40.0, noise=6.0)
    ingest.register(root, processes=1)
    sorter = {
        "command": [python, "{runner}", "{job}"],
        "parameters": {"apply_motion_correction": False},
        "timeout": 900,
    }
    with override(sorters={"spykingcircus2": sorter}, scratch=tmp_path / "scratch", processes=2):
        summary = sorting.sort(root, "spykingcircus2")
    assert not summary.failures, (summary.failures, runs()[0]["task_log"])
    folder = root / SESSION / "alf" / "probe00" / "spykingcircus2"
    samples, clusters = (np.load(folder / f"spikes.{name}.npy") for name in ("samples", "clusters"))
    spikes = insertion.objects["spikes"]
    result = 0
    for number in range(len(units)):
        true = spikes["samples"][spikes["clusters"] == number]
        near = np.searchsorted(samples, true[:, None] + [-12, 13])
        hits = np.bincount(np.concatenate([np.unique(clusters[low:high]) for low, high in near]), minlength=1)
        best = hits.argmax()
        result += hits[best] > 0.9 * max(len(true), np.count_nonzero(clusters == best))
    assert result >= 4
    assert runs()[0]["task_activity"].startswith("spykingcircus2 2")
