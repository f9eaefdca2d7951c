"""Clocks of devices that begin at other moments, run at other rates and wander are aligned within 0.1 ms everywhere."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from pipeline.analysis import clocks

HOURS = 2 * 3600.0


def device(times: np.ndarray, rate: float, ppm: float, offset: float, wander: float, phase: float) -> np.ndarray:
    """What a device counts at these times, s, in whole samples; its rate wanders over half an hour."""
    own = offset + times * (1 + ppm * 1e-6) + wander * np.sin(2 * np.pi * times / 1800 + phase)
    return np.round(own * rate) / rate


def pulses(kind: str, chance: np.random.Generator) -> np.ndarray:
    if kind == "square wave":  # as SpikeGLX generates it, 1 Hz
        return np.arange(0.5, HOURS, 1.0)
    if kind == "camera":  # 60 frames a second
        return np.arange(0.2, HOURS, 1 / 60)
    return np.cumsum(chance.uniform(0.4, 3.0, int(HOURS)))[: int(HOURS / 1.8)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("kind", "offset"), [("square wave", -0.31), ("camera", 0.005), ("random", 741.0)])
def test_better_than_a_tenth_of_a_millisecond_everywhere(kind, offset, seed):
    """Two hours, both clocks drift and wander, a hundredth of the pulses is missing on either side."""
    chance = np.random.default_rng(seed)
    true = pulses(kind, chance)
    a, b = (30_000.0, 18.0, 0.0, 0.002, 0.3), (30_003.2, -22.0, offset, 0.003, 1.2)
    source = device(true, *a)[chance.random(len(true)) > 0.01]
    target = device(true, *b)[chance.random(len(true)) > 0.01]
    alignment = clocks.align(source, target)
    assert alignment.n_pulses > 0.97 * len(true) * 0.99
    moments = np.linspace(true[0], true[-1], 20_011)
    error = alignment.clock.convert(device(moments, 1e9, *a[1:])) - device(moments, 1e9, *b[1:])
    assert np.abs(error).max() < 1e-4
    assert alignment.residual < 1e-4 < alignment.linear_residual, "wandering shows as residual of the straight line"
    assert alignment.drift == pytest.approx(-40, abs=6)


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**31), st.floats(-900, 900), st.floats(-80, 80), st.integers(0, 30), st.integers(0, 30))
def test_any_offset_and_any_beginning(seed, offset, ppm, skip_source, skip_target):
    """Irregular pulses tell which is which, whichever device began first, and the straight line is found."""
    true = np.cumsum(np.random.default_rng(seed).uniform(0.2, 1.0, 200))
    alignment = clocks.align(true[skip_source:], (true * (1 + ppm * 1e-6) + offset)[skip_target:])
    assert alignment.n_pulses == 200 - max(skip_source, skip_target)
    assert alignment.offset == pytest.approx(offset, abs=1e-6) and alignment.drift == pytest.approx(ppm, abs=1e-3)


def test_what_has_nothing_in_common_is_not_aligned():
    chance = np.random.default_rng(0)
    one, other = (np.cumsum(chance.uniform(0.2, 3.0, 300)) for _ in range(2))
    alignment = clocks.align(one, other)
    assert alignment is None or alignment.n_pulses < 100
    assert clocks.align([1.0, 2.0], [1.0, 2.0]) is None and clocks.align([], []) is None


@given(st.lists(st.integers(-(2**15), 2**15 - 1), max_size=60), st.integers(0, 60))
def test_changes_of_lines_make_the_words_again(words, cut):
    """From the first word and the changes every word follows; a recording read in two pieces has the same changes."""
    values = np.array(words, np.int16)
    changes = clocks.line_changes(values)
    bits = np.zeros((len(values), 16), int)
    for line in range(16):
        samples, polarities = changes.get(line, (np.empty(0, int), np.empty(0, int)))
        start = (int(values[0]) >> line) & 1 if len(values) else 0
        bits[:, line] = start + np.cumsum(np.bincount(samples, polarities, len(values)))[: len(values)]
        assert (np.abs(np.diff(polarities.astype(int))) == 2).all(), "rises and falls in turn"
    again = (bits << np.arange(16)).sum(axis=1).astype(np.uint16).view(np.int16)
    assert again.tolist() == words
    cut = min(cut, len(values))
    parts = (
        clocks.line_changes(values[:cut]),
        clocks.line_changes(values[cut:], cut, int(values[cut - 1]) if cut else None),
    )
    for line, (samples, polarities) in changes.items():
        joined = [np.concatenate([part[line][i] for part in parts if line in part]) for i in range(2)]
        assert joined[0].tolist() == samples.tolist() and joined[1].tolist() == polarities.tolist()


def test_a_clock_goes_both_ways_and_beyond_its_ends():
    clock = clocks.Clock(np.array([0, 100, 200.0]), np.array([5.0, 6.0, 8.0]))
    values = np.array([-50.0, 0, 30, 150, 260])
    np.testing.assert_allclose(clock.invert(clock.convert(values)), values)
    for source, target in (([0, 0], [1, 2]), ([0, 1], [2, 1]), ([0], [1]), ([0, np.nan], [0, 1])):
        with pytest.raises(ValueError, match="ascending"):
            clocks.Clock(np.array(source, float), np.array(target, float))
