"""Licks, cameras, pupil, passive periods and photometry: every form of one truth gives the same rows."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ingest
from ingest.simulate import SessionParams, simulate_trials, streams
from ingest.simulate.files import write_trials
from pipeline import behavior, photometry, session_events, worker
from pipeline.analysis import passive
from pipeline.analysis import photometry as analysis
from pipeline.errors import AmbiguousError, InvalidData, NotFoundError

TRIALS = simulate_trials(SessionParams(n_trials=40), seed=7)
FRAMES = streams.fluorescence(TRIALS, np.random.default_rng(1), rate=20.0)
PERIODS = {"passiveProtocol": (100.5, 900.25), "RFM": (110.0, 410.0), "taskReplay": (420.0, 890.125)}
TABLES = [
    *(behavior.TrialSet, behavior.Lick, behavior.Camera, behavior.Pupil),
    *(session_events.PassivePeriods, photometry.TraceSet),
]
PERIOD_NAMES = ["passiveProtocol", "RFM", "taskReplay", "spontaneousActivity"]


@pytest.mark.slow
@pytest.mark.one_database
def test_all_forms_of_one_truth_give_the_same_rows(database, tmp_path):
    rng = np.random.default_rng(3)
    licks, frames = streams.lick_times(TRIALS, rng), streams.frame_times(60.0, rng)
    diameter = np.where(rng.random(400) < 0.1, np.nan, rng.normal(12, 1, 400).round(3))

    def folder(subject: str, number: int) -> object:
        alf = tmp_path / "lab" / "Subjects" / subject / "2024-03-04" / f"{number:03d}" / "alf"
        write_trials(alf, TRIALS)
        return alf

    for number, form in enumerate(streams.ARRAY_FORMS, 1):
        streams.write_licks(folder("licks", number), licks, form)
        streams.write_camera(folder("camera", number), frames, ("left", "right", "body")[number % 3], form)
    for number, form in enumerate(streams.PUPIL_FORMS, 1):
        streams.write_pupil(folder("pupil", number), diameter, form=form)
    for number, form in enumerate(streams.PASSIVE_FORMS, 1):
        streams.write_passive_periods(folder("passive", number), PERIODS, form)
    for number, form in enumerate(streams.PHOTOMETRY_FORMS, 1):
        streams.write_photometry(folder("photometry", number).parent, FRAMES, form)
    summary = ingest.register(tmp_path)
    assert not summary.reasons
    worker.drain(TABLES)

    result = behavior.Lick.to_dicts()
    assert len(result) == len(streams.ARRAY_FORMS)
    for row in result:
        assert row["n_licks"] == len(licks)
        assert [row["first_lick"], row["last_lick"]] == pytest.approx([licks[0], licks[-1]], abs=1e-3)
    for row in (result := behavior.Camera.View.to_dicts()):
        assert row["n_frames"] == len(frames)
        assert row["frame_rate"] == pytest.approx(30, rel=1e-3)
        assert [row["first_frame"], row["last_frame"]] == pytest.approx([frames[0], frames[-1]], abs=1e-3)
    assert len(result) == len(streams.ARRAY_FORMS)
    rows = behavior.Pupil.View.to_dicts()
    expected = [np.nanmedian(diameter), np.nanstd(diameter), np.isnan(diameter).mean()]
    names = ("pupil_diameter", "pupil_diameter_sd", "pupil_missing")
    assert len(rows) == len(streams.PUPIL_FORMS)
    assert all([row[name] for name in names] == pytest.approx(expected) for row in rows)
    periods = session_events.PassivePeriods.Period.to_dicts()
    assert len(periods) == len(PERIODS) * len(streams.PASSIVE_FORMS)
    assert all(
        (row["passive_period_start"], row["passive_period_end"]) == PERIODS[row["period_name"]] for row in periods
    )
    check_photometry()


def check_photometry() -> None:
    lit = FRAMES[FRAMES["wavelength"] == 470]
    key = {"lab": "lab", "subject": "photometry", "session_date": "2024-03-04"}
    for number, form in enumerate(streams.PHOTOMETRY_FORMS, 1):
        session = key | {"session_number": number}
        row = (photometry.TraceSet & session).fetch1()
        offset = streams.DEVICE_OFFSET if form in streams.ON_DEVICE_CLOCK else 0.0
        assert row["photometry_clock"] == ("device" if offset else "session")
        assert row["photometry_qc"] == ("WARNING" if offset else "PASS"), row["photometry_notes"]
        assert row["n_unlit_frames"] == (0 if form == "array" else 1)
        assert row["n_dropped_frames"] == 0
        traces = (photometry.TraceSet.Trace & session).to_dicts(order_by="trace_id")
        assert len(traces) == (2 if form == "array" else 4)
        lights = {(item["wavelength"], item["light_name"]) for item in traces}
        assert lights == ({(None, "")} if form == "array" else {(415.0, "Isosbestic"), (470.0, "GCaMP")})
        if form in ("signal", "include"):
            assert {item["photometry_region"] for item in traces} == {"DMS", "NAcc"}
        site = {"array": "site_0", "regions": "DMS", "system": "G0", "signal": "DMS"}.get(form, "Region0G")
        trace = photometry.TraceSet.fetch_signal(session, site, None if form == "array" else 470)
        assert trace.times - offset == pytest.approx(lit["times"].to_numpy())
        assert trace.values == pytest.approx(lit["DMS"].to_numpy())
        if offset:
            with pytest.raises(InvalidData, match="clock of the device"):
                photometry.TraceSet.fetch_aligned(session, site=site, light="GCaMP")
        else:
            light = None if form == "array" else "GCaMP"
            time, signal = photometry.TraceSet.fetch_aligned(
                session, "feedback_times", site, light, "feedback_type == 1", baseline=(-0.4, 0.0)
            )
            rise = np.nanmean(signal[:, (time > 0.1) & (time < 0.4)])
            assert rise == pytest.approx(0.2, abs=0.02)
    with pytest.raises(AmbiguousError, match="4 traces fit"):
        photometry.TraceSet.fetch_signal(key | {"session_number": 1})
    with pytest.raises(NotFoundError, match="G0 DMS Isosbestic"):
        photometry.TraceSet.fetch_signal(key | {"session_number": 1}, "VTA")


@pytest.mark.slow
@given(data=st.data())
def test_frames_taken_apart_are_the_same_in_every_form(data):
    """Order of columns and lights, a device's bits or names and wavelengths, and bad stamps do not change a trace."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    n = data.draw(st.integers(6, 40))
    lights, other = rng.choice([1, 2, 4], n), rng.choice([0, 8, 16, 32, 528], n)
    times, signal = np.cumsum(rng.uniform(0.01, 0.1, n)), rng.uniform(0.1, 2, n)
    truth = {analysis.LIGHTS[item]: (times[lights == item], signal[lights == item]) for item in np.unique(lights)}
    valid = data.draw(st.sampled_from(["bool", "text", "number", "absent"]))
    flags = {"bool": np.ones(n, bool), "text": np.full(n, "True", object), "number": np.ones(n)}
    device = {data.draw(st.sampled_from(["SystemTimestamp", "Timestamp"])): times}
    device |= {data.draw(st.sampled_from(["LedState", "Flags"])): lights + other, "FrameCounter": np.arange(n)}
    named = {"times": times, "wavelength": np.array([analysis.LIGHTS[light][0] for light in lights])}
    named |= {
        "name": np.array([analysis.LIGHTS[light][1] for light in lights], object),
        "color": np.full(n, "x", object),
    }
    named |= {} if valid == "absent" else {data.draw(st.sampled_from(["valid", "include"])): flags[valid]}
    for columns in (device, named):
        columns = columns | {"G0": signal}
        order = data.draw(st.permutations(list(columns)))
        parts = analysis.take_apart({name: columns[name] for name in order})
        assert {(trace.wavelength, trace.name) for trace in parts.traces} == truth.keys()
        for trace in parts.traces:
            expected = truth[trace.wavelength, trace.name]
            assert trace.times.tolist() == expected[0].tolist()
            assert trace.values.tolist() == expected[1].tolist()
        assert parts.n_dropped == parts.n_unlit == parts.n_invalid == 0


@given(repeat=st.integers(1, 18), back=st.floats(0, 0.5))
def test_a_frame_with_a_bad_stamp_costs_itself(repeat, back):
    times = np.arange(20) / 10
    times[repeat] = times[repeat - 1] - back
    parts = analysis.take_apart({"times": times, "DMS": np.arange(20.0)})
    assert parts.n_dropped >= 1
    (trace,) = parts.traces
    assert np.all(np.diff(trace.times) > 0)
    assert any("left out" in note for note in analysis.notes(parts))


def test_what_cannot_be_photometry_says_so():
    with pytest.raises(ValueError, match="no column has the times"):
        analysis.take_apart({"LedState": [1, 2], "G0": [0.1, 0.2]})
    with pytest.raises(ValueError, match="signal of a site"):
        analysis.take_apart({"times": [1, 2], "name": ["GCaMP", "GCaMP"]})
    slow = analysis.take_apart({"times": np.arange(20) * 1000.0, "DMS": np.arange(20.0)})
    assert any("not in seconds" in note for note in analysis.notes(slow))
    dark = analysis.take_apart({"Timestamp": np.arange(20) / 10, "LedState": np.zeros(20), "G0": np.arange(20.0)})
    assert any("exactly one light" in note for note in analysis.notes(dark))


@pytest.mark.slow
@given(data=st.data())
def test_periods_are_the_same_in_every_form(data):
    names = data.draw(st.lists(st.sampled_from(PERIOD_NAMES), min_size=1, unique=True))
    truth = {name: tuple(sorted(data.draw(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4))))) for name in names}
    end = data.draw(st.sampled_from(["stop", "end", "Stop "]))
    rows = data.draw(st.permutations([("start", 0), (end, 1)]))
    wide = {"index": np.array([name for name, _ in rows], object)}
    wide |= {name: np.array([truth[name][i] for _, i in rows]) for name in names}
    tall = pd.DataFrame({"period": names, "start": [truth[n][0] for n in names], end: [truth[n][1] for n in names]})
    plain = {name: np.array(truth[name]) for name in names}
    for table in (wide, {name: tall[name].to_numpy() for name in tall}, plain):
        assert passive.periods(table) == truth
