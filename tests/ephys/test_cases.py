"""Folders as other programs write them, with the right answers; they lie beside the checkout, with a README."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cbin
import numpy as np
import pytest
from cbin.spikeglx import read_meta

from ingest.files import channel_maps
from ingest.programs.sorting import imports, results
from ingest.simulate.ephys import simulate_insertion, write_recording
from pipeline import ephys, ephys_analysis
from pipeline.electrophysiology import clusterings
from pipeline.schemas import data, histology
from tests.ephys import trees
from tests.ingest.tree import ingest, rows

CASES = Path(__file__).parents[3] / "shared" / "cases" / "ephys"
pytestmark = [
    pytest.mark.one_database,
    pytest.mark.skipif(not CASES.is_dir(), reason=f"no folders of other programs at {CASES}"),
]
SESSIONS = {
    1: "01_unit_index_and_unit_ids",
    2: "02_negative_amplitudes",
    3: "03_waveforms_uV_width_s",
}


@pytest.mark.slow
def test_what_others_write_means_what_they_meant(database, tmp_path):
    for number, case in SESSIONS.items():
        shutil.copytree(CASES / case, tmp_path / f"lab/Subjects/mouse/2024-01-01/{number:03d}/alf/probe00")
    ingest(tmp_path)
    assert not len(data.Quarantine()), rows(data.Quarantine, "quarantine_path", "detail")
    ephys.ClusterSet.populate()
    ephys_analysis.UnitMetrics.populate()
    key = {"lab": "lab", "subject": "mouse", "session_date": "2024-01-01", "probe_label": "probe00"}
    one, two, three = (key | {"session_number": number} for number in SESSIONS)

    # 01: the numbers are rows; metrics name them otherwise
    got = sorted(rows(ephys.ClusterSet.Cluster & one, "cluster_id", "cluster_n_spikes", "sorter_label"))
    assert [row[:2] for row in got] == list(enumerate([162, 370, 543, 712, 887, 1016]))
    assert [row[2] == "good" for row in got] == [False, True, False, True, False, False]
    assert sorted(rows(ephys.ClusterSet.Cluster & one, "cluster_id", "sorter_cluster_id"))[1] == (1, 7)
    reading = clusterings.reading(clusterings.find(one))
    assert reading.rows == "row" and "does not name" in reading.rows_why

    # 02: the size of negative amplitudes counts
    values = (ephys_analysis.UnitMetrics.Unit & two).to_arrays("amp_median")
    assert np.isfinite(values.astype(float)).all() and (values > 0).all()
    assert (ephys.spikes(two).amps > 0).all()
    assert "negative" in " ".join(clusterings.reading(clusterings.find(two)).notes)

    # 03: waveforms in uV and widths in s
    _, waveforms, _ = ephys.templates(three)
    assert waveforms.min() == pytest.approx(-100, rel=0.05)
    widths = (ephys.ClusterSet.Cluster & three).to_arrays("peak_to_trough").astype(float)
    assert sorted(np.round(widths, 6).tolist()) == [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["nan", "absent"])
def test_a_label_is_null_where_a_criterion_is_unknown(database, tmp_path, kind):
    """Without a value for an amplitude there is no label, and the row says why."""
    files = trees.sorting()
    files["spikes.amps"] = np.full(len(files["spikes.times"]), np.nan) if kind == "nan" else None
    trees.write(tmp_path, files)
    ingest(tmp_path)
    ephys.ClusterSet.populate()
    ephys_analysis.UnitMetrics.populate()
    labels = ephys_analysis.UnitMetrics.Unit.to_arrays("ibl_label")
    assert len(labels) == 5 and np.isnan(labels.astype(float)).all()
    assert "spikes.amps" in ephys_analysis.UnitMetrics.fetch1("metrics_missing")
    assert "ibl_label" in ephys_analysis.UnitMetrics.fetch1("metrics_missing")


@pytest.mark.slow
def test_a_repaired_sorting_reads_the_same_everywhere(database, tmp_path):
    """Samples as integers, two spikes exchanged, some of no unit: all readers see the mended spikes in s."""
    files, session = trees.sorting(), tmp_path / trees.SESSION
    insertion = simulate_insertion(None, 2, 1, duration=4.0, n_sites=4)
    write_recording(session, insertion, 61.0)
    samples = np.round(files["spikes.times"] * 30_000).astype(np.uint64)
    samples[[120, 121]] = samples[[121, 120]]
    none = np.arange(0, len(samples), 50)
    clusters = files["spikes.clusters"].copy()
    clusters[none] = -1
    trees.write(tmp_path, files | {"spikes.times": samples, "spikes.clusters": clusters})
    ingest(tmp_path)
    ephys.ClusterSet.populate()
    key = ephys.ClusterSet.keys()[0]
    expected = np.delete(files["spikes.times"], none)
    spikes, grouped = ephys.spikes(key), ephys.grouped(key)
    np.testing.assert_allclose(spikes.times, expected, atol=1e-4)
    assert (np.diff(spikes.times) >= 0).all() and (spikes.clusters >= 0).all()
    np.testing.assert_allclose(np.sort(grouped.times), spikes.times)
    some = expected[(expected >= 10) & (expected < 20)]
    np.testing.assert_allclose(ephys.spikes(key, window=(10, 20)).times, some, atol=1e-4)
    assert ephys.ClusterSet.fetch1("n_spikes") == len(expected)
    assert ephys.ClusterSet.fetch1("last_spike") == pytest.approx(expected[-1], abs=1e-4)


def test_files_with_a_uuid_each(tmp_path):
    """A .cbin finds the .ch of another uuid, and both decompress to the raw file."""
    folder = CASES / "05_uuid_names"
    path = next(folder.glob("*.cbin"))
    with cbin.open(path) as recording:
        assert recording.shape == (3000, 9) and recording.sample_rate == 30_000
        raw = np.fromfile(folder / "x.ap.bin", np.int16).reshape(-1, 9)
        np.testing.assert_array_equal(recording[:], raw)


def test_samples_before_the_beginning_are_dropped_and_counted():
    """Kilosort 4 writes some at its first batch; they cost only themselves."""
    content = results.read(CASES / "06_kilosort4_negative_samples", 1_800_000)
    assert len(content.samples) == 2996 and content.n_dropped == 4
    assert content.samples.min() >= 0


@pytest.mark.parametrize("case", ["07_NP1015_linear", "08_NP24_one_shank_of_four"])
def test_channel_maps_of_unusual_headers(case):
    folder = CASES / case
    channel_map = channel_maps.read(read_meta(next(folder.glob("*.meta"))))
    expected = json.loads((folder / "expected.json").read_text())
    assert {name: getattr(channel_map, name) for name in expected} == expected


@pytest.mark.slow
def test_several_probes_in_one_folder(database, tmp_path):
    """The layout of Steinmetz et al. 2019: refused with the remedy, then a folder for each probe, with regions."""
    session = tmp_path / "lab/Subjects/mouse/2024-01-01/001"
    shutil.copytree(CASES / "04_steinmetz_2019_layout", session / "alf")
    ingest(tmp_path)
    assert ("no_probe",) in rows(data.Quarantine, "reason")
    imported = imports.import_folder(session)
    assert [item.n_units for item in imported] == [3, 3] and sum(entry.n_spikes for entry in imported) == 3764
    assert [item.folder.name for item in imported] == ["probe00", "probe01"]
    ephys.ClusterSet.populate()
    histology.ChannelLocation.populate()
    histology.ClusterLocation.populate()
    located = histology.ClusterLocation.Cluster * histology.BrainRegion.proj("acronym")
    assert {(row["probe_label"], row["acronym"]) for row in located.to_dicts()} == {
        ("probe00", "VISp"), ("probe01", "CA1"),
    }  # fmt: skip
    labels = (ephys.ClusterSet.Cluster & {"probe_label": "probe00"}).to_arrays("sorter_label")
    assert set(labels) == {"good", "unsorted"}
    assert all(item.folder is None for item in imports.import_folder(session)), "nothing new"
    ingest(tmp_path)
    assert not [row for row in data.Quarantine.to_dicts() if row["reason"] == "no_probe" and row["resolved"] is None]
