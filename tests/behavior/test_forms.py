"""Forms in which rigs write the same thing give the same tables; a setting that says how a file is read counts."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ingest
from ingest.simulate import write_lab
from pipeline import acquisition, behavior, entry, worker
from pipeline.analysis import stream_checks
from pipeline.queries.sessions import find_sessions
from pipeline.settings import override
from pipeline.worker import status

FORMS = (
    lambda value: value,
    lambda value: [value],
    lambda value: [[value]],
    lambda value: (value,),
    str,
    lambda value: [f" {value} "],
    np.float64,
)
NO_READING = (None, "nan", "", [], [None], "no answer", True, {}, [1.0, 2.0], float("inf"))


FAILED = (0.0, -999, [-999.0], "1e9", 103513.8)


@pytest.mark.slow
@given(
    values=st.lists(st.floats(15, 40).map(lambda value: round(value, 3)), min_size=1, max_size=12),
    data=st.data(),
)
def test_a_reading_is_the_same_number_in_every_form(values, data):
    written = [data.draw(st.sampled_from(FORMS))(value) for value in values]
    gaps = data.draw(st.lists(st.sampled_from(NO_READING), max_size=4))
    failed = data.draw(st.lists(st.sampled_from(FAILED), max_size=4))
    rows = [{"Temperature_C": value} for value in data.draw(st.permutations([*written, *gaps, *failed]))]
    result = stream_checks.air(data.draw(st.sampled_from([rows, [rows]])))
    assert result.medians["temperature"] == pytest.approx(np.median(values))
    assert any("left out" in note for note in result.notes) or not failed
    columns = stream_checks.air({"temperature_c": [*values, -999.0], "RelativeHumidity": [*values, 45.0]})
    assert columns.medians["temperature"] == pytest.approx(np.median(values))


def test_without_a_number_that_a_room_has_there_is_no_median():
    for reading in (*NO_READING, *FAILED):
        assert stream_checks.air([{"Temperature_C": reading}] * 3).medians["temperature"] is None


@given(scale=st.sampled_from([1, 1e3, 1e6, 1e9]), rate=st.sampled_from([5.5, 30.0, 60.0, 150.0, 480.0]), data=st.data())
def test_the_rate_of_a_camera_tells_the_unit_of_its_times(scale, rate, data):
    times = 12.5 + np.arange(400) / rate
    written = (times * scale).astype(data.draw(st.sampled_from([np.int64, np.float64])) if scale >= 1e6 else float)
    missing, repeated = data.draw(st.booleans()), data.draw(st.booleans())
    if missing or repeated:
        written = written.astype(float)
        written[100:105] = np.nan if missing else written[100:105]
        written[201] = written[200] if repeated else written[201]
    seconds, notes = stream_checks.frame_times(written)
    assert np.nanmedian(np.diff(seconds)) == pytest.approx(1 / rate, rel=1e-3)
    assert len(notes) == (scale > 1) + missing + repeated, notes


def test_times_that_are_none_are_flagged():
    for values, said in (
        (np.zeros(100), "no times of frames"),
        (np.arange(100), "numbers of frames"),
        (1.7e9 + np.arange(100) / 30, "another clock"),
    ):
        assert any(said in note for note in stream_checks.frame_times(values)[1])
    sound = np.sort(np.random.default_rng(0).uniform(0, 3000, 4000))
    assert stream_checks.lick_times(sound)[1] == []
    for values, said in (
        (sound * 3e4, "not in seconds"),
        (sound * 1e3, "in ms"),
        (sound[::40] / 50 * 1e3, "perhaps not in seconds"),
        (sound + 1.7e9, "another clock"),
        (np.repeat(sound, 2), "time of another"),
        (np.append(sound, np.nan), "no time"),
    ):
        assert any(said in note for note in stream_checks.lick_times(values)[1]), said


def test_a_pupil_that_was_not_seen_is_missing_however_it_is_written():
    truth = np.random.default_rng(0).normal(20, 2, 300)
    for gap in (0, -1, np.nan, np.inf):
        written = np.where(np.arange(300) < 200, gap, truth)
        diameter, notes = stream_checks.pupil({"pupilDiameter_raw": written, "motion": truth}, 300)
        assert np.array_equal(np.isnan(diameter), np.arange(300) < 200)
        assert bool(notes) == (gap in (0, -1))
    assert stream_checks.pupil({"pupilDiameter_raw": truth.astype(str)}, 280)[1] == [
        "300 rows where the camera has 280 frames"
    ]
    assert stream_checks.pupil({"pupil_diameter": truth})[1] == ["no column pupilDiameter_smooth or pupilDiameter_raw"]
    with pytest.raises(KeyError):
        stream_checks.pupil({"motion": truth})
    with pytest.raises(ValueError, match="no number"):
        stream_checks.pupil({"pupilDiameter_raw": ["wide"]})


@pytest.mark.slow
@pytest.mark.one_database
def test_the_air_is_read_in_every_form_that_rigs_write_and_a_stated_unit_makes_wheels_stale(database, tmp_path):
    write_lab(tmp_path, n_mice=1, n_sessions=3, seed=4, wheel=("rad", "cm", "deg"))
    inverted = sorted(tmp_path.glob("*/Subjects/*/*/*/alf/_ibl_wheel.position.npy"))[1]
    np.save(inverted, -np.load(inverted))
    ingest.register(tmp_path)
    worker.drain([behavior.AmbientSensor, behavior.TrialSet, behavior.WheelMoveSet])
    told = [
        session for session in json.loads((tmp_path / "truth.json").read_text())["sessions"] if "damage" not in session
    ]
    truth = {(item["date"]): item["ambient"] for item in told}
    read = behavior.AmbientSensor.to_dicts()
    assert len(read) == len(truth) == 3
    for row in read:
        expected = truth[str(row["session_date"])]
        collected = [row["temperature"], row["air_pressure"], row["relative_humidity"]]
        assert collected == pytest.approx([expected[name] for name in expected])

    moved = behavior.WheelMoveSet.to_dicts(order_by="session_date")
    assert sorted(row["wheel_unit"] for row in moved) == ["cm", "deg", "rad"]
    assert [row["wheel_qc"] for row in moved] == ["PASS", "FAIL", "PASS"]
    assert "against the choice" in moved[1]["wheel_notes"]
    (listed,) = find_sessions(wheel_qc="FAIL,WARNING").to_pylist()
    assert (listed["session_date"], listed["wheel_qc"]) == (moved[1]["session_date"], "FAIL")
    assert [doubt.count for doubt in status._doubts(None) if (doubt.where, doubt.what) == ("FAIL", "wheel")] == [1]

    for key in behavior.TrialSet.to_dicts():  # the trace was made from the trials
        known = behavior.fetch_trials(key)["first_movement_times"]
        moved = behavior.WheelMoveSet.fetch_first_movements(key)
        assert np.mean(np.isnan(moved) == np.isnan(known)) > 0.99
        assert np.nanmedian(np.abs(moved - known)) < 0.01
        assert np.mean(np.abs(moved - known)[np.isfinite(known)] < 0.05) > 0.98

    table, names = behavior.WheelMoveSet(), acquisition.SessionTask.primary_key
    stored = dict.fromkeys(table.to_arrays("wheel_fingerprint"))
    same = table.current_fingerprints()
    assert set(same["fingerprint"].to_pylist()) == set(stored)
    with override(wheel_units={"another": "cm"}):
        assert table.current_fingerprints().equals(same)
    with override(wheel_units={"simlab": "rad"}):
        changed = table.current_fingerprints()
    assert changed.select(names).equals(same.select(names))
    assert not set(changed["fingerprint"].to_pylist()) & set(stored)


@pytest.mark.slow
def test_a_kind_of_water_has_one_spelling_and_free_access_an_end(database):
    animal = {"lab": "lab", "subject": "m1"}
    by = {"user": "ada", "source": "test"}
    entry.write("lab.Lab", [{"lab": "lab"}], **by)
    entry.write("subject.Subject", [animal], **by)
    from pipeline import action

    for day, spelled in enumerate(("Citric Acid Water 2%", "water 2 % citric acid", "Water 2% Citric Acid"), 5):
        row = animal | {"administration_time": f"2026-01-{day:02d}T12:00:00", "water_type": spelled}
        entry.write("action.WaterAdministration", [row | {"volume": 1.0}], **by, create_missing=True)
    assert set(action.WaterAdministration.to_arrays("water_type")) == {"Water 2% Citric Acid"}
    free = {"administration_time": "2026-01-09T18:00:00", "adlib": True, "adlib_end": "2026-01-12T09:00:00"}
    entry.write("action.WaterAdministration", [animal | free], **by)
    restricted = animal | {"restriction_start": "2026-01-05T08:00:00", "restriction_end": "2026-01-14T08:00:00"}
    entry.write("action.WaterRestriction", [restricted | {"reference_weight": 25}], **by)
    entry.write("action.Weighing", [animal | {"weighing_time": "2026-01-05T08:00:00", "weight": 25}], **by)
    worker.drain([action.WaterHistory])
    days = {row["session_date"].day: row for row in action.WaterStatus.to_dicts()}
    assert [day for day, row in days.items() if row["day_adlib"]] == [9, 10, 11, 12]
    assert [days[day]["remaining_water"] for day in (8, 10, 13)] == [1.0, 0.0, 1.0]
