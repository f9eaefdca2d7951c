"""Protects sortings of several probes in one set of files: each unit, spike and channel goes to its own probe."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.programs.sorting import several_probes
from pipeline.errors import NeurojointError

N = 40
CLUSTERS = np.arange(N) % 4  # units 0 and 2 are of probe 0, 1 and 3 of probe 1


def write(folder, **more):
    files = {
        "spikes.times": np.arange(N) / 10, "spikes.clusters": CLUSTERS[:, None], "spikes.depths": np.arange(N) * 1.0,
        "spikes.amps": np.full(N, 1e-4), "clusters.probes": np.array([0, 1, 0, 1]),
        "clusters.depths": np.array([20.0, 0.0, 40.0, 20.0]), "clusters.peakChannel": np.array([2, 1, 3, 2]),
        "clusters._phy_annotation": np.array([2, 1, 0, 7]), "clusters.originalIDs": np.array([10, 5, 12, 6]),
        "channels.probe": np.repeat([0, 1], 3), "channels.rawRow": np.tile([0, 1, 2], 2),
        "channels.sitePositions": np.tile([[0.0, 0], [0, 20], [0, 40]], (2, 1)),
    } | more  # fmt: skip
    for name, values in files.items():
        if values is not None:
            np.save(folder / f"{name}.npy", values)
    return folder


def test_such_folders_are_recognised(tmp_path):
    assert not several_probes.is_such(tmp_path)
    assert several_probes.is_such(write(tmp_path))


def test_each_probe_has_its_units_spikes_and_channels(tmp_path):
    first, second = several_probes.split(write(tmp_path))
    assert (first.label, second.label) == ("probe00", "probe01")
    assert first.numbers.tolist() == [10, 12] and second.numbers.tolist() == [5, 6]
    assert first.labels == {10: "good", 12: "noise"} and second.labels == {5: "mua", 6: "7"}
    assert first.counts.tolist() == [10, 10] and first.arrays["spikes.clusters"].tolist() == [0, 1] * 10
    np.testing.assert_allclose(second.arrays["spikes.times"], np.arange(1, N, 2) / 10)
    np.testing.assert_allclose(second.arrays["spikes.depths"], np.arange(1, N, 2))
    assert first.arrays["clusters.channels"].tolist() == [1, 2] and second.arrays["clusters.channels"].tolist() == [
        0,
        1,
    ]
    assert second.arrays["channels.rawInd"].tolist() == [0, 1, 2] and not first.notes


def test_amplitudes_that_are_none_are_left_out_with_a_note(tmp_path):
    first, _ = several_probes.split(write(tmp_path, **{"spikes.amps": np.full(N, -1e9)}))
    assert "spikes.amps" not in first.arrays and first.notes[0].startswith("spikes.amps was left out")


def test_without_channels_or_numbers_the_rest_is_there(tmp_path):
    gone = dict.fromkeys(("channels.probe", "channels.rawRow", "channels.sitePositions"))
    first, _ = several_probes.split(write(tmp_path, **gone, **{"clusters.originalIDs": np.array([1, 1, 1, 1])}))
    assert first.numbers.tolist() == [0, 2] and "clusters.channels" not in first.arrays


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"spikes.times": None}, "has no spikes.times"),
        ({"spikes.clusters": CLUSTERS + 1}, "does not name rows"),
        ({"spikes.clusters": CLUSTERS[:-1]}, "does not name rows"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, more, said):
    with pytest.raises(NeurojointError, match=said):
        several_probes.split(write(tmp_path, **more))
