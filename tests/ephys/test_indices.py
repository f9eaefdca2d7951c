"""Numbers that count from 1, as MATLAB writes them: recognised by range or places and mended, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import ephys
from pipeline.electrophysiology import sorting, unit_rows
from pipeline.electrophysiology.indices import columns_of_map
from pipeline.electrophysiology.sorting_files import Files
from tests.ephys import trees
from tests.ingest import tree

N = trees.N_CHANNELS
MAP = {"channels": list(range(N)), "lateral": [16.0] * N, "axial": [20.0 * i for i in range(N)],
       "shank": [i // (N // 2) for i in range(N)]}  # fmt: skip
UNITS = 5


def whole(n_channels: int = N) -> dict[str, Any]:
    """A sorting with all numbers that name something, counted from 0."""
    files = trees.sorting(n_units=UNITS)
    chance = np.random.default_rng(1)
    channels = np.array([2, 4, 6, 8, n_channels - 1])
    around = (channels[:, None] + np.array([0, -1, -2])) % n_channels
    shapes = chance.normal(0, 60e-6, (UNITS, 30, 3))
    return files | {
        "spikes.templates": files["spikes.clusters"].copy(),
        "clusters.channels": channels,
        "clusters.depths": None,
        "spikes.depths": None,
        "clusters.amps": None,
        "clusters.peakToTrough": None,
        "clusters.waveforms": shapes,
        "clusters.waveformsChannels": around,
        "templates.waveforms": shapes,
        "templates.waveformsChannels": around,
        "channels.rawInd": np.arange(n_channels),
        "channels.shanks": np.array(MAP["shank"][:n_channels]),
        "clusters.shanks": np.array(MAP["shank"])[channels],
    }


def examine(folder: Path, files: dict[str, Any], channel_map: dict | None = MAP) -> sorting.Sorting:
    folder.mkdir(parents=True, exist_ok=True)
    kept = {name: values for name, values in files.items() if values is not None}
    for name, values in kept.items():
        np.save(folder / f"{name}.npy", values)
    return sorting.examine({name: folder / f"{name}.npy" for name in kept}, None, channel_map)


NUMBERS = ("spikes.templates", "clusters.channels", "clusters.waveformsChannels", "templates.waveformsChannels",
           "channels.rawInd", "channels.shanks", "clusters.shanks")  # fmt: skip


@pytest.mark.parametrize("name", [*NUMBERS, "all"])
@pytest.mark.parametrize("kind", [np.int64, np.float64, np.uint16])
def test_numbers_from_one_are_read_as_those_from_zero(tmp_path, name, kind):
    files = whole()
    truth = examine(tmp_path / "zero", files)
    assert not truth.refused and not truth.reading.from_one
    names = NUMBERS if name == "all" else (name,)
    examined = examine(tmp_path / "one", files | {item: files[item].astype(kind) + 1 for item in names})
    assert not examined.refused and sorted(examined.reading.from_one) == sorted(names)
    assert sum("1 was taken off all" in note for note in examined.reading.notes) == len(names)
    for column, values in truth.clusters.items():
        np.testing.assert_array_equal(examined.clusters[column], values, err_msg=column)


def test_units_from_one_keep_their_numbers_and_get_their_rows(tmp_path):
    files = whole()
    examined = examine(tmp_path, files | {"spikes.clusters": files["spikes.clusters"] + 1})
    assert (
        examined.reading.rows == "row from 1" and "count from 1" in examined.reading.rows_why and not examined.refused
    )
    assert examined.clusters["cluster_id"].tolist() == [1, 2, 3, 4, 5]
    assert examined.clusters["cluster_channel"].tolist() == files["clusters.channels"].tolist()


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("channels.rawInd", lambda v: v + 1000, "names column 1011, but the recording has 12 electrodes"),
        ("channels.rawInd", lambda v: np.r_[v[:-1], v[0]], "2 rows name column 0 of the recording"),
        ("channels.rawInd", lambda v: v - 1, "expected is a whole number from 0"),
        ("clusters.channels", lambda v: v + 3, "names row 14 of channels, which has 12 rows"),
        ("clusters.waveformsChannels", lambda v: v + 2, "names row 13 of channels, which has 12 rows"),
        ("clusters.waveformsChannels", lambda v: v + 0.5, "whole numbers"),
        ("spikes.templates", lambda v: v + 2, "names row 6 of templates, which has 5 rows"),
        ("clusters.shanks", lambda v: v * 0 + np.array([0, 1, 0, 1, 0]), "by the header of the recording on"),
    ],
)
def test_numbers_of_what_is_not_there_are_refused_with_a_sentence(tmp_path, name, change, sentence):
    files = whole()
    examined = examine(tmp_path, files | {name: change(files[name])})
    ((attribute, _, detail),) = examined.refused
    assert attribute == name and sentence in detail


def test_some_channels_are_recognised_by_their_places(tmp_path):
    """A few channels in the middle of the probe: no range proves it, but their places do."""
    files = whole()
    some = np.array([3, 4, 5, 6, 7, 9])
    staggered = MAP | {"axial": [20.0 * (i // 2) for i in range(N)]}
    files |= {"channels.rawInd": some, "channels.localCoordinates": np.column_stack([some * 0.0, 20.0 * (some // 2)]),
              "channels.shanks": None, "clusters.shanks": None, "clusters.channels": np.array([0, 1, 2, 4, 5]),
              "clusters.waveforms": None, "clusters.waveformsChannels": None, "templates.waveforms": None,
              "templates.waveformsChannels": None}  # fmt: skip
    assert not examine(tmp_path / "zero", files, staggered).reading.from_one
    examined = examine(tmp_path / "one", files | {"channels.rawInd": some + 1}, staggered)
    assert examined.reading.from_one == ["channels.rawInd"] and "places" in examined.reading.notes[0]
    assert examined.clusters["cluster_shank"].tolist() == [0, 0, 0, 1, 1]
    unknown = examine(
        tmp_path / "bare", files | {"channels.rawInd": some + 1, "channels.localCoordinates": None}, staggered
    )
    assert not unknown.reading.from_one  # nothing proves it, and nothing contradicts it


def test_places_in_mm_are_told_by_the_map(tmp_path):
    """With the columns of the recording: converted; counted from the other end, or without the columns: refused."""
    files = whole() | {"channels.shanks": None, "clusters.shanks": None}
    places = np.column_stack([np.zeros(N), 20.0 * np.arange(N) + 20])
    examined = examine(tmp_path / "mm", files | {"channels.localCoordinates": places / 1e3})
    assert examined.reading.factors == {"channels.localCoordinates": 1e3} and not examined.refused
    np.testing.assert_allclose(examined.clusters["cluster_depth"], places[files["clusters.channels"], 1])
    for name, change in (("end", {"channels.localCoordinates": places[::-1]}),
                         ("bare", {"channels.localCoordinates": places / 1e3, "channels.rawInd": None})):  # fmt: skip
        ((attribute, _, _),) = examine(tmp_path / name, files | change).refused
        assert attribute == "channels.localCoordinates"


def test_without_a_recording_all_channels_in_turn_are_recognised(tmp_path):
    files = whole()
    examined = examine(tmp_path, files | {"channels.rawInd": 1 + np.random.default_rng(0).permutation(N)}, None)
    assert examined.reading.from_one == ["channels.rawInd"]


def test_waveforms_that_are_filled_up_do_not_count_from_one(tmp_path):
    """The number of channels stands where a unit has no waveform."""
    files = whole()
    around, shapes = files["clusters.waveformsChannels"].copy(), files["clusters.waveforms"].copy()
    around[:, 2], shapes[:, :, 2] = N, 0
    examined = examine(tmp_path, files | {"clusters.waveformsChannels": around, "clusters.waveforms": shapes})
    assert not examined.refused and not examined.reading.from_one


def test_shanks_by_other_numbers_give_way_to_the_header(tmp_path):
    """Sorted by themselves the channels of a shank are on shank 0; the header knows which one it is."""
    files = whole()
    only = {"channels.shanks": np.zeros(N, int), "clusters.shanks": None}
    examined = examine(tmp_path, files | only, MAP | {"shank": [2] * N})
    assert not examined.refused and examined.clusters["cluster_shank"].tolist() == [2] * UNITS
    assert "numbers the shanks otherwise" in examined.reading.notes[0]


@pytest.mark.slow
@given(st.integers(1, 30), st.data())
def test_units_that_all_have_spikes_are_told_from_one(n, data):
    """Whatever units have no spikes: with the last row named and none called 0, they count from 1."""
    some = data.draw(st.sets(st.integers(1, n)))
    used = np.array(sorted(some | {n}))
    rows = unit_rows.decide(used, n, None)
    assert rows.rule == "row from 1" and unit_rows.ids_of(rows.rule, n, None).tolist() == list(range(1, n + 1))
    assert unit_rows.decide(used - 1, n, None).rule == "row"
    assert unit_rows.decide(np.r_[0, used], n, None).rule == ""


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12, unique=True))
def test_columns_of_the_map(raw):
    files = Files({})
    files.content["channels.rawInd"] = np.array(raw)
    columns = columns_of_map(files, np.arange(-1, len(raw) + 1), 15)
    assert columns.tolist() == [-1, *(item if item < 15 else -1 for item in raw), -1]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_matlab_export_is_served_as_its_twin_from_zero(database, tmp_path):
    """Through ingest: rows, templates and raw columns are those of the same sorting counted from 0."""
    files = whole() | {"channels.shanks": None, "clusters.shanks": None}
    other = "lab/Subjects/mouse/2024-05-02/001"
    trees.write(tmp_path, files)
    names = ("channels.rawInd", "clusters.channels", "clusters.waveformsChannels", "spikes.clusters")
    trees.write(tmp_path, files | {name: files[name] + 1 for name in names}, session=other)
    tree.ingest(tmp_path)
    ephys.ClusterSet.populate()
    days = ["2024-05-01", "2024-05-02"]
    units = [(ephys.ClusterSet.Cluster & {"session_date": day}).to_arrays("cluster_id", "cluster_channel",
             "cluster_depth", order_by="cluster_id") for day in days]  # fmt: skip
    np.testing.assert_array_equal(units[1][0], units[0][0] + 1)
    np.testing.assert_array_equal(units[1][1:], units[0][1:])
    insertions = [(ephys.ProbeInsertion & {"session_date": day}).fetch1("KEY") for day in days]
    (_, shapes, where), (ids, moved, there) = (ephys.templates(insertion) for insertion in insertions)
    assert ids.tolist() == [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(moved, shapes)
    np.testing.assert_array_equal(there, where)
    from pipeline.electrophysiology import spikes

    assert spikes.raw_channels(insertions[1]).tolist() == list(range(N))
    notes = (ephys.Clustering & {"session_date": days[1]}).fetch1("clustering_reading")
    assert "1 was taken off all 12 numbers" in str(notes)
