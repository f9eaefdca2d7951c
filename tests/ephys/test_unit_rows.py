"""Which row of the clusters object is which unit: one decision for all files, whatever the numbers look like."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.electrophysiology import unit_rows

ids = st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True).map(lambda result: np.array(result))


@given(ids, st.data())
def test_named_units_are_found_whatever_their_order(named, data):
    """Numbers that the metrics name are names, and each row keeps its unit however the rows are sorted."""
    used = np.array(sorted(data.draw(st.lists(st.sampled_from(named.tolist()), min_size=1, unique=True))))
    rows = unit_rows.decide(used, len(named), named)
    assert rows.rule == "name"
    assert unit_rows.ids_of(rows.rule, len(named), named).tolist() == named.tolist()
    assert unit_rows.metrics_ids(rows, len(named), named).tolist() == named.tolist()


@given(ids)
def test_indices_beside_names_are_rows(named):
    """Unit indices with names beside them (SpikeInterface): no unit more than there are rows."""
    used = np.arange(len(named))
    rows = unit_rows.decide(used, len(named), named)
    if np.isin(used, named).all():  # the names are a permutation of the rows: the numbers of spikes must tell
        stated = np.arange(len(named)) + 10
        rows = unit_rows.decide(used, len(named), named, stated, stated)
    expected = {"row"} if not np.isin(used, named).all() else {"row", "name"}
    assert rows.rule in expected
    if rows.rule == "row":
        assert unit_rows.metrics_ids(rows, len(named), named).tolist() == used.tolist()


@given(ids, st.randoms(use_true_random=False))
def test_counts_decide_where_both_fit(named, chance):
    """A permutation of the rows fits both ways; the spikes that the metrics state prove one."""
    n = len(named)
    names = np.array(chance.sample(range(n), n))
    counts = np.arange(1, n + 1) * 7
    by_row = unit_rows.decide(np.arange(n), n, names, counts, counts)
    by_name = unit_rows.decide(np.arange(n), n, names, counts, counts[names])
    assert by_name.rule == "name"
    assert by_row.rule == ("name" if np.array_equal(names, np.arange(n)) else "row")


def test_what_cannot_be_told_is_not_guessed():
    nowhere = unit_rows.decide(np.array([40]), 3, np.array([1, 2, 3]))
    assert (nowhere.rule, nowhere.metrics) == ("", False)
    assert "does not name 40" in nowhere.why
    fewer = unit_rows.decide(np.arange(5), 5, np.array([3, 70]))
    assert (fewer.rule, fewer.metrics) == ("row", False), "metrics of some units under other names"
    some = unit_rows.decide(np.arange(3), 5, np.array([0, 2]))
    assert (some.rule, some.metrics) == ("row", True), "metrics of the units that have spikes, as IBL's"
