"""Sortings that exist already become the files and rows that running the sorter would give; curations are seen."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ingest
from ingest.programs.sorting import curation, imports, measures
from ingest.simulate import damage
from ingest.simulate.ephys import Insertion, Unit, simulate_insertion, write_recording
from pipeline.electrophysiology import clusterings
from pipeline.errors import NeurojointError
from pipeline.schemas import data, ephys
from pipeline.schemas.inputs import recordings
from tests.ingest.sorters import SESSION

pytestmark = pytest.mark.one_database

SECONDS, RATE, N_SITES = 4.0, 30_000, 16
UNITS = [
    Unit(depth=20, lateral=43, rate=40, amplitude=220, amplitude_sd=0.05, width=0.6),
    Unit(depth=100, lateral=59, rate=30, amplitude=160, amplitude_sd=0.05, width=0.3),
    Unit(depth=160, lateral=27, rate=50, amplitude=190, amplitude_sd=0.05, width=0.5),
]
IDS = np.array([5, 12, 40])  # as a curation leaves them


@pytest.fixture
def insertion() -> Insertion:
    return simulate_insertion(units=UNITS, duration=SECONDS, n_sites=N_SITES, n_silent=0, seed=1)


@pytest.fixture
def recorded(tmp_path: Path, insertion: Insertion) -> Path:
    """A data root with one session: trials, and four seconds of a probe with 16 sites."""
    root = tmp_path / "data"
    damage.write_valid(root / SESSION)
    write_recording(root / SESSION, insertion, SECONDS, noise=4.0)
    return root


def write_phy(folder: Path, insertion: Insertion, ids: np.ndarray = IDS) -> Path:
    """The folder of a sorter that found the simulated spikes, with amplitudes and features in units of its own."""
    folder.mkdir(parents=True)
    spikes = insertion.objects["spikes"]
    samples = spikes["samples"].astype(np.int64)
    relative = spikes["amps"] / np.array([unit.amplitude * 1e-6 for unit in UNITS])[spikes["clusters"]]
    places = insertion.objects["channels"]["localCoordinates"]
    templates = np.zeros((3, 61, N_SITES), np.float32)
    for number, unit in enumerate(UNITS):
        templates[number, 20, np.abs(places[:, 1] - unit.depth).argmin()] = -0.3
    arrays = {
        "spike_times": samples.astype(np.uint64)[:, None],
        "spike_clusters": ids[spikes["clusters"]].astype(np.int32),
        "spike_templates": spikes["clusters"].astype(np.uint32),
        "amplitudes": 17.0 * relative[:, None],
        "templates": templates,
        "channel_positions": places + [5.0, 0.0],
        "channel_map": np.arange(N_SITES, dtype=np.int32)[:, None],
        "spike_positions": np.column_stack([np.zeros(len(samples)), spikes["depths"]]),
        "whitening_mat_inv": np.eye(N_SITES),
    }
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    (folder / "params.py").write_text(f"dat_path = 'x.bin'\nsample_rate = {RATE}.0\nraise SystemExit(9)\n")
    (folder / "cluster_KSLabel.tsv").write_text("cluster_id\tKSLabel\n5\tgood\n12\tmua\n40\tgood\n")
    return folder


@pytest.mark.slow
def test_a_folder_of_kilosort_becomes_files_and_rows(database, recorded, insertion):
    """Measured in the raw recording; the places are those of its header; the folder is left as it is."""
    source = write_phy(recorded / SESSION / "raw_ephys_data" / "probe00" / "kilosort4_output", insertion)
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    ingest.register(recorded, processes=1)
    assert not [path for path in data.Quarantine.to_arrays("quarantine_path") if "kilosort" in path], "known files"
    (imported,) = imports.import_folder(source)
    folder = recorded / SESSION / "alf" / "probe00" / "kilosort4"
    assert imported.folder == folder and (imported.n_units, imported.n_dropped) == (3, 0)
    arrays = {path.name[:-4]: np.load(path) for path in folder.glob("*.npy")}
    truth = insertion.objects["spikes"]
    np.testing.assert_allclose(arrays["spikes.times"], truth["samples"] / RATE)
    assert arrays["spikes.clusters"].tolist() == truth["clusters"].tolist()
    np.testing.assert_allclose(arrays["clusters.amps"] * 1e6, [220, 160, 190], rtol=0.15)
    np.testing.assert_allclose(arrays["spikes.amps"], truth["amps"], rtol=0.2)
    np.testing.assert_allclose(arrays["clusters.depths"], [20, 100, 160], atol=25)
    there = recordings.channel_map(ephys.ProbeInsertion.keys()[0])
    assert arrays["channels.localCoordinates"].tolist() == np.column_stack([there["lateral"], there["axial"]]).tolist()
    ephys.ClusterSet.populate()
    rows = {row["cluster_id"]: row for row in ephys.ClusterSet.Cluster.to_dicts()}
    assert [rows[i]["sorter_cluster_id"] for i in range(3)] == IDS.tolist()
    assert [rows[i]["sorter_label"] for i in range(3)] == ["good", "mua", "good"]
    assert [rows[i]["cluster_shank"] for i in range(3)] == [0, 0, 0]
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before
    (again,) = imports.import_folder(source)
    assert again.folder is None and "imported before" in again.notes[0]


@pytest.mark.slow
def test_a_curation_is_a_new_version_that_says_what_changed(database, recorded, insertion):
    """Merged, split and relabelled in phy: a revision, which becomes the default, with the difference in words."""
    source = write_phy(recorded / SESSION / "alf" / "probe00" / "kilosort4", insertion)
    ingest.register(recorded, processes=1)
    (first,) = imports.import_folder(recorded / SESSION)
    assert first.folder == source, "beside the originals"
    clusters = np.load(source / "spike_clusters.npy")
    clusters[np.isin(clusters, [5, 12])] = 41
    third = np.flatnonzero(clusters == 40)
    clusters[third] = np.where(np.arange(len(third)) % 2, 42, 43)
    np.save(source / "spike_clusters.npy", clusters)
    (source / "cluster_group.tsv").write_text("cluster_id\tgroup\n41\tgood\n42\tnoise\n")
    (second,) = imports.import_folder(source)
    assert second.changes["merged"] == [{"from": [5, 12], "to": 41}]
    assert second.changes["split"] == [{"from": 40, "to": [42, 43]}]
    assert second.folder.parent == source and second.folder.name.startswith("#")
    says = json.loads((second.folder / "_neurojoint_sorting.run.json").read_text())
    assert says["changes"] == second.changes
    default = (ephys.Clustering & {"default_clustering": True}).fetch1()
    assert default["clustering_revision"] == second.folder.name.strip("#")
    (source / "cluster_group.tsv").write_text("cluster_id\tgroup\n41\tmua\n42\tnoise\n")
    (third_import,) = imports.import_folder(source)
    assert third_import.changes == {"relabelled": [{"unit": 41, "from": "good", "to": "mua"}]}
    table = pq.read_table(third_import.folder / "clusters.metrics.pqt").to_pydict()
    assert dict(zip(table["sorter_cluster_id"], table["ks2_label"], strict=True)) == {41: "mua", 42: "noise", 43: None}


@pytest.mark.slow
def test_a_recording_in_which_the_spikes_are_not_is_not_measured(database, recorded, insertion):
    """Flat, or another one: the channels are those of the templates, and the notes say why; places in mm become um."""
    ingest.register(recorded, processes=1)
    source = write_phy(recorded / SESSION / "alf" / "probe00" / "ks", insertion)
    places = np.load(source / "channel_positions.npy")
    np.save(source / "channel_positions.npy", places / 1e3)
    np.save(source / "spike_positions.npy", np.load(source / "spike_positions.npy") / 1e3)
    (imported,) = imports.import_folder(source)
    assert any("are in mm" in note for note in imported.notes)
    np.testing.assert_allclose(np.load(imported.folder / "clusters.depths.npy"), [20, 100, 160], atol=25)
    truth = np.load(imported.folder / "clusters.channels.npy")
    (raw,) = recorded.rglob("*.ap.bin")
    raw.write_bytes(bytes(raw.stat().st_size))
    ingest.register(recorded, processes=1)
    (source / "cluster_group.tsv").write_text("cluster_id\tgroup\n5\tmua\n")
    (imported,) = imports.import_folder(source)
    assert any("the raw recording is flat" in note for note in imported.notes), imported.notes
    assert not (imported.folder / "clusters.amps.npy").exists()
    np.testing.assert_allclose(np.load(imported.folder / "clusters.channels.npy"), truth, atol=1)  # of the same row
    quiet = measures.Waveforms(np.ones((4, 9, 1)), np.array([[9]] * 4), np.ones(4), np.ones(4), np.arange(4))
    line = np.column_stack([np.zeros(12), 40.0 * np.arange(12)])
    assert "4 of 4 units are elsewhere" in measures.doubt(quiet, np.array([0, 1, 2, 3]), line)
    assert measures.doubt(quiet, np.array([9, 8, 0, 0]), line) == ""


@pytest.mark.slow
def test_without_a_recording_the_folder_says_what_it_can(database, tmp_path, insertion):
    """Rate and places of the folder; amplitudes are in no unit and left out; without a rate it says what to do."""
    damage.write_valid(tmp_path / SESSION)
    ingest.register(tmp_path, processes=1)
    source = write_phy(tmp_path / "elsewhere" / "ks", insertion)
    with pytest.raises(NeurojointError, match="no session"):
        imports.import_folder(source)
    with pytest.raises(NeurojointError, match="which probe"):
        imports.import_folder(source, session=tmp_path / SESSION)
    (imported,) = imports.import_folder(source, session=tmp_path / SESSION, probe="probe00", sorter="My Sorter 2")
    assert imported.folder == tmp_path / SESSION / "alf/probe00/my_sorter_2"
    names = {path.name[:-4] for path in imported.folder.glob("*.npy")}
    assert {"spikes.depths", "clusters.channels", "channels.localCoordinates"} <= names
    assert not names & {"spikes.amps", "clusters.amps", "clusters.waveforms"}
    assert any("not measured" in note for note in imported.notes)
    reading = clusterings.reading(ephys.Clustering.fetch1())
    assert reading.rows == "name" and not reading.factors
    (source / "params.py").unlink()
    shutil.rmtree(imported.folder)
    with pytest.raises(NeurojointError, match="sampling rate"):
        imports.import_folder(source, session=tmp_path / SESSION, probe="probe00")


@pytest.mark.slow
def test_one_folder_costs_no_other_and_needs_no_other_file(database, tmp_path, insertion):
    """Sessions of nothing but results are sessions; what cannot be is named with a remedy, and the rest imported."""
    folders = [tmp_path / f"data/lab/Subjects/mouse/2024-05-0{day}/001/probe00/ks4" for day in (1, 2, 3, 4)]
    for folder in folders:
        write_phy(folder, insertion)
    (folders[0] / "amplitudes.npy").write_bytes(b"half a file")
    (folders[1] / "params.py").write_text("sample_rate = 30.\n")
    np.save(folders[2] / "spike_clusters.npy", np.zeros((2, 2)))
    assert ingest.register(tmp_path / "data", processes=1).sessions_new == 4
    done, failed = imports.import_below(tmp_path / "data")
    assert [item.source for item in done] == [folders[3]] and done[0].n_units == 3
    assert sorted(place for place, _ in failed) == folders[:3]
    assert all(str(place) in error.message and error.remedy for place, error in failed)
    assert "30 Hz" in dict(failed)[folders[1]].message
    again = ingest.register(tmp_path / "data", processes=1)
    assert not (again.sessions_new or again.sessions_changed or again.sessions_vanished)


def test_what_was_sorted_need_not_be_the_raw_file(database, recorded, insertion):
    """Two channels were taken out before, amplitudes are negative, as SpikeInterface does; then the clock is mended."""
    source = write_phy(recorded / SESSION / "alf" / "probe00" / "spikeinterface", insertion)
    kept = np.setdiff1d(np.arange(N_SITES), [2, 7])
    there = {name: np.load(source / f"{name}.npy") for name in ("channel_positions", "templates", "amplitudes")}
    np.save(source / "channel_positions.npy", there["channel_positions"][kept])
    np.save(source / "templates.npy", there["templates"][..., kept])
    np.save(source / "channel_map.npy", np.arange(len(kept)))
    np.save(source / "amplitudes.npy", -there["amplitudes"])
    ingest.register(recorded, processes=1)
    (imported,) = imports.import_folder(source)
    assert any("channel_map.npy counts other channels" in note for note in imported.notes)
    load = lambda name: np.load(imported.folder / f"{name}.npy")  # noqa: E731
    assert load("channels.rawInd").tolist() == kept.tolist()
    np.testing.assert_allclose(load("clusters.amps") * 1e6, [220, 160, 190], rtol=0.15)
    np.testing.assert_allclose(load("spikes.amps"), insertion.objects["spikes"]["amps"], rtol=0.2)
    (raw,) = (recorded / SESSION).rglob("*.ap.bin")
    end = round(SECONDS * RATE)
    np.save(raw.with_name(f"{raw.name.rsplit('.', 2)[0]}.timestamps.npy"), [[0.0, 0.5], [end, 0.5 + SECONDS]])
    ephys.SessionClock.delete(prompt=False)
    (again,) = imports.import_folder(source)
    assert again.folder not in (None, imported.folder) and any("clock" in note for note in again.notes)
    np.testing.assert_allclose(np.load(again.folder / "spikes.times.npy"), load("spikes.times") + 0.5)


@given(st.lists(st.integers(0, 6), min_size=30, max_size=60), st.permutations(range(7)), st.integers(0, 6))
def test_merges_are_found_whatever_the_numbers(units, numbers, target):
    """Renumbering and merging two units is told as that; nothing else is said to have changed."""
    before = np.array(units)
    samples = np.arange(len(units)) // 2  # pairs at one sample
    now = np.array(numbers)[before] + 10
    partner = (target + 1) % 7
    present = set(np.unique(before).tolist())
    now[before == partner] = numbers[target] + 10
    changes = curation.difference((samples, before), (samples, now))
    expected = [{"from": sorted([target, partner]), "to": numbers[target] + 10}] if {target, partner} <= present else []
    assert changes["merged"] == expected
    assert not changes["split"] and not changes["gone"] and not changes["new"] and not changes["relabelled"]
    assert changes["n_spikes_gone"] == changes["n_spikes_new"] == 0
    reverse = curation.difference((samples, now), (samples, before))
    assert [split["to"] for split in reverse["split"]] == [item["from"] for item in expected]
