"""Random forms of one turning wheel give the same trace, and what is not certain is said."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.simulate import SessionParams, simulate_trials
from ingest.simulate.wheel import simulate_wheel
from pipeline.alf.objects import assemble
from pipeline.analysis import encoder, wheel

TRIALS = simulate_trials(SessionParams(n_trials=60), seed=1)
TRACES = {ticks: simulate_wheel(TRIALS, 1, ticks=ticks) for ticks in (1024, 4096)}
MOVES = {ticks: wheel.movements(one.position, one.timestamps, tick=encoder.TICK) for ticks, one in TRACES.items()}


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@settings(deadline=None, max_examples=15)
@given(data=st.data())
def test_random_forms_of_one_truth_give_the_same_wheel(data):
    """Unit, type, wraps of a counter or an angle, unit of the times, and stamps that repeat or run backwards."""
    ticks = data.draw(st.sampled_from([1024, 4096]))
    truth = TRACES[ticks]
    counted = np.rint((truth.position - truth.position[0]) / (2 * np.pi) * ticks)
    stated = {1024: "x1ticks", 4096: "ticks"}[ticks]
    forms = {
        **{unit: (truth.position / (2 * np.pi) * encoder.TURN[unit], None) for unit in ("rad", "cm", "mm", "deg")},
        "float32": (truth.position.astype(np.float32), None),
        "ticks": (counted, stated),
        "uint16": ((counted + data.draw(st.integers(0, 65535))).astype(np.int64).astype(np.uint16), stated),
        "angle": ((counted % ticks) * 360 / ticks, None),
        "counter": (counted % ticks, None),
    }
    name = data.draw(st.sampled_from(sorted(forms)))
    position, unit = forms[name]
    scale = data.draw(st.sampled_from([1, 1, 1e3, 1e6, 1e9]))
    times = truth.timestamps.copy() * scale
    bad = data.draw(st.lists(st.integers(4, times.size - 4), max_size=4, unique=True).map(sorted))
    bad = [row for i, row in enumerate(bad) if not i or row - bad[i - 1] > 3]
    for row in bad:
        back = data.draw(st.sampled_from([0.0, 0.001]))
        times[row] = times[row - 1] - back * (times[row - 1] - times[row - 2])
    assembled = assemble(
        "wheel", {"alf/_ibl_wheel.position.npy": npy(position), "alf/_ibl_wheel.timestamps.npy": npy(times)}
    )
    assert not assembled.refused
    assert len(bad) <= assembled.dropped <= 2 * len(bad)
    clock = assembled.values["timestamps"]
    turned = encoder.in_radians(assembled.values["position"], clock, unit)
    seconds, said = encoder.in_seconds(turned.position, clock)
    assert bool(said) == (scale > 1)
    assert not turned.assumed
    assert seconds[0] == pytest.approx(truth.timestamps[0])
    moves = wheel.movements(turned.position, seconds, tick=encoder.TICK)
    assert abs(len(moves) - len(MOVES[ticks])) <= len(bad)
    assert wheel.total_distance(turned.position) == pytest.approx(wheel.total_distance(truth.position), abs=0.02)


@pytest.mark.parametrize("times", ["samples", "minutes", "unix", "ms of a short session"])
def test_times_in_no_known_unit_are_refused_or_named(times):
    truth = TRACES[4096]
    forms = {"samples": truth.timestamps * 30_000, "minutes": truth.timestamps / 60, "unix": truth.timestamps + 1.7e9}
    clock = forms.get(times, truth.timestamps[: truth.timestamps.size // 8] * 1e3)
    position = truth.position[: clock.size]
    if times == "samples":
        with pytest.raises(ValueError, match="none of s, ms, us and ns"):
            encoder.in_seconds(position, clock)
        return
    seconds, said = encoder.in_seconds(position, clock)
    moves = wheel.movements(position, seconds, tick=encoder.TICK)
    notes = wheel.notes(encoder.in_radians(position, seconds), moves)
    assert said or notes


def test_whole_ticks_are_not_taken_for_proven():
    truth = TRACES[1024]
    counted = np.rint(truth.position / (2 * np.pi) * 1024)
    radians = encoder.in_radians(counted, truth.timestamps)
    assert radians.assumed
    assert any("wheel_units" in note for note in radians.notes)
    for unit in ("x1ticks", "x2ticks", "ticks"):
        assert not encoder.in_radians(counted, truth.timestamps, unit).notes
