"""Protects what becomes of a sorter's results: read from any known folder, checked, timed, measured, written whole."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from ingest.programs.sorting import alf_files, measures, results
from ingest.programs.sorting.work import spike_times
from ingest.simulate import damage
from ingest.simulate.ephys import Unit, simulate_insertion, write_recording
from pipeline.errors import NeurojointError
from tests.ingest.sorters import SESSION

RATE = 30_000


def test_times_follow_the_synchronisation(tmp_path):
    """Linear between the known points, by the sampling rate beyond; without a file from zero."""
    recording = tmp_path / "_spikeglx_ephysData_g0_t0.imec0.ap.bin"
    samples = np.array([0, 1000, 2000, 3000, 4000])
    assert spike_times(recording, samples, 1000.0).tolist() == [0, 1, 2, 3, 4]
    table = tmp_path / "_spikeglx_ephysData_g0_t0.imec0.timestamps.npy"
    np.save(table, np.array([[1000, 10.0], [3000, 12.2]]))
    assert spike_times(recording, samples, 1000.0) == pytest.approx([9, 10, 11.1, 12.2, 13.2])
    np.save(table, np.array([[1000, 10.0], [900, 12.2]]))
    with pytest.raises(NeurojointError, match="no ascending"):
        spike_times(recording, samples, 1000.0)


def test_measures_are_the_truth_at_the_true_spikes(tmp_path):
    """With noise of 5 uV: amplitudes of single spikes to their noise, their mean to 2 %, depths to a few um."""
    units = [
        Unit(depth=400, rate=20, amplitude=200, amplitude_sd=0.2),
        Unit(depth=700, rate=20, amplitude=80, amplitude_sd=0.1),
    ]
    insertion = simulate_insertion(units=units, duration=5.0, n_sites=96, n_silent=0)
    raw = np.fromfile(write_recording(tmp_path, insertion, 5.0, noise=5.0), np.int16).reshape(-1, 97)
    spikes, channels = insertion.objects["spikes"], insertion.objects["channels"]
    found = measures.measure(
        lambda first, last: raw[first:last, :-1] * np.float32(2.34375e-6), len(raw), RATE,
        channels["localCoordinates"], spikes["samples"], spikes["clusters"],
    )  # fmt: skip
    for number in range(2):
        mine = spikes["clusters"] == number
        assert np.mean(found.amps[mine]) == pytest.approx(spikes["amps"][mine].mean(), rel=0.03)
        assert np.corrcoef(found.amps[mine], spikes["amps"][mine])[0, 1] > (0.97, 0.7)[number]
        assert np.mean(found.depths[mine]) == pytest.approx(units[number].depth, abs=8)
    true = insertion.objects["clusters"]
    for number in range(2):
        assert found.waveforms_channels[number, 0] == true["channels"][number]
        same = found.waveforms_channels[number, :8]
        wave = np.zeros((82, 96))
        wave[:, true["waveformsChannels"][number]] = true["waveforms"][number]
        expected = wave[:, same] - wave[:, same].mean(axis=0)
        assert np.abs(found.waveforms[number][:, :8] - expected).max() < 6e-6
    assert found.peak_to_trough == pytest.approx(true["peakToTrough"], abs=0.1)


def write_results(folder: Path, times: object, clusters: object, **more: str) -> Path:
    folder.mkdir(parents=True)
    np.save(folder / "spike_times.npy", np.asarray(times))
    np.save(folder / "spike_clusters.npy", np.asarray(clusters))
    for name, text in more.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def test_results_are_read_from_the_folders_that_sorters_write(tmp_path):
    """Columns as (n, 1), unsigned, unsorted; labels of a curator before those of the sorter; SpikeInterface's forms."""
    labels = {
        "cluster_KSLabel__tsv": "cluster_id\tKSLabel\n4\tmua\n7\tmua\n",
        "cluster_group__tsv": "cluster_id\tgroup\n7\tgood\n",
    }
    write_results(tmp_path / "a" / "deep", np.array([[9], [3], [5]], np.uint64), [7, 4, 7], **labels)
    found = results.read(tmp_path / "a", 10)
    assert (found.samples.tolist(), found.clusters.tolist()) == ([3, 5, 9], [4, 7, 7])
    assert found.labels == {4: "mua", 7: "good"}
    folder = tmp_path / "b"
    folder.mkdir()
    np.savez(folder / "sorting_cached.npz", spike_indexes_seg0=np.array([1, 2]), spike_labels_seg0=np.array([0, 5]))
    (folder / results.SAYS).write_text('{"version": "9.1"}')
    found = results.read(folder, 10)
    assert (found.clusters.tolist(), found.version) == ([0, 5], "9.1")


@pytest.mark.parametrize(
    ("times", "clusters", "problem"),
    [
        ([1, 2], [1], "times of 2 spikes"), ([], [], "no spike"), ([-1, 2], [0, 0], "lie between"),
        ([1, 10], [0, 0], "lie between"), ([1.5, 2], [0, 0], "whole"), ([1, 2], [0, -2], "below -1"),
        ([[1, 2], [3, 4]], [0, 0], "no list"), (["a", "b"], [0, 0], "no list"), ([1, np.nan], [0, 0], "whole"),
    ],
)  # fmt: skip
def test_results_that_cannot_be_are_refused(tmp_path, times, clusters, problem):
    with np.errstate(invalid="ignore"), pytest.raises(NeurojointError, match=problem):
        results.read(write_results(tmp_path / "x", times, clusters), 10)


def test_results_are_never_unpickled_or_executed(tmp_path):
    """Kilosort's params.py is Python, and npy files may hold pickles: neither is run."""
    folder = write_results(tmp_path / "x", [1, 2], [0, 1], params__py="raise SystemExit(99)\n")
    assert len(results.read(folder, 10).samples) == 2
    damage.write_valid(tmp_path / SESSION)
    damage.object_array(tmp_path / SESSION)
    (tmp_path / SESSION / "alf" / "_ibl_trials.choice.npy").replace(folder / "spike_times.npy")
    with pytest.raises(NeurojointError, match="cannot be used"):
        results.read(folder, 10)
    assert not damage.marker(tmp_path / SESSION).exists()


def test_folders_appear_whole_and_never_replace_others(tmp_path):
    place = tmp_path / "alf" / "probe00" / "toy"
    (tmp_path / "alf" / "probe00" / ".sorting-toy-left").mkdir(parents=True)
    day = datetime.date(2024, 5, 6)
    made = []
    for number in range(3):
        folder = alf_files.unfinished(place)
        (folder / "spikes.times.npy").write_text(str(number))
        (folder / alf_files.SAYS).write_text(json.dumps({"parameters_hash": "p", "recording_hash": str(number)}))
        made.append(alf_files.publish(folder, place, day).relative_to(place.parent).as_posix())
    assert made == ["toy", "toy/#2024-05-06#", "toy/#2024-05-06a#"]
    assert sorted(path.name for path in place.parent.iterdir()) == ["toy"]
    assert alf_files.find(place, "p", "1") == place / "#2024-05-06#"
    assert alf_files.find(place, "p", "9") is None
