"""Protects what people type at a prompt: joins by date and by the criteria in use, typed frames, short printing."""

from __future__ import annotations

import datetime

import pandas as pd
import pytest

from pipeline import acquisition, action, behavior, behavior_analysis, entry, subject
from pipeline.analysis.criteria import RULE_SETS
from pipeline.database.interactive import as_text
from pipeline.errors import UserError
from tests.dashboard import rows

DAYS = [datetime.date(2026, 1, 5), datetime.date(2026, 1, 6), datetime.date(2026, 1, 7)]
ANIMAL = {"lab": "lab", "subject": "m1"}
OTHER = {"criteria": "ibllib_4", "criteria_version": 1}

pytestmark = pytest.mark.slow


@pytest.fixture
def animal(database):
    """An animal with three sessions, judged by two rule sets, weighed on two of their days and on one without."""
    entry.write("lab.Lab", [{"lab": "lab"}], user="ada", source="test")
    entry.write("subject.Subject", [ANIMAL], user="ada", source="test")
    for number, day in enumerate(DAYS):
        key = ANIMAL | {"session_date": day, "session_number": 1}
        eid = f"00000000-0000-4000-8000-00000000000{number}"
        acquisition.Session.insert1(key | {"eid": eid, "task_protocol": "trainingChoiceWorld"})
        key |= {"task_collection": "alf"}
        acquisition.SessionTask.insert1(key | {"task_number": 0})
        lists = {f"columns_{name}": [] for name in ("present", "absent", "other")} | {"columns_refused": {}}
        trials = {"trials_fingerprint": "0" * 32, "n_trials": 100, "trials_complete": True}
        behavior.TrialSet.insert1(key | trials | lists, allow_direct_insert=True)
        rows.write("behavior_analysis.SessionPerformance", key | {"performance": 0.5 + number / 7})
    judged = {"training_fingerprint": "0" * 32, "n_training_sessions": 3, "first_dates": {}, "days_to_status": {}}
    judged |= {"missing_for_next": []}
    for rules, status in ((rows.RULES, "trained_1a"), (OTHER, "unbiasable")):
        rank = RULE_SETS[rules["criteria"]].rank(status)
        row = ANIMAL | rules | judged | {"training_status": status, "status_rank": rank}
        rows.write("behavior_analysis.SubjectTraining", row)
        for day in DAYS:
            key = ANIMAL | {"session_date": day, "session_number": 1, "task_collection": "alf"}
            rows.write("behavior_analysis.SessionTrainingStatus", key | rules | {"session_status": status})
    rows.write("behavior_analysis.BehaviorHistory", ANIMAL | {"history_fingerprint": "0" * 32, "n_training_days": 3})
    rows.write("action.WaterHistory", ANIMAL | {"water_fingerprint": "0" * 32, "n_restriction_days": 0})
    body = {"restricted": True, "weighed": True, "water_reward": 1.0, "water_supplement": 0.0, "day_adlib": False}
    body |= {"underweight": False, "critical": False}
    for day in (*DAYS[1:], datetime.date(2026, 1, 8)):
        rows.write("action.WaterStatus", ANIMAL | {"session_date": day, "day_weight": 20.0 + day.day} | body)
    for day in DAYS:
        summary = {"day_sessions": 1, "day_trials": 100, "training_day": day.day - 4, "training_week": 0}
        rows.write("behavior_analysis.DailySummary", ANIMAL | {"session_date": day} | summary)
    return database


def test_days_of_behaviour_weight_and_water_join_by_date_with_sessions(animal):
    joined = behavior_analysis.DailySummary * action.WaterStatus * behavior_analysis.SessionPerformance
    result = joined.to_dicts(order_by="session_date")
    assert [(row["session_date"], row["day_weight"]) for row in result] == [(DAYS[1], 26.0), (DAYS[2], 27.0)]
    assert len(behavior_analysis.DailySummary * acquisition.Session) == len(DAYS)
    assert len(action.WaterStatus - acquisition.Session.proj()) == 1


def test_a_join_has_each_session_once_by_the_criteria_in_use_and_others_on_request(animal):
    joined = acquisition.Session * behavior_analysis.SessionPerformance * behavior_analysis.SessionTrainingStatus
    assert (len(joined), bool(joined), set(joined.to_arrays("criteria"))) == (3, True, {"ibl_pipeline_2021"})
    other = joined & {"criteria": "ibllib_4"}
    assert (len(other), set(other.to_arrays("session_status"))) == (3, {"unbiasable"})
    assert len(joined) == 3, "the other request is another query"
    first = acquisition.Session * (behavior_analysis.SessionTrainingStatus & {"criteria": "ibllib_4"})
    assert set((first * behavior_analysis.SessionPerformance).to_arrays("criteria")) == {"ibllib_4"}
    assert len(joined & "criteria IS NOT NULL") == 6
    assert len(behavior_analysis.SubjectTraining()) == 2, "the table itself has both"
    assert len((subject.Subject * behavior_analysis.SubjectTraining).proj("training_status")) == 1
    counted = subject.Subject.aggr(behavior_analysis.SessionTrainingStatus, n="count(session_date)")
    assert counted.fetch1("n") == 3
    assert len((joined & "performance > 0.6").proj("performance", "session_status")) == 2


def test_at_least_a_status_is_a_query(animal):
    training = behavior_analysis.SubjectTraining
    assert len(training.at_least("trained_1a")) == len(training.at_least("in_training")) == 1
    assert len(training.at_least("trained_1b")) == 0
    assert len(training.at_least("in_training", criteria="ibllib_4")) == 0, "unbiasable is below"
    with pytest.raises(UserError, match="choose from in_training, trained_1a"):
        training.at_least("trained")
    with pytest.raises(UserError, match="choose from ibl_pipeline_2021, ibllib_4"):
        training.at_least("trained_1a", criteria="mine")


def test_frames_have_types_whether_values_are_missing_or_rows_are(animal):
    frame = behavior_analysis.SessionPerformance.to_pandas(order_by="session_date")
    assert frame["performance"].tolist() == pytest.approx([0.5, 0.5 + 1 / 7, 0.5 + 2 / 7])
    assert frame["performance_easy"].dtype == "float64" and frame["performance_easy"].isna().all()
    assert frame["n_correct"].dtype == "Int64"
    assert frame.index.names == behavior_analysis.SessionPerformance.primary_key
    assert frame.mean(numeric_only=True)["performance"] == pytest.approx(0.5 + 1 / 7)
    days = frame.reset_index()["session_date"]
    assert days.dtype.kind == "M" and days.dt.date.tolist() == DAYS
    none = (behavior_analysis.SessionPerformance & "n_correct > 3").to_pandas()
    assert len(none) == 0 and none["performance"].dtype == "float64" and none["n_correct"].dtype.kind == "i"
    means = subject.Subject.aggr(action.WaterStatus, weight="avg(day_weight)", n="count(session_date)").to_pandas()
    assert means["weight"].dtype == "float64" and means["n"].dtype == "int64"
    water = action.WaterStatus.to_pandas()
    assert water["restricted"].dtype == bool and isinstance(water, pd.DataFrame)


def test_classes_have_a_length_and_stay_true(animal):
    assert (len(acquisition.Session), len(behavior.TrialSet.Trial), bool(behavior.TrialSet.Trial)) == (3, 0, True)


def test_tables_print_short_numbers_and_lists(animal):
    entry_key = ANIMAL | {"session_date": DAYS[0], "session_number": 2}
    acquisition.Session.insert1(entry_key | {"eid": "00000000-0000-4000-8000-0000000000ff"})
    for text in (behavior_analysis.SessionPerformance()._repr_html_(), repr(behavior_analysis.SessionPerformance())):
        assert "0.64286" in text and "0.6428571" not in text and "3 rows" in text
    page = (behavior.TrialSet & {"session_date": DAYS[0]})._repr_html_()
    assert "<td>[]</td>" in page and "json" not in page and "<b>subject</b>" in page
    limited = acquisition.Session().preview(limit=2)
    assert "…" in limited.splitlines() and "4 rows" in limited


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (1234567.0, "1.2346e+06"), (True, "True"), ([None, 0.1], "[null, 0.1]"), ("<b>", "<b>")],
)
def test_values_as_text(value, text):
    assert as_text(value) == text
