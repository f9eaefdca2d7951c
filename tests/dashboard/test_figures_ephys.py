"""Figures of probes, units and regions, on data whose picture is known."""

from __future__ import annotations

import numpy as np
import pytest

from dashboard.figures import cells, insertion, metrics, region, responses, style, track
from pipeline.analysis.psychometrics import wilson_interval

CHANNELS = {
    "channel_axial": np.array([20.0, 40.0, 60.0, 80.0, 100.0]),
    "acronym": ["PO", "PO", "LP", "LP", ""],
    "region_color": ["#ff909f", "#ff909f", "#1f2328", "#1f2328", ""],
    "region_name": ["Posterior complex", "Posterior complex", "Lateral posterior", "Lateral posterior", ""],
}
UNITS = {
    "cluster_id": np.array([4, 7, 9]),
    "cluster_depth": np.array([100.0, 300.0, np.nan]),
    "cluster_amp": np.array([80.0, 120.0, 60.0]),
    "cluster_firing_rate": np.array([1.0, 10.0, 5.0]),
    "selected": np.array([0.0, 1.0, 1.0]),
}


def test_drift_map_has_each_rate_at_its_time_and_depth():
    rates = np.arange(6.0).reshape(2, 3)
    made = insertion.drift_map([0.5, 1.5, 2.5], [10.0, 30.0], rates, marks=[(1.0, "first trial"), (9.0, "last trial")])
    picture = made.data[0]
    np.testing.assert_array_equal(picture.z, rates)
    assert list(picture.x) == [0.5, 1.5, 2.5] and list(picture.y) == [10, 30]
    assert [shape.x0 for shape in made.layout.shapes] == [1.0], "what lies outside of the recording is not marked"
    assert list(made.layout.xaxis.range) == [0.0, 3.0]


def test_drift_map_of_a_long_recording_keeps_the_mean():
    times, depths = np.arange(2000) + 0.5, np.arange(500) * 20.0
    rates = np.random.default_rng(0).poisson(3, (500, 2000)).astype(float)
    picture = insertion.drift_map(times, depths, rates).data[0]
    assert picture.z.shape[0] <= 200 and picture.z.shape[1] <= 450
    assert picture.z.mean() == pytest.approx(rates.mean(), abs=0.02)
    assert picture.x[0] == pytest.approx(times[:5].mean())


def test_mean_amplitudes_count_spikes_not_cells():
    """A block of two cells, one with nine times the spikes of the other, and one without any."""
    times = np.arange(900) + 0.5
    rates, amps = np.zeros((1, 900)), np.full((1, 900), np.nan)
    rates[0, :2], amps[0, :2] = (9, 1), (100, 200)
    picture = insertion.drift_map(times, [10.0], rates, amps, value="amp").data[0]
    assert picture.z[0, 0] == pytest.approx(110) and np.isnan(picture.z[0, 1])


def test_units_are_at_their_depth_and_amplitude_and_filled_if_they_pass():
    made = insertion.units_by_depth(UNITS, chosen=7)
    fails, passes, ring = made.data
    assert (list(fails.x), list(fails.y), fails.marker.symbol) == ([80], [100], "circle-open")
    assert (list(passes.x), list(passes.y), passes.marker.symbol) == ([120], [300], "circle")
    assert passes.customdata[0][0] == 7 and passes.marker.size[0] > fails.marker.size[0]
    assert (list(ring.x), list(ring.y)) == ([120], [300])


def test_regions_end_half_way_between_channels():
    bars = track.regions(CHANNELS).data
    assert [(bar.name, bar.base[0], bar.y[0]) for bar in bars] == [
        ("PO", 10, 40),
        ("LP", 50, 40),
        ("not known", 90, 20),
    ]
    assert [bar.marker.color for bar in bars] == ["#ff909f", "#1f2328", style.GREY]
    assert [bar.textfont.color for bar in bars[:2]] == ["#000000", "#ffffff"], "names are read on their colour"


def test_regions_stand_beside_a_figure_and_nothing_where_they_are_not_known():
    alone = insertion.units_by_depth(UNITS)
    both = track.with_regions(alone, CHANNELS)
    assert len(both.data) == len(alone.data) + 3 and both.layout.xaxis.domain[0] > both.layout.xaxis2.domain[1]
    assert track.with_regions(alone, {}) is alone


def test_spectrum_is_in_decibel_and_averages_channels_at_one_depth():
    power = np.array([[9.0, 1.0, 100.0], [9.0, 3.0, 300.0], [9.0, 10.0, 10.0]])
    picture = insertion.spectrum(np.array([0.0, 5.0, 10.0]), power, np.array([20.0, 20.0, 40.0])).data[0]
    assert list(picture.x) == [5, 10] and list(picture.y) == [20, 40], "the mean of the signal is no frequency"
    np.testing.assert_allclose(picture.z, 10 * np.log10([[2, 200], [10, 10]]), atol=0.05)


def test_strength_of_each_band():
    made = insertion.rms({"ap": (np.array([8.0, 9.0]), np.array([20.0, 40.0])), "lf": ([80.0], [20.0])})
    assert [(item.name, list(item.x), list(item.y)) for item in made.data] == [
        ("ap", [8, 9], [20, 40]),
        ("lf", [80], [20]),
    ]


def test_activity_by_depth_is_neutral_at_the_baseline():
    change = np.array([[0.0, 2.0], [-1.0, 0.0]])
    made = insertion.depth_peth([0.0, 0.1], [40.0, 120.0], change)
    np.testing.assert_array_equal(made.data[0].z, change)
    assert made.layout.coloraxis.cmin == -made.layout.coloraxis.cmax


@pytest.mark.parametrize(
    ("metric", "limit", "at"), [("presence_ratio", 0.9, 0.9), ("firing_rate", 0.1, -1.0)], ids=["linear", "logarithmic"]
)
def test_histogram_says_how_many_units_pass(metric, limit, at):
    values = np.array([0.05, 0.5, 0.95, 0.9, 1.0, np.nan])
    rules = [{"metric": metric, "op": ">=", "value": limit}, {"metric": "other", "op": ">=", "value": 9}]
    made = metrics.metric_histogram(values, metric, rules)
    n = int((values >= limit).sum())
    by_name = {bar.name: bar for bar in made.data}
    assert by_name["pass"].y.sum() == n and by_name["do not pass"].y.sum() == 5 - n
    assert made.layout.shapes[0].x0 == pytest.approx(at) and made.layout.annotations[0].text == f"≥ {limit:g}: {n} of 6"
    failing = by_name["do not pass"]
    assert failing.x[failing.y > 0].max() < at, "what fails is on the left of the limit"
    passing = by_name["pass"]
    assert passing.x[passing.y > 0].min() > at, "and what equals it on the right"


def test_waveform_has_each_channel_at_its_place_and_a_true_scale():
    template = np.zeros((30, 3))
    template[10, 1], template[10, 2] = -200, -50
    made = cells.waveform(template, np.array([16.0, 48.0, 16.0]), np.array([20.0, 20.0, 40.0]), channels=[5, 6, 7])
    lines = {line.name: line for line in made.data}
    assert lines["channel 6"].line.color == style.BLUE and lines["channel 5"].line.color == style.GREY
    assert lines["channel 5"].x.mean() == pytest.approx(16) and lines["channel 5"].y[0] == 20
    scale = lines["scale"]
    trough = 20 - lines["channel 6"].y.min()
    assert (scale.y[0] - scale.y[1]) / trough == pytest.approx(100 / 200)
    assert scale.text[0] == "100 uV" and scale.text[2] == "1 ms"
    per_ms = (lines["channel 5"].x[29] - lines["channel 5"].x[0]) / (29 / 30)
    assert scale.x[2] - scale.x[1] == pytest.approx(per_ms)


def test_correlogram_of_positive_lags_is_drawn_on_both_sides():
    made = cells.autocorrelogram(np.array([0.00025, 0.00075, 0.00125]), np.array([0, 2, 5]), contamination=0.031)
    bars = made.data[0]
    np.testing.assert_allclose(bars.x, [-1.25, -0.75, -0.25, 0.25, 0.75, 1.25])
    assert list(bars.y) == [5, 2, 0, 0, 2, 5] and "0.03" in made.layout.annotations[0].text
    assert (made.layout.shapes[0].x0, made.layout.shapes[0].x1) == (-2, 2)


def test_raster_has_a_row_a_trial_in_the_order_of_the_groups():
    groups = [("side_left", np.array([2, 0])), ("side_right", np.array([3]))]
    trials, times = np.array([0, 1, 2, 3]), np.array([0.1005, 0.2, 0.301, -0.49])
    made = responses.raster(trials, times, groups, marks={"movement": np.array([0.25, 0.3, 5.0, np.nan])})
    picture, left, right, marks = made.data
    assert picture.z.shape[0] == 3 and np.count_nonzero(picture.z) == 3, "trial 1 is in no group"
    rows, columns = np.nonzero(picture.z)
    at = dict(zip(rows.tolist(), (picture.x0 + columns * picture.dx).tolist(), strict=True))
    assert at == pytest.approx({0: 0.301, 1: 0.1005, 2: -0.49}, abs=picture.dx)
    assert [picture.z[row].max() for row in range(3)] == [1, 1, 2], "each group in its colour"
    assert (left.name, right.name) == ("stimulus left (2)", "stimulus right (1)")
    assert list(marks.y) == [1] and marks.x[0] == pytest.approx(0.25), "only what lies in the window"


def test_a_raster_of_very_many_trials_shares_rows():
    trials = np.arange(5000)
    picture = responses.raster(trials, np.zeros(5000), [("all trials", trials)]).data[0]
    assert picture.z.shape[0] <= 500 and picture.dy * picture.z.shape[0] >= 5000
    assert (picture.z > 0).any(axis=1).all()


def test_a_signal_has_the_rows_of_the_raster():
    values = np.arange(8.0).reshape(4, 2)
    values[3, 1] = np.nan
    groups = [("side_left", np.array([2, 0])), ("side_right", np.array([3]))]
    made = responses.signal_raster(np.array([0.0, 0.1]), values, groups, name="breathing.voltage")
    np.testing.assert_array_equal(made.data[0].z, [[4, 5], [0, 1], [6, np.nan]])
    assert [shape.y0 for shape in made.layout.shapes][:1] == [1.5], "a line between the groups"
    many = responses.signal_raster(np.zeros(1), np.arange(1300.0)[:, None], [("all trials", np.arange(1300))]).data[0]
    assert many.dy == 3 and many.z.shape == (434, 1) and many.z[0, 0] == 1 and many.z[-1, 0] == 1299


def test_rates_around_an_event():
    times, mean = np.array([-0.1, 0.0, 0.1]), np.array([1.0, 2.0, 3.0])
    band, line = responses.peth(times, mean, np.full(3, 0.5)).data
    assert list(line.y) == [1, 2, 3] and max(band.y) == 3.5 and min(band.y) == 0.5
    made = responses.peth(times, mean, None, {"feedback_correct": (mean, 12), "feedback_error": (mean * 2, 3)})
    assert [item.name for item in made.data] == ["reward (12)", "error (3)"]
    assert [item.line.color for item in made.data] == [style.CORRECT, style.WRONG]
    assert made.data[0].line.dash != made.data[1].line.dash, "not by colour alone"


def test_amplitudes_hold_every_spike():
    rng = np.random.default_rng(0)
    times, amps = rng.uniform(0, 100, 4000), rng.normal(100, 5, 4000)
    amps[0] = np.nan
    picture = cells.amplitudes(times, amps, span=(0.0, 100.0)).data[0]
    assert np.nansum(picture.z.astype(float) ** 2) == pytest.approx(3999, rel=0.01)


def test_rate_over_time_knows_that_the_last_bin_is_shorter():
    line = cells.rate_over_time(np.array([1.0, 2.0, 11.0, 21.0]), span=(0.0, 22.0), width=10.0).data[0]
    assert list(line.y) == [0.2, 0.1, 0.5] and list(line.x) == [5, 15, 21]


def test_counts_of_regions_are_in_order_and_add_up():
    rows = [
        {"acronym": "CA1", "region_color": "#7ed04b", "n_units": 5, "n_selected": 2},
        {"acronym": "PO", "region_color": "#ff909f", "n_units": 9, "n_selected": 9},
        {"acronym": "DG", "region_color": "#7ed04b", "n_units": 0, "n_selected": 0},
    ]
    passing, failing = region.counts(rows).data
    assert list(passing.y) == ["CA1", "PO"], "the one with most units is at the top"
    assert list(passing.x) == [2, 9] and list(failing.x) == [3, 0]


def test_share_of_responding_units_has_its_wilson_interval():
    points = region.responsive([{"event": "stim_on", "n_units": 20, "n_responsive": 5}]).data[0]
    low, high = wilson_interval(np.array([5]), np.array([20]), 0.95)
    assert points.y[0] == 0.25 and list(points.x) == ["stim on"]
    assert points.y[0] + points.error_y.array[0] == pytest.approx(high[0])
    assert points.y[0] - points.error_y.arrayminus[0] == pytest.approx(low[0])


def test_raw_samples_keep_their_size_and_place():
    microvolts = np.column_stack([np.r_[np.zeros(9), -80.0, np.zeros(10)], np.full(20, 5.0)])
    made = cells.raw_samples(10.0 + np.arange(20) / 1e3, microvolts, [7, 8], np.array([10.009]), at=10.01)
    first, second = made.data
    assert min(first.y) == -80 and first.x[9] == pytest.approx(-1.0)
    assert np.ptp(second.y) == 0 and second.y[0] < -20 and list(second.customdata) == [5.0] * 20
    assert made.layout.yaxis.ticktext == ("7", "8") and made.layout.shapes[0].x0 == pytest.approx(-1.0)


NOTHING = np.empty(0)
EMPTY = {
    "drift": lambda **more: insertion.drift_map(NOTHING, NOTHING, NOTHING, **more),
    "units": lambda **more: insertion.units_by_depth({}, **more),
    "spectrum": lambda **more: insertion.spectrum(NOTHING, NOTHING, NOTHING, **more),
    "rms": lambda **more: insertion.rms({}, **more),
    "depth_peth": lambda **more: insertion.depth_peth(NOTHING, NOTHING, NOTHING, **more),
    "regions": lambda **more: track.regions({}, **more),
    "histogram": lambda **more: metrics.metric_histogram(np.array([np.nan]), "firing_rate", **more),
    "raw": lambda **more: cells.raw_samples(NOTHING, np.empty((0, 0)), [], NOTHING, **more),
    "waveform": lambda **more: cells.waveform(np.empty((0, 0)), NOTHING, NOTHING, **more),
    "correlogram": lambda **more: cells.autocorrelogram(NOTHING, NOTHING, **more),
    "amplitudes": lambda **more: cells.amplitudes(NOTHING, NOTHING, **more),
    "rate": lambda **more: cells.rate_over_time(NOTHING, span=(0.0, 0.0), **more),
    "raster": lambda **more: responses.raster(NOTHING, NOTHING, (), **more),
    "signal": lambda **more: responses.signal_raster(NOTHING, np.empty((0, 0)), (), **more),
    "peth": lambda **more: responses.peth(NOTHING, NOTHING, **more),
    "counts": lambda **more: region.counts([], **more),
    "responsive": lambda **more: region.responsive([], **more),
}


@pytest.mark.parametrize("name", EMPTY)
def test_a_figure_without_data_says_so(name):
    made = EMPTY[name](theme="dark")
    assert not made.data and made.layout.annotations[0].text.endswith(".")
    assert made.layout.template.layout.paper_bgcolor == style.PAPER["dark"]
