"""Unit metrics: equal to plain reference implementations and to published ones, and right about simulated units."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipeline.analysis import spikes, units
from pipeline.analysis.unit_criteria import apply_criteria
from tests.analysis import unit_reference

REAL = Path(__file__).parents[3] / "shared/realdata/alf/ibllib_fixtures/Subjects/ephys_test/2020-02-01/001/alf/probe00"
# What brainbox 4.1's quick_unit_metrics gives for `published_trains`; amplitudes in V.
PUBLISHED = {
    "n_spikes": [4000, 2500, 40, 1],
    "firing_rate": [18.861500941660434, 11.78843808853777, 0.18861500941660433, 0.004715375235415108],
    "presence_ratio": [1.0, 0.9545454545454546, 0.6363636363636364, 0.045454545454545456],
    "presence_ratio_std": [32.621293051174085, 25.634751722374233, 1.6688690682441654, 0.2082988952252655],
    "isi_violations_hill": [0.0, 0.5097886155201182, 0.0, 0.0],
    "refractory_confidence": [100.0, 4.6801438957633223e-05, 1.9801326693244747, 0.0],
    "refractory_contamination": [1.0, np.nan, np.nan, np.nan],
    "n_spikes_below_2ms": [0, 59, 0, 0],
    "refractory_pass": [1, 0, 0, 0],
    "noise_cutoff": [-0.25332019855244936, 30.89883143983831, np.nan, np.nan],
    "missed_spikes": [0.003770561636249367, 0.5, np.nan, np.nan],
    "amp_min": [21.207250171842462, 45.012829905127776, 41.12599128224384, 108.8472143114055],
    "amp_max": [188.7795620398614, 200.76556597890024, 169.09046602344056, 108.8472143114055],
    "amp_median": [63.00307713501931, 66.97598880592247, 80.82634690677828, 108.84721431140538],
    "amp_std_db": [2.6075949582530917, 2.3317660023789464, 2.761585392049534, np.nan],
    "drift": [133325.3871814394, 83242.19709177669, 2553.1925579778112, 0.0],
    "ibl_label": [1.0, 1 / 3, np.nan, np.nan],  # brainbox counts what is not known as failed
}


def published_trains():
    """Times s, clusters, amps V, depths um of four units, from arithmetic alone so that they never change."""
    parts = []
    for unit, n, rate, gap in ((3, 4000, 20.0, 0.003), (7, 2500, 12.0, 0.0), (20, 40, 0.3, 0.0), (41, 1, 1.0, 5.0)):
        u, v, w = ((0.5 + np.arange(1, n + 1) * step) % 1 for step in (5**0.5 / 2 - 0.5, 2**0.5 - 1, 3**0.5 - 1))
        times = np.cumsum(gap - np.log1p(-u[np.argsort(v, kind="stable")]) / rate)
        times = np.round(times * 30_000) / 30_000
        amps = (60 + unit) * 1e-6 * np.exp(0.3 * np.sqrt(-2 * np.log(1 - v)) * np.cos(2 * np.pi * w))
        if unit == 7:
            amps = np.maximum(amps, 45e-6 + 5e-6 * u)
        parts.append((times, np.full(n, unit), amps, 1000 + 20 * unit + 15 * np.sin(times / 9) + 5 * w))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)]
    order = np.argsort(columns[0], kind="stable")
    return [column[order] for column in columns]


def train(rng, kind, duration=200.0):
    """Times (s, on a 30 kHz clock), amplitudes (uV) and depths (um) of a unit of some kind."""
    n = {"none": 0, "one": 1, "two": 2, "few": 30, "many": 700}.get(kind, 300)
    times = rng.uniform(0, duration, n)
    if kind == "bursts":
        times = (times[:60, None] + np.cumsum(rng.exponential(0.0015, (60, 5)), axis=1)).ravel()
    elif kind == "gap":
        times = np.where(times < 0.6 * duration, times * 0.3, times)
    elif kind == "doubles":
        times = np.repeat(times[:150], 2) + np.tile([0, 1 / 30_000], 150)
    times = np.round(np.sort(np.clip(times, 0, duration)) * 30_000) / 30_000
    amps = rng.lognormal(4.5, 0.3, n)
    depths = 1500 + 20 * np.sin(times / 30) + rng.normal(0, 5, n)
    if kind == "holes":
        amps[rng.random(n) < 0.3] = np.nan
        amps[0] = 0.0
        depths[rng.random(n) < 0.3] = np.nan
    elif kind == "equal":
        amps[:] = 80.0
    elif kind == "blind":
        amps[:], depths[:] = np.nan, np.nan
    return times, amps, depths


KINDS = ["none", "one", "two", "few", "many", "plain", "bursts", "gap", "doubles", "holes", "equal", "blind"]


def together(trains):
    """Units one after the other, and where each begins."""
    columns = [np.concatenate([np.empty(0), *column]) for column in zip(*trains, strict=True)]
    return columns, np.concatenate([[0], np.cumsum([t[0].size for t in trains])]).astype(np.int64)


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(
    st.integers(0, 2**31),
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=4),
    st.sampled_from([None, (0.0, 200.0), (20.0, 155.0)]),
)
@example(0, KINDS, None)
@example(1, KINDS, (12.5, 160.0))
@example(2, ["none", "one", "none"], None)
def test_every_metric_equals_its_definition(seed, kinds, window):
    """For units with 0, 1, 2 or many spikes, bursts, gaps, doubles, missing amplitudes and depths, in any window."""
    rng = np.random.default_rng(seed)
    trains = [train(rng, kind) for kind in kinds]
    (times, amps, depths), offsets = together(trains)
    metrics = units.unit_metrics(times, offsets, amps, depths, window)
    assert tuple(metrics) == units.METRICS
    start, end = window or ((times.min(), times.max()) if times.size else (0.0, 0.0))
    for unit, (t, a, d) in enumerate(trains):
        expected = unit_reference.metrics(t, a, d, start, end)
        assert expected.keys() == metrics.keys()
        for name, value in expected.items():
            np.testing.assert_allclose(
                metrics[name][unit], value, rtol=1e-6, atol=1e-9, err_msg=f"{kinds[unit]}: {name}"
            )


def test_metrics_equal_those_of_brainbox():
    """The values that IBL publishes were computed by brainbox; amplitudes are uV here and V there."""
    times, clusters, amps, depths = published_trains()
    grouping = spikes.group(clusters)
    columns = [spikes.gather(values, grouping) for values in (times, amps * 1e6, depths)]
    rules = replace(units.MetricRules(), partial_window=True)
    metrics = units.unit_metrics(columns[0], grouping.offsets, *columns[1:], rules=rules)
    assert grouping.cluster_ids.tolist() == [3, 7, 20, 41]
    for name, values in PUBLISHED.items():
        np.testing.assert_allclose(metrics[name].astype(float), values, rtol=1e-9, atol=1e-12, err_msg=name)


def contaminated(rng, fraction, rate=30.0, duration=2000.0, period=0.003):
    """Spikes of a neuron with a refractory period, a fraction of them replaced by those of many others."""
    n = rng.poisson(rate * duration)
    own = round(n * (1 - fraction))
    waits = rng.exponential(1.0, own + 1)
    own_times = np.cumsum(waits)[:-1] / waits.sum() * (duration - period * own) + period * np.arange(own)
    return np.sort(np.r_[own_times, rng.uniform(0, duration, n - own)])


@pytest.mark.parametrize("fraction", [0.0, 0.05, 0.2, 0.4])
def test_contamination_is_recovered(fraction):
    """Llobet's estimate is the fraction itself; the sliding period passes units below 10 % and fails those above."""
    rng = np.random.default_rng(int(100 * fraction))
    times = contaminated(rng, fraction)
    metrics = units.unit_metrics(times, [0, times.size])
    assert metrics["isi_violations_llobet"][0] == pytest.approx(fraction, abs=0.03)
    # Hill's ratio counts a violation for either order of the two spikes: C - C^2 / 2.
    assert metrics["isi_violations_hill"][0] == pytest.approx(fraction - fraction**2 / 2, abs=0.03)
    assert metrics["refractory_pass"][0] == (fraction < 0.1)
    if 0 < fraction < 0.3:
        assert fraction * 100 - 3 <= metrics["refractory_contamination"][0] <= fraction * 100 + 4


def test_few_spikes_prove_nothing():
    """A unit without a violation does not pass while chance alone could have given it none."""
    times = contaminated(np.random.default_rng(0), 0.0, rate=0.1)
    metrics = units.unit_metrics(times, [0, times.size])
    assert metrics["n_spikes_below_2ms"][0] == 0 and metrics["isi_violations_hill"][0] == 0
    assert metrics["refractory_confidence"][0] < 90 and not metrics["refractory_pass"][0]


@pytest.mark.parametrize("absent", [0.0, 0.25, 0.7])
def test_presence_is_recovered(absent):
    """A unit that is silent for a part of the recording; one that is not has the ratio 1 for any duration."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 1997.0, 20_000))
    kept = times[(times > 500) == (times > 500 + absent * 1997)]
    both = units.unit_metrics(np.r_[times, kept], [0, times.size, times.size + kept.size], window=(0.0, 1997.0))
    assert both["presence_ratio"][0] == 1
    assert both["presence_ratio"][1] == pytest.approx(1 - absent, abs=0.01)


def test_drift_is_recovered():
    """A unit that moves up by 40 um, steadily; one that jitters from spike to spike alone; one that is not moved."""
    rng = np.random.default_rng(0)
    times = np.sort(rng.uniform(0, 1800, 9000))
    moving, jitter = 1000 + 40 * times / 1800, 1000 + rng.normal(0, 10, times.size)
    depths = np.r_[moving, jitter, np.full(times.size, 1000.0)]
    metrics = units.unit_metrics(np.tile(times, 3), np.arange(4) * times.size, depths=depths)
    assert metrics["drift_ptp"][0] == pytest.approx(40 * 29 / 30, abs=0.5)
    assert 0 < metrics["drift_ptp"][1] < 6 and metrics["drift_ptp"][2] == 0
    np.testing.assert_allclose(metrics["drift"], [80, 20 / np.sqrt(np.pi) * 18_000, 0], rtol=0.03, atol=1e-9)


@pytest.mark.parametrize("missing", [0.0, 0.05, 0.15, 0.3])
def test_spikes_below_the_threshold_are_estimated(missing):
    """Amplitudes of a Gaussian whose lower end was never detected."""
    rng = np.random.default_rng(int(100 * missing))
    amps = rng.normal(100, 15, 40_000)
    amps = amps[amps > np.quantile(amps, missing)] if missing else amps
    metrics = units.unit_metrics(np.arange(amps.size) * 0.01, [0, amps.size], amps)
    assert metrics["amplitude_cutoff"][0] == pytest.approx(missing, abs=0.04)
    assert metrics["missed_spikes"][0] == pytest.approx(missing / (1 - missing), abs=0.08)
    assert (metrics["noise_cutoff"][0] < 5) == (missing == 0)
    assert metrics["amp_median"][0] == pytest.approx(np.median(amps), rel=1e-6)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="real recordings are not here")
def test_metrics_of_a_real_recording_equal_their_definition():
    """289 clusters without amplitudes or depths; a sample of them against the reference."""
    grouping = spikes.group(np.load(REAL / "spikes.clusters.npy"))
    times = spikes.gather(np.load(REAL / "spikes.times.npy"), grouping)
    metrics = units.unit_metrics(times, grouping.offsets)
    assert np.isnan(metrics["amp_median"]).all() and np.isnan(metrics["ibl_label"]).all()
    assert metrics["n_spikes"].sum() == 124_905
    for unit in np.flatnonzero(grouping.n_spikes < 400)[::12]:
        own = times[grouping.offsets[unit] : grouping.offsets[unit + 1]]
        absent = np.full(own.size, np.nan)
        expected = unit_reference.metrics(own, absent, absent, times.min(), times.max())
        for name, value in expected.items():
            if name != "ibl_label":
                np.testing.assert_allclose(metrics[name][unit], value, rtol=1e-6, atol=1e-9, err_msg=name)


def test_input_of_any_kind_gives_the_same(tmp_path):
    """float32 amplitudes, lists and read-only memory maps; one thread or several."""
    rng = np.random.default_rng(7)
    (times, amps, depths), offsets = together([train(rng, kind) for kind in KINDS])
    expected = units.unit_metrics(times, offsets, np.round(amps), depths, threads=1)
    np.save(tmp_path / "times.npy", times)
    mapped = np.load(tmp_path / "times.npy", mmap_mode="r")
    metrics = units.unit_metrics(mapped, offsets.tolist(), np.round(amps).astype(np.float32), list(depths), threads=3)
    for name in units.METRICS:
        np.testing.assert_array_equal(metrics[name], expected[name], err_msg=name)


def test_no_units_give_no_rows():
    """An insertion whose sorting found nothing."""
    metrics = units.unit_metrics([], [0], [], [])
    assert tuple(metrics) == units.METRICS and all(values.shape == (0,) for values in metrics.values())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: units.unit_metrics([1.0, 0.5], [0, 2]), "times must rise within each unit"),
        (lambda: units.unit_metrics([1.0, np.nan, 2.0], [0, 3]), "times must not be NaN"),
        (lambda: units.unit_metrics([1.0, np.inf], [0, 2]), "times must be finite"),
        (lambda: units.unit_metrics([1.0, 2.0], [0, 2], amps=[1.0]), r"2 times but amps of shape \(1,\)"),
        (lambda: units.unit_metrics([1.0], [0, 1], window=(2.0, 2.0)), "window must begin before it ends"),
        (lambda: units.spike_width([1.0, 2.0], 30_000.0), "templates must be"),
        (lambda: units.spike_width([[1.0, 2.0]], 0.0), "sampling_rate must be positive"),
        (
            lambda: apply_criteria({"amp_median": [1.0]}, [{"metric": "amp_medain", "op": "<", "value": 1}]),
            "amp_median",
        ),
        (
            lambda: apply_criteria({"a": [1.0]}, [{"metric": "a", "op": "is", "value": 1}]),
            "no operator 'is'",
        ),
        (lambda: apply_criteria({"a": [1.0], "b": [1.0, 2.0]}, []), "equal length"),
    ],
)
def test_what_makes_no_sense_is_refused(call, message):
    """With a sentence that says what is wrong."""
    with pytest.raises(ValueError, match=message):
        call()


def test_spike_width_is_the_time_from_trough_to_peak():
    """On the largest channel, whatever the sign; a known waveform made of two Gaussians."""
    time = np.arange(82) / 30_000
    wide = -np.exp(-(((time - 1e-3) / 2e-4) ** 2)) + 0.4 * np.exp(-(((time - 1.6e-3) / 3e-4) ** 2))
    narrow = -np.exp(-(((time - 1e-3) / 1e-4) ** 2)) + 0.4 * np.exp(-(((time - 1.25e-3) / 1e-4) ** 2))
    templates = np.zeros((4, 82, 3))
    templates[0, :, 1], templates[1, :, 2], templates[2, :, 0] = wide, narrow, -wide
    templates[0, :, 0] = 0.5 * narrow
    templates[3] = np.nan
    widths = units.spike_width(templates, 30_000.0)
    np.testing.assert_allclose(widths, [0.6, 0.25, -0.6, np.nan], atol=0.05)


def test_criteria_are_data():
    """Every operator; rules must all hold; a metric that is NaN meets none of them, not even "differs"."""
    metrics = {"rate": [0.0, 1.0, 2.0, np.nan], "ok": np.array([True, True, False, True])}

    def passed(op, value, name="rate"):
        return apply_criteria(metrics, [{"metric": name, "op": op, "value": value}]).tolist()

    assert passed("<", 1) == [True, False, False, False]
    assert passed("<=", 1) == [True, True, False, False]
    assert passed(">", 1) == [False, False, True, False]
    assert passed(">=", 1) == [False, True, True, False]
    assert passed("==", 1) == [False, True, False, False]
    assert passed("!=", 1) == [True, False, True, False]
    assert passed("==", True, "ok") == [True, True, False, True]
    both = [{"metric": "rate", "op": ">=", "value": 1}, {"metric": "ok", "op": "==", "value": True}]
    assert apply_criteria(metrics, both).tolist() == [False, True, False, False]
    assert apply_criteria(metrics, []).all()
