"""Places of channels and clusters, from files to rows, on both databases."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analysis import coordinates
from pipeline.database.bulk import fetch_columns
from pipeline.provenance import staleness
from pipeline.schemas import ephys, histology
from tests.ephys import test_shanks as shanks
from tests.histology import trees
from tests.histology.trees import KEY

pytestmark = pytest.mark.slow


def channels(**restriction) -> dict:
    return fetch_columns(histology.ChannelLocation.Channel & restriction, order_by="channel").to_pydict()


def errors() -> list[str]:
    return [row["error_message"] for table in trees.TABLES for row in table().jobs.errors.to_dicts()]


def test_channels_and_clusters_are_where_the_simulation_put_them(database, tmp_path):
    insertion = trees.probe(trees.session(tmp_path))
    trees.populate(tmp_path)
    assert errors() == []
    written = insertion.objects["channels"]
    placed = channels()
    ids = written["brainLocationIds_ccf_2017"]
    assert placed["channel"] == list(range(384))
    assert placed["raw_channel"] == written["rawInd"].tolist()
    assert placed["region_id"] == [value or None for value in ids.tolist()]
    assert list(zip(placed["channel_ml"], placed["channel_ap"], placed["channel_dv"], strict=True)) == [
        tuple(place) for place in written["mlapdv"].tolist()
    ]
    assert placed["channel_axial"] == written["localCoordinates"][:, 1].tolist()
    assert set(placed["channel_hemisphere"]) == {"left"}, "ML is negative on this track"
    master = histology.ChannelLocation.fetch1()
    assert master["n_channels_located"] + master["n_channels_outside"] == 384
    assert (master["locations_object"], master["locations_collection"]) == ("channels", "alf/probe00")
    assert master["coordinate_system"] == "IBL-Allen" and master["regions_refused"] == []
    counts = fetch_columns(histology.ChannelLocation.Region, "region_id", "region_channels").to_pydict()
    present, n_channels = np.unique(ids[ids > 0], return_counts=True)
    assert dict(zip(*counts.values(), strict=True)) == dict(zip(present.tolist(), n_channels.tolist(), strict=True))
    clusters = fetch_columns(histology.ClusterLocation.Cluster, order_by="cluster_id").to_pydict()
    truth = {unit["cluster_id"]: unit for unit in insertion.truth["units"]}
    for row, cluster_id in enumerate(clusters["cluster_id"]):
        if cluster_id in truth:
            assert clusters["region_id"][row] == truth[cluster_id]["region_id"]
            place = [clusters[f"cluster_{name}"][row] for name in ("ml", "ap", "dv")]
            assert place == truth[cluster_id]["mlapdv"]
            assert clusters["cluster_hemisphere"][row] == "left"
    assert set(truth) <= set(clusters["cluster_id"])
    voxels = {row["cluster_id"]: row for row in histology.ClusterVoxel.Cluster.to_dicts()}
    bregma = np.array([5739, 5400, -332])  # um from the corner: ML to the right, AP to the back, DV down
    for cluster_id, unit in truth.items():
        ml, ap, dv = unit["mlapdv"]
        place = np.array([bregma[0] + ml, bregma[1] - ap, -bregma[2] - dv]) // 25
        assert [voxels[cluster_id][f"voxel_{name}"] for name in ("ml", "ap", "dv")] == place.tolist()
    assert sum(histology.ClusterLocation.Region.to_arrays("region_clusters")) == len(clusters["cluster_id"])


def test_left_ids_of_iblatlas_become_plain_and_keep_their_side(database, tmp_path):
    """Negative ids are left; ML says the side where it is there, and disagreement is counted."""
    folder = trees.session(tmp_path)
    insertion = trees.probe(folder)
    places = insertion.objects["channels"]["mlapdv"].copy()
    ids = insertion.objects["channels"]["brainLocationIds_ccf_2017"]
    trees.save(folder, "probe00/channels.brainLocationIds_ccf_2017", -ids)
    places[:7, 0] *= -1  # mirrored: the id says left, ML right
    trees.save(folder, "probe00/channels.mlapdv", places.round().astype(np.int16))
    trees.probe(folder, "probe01")
    trees.save(folder, "probe01/channels.brainLocationIds_ccf_2017", np.where(np.arange(384) < 200, -ids, ids))
    trees.remove(folder, "probe01/channels.mlapdv.npy")
    trees.populate(tmp_path)
    assert errors() == []
    placed = channels(probe_label="probe00")
    assert placed["region_id"] == [value or None for value in ids.tolist()]
    assert placed["channel_hemisphere"] == ["right"] * 7 + ["left"] * 377
    assert (histology.ChannelLocation & KEY).fetch1("n_sides_differ") == 7
    placed = channels(probe_label="probe01")
    sides = [None if one == 0 else "left" if row < 200 else "right" for row, one in enumerate(ids.tolist())]
    assert placed["channel_hemisphere"] == sides
    assert set(placed["channel_ml"]) == {None}


def test_regions_that_the_atlas_does_not_have_are_recorded_and_left_out(database, tmp_path):
    folder = trees.session(tmp_path)
    ids = trees.probe(folder).objects["channels"]["brainLocationIds_ccf_2017"].astype(float)
    ids[3:5], ids[9] = 12345678, np.nan
    trees.save(folder, "probe00/channels.brainLocationIds_ccf_2017", ids)
    trees.populate(tmp_path)
    master = histology.ChannelLocation.fetch1()
    assert master["regions_refused"] == [12345678]
    placed = channels()["region_id"]
    assert [placed[row] for row in (3, 4, 9)] == [None] * 3 and placed[0] == ids[0]
    assert master["n_channels_located"] == 384 - 3 - master["n_channels_outside"]


@pytest.mark.parametrize(("factor", "unit"), [(1e-6, "m"), (1e-3, "mm")])
def test_places_in_other_units_are_refused_and_regions_stay(database, tmp_path, factor, unit):
    folder = trees.session(tmp_path)
    insertion = trees.probe(folder)
    trees.save(folder, "probe00/channels.mlapdv", insertion.objects["channels"]["mlapdv"] * factor)
    trees.populate(tmp_path)
    master = histology.ChannelLocation.fetch1()
    assert "mm or m" in master["locations_refused"]["mlapdv"]
    assert set(channels()["channel_ml"]) == {None} and master["n_channels_located"] > 300


def test_without_anything_usable_the_job_says_why(database, tmp_path):
    folder = trees.session(tmp_path)
    places = trees.probe(folder).objects["channels"]["mlapdv"]
    trees.save(folder, "probe00/channels.mlapdv", places * 1e-6)
    trees.remove(folder, "probe00/channels.brainLocationIds*")
    trees.populate(tmp_path)
    assert not histology.ChannelLocation()
    assert len(errors()) == 1 and "mm or m, um are expected" in errors()[0]


def test_an_alignment_made_later_goes_before_the_channels_of_the_sorter(database, tmp_path):
    """`electrodeSites` beside the sorter's folder; what it leaves out is that of the channels."""
    folder = trees.session(tmp_path)
    insertion = trees.probe(folder, collection="alf/probe00/pykilosort")
    trees.save(folder, "probe00/electrodeSites.brainLocationIds_ccf_2017", np.full(384, 385))
    trees.save(folder, "probe00/electrodeSites.mlapdv", insertion.objects["channels"]["mlapdv"] + 10)
    trees.populate(tmp_path)
    assert errors() == []
    master = histology.ChannelLocation.fetch1()
    assert (master["locations_object"], master["locations_collection"]) == ("electrodeSites", "alf/probe00")
    placed = channels()
    assert set(placed["region_id"]) == {385} and placed["raw_channel"] == list(range(384))
    assert set(histology.ClusterLocation.Cluster.to_arrays("region_id")) == {385}


def test_clusters_find_their_channels_when_the_sorter_left_some_out(database, tmp_path):
    """The sorter's channels are fewer than the sites with places: they are matched by the channel of the raw file."""
    folder = trees.session(tmp_path)
    insertion = trees.probe(folder, collection="alf/probe00/ks2_matlab")
    kept = np.flatnonzero(np.arange(384) % 5)
    sites = insertion.objects["channels"]
    for name, values in sites.items():
        trees.save(folder, f"probe00/ks2_matlab/channels.{name}", values[kept])
        if name in ("mlapdv", "brainLocationIds_ccf_2017", "rawInd"):
            trees.save(folder, f"probe00/electrodeSites.{name}", values)
    rows = np.searchsorted(kept, insertion.objects["clusters"]["channels"]).clip(max=len(kept) - 1)
    trees.save(folder, "probe00/ks2_matlab/clusters.channels", rows)
    trees.populate(tmp_path)
    assert errors() == []
    assert len(channels()["channel"]) == 384
    clusters = fetch_columns(histology.ClusterLocation.Cluster * ephys.ClusterSet.Cluster, order_by="cluster_id")
    for row in clusters.to_pylist():
        site = kept[rows[row["cluster_id"]]]
        assert row["cluster_channel"] == rows[row["cluster_id"]]
        assert row["region_id"] == (sites["brainLocationIds_ccf_2017"][site] or None)
        assert row["cluster_dv"] == sites["mlapdv"][site, 2]


def test_columns_from_one_and_places_in_mm_are_those_of_the_raw_recording(database, tmp_path):
    """Some channels only, as MATLAB counts them and in mm: the map of the recording tells, for both objects."""
    folder = trees.session(tmp_path)
    insertion = trees.probe(folder, collection="alf/probe00/ks2_matlab")
    shanks.write_header(folder, "probe00", np.arange(shanks.N))
    kept = np.arange(3, shanks.N, 5)
    axial = 15.0 * (shanks.ELECTRODE // 2)
    sites = insertion.objects["channels"] | {"rawInd": np.arange(1, shanks.N + 1)}
    sites["localCoordinates"] = np.column_stack([np.zeros(shanks.N), axial])
    for name, values in sites.items():
        values = values / 1e3 if name == "localCoordinates" else values
        trees.save(folder, f"probe00/ks2_matlab/channels.{name}", values[kept])
        if name in ("mlapdv", "brainLocationIds_ccf_2017", "rawInd", "localCoordinates"):
            trees.save(folder, f"probe00/electrodeSites.{name}", sites[name])
    trees.save(
        folder, "probe00/ks2_matlab/clusters.channels", np.arange(len(insertion.objects["clusters"]["channels"]))
    )
    trees.populate(tmp_path)
    assert errors() == []
    assert channels()["raw_channel"] == list(range(shanks.N)) and channels()["channel_axial"] == axial.tolist()
    places = {"ks2_matlab": kept, "sites": np.arange(shanks.N)}
    clusters = fetch_columns(histology.ClusterLocation.Cluster * ephys.ClusterSet.Cluster, order_by="cluster_id")
    assert len(clusters) >= 8
    for row in clusters.to_pylist():
        assert row["cluster_dv"] == sites["mlapdv"][places["ks2_matlab"][row["cluster_channel"]], 2]
        assert row["cluster_lateral"] == 0 and row["cluster_shank"] == shanks.SHANK[kept[row["cluster_channel"]]]


def test_clusters_without_a_channel_have_a_row_without_a_place(database, tmp_path):
    folder = trees.session(tmp_path)
    trees.probe(folder)
    trees.remove(folder, "probe00/clusters.channels.npy")
    trees.populate(tmp_path)
    assert errors() == []
    clusters = fetch_columns(histology.ClusterLocation.Cluster).to_pydict()
    assert len(clusters["cluster_id"]) == len(ephys.ClusterSet.Cluster()) > 0
    assert set(clusters["region_id"]) == set(clusters["cluster_ml"]) == set(clusters["cluster_hemisphere"]) == {None}
    master = histology.ClusterLocation.fetch1()
    assert (master["n_clusters_located"], master["n_clusters_without_channel"]) == (0, len(clusters["cluster_id"]))
    assert not histology.ClusterLocation.Region()


def test_another_alignment_makes_places_stale_and_nothing_else(database, tmp_path):
    folder = trees.session(tmp_path)
    insertion = trees.probe(folder)
    trees.probe(trees.session(tmp_path, "m2"))
    trees.populate(tmp_path)
    assert not staleness.find(trees.TABLES).keys
    trees.save(folder, "probe00/channels.mlapdv", insertion.objects["channels"]["mlapdv"] + 25)
    trees.populate(tmp_path)
    stale = staleness.find(trees.TABLES)
    assert [key["subject"] for key in stale.keys["histology.ChannelLocation"]] == ["m1"]
    assert list(stale.keys) == ["histology.ChannelLocation"], "the sorting is as it was"
    assert stale.lost["histology.ClusterLocation"] == 1
    staleness.refresh(trees.TABLES)
    trees.populate(tmp_path)
    assert (histology.ClusterLocation.Cluster & {"subject": "m1"}).to_arrays("cluster_ml").max() > -2243 + 25
    assert channels(subject="m1")["channel_ml"][0] == insertion.objects["channels"]["mlapdv"][0, 0] + 25
    assert len(histology.ClusterLocation()) == 2 and not staleness.find(trees.TABLES).keys


def test_conventions_of_coordinates_are_those_of_iblatlas():
    """Bregma, signs and order; and the direction of tracks. On a volume without content: the real one is a download."""
    from iblatlas import atlas

    assert atlas.ALLEN_CCF_LANDMARKS_MLAPDV_UM["bregma"].tolist() == list(coordinates.BREGMA_CCF)
    oracle = atlas.AllenAtlas(25, mock=True)
    places = np.array([[5739.0, 5400, 332], [4000, 7000, 3500], [8000, 3000, 1000]])
    assert np.allclose(oracle.ccf2xyz(places) * 1e6, coordinates.ccf_to_bregma(places))
    assert np.allclose(coordinates.bregma_to_ccf(coordinates.ccf_to_bregma(places)), places)
    track = {"x": -2243.0, "y": -2000.0, "z": -350.0, "theta": 15.0, "phi": 160.0, "depth": 4000.0}
    oracle = atlas.Insertion(-2243e-6, -2000e-6, -350e-6, phi=160.0, theta=15.0, depth=4000e-6)
    entry = [track["x"], track["y"], track["z"]]
    tip = coordinates.along_track(entry, track["theta"], track["phi"], track["depth"])
    assert np.allclose(oracle.tip * 1e6, tip)
