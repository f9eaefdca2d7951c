"""Sums of groups are of one type, whatever there is to add up."""

import numpy as np

from pipeline.analysis.arrays import group_sums


def test_sums_are_float64_also_without_values():
    """`np.bincount` gives integers for no values, even with weights."""
    for groups, values in (([], []), ([0, 0, 2], [0.5, 0.25, 1.0])):
        sums = group_sums(np.array(groups, dtype=np.int64), np.array(values), 3)
        assert sums.dtype == np.float64
        assert sums.tolist() == [sum(values[:2]), 0.0, sum(values[2:])]
