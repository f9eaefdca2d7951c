"""Grouping of spikes: the order of a stable sort, whatever the ids, their type and the number of threads."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.analysis import spikes

IDS = st.one_of(
    hnp.arrays(np.int32, st.integers(0, 200), elements=st.integers(0, 12)),
    hnp.arrays(np.int64, st.integers(0, 200), elements=st.integers(-50, 2000)),
    hnp.arrays(np.uint16, st.integers(0, 50), elements=st.integers(0, 65535)),
    hnp.arrays(np.int64, st.integers(0, 50), elements=st.sampled_from([-(1 << 40), 0, 3, 1 << 33])),
)


@settings(deadline=None, max_examples=100)
@given(IDS)
def test_the_order_is_that_of_a_stable_sort(ids):
    """Also the clusters and where each one's spikes begin, for ids of any range, none of them contiguous."""
    groups = spikes.group(ids)
    np.testing.assert_array_equal(groups.order, np.argsort(ids, kind="stable"))
    clusters, n_spikes = np.unique(ids, return_counts=True)
    np.testing.assert_array_equal(groups.cluster_ids, clusters)
    np.testing.assert_array_equal(groups.n_spikes, n_spikes)
    assert groups.offsets[0] == 0 and groups.offsets[-1] == ids.size


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_threads_do_not_change_the_result(threads):
    """Blocks are sorted apart, and each writes behind the spikes of the blocks before it."""
    ids = np.random.default_rng(0).integers(0, 300, 300_000).astype(np.int32)
    values = np.random.default_rng(1).random(ids.size)
    groups = spikes.group(ids, threads=threads)
    expected = np.argsort(ids, kind="stable")
    np.testing.assert_array_equal(groups.order, expected)
    np.testing.assert_array_equal(spikes.gather(values, groups, threads), values[expected])


def test_values_of_any_type_and_read_only_files_are_gathered(tmp_path):
    """Memory-mapped arrays cannot be written to; amplitudes may be float32; some values have several columns."""
    ids = np.array([4, 1, 4, 1, 1], dtype=np.int32)
    np.save(tmp_path / "ids.npy", ids)
    np.save(tmp_path / "values.npy", np.arange(5.0))
    groups = spikes.group(np.load(tmp_path / "ids.npy", mmap_mode="r"))
    assert spikes.gather(np.load(tmp_path / "values.npy", mmap_mode="r"), groups).tolist() == [1, 3, 4, 0, 2]
    single = spikes.gather(np.arange(5, dtype=np.float32), groups)
    assert single.dtype == np.float32 and single.tolist() == [1, 3, 4, 0, 2]
    assert spikes.gather(np.arange(10).reshape(5, 2), groups)[:, 0].tolist() == [2, 6, 8, 0, 4]


def test_clusters_without_spikes_have_their_row_where_asked_for():
    """Metrics need a row for every cluster of the table, also for one that has no spikes."""
    groups = spikes.group([7, 2, 7], cluster_ids=[9, 7, 2, 0])
    assert groups.cluster_ids.tolist() == [0, 2, 7, 9]
    assert groups.offsets.tolist() == [0, 0, 1, 3, 3]
    assert groups.order[groups.span(7)].tolist() == [0, 2]
    assert spikes.group([], cluster_ids=[3, 1]).offsets.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="1 clusters have spikes but are not among cluster_ids, first 7"):
        spikes.group([7, 2, 7], cluster_ids=[2])


def test_one_clusters_spikes_are_found_by_its_id():
    """An id that is not there is a KeyError, not the next cluster's spikes."""
    groups = spikes.group([7, 2, 7, 30])
    assert spikes.times_of([0.1, 0.2, 0.3, 0.4], groups, 7).tolist() == [0.1, 0.3]
    for absent in (3, 31, -1):
        with pytest.raises(KeyError):
            groups.span(absent)


def test_spikes_in_a_window_are_found_by_unit():
    """The start belongs to the window, the end does not; units without spikes have none."""
    first, last = spikes.spikes_in_window([0.1, 0.2, 0.8, 0.2, 0.8], [0, 3, 3, 5], 0.2, 0.8)
    assert first.tolist() == [1, 3, 3] and last.tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spikes.group([0.5, 1.0]), "clusters must be integers, not float64"),
        (lambda: spikes.group([[1], [2]]), r"one-dimensional, not \(2, 1\)"),
        (lambda: spikes.gather([1.0], spikes.group([1, 2])), "1 values but 2 spikes"),
        (lambda: spikes.checked_groups([1.0, 2.0], [0, 1]), "offsets must rise from 0 to the number of spikes, 2"),
        (lambda: spikes.checked_groups([1.0, 2.0], [0, 3, 2]), "offsets must rise"),
        (lambda: spikes.checked_groups([1.0], [0.0, 1.0]), "offsets must be integers"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()


@given(st.lists(st.integers(0, 1 << 40) | st.integers(0, 30), max_size=60), st.sampled_from([np.int64, np.uint64]))
def test_numbers_of_clusters_are_those_of_unique(names, dtype):
    values = np.array(names, dtype)
    number, expected = spikes.number(values), np.unique(values, return_inverse=True, return_counts=True)
    for one, other in zip(number, expected, strict=True):
        assert one.tolist() == other.tolist()
