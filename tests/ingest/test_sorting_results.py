"""Protects what becomes of a sorter's results: read from any known folder, checked, timed, measured, written whole."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ingest.programs.sorting import alf_files, foreign, label_tables, measures, results, sorted_file
from ingest.simulate import damage
from ingest.simulate.ephys import Unit, simulate_insertion, write_recording
from pipeline.errors import NeurojointError
from tests.ingest.sorters import SESSION

RATE = 30_000


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"cluster_KSLabel.tsv": "cluster_id\tKSLabel\n3\tgood\n7\tmua\n"}, {3: "good", 7: "mua"}),
        ({"cluster_info.tsv": "id\tKSLabel\tgroup\n3\tgood\tnoise\n7\tmua\t\n"}, {3: "noise", 7: "mua"}),
        ({"cluster_info.tsv": "cluster_id\tKSLabel\tgroup\n3\tgood\tunsorted\n"}, {3: "good"}),
        ({"cluster_KSLabel.tsv": "cluster_id\tKSLabel\n3\tgood\n7\tmua\n",
          "cluster_group.tsv": "cluster_id\tgroup\n3\tunsorted\n7\tgood\n"}, {3: "good", 7: "good"}),
        ({"cluster_groups.csv": "cluster_id\tgroup\n3\tgood\n"}, {3: "good"}),
        ({"cluster_group.csv": "cluster_id,group\r\n3,good\r\n"}, {3: "good"}),
        ({"cluster_group.tsv": "\ufeffcluster_id\tgroup\n3.0\tgood\n"}, {3: "good"}),
        ({"cluster_group.tsv": "cluster_id,group\n3,good\n"}, {3: "good"}),
        ({"cluster_group.csv": "cluster_id;group\r\n3,0;good\r\n"}, {3: "good"}),
        ({"cluster_group.tsv": "Cluster_ID\tGroup\n003\tGood\n"}, {3: "Good"}),
        ({"cluster_group.tsv": "cluster_id\tgroup\n3\tgood\n3\tnoise\n7\tmua\n7\tmua\n"}, {7: "mua"}),
        ({}, {}),
    ],
)  # fmt: skip
def test_labels_of_a_person_go_before_those_of_the_sorter(tmp_path, tables, expected):
    """Whatever the version of phy or Kilosort, or the editor, wrote the tables."""
    np.save(tmp_path / "spike_times.npy", np.array([10, 20, 30]))
    np.save(tmp_path / "spike_clusters.npy", np.array([3, 7, 3]))
    for name, text in tables.items():
        (tmp_path / name).write_text(text, newline="", encoding="utf-8")
    assert results.read(tmp_path, 100).labels == expected


def test_labels_in_the_text_of_excel_are_read(tmp_path):
    """Saved as "Unicode text", a table is UTF-16."""
    (tmp_path / "cluster_group.tsv").write_text("cluster_id\tgroup\n3\tgood\n", encoding="utf-16")
    assert label_tables.read(tmp_path / "cluster_group.tsv", ("group",)).labels == {3: "good"}


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("cluster\tlabel\n3\tgood\n", "no column cluster_id"), ("cluster_id\tlabel\n3\tgood\n", "no column group"),
        ("cluster_id\tgroup\n3\tgood\n3\tmua\n", "different labels for one unit, none of which is used: 3"),
        ("cluster_id\tgroup\nu3\tgood\n7\tmua\n", "row 2: 'u3' is no number"),
        ("cluster_id\tgroup\n0\tgood\n1\tmua\n", "labels none of the units: they are 3, 7, …, it names 0, 1, …"),
    ],
)  # fmt: skip
def test_labels_that_are_not_used_are_named(tmp_path, table, said):
    np.save(tmp_path / "spike_times.npy", np.array([10, 20, 30]))
    np.save(tmp_path / "spike_clusters.npy", np.array([3, 7, 3]))
    (tmp_path / "cluster_group.tsv").write_text(table)
    (note,) = results.read(tmp_path, 100).notes
    assert note.startswith("cluster_group.tsv") and said in note


@pytest.mark.parametrize(
    ("name", "values", "said"),
    [
        ("amplitudes", np.ones(4), "4 rows, but there are 3 spikes"),
        ("amplitudes", np.ones(2), "2 rows, but there are 3 spikes"),
        ("spike_positions", np.ones((4, 2)), "4 rows, but there are 3 spikes"),
        ("spike_templates", np.array([0, 1, 2]), "it names template 2, but templates.npy has 2"),
        ("spike_templates", np.array([0, -1, 1]), "it names a template -1"),
        ("", None, ""),
        ("channel_positions", np.ones((1, 2)), "it has a channel 1, but channel_positions.npy 1 rows"),
    ],
)  # fmt: skip
def test_arrays_of_another_sorting_are_left_out_with_a_note(tmp_path, name, values, said):
    """A file that is longer than the spikes is not cut off, and none is looked up beyond its end."""
    np.save(tmp_path / "spike_times.npy", np.array([10, 20, 30]))
    np.save(tmp_path / "spike_clusters.npy", np.array([0, 0, 3]))
    np.save(tmp_path / "spike_templates.npy", np.array([0, 1, 0]))
    np.save(tmp_path / "templates.npy", np.stack([np.eye(5, 4), np.roll(np.eye(5, 4), 1, axis=1) * [1, 3, 1, 1]]))
    if said:
        np.save(tmp_path / f"{name}.npy", values)
    notes = foreign.read(results.read(tmp_path, 100)).notes
    assert [said in note for note in notes] == ([True] if said else [])


def test_the_unit_without_a_number_is_left_out_without_a_sign_too(tmp_path):
    folder = write_results(tmp_path / "x", [1, 2, 3], np.array([4, -1, 4]).astype(np.uint32))
    content = results.read(folder, 10)
    assert content.clusters.tolist() == [4, 4] and content.n_dropped == 1


def test_times_in_ms_are_told_from_the_first_part_of_a_recording(tmp_path):
    """60 units of 2 to 8 Hz over an hour; a sorting of its first 2 min spans as much in samples, and is none in ms."""
    rate, seconds = 30_000.0, 3600
    one = SimpleNamespace(sampling_rate=rate, n_samples=int(rate * seconds))
    chance = np.random.default_rng(1)
    units = np.repeat(np.arange(60), 2 * seconds + 360 * np.arange(60))
    times = np.sort(chance.uniform(0, seconds, len(units)))
    with pytest.raises(NeurojointError, match="all of it as ms"):
        sorted_file.refuse_ms(tmp_path, (times * 1e3).astype(int), chance.permutation(units), [one])
    part = times < 120
    sorted_file.refuse_ms(tmp_path, (times[part] * rate).astype(int), chance.permutation(units)[part], [one])
    sorted_file.refuse_ms(tmp_path, (times * rate).astype(int), chance.permutation(units), [one])


@pytest.mark.parametrize(
    ("text", "rate"),
    [("sample_rate = 30000.", 30_000.0), ("sample_rate=25_000.0  # Hz", 25_000.0), ("sample_rate = 3e4", 30_000.0),
     ("sample_rate = 30000 / 12", None), ("# sample_rate = 1", None)],
)  # fmt: skip
def test_the_rate_in_params_is_read_and_never_run(tmp_path, text, rate):
    (tmp_path / "params.py").write_text(f"dat_path = 'a.bin'\n{text}\nraise SystemExit(9)\n")
    assert foreign.sampling_rate(tmp_path) == rate


@pytest.mark.parametrize("dtype", ["<i4", ">i8", "u8", "f8"])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1), (1, -1)])
def test_spikes_of_any_type_and_shape(tmp_path, dtype, shape):
    """Also in Fortran order, with gaps between the numbers, out of order, and with spikes of no unit."""
    samples, units = np.array([5, 40, 20, 60, 60]), np.array([900, 3, -1 if dtype[-2] != "u" else 3, 3, 900])
    np.save(tmp_path / "spike_times.npy", np.asfortranarray(samples.astype(dtype).reshape(shape)))
    np.save(tmp_path / "spike_clusters.npy", units.astype("i4").reshape(shape))
    content = results.read(tmp_path, 100)
    assert content.samples.tolist() == sorted(samples[units != -1].tolist())
    assert content.n_dropped == int((units == -1).sum()) and set(content.clusters.tolist()) == {3, 900}


def test_measures_are_the_truth_at_the_true_spikes(tmp_path):
    """With noise of 5 uV: amplitudes of single spikes to their noise, their mean to 2 %, depths to a few um."""
    units = [
        Unit(depth=400, rate=20, amplitude=200, amplitude_sd=0.2),
        Unit(depth=700, rate=20, amplitude=80, amplitude_sd=0.1),
    ]
    insertion = simulate_insertion(units=units, duration=5.0, n_sites=96, n_silent=0)
    raw = np.fromfile(write_recording(tmp_path, insertion, 5.0, noise=5.0), np.int16).reshape(-1, 97)
    spikes, channels = insertion.objects["spikes"], insertion.objects["channels"]
    recording = measures.Recording(
        lambda first, last: raw[first:last, :-1] * np.float32(2.34375e-6), len(raw), RATE, channels["localCoordinates"]
    )
    measured = measures.measure(recording, spikes["samples"], spikes["clusters"])
    for number in range(2):
        mine = spikes["clusters"] == number
        assert np.mean(measured.amps[mine]) == pytest.approx(spikes["amps"][mine].mean(), rel=0.03)
        assert np.corrcoef(measured.amps[mine], spikes["amps"][mine])[0, 1] > (0.97, 0.7)[number]
        assert np.mean(measured.depths[mine]) == pytest.approx(units[number].depth, abs=8)
    true = insertion.objects["clusters"]
    for number in range(2):
        assert measured.waveforms_channels[number, 0] == true["channels"][number]
        same = measured.waveforms_channels[number, :8]
        wave = np.zeros((82, 96))
        wave[:, true["waveformsChannels"][number]] = true["waveforms"][number]
        expected = wave[:, same] - wave[:, same].mean(axis=0)
        assert np.abs(measured.waveforms[number][:, :8] - expected).max() < 6e-6
    assert measured.peak_to_trough == pytest.approx(true["peakToTrough"], abs=0.1)


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
    content = results.read(tmp_path / "a", 10)
    assert (content.samples.tolist(), content.clusters.tolist()) == ([3, 5, 9], [4, 7, 7])
    assert content.labels == {4: "mua", 7: "good"}
    folder = tmp_path / "b"
    folder.mkdir()
    np.savez(folder / "sorting_cached.npz", spike_indexes_seg0=np.array([1, 2]), spike_labels_seg0=np.array([0, 5]))
    (folder / results.SAYS).write_text('{"version": "9.1"}')
    content = results.read(folder, 10)
    assert (content.clusters.tolist(), content.version) == ([0, 5], "9.1")


@pytest.mark.parametrize(
    ("times", "clusters", "problem"),
    [
        ([1, 2], [1], "times of 2 spikes"), ([], [], "no spike"), ([-1, 2], [0, 0], "lie between"),
        ([1, 10], [0, 0], "lie between"), ([1.5, 2], [0, 0], "whole"), ([1, 2], [0, -2], "below -1"),
        ([[1, 2], [3, 4]], [0, 0], "no list"), (["a", "b"], [0, 0], "no list"), ([1, np.nan], [0, 0], "row 1"),
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
