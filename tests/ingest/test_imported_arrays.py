"""Arrays of an imported sorting are in um, on the right channels, and of the commonest template."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ingest.programs.sorting import imported_arrays
from ingest.programs.sorting.foreign import Beside
from ingest.programs.sorting.measures import Waveforms

THERE = {"lateral": [0.0, 32.0] * 4, "axial": (20.0 * (np.arange(8) // 2)).tolist(), "shank": [0] * 4 + [1] * 4}
PLACES = np.column_stack([THERE["lateral"], THERE["axial"]])
BESIDE = Beside("kilosort", 30_000.0, PLACES, np.arange(8), None, None, None, None, None)


def test_places_in_mm_are_found_by_the_map_of_the_recording_and_those_in_um_stay():
    notes: list[str] = []
    assert imported_arrays.in_um(BESIDE, THERE, notes) is BESIDE
    assert imported_arrays.in_um(BESIDE, None, notes) is BESIDE and notes == []
    in_mm = replace(BESIDE, positions=PLACES / 1e3, depths=np.array([0.02, np.nan]))
    mended = imported_arrays.in_um(in_mm, THERE, notes)
    np.testing.assert_allclose(mended.positions, PLACES)
    np.testing.assert_allclose(mended.depths, [20, np.nan])
    assert len(notes) == 1 and "mm" in notes[0]


def test_channels_are_those_of_the_recording_where_it_is_known():
    some = replace(BESIDE, positions=PLACES[[1, 5]], channels=np.array([1, 5]))
    notes: list[str] = []
    places, raw, shanks = imported_arrays.of_channels(some, THERE, notes)
    np.testing.assert_array_equal(places, PLACES[[1, 5]])
    assert raw.tolist() == [1, 5] and shanks.tolist() == [0, 1] and notes == []
    assert imported_arrays.of_channels(some, None, notes)[1] is some.channels
    elsewhere = replace(some, positions=PLACES[[1, 5]] * 7.3)
    assert imported_arrays.of_channels(elsewhere, THERE, notes)[1] is None and notes


def test_a_unit_is_on_the_channel_of_most_of_its_spikes():
    units = np.array([0, 0, 0, 1, 1, 3])
    templates = np.array([0, 1, 2, 1, 1, 0])
    best = np.array([5, 7, 7])  # two templates of one channel count together
    assert imported_arrays.commonest(units, templates, best, 4).tolist() == [7, 7, 0, 5]


def test_spikes_vary_about_the_amplitude_of_their_unit_as_those_of_the_sorter():
    measured = Waveforms(
        np.zeros((2, 4, 1), np.float32), np.array([[3], [6]]), np.ones(2), np.array([1e-4, 2e-4]), np.array([0, 1, 2])
    )
    clusters, counts = np.array([0, 0, 1, 1]), np.array([2, 2])
    arrays = imported_arrays.from_waveforms(measured, BESIDE, clusters, counts)
    assert arrays["clusters.channels"].tolist() == [3, 6] and "spikes.amps" not in arrays
    with_own = replace(BESIDE, amplitudes=np.array([-1.0, -3.0, 5.0, 10.0]))
    arrays = imported_arrays.from_waveforms(measured, with_own, clusters, counts)
    np.testing.assert_allclose(arrays["spikes.amps"], [0.5e-4, 1.5e-4, 2e-4, 4e-4])
