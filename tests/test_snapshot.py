"""A snapshot names what has changed, and forgives the last digits of floats."""

from __future__ import annotations

import numpy as np

from tests.snapshot import _summary, differences


def test_a_change_is_named_by_table_and_column():
    before = {"a.T": {"rows": 2, "x": _summary([1.0, 2.0]), "y": _summary(["u", None])}, "a.Gone": {"rows": 1}}
    assert not list(differences(before, before))
    near = {"rows": 2, "x": _summary([1.0, 2.0 + 1e-12]), "y": _summary(["u", None])}
    assert not list(differences(before, {"a.T": near, "a.Gone": {"rows": 1}, "a.New": {"rows": 3}}))
    after = {"a.T": {"rows": 3, "x": _summary([1.0, 2.1]), "y": _summary(["u", ""]), "z": _summary([])}}
    named = [line.partition(" ")[0] for line in differences(before, after)]
    assert named == ["a.Gone:", "a.T:", "a.T.x:", "a.T.y:"], "what is new changes no rows"


def test_order_and_kind_of_values_count():
    pairs = [([1.0, 2.0], [2.0, 1.0]), ([1, 2], [2, 1]), ([None], [float("nan")]), ([[1, 2]], [[1], [2]]),
             ([{"a": 1.0}], [{"b": 1.0}]), ([np.array([1.0, 2.0])], [np.array([1.0, 3.0])])]  # fmt: skip
    for one, other in pairs:
        assert list(differences({"t": {"x": _summary(one)}}, {"t": {"x": _summary(other)}})), (one, other)
