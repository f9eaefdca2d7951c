"""Folders that SpikeInterface writes are read as SpikeInterface reads them (skipped where it is not installed)."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.programs.sorting import foreign, results

pytestmark = pytest.mark.slow

si = pytest.importorskip(
    "spikeinterface", reason="pip install spikeinterface (in an environment of its own) to compare"
)

IDS = [3, 7, 12, 20]


@pytest.fixture
def sorting():
    """Four units with numbers as a curation leaves them, and labels."""
    chance = np.random.default_rng(0)
    n = 400
    samples, units = np.sort(chance.integers(0, 60_000, n)), chance.integers(0, 4, n)
    made = si.NumpySorting.from_samples_and_labels([samples], [np.array(IDS)[units]], 30_000.0, unit_ids=IDS)
    made.set_property("quality", np.array(["good", "mua", "noise", "good"]))
    return made


def expected(sorting) -> list[tuple[int, int]]:
    spikes = sorting.to_spike_vector()
    return sorted(zip(spikes["sample_index"].tolist(), np.array(IDS)[spikes["unit_index"]].tolist(), strict=True))


@pytest.mark.parametrize("kind", ["numpy_folder", "npz_folder", "analyzer"])
def test_what_spikeinterface_saves_is_what_is_read(tmp_path, sorting, kind):
    folder = tmp_path / "saved"
    if kind == "analyzer":
        recording = si.generate_recording(num_channels=4, durations=[2.0], sampling_frequency=30_000.0)
        si.create_sorting_analyzer(sorting, recording, format="binary_folder", folder=folder, sparse=False)
    else:
        sorting.save(folder=folder, format=kind)
    found = results.read(folder, 60_000)
    assert sorted(zip(found.samples.tolist(), found.clusters.tolist(), strict=True)) == expected(sorting)
    if kind != "npz_folder":
        assert found.labels == {3: "good", 7: "mua", 12: "noise", 20: "good"}
    assert foreign.sampling_rate(found.place) in (30_000.0, None)
