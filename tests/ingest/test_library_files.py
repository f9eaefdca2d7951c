"""Sortings in zarr, NWB and WaveClus files become what they were; nothing in them is unpickled."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ingest
from ingest.programs.sorting import foreign, imports, library_files, results
from ingest.simulate import damage
from pipeline.errors import NeurojointError, NotFoundError
from pipeline.schemas import ephys
from tests.ingest.sorters import SESSION

SORTINGS = Path(__file__).with_name("sortings")
TRUTH = np.load(SORTINGS / "analyzer.spikes.npy")
LABELS = {3: "good", 7: "mua", 12: "noise", 20: "good"}


@pytest.fixture
def analyzer(tmp_path: Path) -> Path:
    shutil.unpack_archive(SORTINGS / "analyzer.zarr.zip", tmp_path)
    return tmp_path / "an.zarr"


def write_nwb(path: Path, resolution: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Units 4, 9 and 2 as pynwb writes them, the second without spikes; returns times and units in order of time."""
    from pynwb import NWBHDF5IO, NWBFile

    chance = np.random.default_rng(1)
    nwb = NWBFile("units", "a test", datetime.datetime(2024, 5, 1, tzinfo=datetime.UTC))
    nwb.add_unit_column("quality", "a curator's")
    trains = {4: np.sort(chance.uniform(0, 50, 60)), 9: np.empty(0), 2: np.sort(chance.uniform(0, 50, 30))}
    for number, label in ((4, "good"), (9, "mua"), (2, "noise")):
        nwb.add_unit(spike_times=trains[number], quality=label, id=number)
    if resolution:
        nwb.units.resolution = resolution
    with NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    times, units = np.concatenate([*trains.values()]), np.repeat([*trains], [len(train) for train in trains.values()])
    order = np.argsort(times)
    return times[order], units[order]


def write_wave_clus(folder: Path) -> None:
    """Two channels, as WaveClus 3 saves them: class and ms; class 0 belongs to no unit."""
    from scipy.io import savemat

    folder.mkdir(exist_ok=True)
    for number, classes in enumerate(([1, 0, 2, 1], [1, 1, 0])):
        spikes = np.column_stack([classes, 10.0 * (1 + np.arange(len(classes))) + number])
        savemat(folder / f"times_ch{number}.mat", {"cluster_class": spikes, "par": {"sr": 24_000.0}})


def test_an_analyzer_in_zarr_is_read(analyzer):
    pytest.importorskip("zarr")
    content = results.read(analyzer, 60_000)
    assert sorted(zip(content.samples.tolist(), content.clusters.tolist(), strict=True)) == sorted(
        map(tuple, TRUTH.tolist())
    )
    assert content.labels == LABELS and content.sampling_rate == 30_000
    assert foreign.read(content).sampling_rate == 30_000
    assert imports.places(analyzer.parent) == [analyzer]


def test_a_pickle_in_zarr_is_refused(analyzer):
    """numcodecs would run it."""
    pytest.importorskip("zarr")
    header = analyzer / "sorting/unit_ids/.zarray"
    header.write_text(json.dumps(json.loads(header.read_text()) | {"filters": [{"id": "pickle", "protocol": 5}]}))
    with pytest.raises(NeurojointError, match="coded with pickle"):
        results.read(analyzer, 60_000)


@pytest.mark.parametrize("resolution", [None, 1 / 30_000])
def test_units_of_nwb_keep_their_times(tmp_path, resolution):
    """The times are exact; there are samples only where the file states its resolution."""
    times, units = write_nwb(tmp_path / "a.nwb", resolution)
    content = results.read(tmp_path, 1 << 62)
    assert content.times.tolist() == times.tolist() and content.clusters.tolist() == units.tolist()
    assert content.labels == {4: "good", 9: "mua", 2: "noise"}
    if resolution:
        np.testing.assert_array_equal(content.samples, np.round(times * 30_000))
    else:
        assert content.sampling_rate is None


def test_channels_of_wave_clus_are_numbered_apart(tmp_path):
    write_wave_clus(tmp_path)
    content = results.read(tmp_path, 1 << 62)
    assert content.clusters.tolist() == [1, 1001, 1001, 2, 1] and content.n_dropped == 2
    assert content.samples.tolist() == [240, 264, 504, 720, 960] and content.sampling_rate == 24_000


@pytest.mark.parametrize(("ids", "numbers"), [(["3", "20"], [3, 20]), (["u1", "u2"], [0, 1]), ([5, 5], [0, 1])])
def test_names_of_units(ids, numbers):
    assert library_files.numbers_of(ids).tolist() == numbers


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_they_are_imported(database, tmp_path, analyzer):
    """As a user does it, with what is not there left out; the same file is not imported twice."""
    pytest.importorskip("zarr")
    root = tmp_path / "data"
    damage.write_valid(root / SESSION)
    ingest.register(root, processes=1)
    options = {"session": root / SESSION, "probe": "probe00"}
    (imported,) = imports.import_folder(analyzer, **options, sorter="zarr")
    assert (imported.n_units, imported.n_spikes) == (4, 400)
    np.testing.assert_allclose(np.load(imported.folder / "spikes.times.npy"), np.sort(TRUTH[:, 0]) / 30_000)
    (tmp_path / "nwb").mkdir()
    times, _ = write_nwb(tmp_path / "nwb" / "units.nwb")
    (of_nwb,) = imports.import_folder(tmp_path / "nwb", **options, sorter="nwb")
    assert np.load(of_nwb.folder / "spikes.times.npy").tolist() == times.tolist()
    assert not (of_nwb.folder / "spikes.samples.npy").exists() and "s from its start" in of_nwb.notes[0]
    (again,) = imports.import_folder(tmp_path / "nwb", **options, sorter="nwb")
    assert again.folder is None
    write_nwb(tmp_path / "nwb" / "units.nwb", 1 / 30_000)
    (changed,) = imports.import_folder(tmp_path / "nwb", **options, sorter="nwb")
    assert changed.folder is not None and not changed.changes
    write_wave_clus(tmp_path / "wc")
    (of_wc,) = imports.import_folder(tmp_path / "wc", **options)
    assert (of_wc.n_units, of_wc.n_dropped, of_wc.folder.name) == (3, 2, "waveclus")


NAMED = {"CH01#1": 67, "tetrode 2": 72, "7": 83, "08": 78}


@pytest.mark.parametrize("kind", ["numpy", "npz", "phy"])
def test_units_keep_the_names_that_spikeinterface_gave_them(kind):
    """Names that are no numbers become places, in the order of the sorting, and are kept."""
    content = results.read(SORTINGS / f"named_{kind}", 1 << 40)
    assert content.names == dict(enumerate(NAMED))
    assert np.bincount(content.clusters).tolist() == list(NAMED.values())
    assert foreign.read(content, "x").sampling_rate == (None if kind == "phy" else 25_000.0)


@given(st.lists(st.one_of(st.integers(-5, 1 << 40), st.text("ab#0 1", min_size=1)), max_size=6, unique_by=str))
def test_numbers_and_names_say_which_unit_is_meant(ids):
    """Every unit has a number of its own; what it does not tell is in its name."""
    numbers = library_files.numbers_of(ids)
    names = library_files.names_of(numbers, ids)
    assert len(set(numbers.tolist())) == len(ids) and (numbers >= 0).all() and (numbers < 1 << 31).all()
    for number, one in zip(numbers.tolist(), ids, strict=True):
        assert names.get(number, str(number)) == (str(one).strip() or str(number))


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_unit_is_found_by_the_name_that_its_sorter_gave_it(database, tmp_path):
    """Imported, served and asked for by name; also where an ALF file of others has names for numbers."""
    damage.write_valid(tmp_path / SESSION)
    source = shutil.copytree(SORTINGS / "named_npz", tmp_path / SESSION / "raw_ephys_data" / "probe00" / "ms5")
    ingest.register(tmp_path, processes=1)
    imports.import_folder(source)
    other = tmp_path / SESSION / "alf" / "probe01"
    other.mkdir()
    chance = np.random.default_rng(0)
    np.save(other / "spikes.times.npy", np.sort(chance.uniform(0, 60, 500)))
    np.save(other / "spikes.clusters.npy", np.repeat([0, 1], 250))
    np.save(other / "clusters.depths.npy", np.array([100.0, 900.0]))
    (other / "clusters.metrics.csv").write_text("cluster_id,quality\nleft#4,good\nright#1,mua\n")
    ingest.register(tmp_path, processes=1)
    ephys.ClusterSet.populate()
    insertions = {row["probe_label"]: row["pid"] for row in ephys.ProbeInsertion().to_dicts()}
    units = (ephys.ClusterSet.Cluster & {"probe_label": "probe00"}).to_dicts(order_by="cluster_id")
    assert {row["unit_name"]: row["cluster_n_spikes"] for row in units} == NAMED
    for name, count in NAMED.items():
        assert len(ephys.spikes(insertions["probe00"], name)) == count
    assert len(ephys.spikes(insertions["probe00"], ["08", 0])) == 78 + 67
    with pytest.raises(NotFoundError, match="no unit is called CH02"):
        ephys.spikes(insertions["probe00"], "CH02")
    (row,) = (ephys.ClusterSet.Cluster & {"unit_name": "right#1"}).to_dicts()
    assert (row["cluster_id"], row["cluster_depth"], row["sorter_label"]) == (1, 900.0, "mua")
    reading = (ephys.Clustering & {"probe_label": "probe01"}).fetch1("clustering_reading")
    assert "names that are no numbers" in str(reading)
