"""Small inputs of the kinds that real rigs write, each with the answer that the tables must give."""

from __future__ import annotations

import datetime
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import ingest
from pipeline import acquisition, action, behavior, behavior_analysis, worker
from pipeline.database import registry

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

CASES = Path(__file__).parents[3] / "shared" / "cases" / "behavior"
POPULATED = (behavior, behavior_analysis)


@pytest.fixture
def tables(database, tmp_path):
    """A function that ingests some cases, sets protocols, and fills the tables."""
    if not CASES.is_dir():
        pytest.skip(f"no cases at {CASES}")

    def fill(
        *cases: str,
        protocols: dict[str, str] | None = None,
        metadata: tuple[str, ...] = (),
        replaced: dict[str, str] | None = None,
    ) -> None:
        for case in cases:
            shutil.copytree(CASES / case, tmp_path, dirs_exist_ok=True)
        for name, other in (replaced or {}).items():
            (tmp_path / other).replace(tmp_path / name)
        ingest.register(tmp_path, metadata=[tmp_path / name for name in metadata])
        for subject, protocol in (protocols or {}).items():
            for key in (acquisition.Session & {"subject": subject}).to_dicts():
                acquisition.Session.update1(key | {"task_protocol": protocol})
        chosen = [
            table
            for table in registry.populated_tables()
            if table.__module__.rpartition(".")[2] in ("behavior", "behavior_analysis", "action")
        ]
        worker.drain(chosen)

    return fill


def status(subject: str, criteria: str) -> str:
    return (behavior_analysis.SubjectTraining & {"subject": subject, "criteria": criteria}).fetch1("training_status")


def test_readings_in_lists_of_one_are_numbers(tables):
    tables("ambient_lists")
    row = behavior.AmbientSensor.fetch1()
    assert row["n_readings"] == 12
    assert row["temperature"] == pytest.approx(24.375, abs=5e-4)
    assert row["air_pressure"] == pytest.approx(1035.138, abs=5e-4)
    assert row["relative_humidity"] == pytest.approx(50.045, abs=5e-4)


def test_one_bad_time_stamp_costs_one_sample_of_the_wheel(tables):
    tables("wheel_times")
    rows = {row["subject"]: row for row in behavior.WheelMoveSet.to_dicts()}
    assert rows.keys() == {"wheel_dup", "wheel_back", "wheel_raw_rad"}
    for subject, row in rows.items():
        assert (row["n_moves"], row["n_direction_changes"], row["wheel_unit"]) == (1, 21, "rad")
        assert row["wheel_distance"] == pytest.approx(46.03, abs=0.02)
        is_sound = subject == "wheel_raw_rad"
        assert row["wheel_dropped"] == (0 if is_sound else 1)
        assert row["wheel_qc"] == ("PASS" if is_sound else "WARNING")
        assert ("1 sample left out" in row["wheel_notes"]) is not is_sound


def test_a_no_go_is_wrong_in_the_published_rules(tables):
    protocol = next(iter(json.loads((CASES / "nogo_criteria/sessions.json").read_text()).values()))["task_protocol"]
    tables("nogo_criteria", protocols={"nogo": protocol})
    assert status("nogo", "ibllib_4") == status("nogo", "ibl_pipeline_2021") == "trained_1a"
    from pipeline.schemas.inputs import subject_history

    records = [item.record("wrong") for item in subject_history.sessions_of({"lab": "nogolab", "subject": "nogo"})]
    assert [round(record.performance_easy, 3) for record in records] == [0.891, 0.881, 0.867], "as ibllib 4.1.0"


def test_an_inverted_choice_is_flagged_and_left_out(tables):
    tables("flipped_choice")
    row = behavior.TrialSet.fetch1()
    assert row["trials_qc"] == "FAIL"
    (finding,) = [trials_check for trials_check in row["trials_checks"] if trials_check["outcome"] == "FAIL"]
    assert finding["check"] == "choice_against_feedback"
    assert finding["n_trials"] == 600
    assert "exchanged" in finding["detail"]
    assert (behavior_analysis.DailySummary.fetch1("day_performance"), status("flipped", "ibllib_4")) == (
        None,
        "not_computed",
    )


def test_a_prior_that_alternates_is_no_block_of_one_half(tables):
    protocol = "_iblrig_tasks_ephysChoiceWorld6.4.2"
    tables("block_prior_alternating", protocols={"alternating": protocol, "alternating_truth": protocol})
    for subject in ("alternating", "alternating_truth"):
        for row in (behavior.TrialSet & {"subject": subject}).to_dicts():
            flagged = {
                trials_check["check"]: trials_check
                for trials_check in row["trials_checks"]
                if trials_check["outcome"] != "PASS"
            }
            assert ("prior" in flagged) == (subject == "alternating")
            blocks = (
                behavior_analysis.PsychometricFit.Block & {"subject": subject} & {"session_date": row["session_date"]}
            )
            n_half = (blocks & {"block": 50}).to_arrays("block_n_trials")
            assert n_half.sum() < 200, "the block of 0.5 has its own trials only"
            if subject == "alternating":
                assert "from trial 12" in flagged["prior"]["detail"]


def test_each_task_of_a_session_has_its_own_rows(tables):
    tables("two_tasks")
    tasks = acquisition.SessionTask.to_dicts(order_by="task_number")
    assert [(task["task_collection"], task["raw_collection"], task["task_water"]) for task in tasks] == [
        ("alf/task_00", "raw_task_data_00", 0.8),
        ("alf/task_01", "raw_task_data_01", 0.5),
    ]
    rows = behavior.TrialSet.to_dicts(order_by="task_collection")
    assert [(row["n_trials"], row["task_kind"]) for row in rows] == [(300, "training"), (250, "biased")]
    assert [row["trials_protocol"].rpartition("_")[2] for row in rows] == ["trainingChoiceWorld", "biasedChoiceWorld"]
    assert len(behavior.TrialSet.Trial()) == 550
    day = behavior_analysis.DailySummary.fetch1()
    assert (day["day_trials"], day["day_sessions"], day["training_day"]) == (550, 1, 1)
    assert len(behavior_analysis.SessionPerformance()) == len(behavior_analysis.PsychometricFit()) == 2
    judged = behavior_analysis.SessionTrainingStatus & {"criteria": "ibllib_4"}
    assert judged.to_dicts(order_by="task_collection")[0]["session_status"] == "in_training"


def test_a_passive_task_after_a_recording_is_a_part_of_the_session(tables):
    tables("chained_passive")
    for subject in ("chained_passive", "not_chained"):
        days = (behavior_analysis.DailySummary & {"subject": subject}).to_dicts(order_by="session_date")
        assert [day["training_day"] for day in days] == [1, 2, 3]
        assert status(subject, "ibllib_4") == "ready4delay"
    one = (acquisition.SessionTask & {"subject": "chained_passive", "session_date": "2024-01-08"}).to_dicts()
    assert {(row["task_collection"], "passive" in row["protocol"]) for row in one} == {
        ("alf/task_00", False),
        ("alf/task_01", True),
    }


def test_names_of_another_layout_fill_the_columns(tables):
    tables("steinmetz_names")
    folder = next((CASES / "steinmetz_names").glob("lab/Subjects/*/*/*/alf"))
    given = {
        name: np.load(folder / f"trials.{attribute}.npy").ravel()
        for name, attribute in (
            ("choice", "response_choice"), ("contrast_left", "visualStim_contrastLeft"),
            ("contrast_right", "visualStim_contrastRight"), ("stim_on_times", "visualStim_times"),
            ("feedback_type", "feedbackType"),
        )
    }  # fmt: skip
    read = behavior.fetch_trials(behavior.TrialSet.fetch1("KEY"))
    for name, values in given.items():
        np.testing.assert_array_equal(read[name], values)
    withheld = (given["choice"] == 0) & (given["feedback_type"] == 1)
    row = behavior_analysis.SessionPerformance.fetch1()
    assert withheld.any() and row["n_correct"] == np.sum(given["feedback_type"] == 1), "a correct no-go is correct"


def test_a_time_zone_that_comes_later_doubles_nothing(tables):
    files = ("weighings.csv", "water.csv")
    tables("time_zone_later", metadata=files)
    tables("time_zone_later", metadata=(*files, "labs.csv"))
    tables("time_zone_later", replaced={"water.csv": "water_corrected.csv"}, metadata=(*files, "labs.csv"))
    weights = action.Weighing.to_arrays("weight", order_by="weighing_time").tolist()
    water = action.WaterAdministration.to_dicts(order_by="administration_time")
    assert weights == [22.0, 21.5]
    assert [(row["administration_time"], row["water_volume"]) for row in water] == [
        (datetime.datetime(2024, 1, 10, 2, 35), 1.0),
        (datetime.datetime(2024, 1, 11, 3, 30), 0.9),
    ]
    assert acquisition.Session.fetch1("start_time") == datetime.datetime(2024, 1, 11, 2, 30)


def test_water_of_a_night_counts_for_the_day_of_its_session_and_today_has_a_row(database, monkeypatch):
    """A session from 23:50 to 00:40, and an animal under restriction that got nothing yet today."""
    from pipeline import lab, subject
    from pipeline.schemas.inputs import water_history

    animal, uuid = {"lab": "l", "subject": "m"}, "00000000-0000-4000-8000-000000000001"
    lab.Lab.insert1({"lab": "l"})
    subject.Subject.insert1(animal | {"subject_uuid": uuid})
    day, given = datetime.date(2026, 1, 5), {"administration_time": datetime.datetime(2026, 1, 6, 0, 40)}
    action.WaterRestriction.insert1(animal | {"restriction_start": datetime.datetime(2026, 1, 5, 8)})
    action.Weighing.insert1(animal | {"weighing_time": datetime.datetime(2026, 1, 5, 9), "weight": 25.0})
    session = animal | {"session_date": day, "session_number": 1}
    acquisition.Session.insert1(session | {"eid": uuid})
    action.WaterAdministration.insert1(animal | given | {"water_volume": 0.9, "water_type": "Water"})
    acquisition.SessionWater.insert1(session | given)
    monkeypatch.setattr(water_history, "now", lambda: datetime.datetime(2026, 1, 7, 12))

    def rows() -> dict[datetime.date, float]:
        worker.drain([action.WaterHistory])
        rows = action.WaterStatus.to_dicts(order_by="session_date")
        return {row["session_date"]: (row["water_reward"], row["remaining_water"]) for row in rows}

    next_day, today = day + datetime.timedelta(1), day + datetime.timedelta(2)
    due = pytest.approx(0.1)
    assert rows() == {day: (0.9, due), next_day: (0, 1.0), today: (0, 1.0)}
    monkeypatch.setattr(water_history, "now", lambda: datetime.datetime(2026, 3, 7, 12))
    assert rows().keys() == {day}, "an animal without an entry for two weeks is not followed"
