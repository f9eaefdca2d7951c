"""Spikes of one unit, of a window and grouped, from the files, equal what a mask over the files gives."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest
from cbin import synthetic
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from ingest.simulate.ephys import simulate_insertion, write_recording
from pipeline import ephys, settings
from pipeline.electrophysiology import array_cache, array_rules
from pipeline.electrophysiology import sorting as alf_sorting
from pipeline.errors import NeurojointError
from tests.ephys import trees
from tests.ingest.tree import ingest

KEY = {"lab": "lab", "subject": "mouse", "session_date": "2024-05-01", "session_number": 1, "probe_label": "probe00"}


@pytest.fixture
def home(database, tmp_path):
    """A home of its own, so that nothing is in the cache."""
    with settings.override(**{**settings.settings().model_dump(exclude_unset=True), "home": tmp_path / "home"}):
        yield tmp_path / "home"


def mask(files: dict, clusters=None, window=None) -> np.ndarray:
    chosen = np.ones(len(files["spikes.times"]), bool)
    if clusters is not None:
        chosen &= np.isin(files["spikes.clusters"], clusters)
    if window is not None:
        chosen &= (files["spikes.times"] >= window[0]) & (files["spikes.times"] < window[1])
    return chosen


def test_reads_equal_a_mask_over_the_files(home, tmp_path):
    files = trees.sorting(ids=[2, 7, 8, 30, 31])
    del files["clusters.channels"], files["clusters.depths"], files["clusters.amps"], files["clusters.peakToTrough"]
    trees.write(tmp_path / "root", files)
    ingest(tmp_path / "root")
    pid = ephys.ProbeInsertion.fetch1("pid")
    for clusters in (None, 7, [31, 2], [7, 99], []):
        for window in (None, (10.0, 20.0), (100.0, 200.0)):
            spikes = ephys.spikes(pid, clusters, window)
            chosen = mask(files, clusters, window)
            np.testing.assert_array_equal(spikes.times, files["spikes.times"][chosen])
            np.testing.assert_array_equal(spikes.clusters, files["spikes.clusters"][chosen])
            np.testing.assert_allclose(spikes.amps, files["spikes.amps"][chosen] * 1e6, rtol=1e-6)
            np.testing.assert_allclose(spikes.depths, files["spikes.depths"][chosen], rtol=1e-6)
    whole = ephys.grouped(KEY)
    assert whole.cluster_ids.tolist() == [2, 7, 8, 30, 31]
    for cluster_id_ in whole.cluster_ids:
        np.testing.assert_array_equal(
            whole.times_of(cluster_id_), files["spikes.times"][files["spikes.clusters"] == cluster_id_]
        )
    assert isinstance(whole.times, np.memmap) and not whole.times.flags.writeable


def test_a_changed_file_is_another_copy(home, tmp_path):
    root = tmp_path / "root"
    trees.write(root, trees.sorting())
    ingest(root)
    before = ephys.grouped(KEY)
    trees.write(root, {"clusters.depths": np.arange(5.0)})
    ingest(root)
    ephys.grouped(KEY)
    assert len(list((home / "cache/spikes").glob("*/complete"))) == 1, "depths of clusters change no spike"
    folder = trees.write(root, {"spikes.clusters": trees.sorting()["spikes.clusters"][::-1]})
    with pytest.raises(NeurojointError, match="changed since it was registered"):
        ephys.spikes(KEY)
    ingest(root)
    after = ephys.grouped(KEY)
    assert len(list((home / "cache/spikes").glob("*/complete"))) == 2
    assert not np.array_equal(before.times, after.times)
    (folder / "spikes.times.npy").unlink()
    ingest(root)
    with pytest.raises(NeurojointError, match="cannot be read"):
        ephys.grouped(KEY)


def test_no_spikes_one_cluster_no_amplitudes(home, tmp_path):
    empty = {"spikes.times": np.empty(0), "spikes.clusters": np.empty(0, np.int32)}
    one = {"spikes.times": np.arange(3.0), "spikes.clusters": np.zeros((3, 1), np.int64)}
    trees.write(tmp_path / "root", empty)
    trees.write(tmp_path / "root", one, "alf/probe01")
    ingest(tmp_path / "root")
    assert len(ephys.spikes(KEY)) == 0 and len(ephys.grouped(KEY)) == 0
    spikes = ephys.spikes(KEY | {"probe_label": "probe01"}, 0, (1, 2))
    assert spikes.times.tolist() == [1.0] and spikes.amps is None and spikes.depths is None


def test_templates_of_units(home, tmp_path):
    """From clusters.waveforms; without them, of each unit the template that most of its spikes match."""
    files = trees.sorting()
    shapes = np.random.default_rng(0).normal(0, 1e-4, (9, 20, 3)).astype(np.float32)
    match = files["spikes.clusters"] + 2
    match[::7] = 0
    trees.write(tmp_path / "root", files | {"clusters.waveforms": shapes[:5]})
    without = files | {"spikes.templates": match, "templates.waveforms": shapes}
    trees.write(
        tmp_path / "root", without | {"templates.waveformsChannels": np.arange(27).reshape(9, 3) % 12}, "alf/probe01"
    )
    ingest(tmp_path / "root")
    ids, templates, channels = ephys.templates(KEY, clusters=[4, 1])
    assert ids.tolist() == [1, 4] and channels is None
    np.testing.assert_allclose(templates, shapes[[1, 4]] * 1e6, rtol=1e-6)
    ids, templates, channels = ephys.templates(KEY | {"probe_label": "probe01"})
    assert ids.tolist() == [0, 1, 2, 3, 4] and channels[0].tolist() == [6, 7, 8]
    np.testing.assert_allclose(templates, shapes[2:7] * 1e6, rtol=1e-6)


def test_raw_samples_and_their_strength(home, tmp_path):
    """A snippet is the file times the gain; RMS and map of the channels come from file and header."""
    session = tmp_path / "root" / trees.SESSION
    write_recording(session, simulate_insertion(None, 3, 1, duration=4.0, n_sites=16), 4.0)
    ingest(tmp_path / "root")
    raw = next(session.rglob("*.ap.bin"))
    samples = np.fromfile(raw, np.int16).reshape(-1, 17)[:, :16]
    gain = (ephys.Recording & {"band": "ap"}).fetch1("volts_per_bit")
    times, volts = ephys.raw_snippet(KEY, 1.0, 1.01)
    np.testing.assert_allclose(volts, samples[30000:30300] * gain, rtol=1e-5)
    assert times[0] == 1.0 and len(times) == 300
    assert len(ephys.raw_snippet(KEY, 3.99, 10)[0]) == len(samples) - 119700
    ephys.RecordingSignal.populate()
    row = (ephys.RecordingSignal * ephys.Recording & {"band": "ap"}).fetch1()
    plain = samples[: row["n_pieces"] * 30000].reshape(-1, 30000, 16) * (gain * 1e6)
    plain = plain - plain.mean(axis=1, keepdims=True)
    np.testing.assert_allclose(row["signal_rms"], np.sqrt((plain**2).mean(axis=(0, 1))), rtol=0.02)
    assert row["spectrum_power"].shape == (16, len(row["spectrum_frequencies"]))


def test_the_channel_map_of_the_header_is_kept(database, tmp_path):
    """Of a 1.0 probe: two columns, every other row set in, rows 20 um apart; gains of each channel."""
    folder = tmp_path / trees.SESSION / "raw_ephys_data/probe00"
    folder.mkdir(parents=True)
    synthetic.write_recording(folder / "a.imec0.ap.bin", 0.1, n_channels=9)
    ingest(tmp_path)
    row = ephys.ChannelMap.fetch1()
    assert row["map_channels"] == list(range(8))
    assert row["map_lateral"] == [27, 59, 11, 43, 27, 59, 11, 43]
    assert row["map_axial"] == [0, 0, 20, 20, 40, 40, 60, 60]
    assert row["map_shank"] == [0] * 8 and row["map_volts_per_bit"] == pytest.approx([2.34375e-6] * 8)


def build_slowly(folder: Path) -> dict[str, np.ndarray]:
    with (folder / "builds").open("a") as file:
        file.write("x")
    time.sleep(0.2)
    return {"a": np.arange(10), "none": np.empty(0)}


def read_in_a_process(home: Path) -> list[int]:
    with settings.override(home=home):
        return array_cache.arrays("room", "key", lambda: build_slowly(home))["a"].tolist()


@pytest.mark.slow
def test_processes_that_need_one_entry_build_it_once(tmp_path):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert pool.map(read_in_a_process, [tmp_path] * 3) == [list(range(10))] * 3
    assert (tmp_path / "builds").read_text() == "x"


def test_the_cache_keeps_within_its_size_and_gives_up_the_oldest(tmp_path):
    with settings.override(home=tmp_path, cache_size=5e-6):
        for number in range(4):
            kept = array_cache.arrays("room", str(number), lambda: {"a": np.zeros(200)})
            os.utime(tmp_path / f"cache/room/{number}/complete", (number, number))
        assert kept["a"].sum() == 0, "an entry that was thrown away stays readable where it is open"
        assert sorted(folder.name for folder in (tmp_path / "cache/room").glob("[0-9]")) == ["2", "3"]
        assert array_cache.prune(limit=0) == 2

        def fail() -> dict[str, np.ndarray]:
            raise OSError("no more")

        with pytest.raises(OSError, match="no more"):
            array_cache.arrays("room", "bad", fail)
        assert not (tmp_path / "cache/room/bad").exists()


@hypothesis_settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 12), max_size=60),
    st.lists(st.floats(-10, 10), min_size=60, max_size=60),
    st.integers(0, 14),
    st.booleans(),
)
def test_checks_of_any_files(tmp_path_factory, ids, times, n_rows, ordered):
    """Spikes are accepted where they are in order, or can be put so, and point into the clusters, from 0 or from 1."""
    folder = tmp_path_factory.mktemp("files")
    times = np.array(times[: len(ids)])
    content = {
        "spikes.times": np.sort(times) if ordered else times,
        "spikes.clusters": np.array(ids, np.int64),
        "clusters.channels": np.arange(n_rows),
    }
    for name, values in content.items():
        np.save(folder / f"{name}.npy", values)
    examined = alf_sorting.examine({name: folder / f"{name}.npy" for name in content})
    refused = {item.attribute for item in examined.refused}
    is_ordered = bool(np.all(np.diff(content["spikes.times"]) >= 0))
    disorder = array_rules.out_of_order(content["spikes.times"])
    by_unit = bool(disorder.wrong) and array_rules.are_by_unit(content["spikes.times"], content["spikes.clusters"])
    assert ("spikes.times" in refused) == (bool(disorder.wrong) and not by_unit)
    assert is_ordered == (disorder.n == 0)
    from_one = bool(ids) and min(ids) >= 1 and max(ids) == n_rows
    points = not ids or max(ids) < n_rows or from_one
    assert ("spikes.clusters" in refused) == (not points)
    if not refused:
        assert examined.reading.n_moved == (len(ids) if by_unit else disorder.n)
        used, counts = np.unique(content["spikes.clusters"], return_counts=True)
        assert examined.clusters["cluster_id"].tolist() == used.tolist()
        assert examined.clusters["cluster_n_spikes"].tolist() == counts.tolist()
        np.testing.assert_array_equal(examined.clusters["cluster_channel"], used - from_one)
