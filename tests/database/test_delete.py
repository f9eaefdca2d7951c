"""Deleting takes the selected rows and their dependent rows, whatever the restriction, and leaves an audit row."""

from __future__ import annotations

import datetime

import datajoint as dj
import pytest

from pipeline import acquisition, behavior, behavior_analysis, data, lab, subject
from pipeline.database import registry
from pipeline.database.references import has_dependent_rows
from pipeline.provenance.delete import delete, preview

pytestmark = pytest.mark.slow

ID = "00000000-0000-4000-8000-%012d"


@pytest.fixture
def sessions(database: dj.Connection) -> list[dict]:
    """Three sessions with trials, of which an animal's training status was computed."""
    lab.Lab.insert1({"lab": "lab"})
    subject.Subject.insert1({"lab": "lab", "subject": "mouse", "subject_uuid": ID % 0})
    keys = []
    rules = behavior_analysis.TrainingCriteria.keys()[0]
    animal = {"lab": "lab", "subject": "mouse"}
    row = {"training_fingerprint": "0" * 32, "training_status": "in_training", "n_training_sessions": 3}
    row |= {"first_dates": {}, "days_to_status": {}, "missing_for_next": []}
    behavior_analysis.SubjectTraining.insert1(animal | rules | row, allow_direct_insert=True)
    for number in (1, 2, 3):
        key = animal | {"session_date": datetime.date(2026, 1, 5), "session_number": number}
        acquisition.Session.insert1(key | {"eid": ID % number, "rig": f"rig{number}"})
        lists = {name: [] for name in ("columns_present", "columns_absent", "columns_other")}
        key |= {"task_collection": "alf"}
        acquisition.SessionTask.insert1(key | {"task_number": 0})
        row = {"trials_fingerprint": "0" * 32, "n_trials": 2, "trials_complete": False}
        behavior.TrialSet.insert1(key | row | lists | {"columns_refused": {}}, allow_direct_insert=True)
        behavior.TrialSet.Trial.insert([key | {"trial_id": i, "choice": number} for i in (0, 1)])
        behavior_analysis.SessionTrainingStatus.insert1(key | rules | {"session_status": "in_training"})
        keys.append(key)
    return keys


def test_rows_and_their_descendants_go_and_no_others(sessions):
    """The animal's summary goes as a whole, since a part of it depends on the session; other sessions stay."""
    expected = {
        "behavior.TrialSet": 1,
        "behavior.TrialSet.Trial": 2,
        "behavior_analysis.SubjectTraining": 1,
        "behavior_analysis.SubjectTraining.SessionTrainingStatus": 3,
    }
    query = behavior.TrialSet & sessions[1]
    assert preview(query) == expected
    assert delete(query, "a test") == expected
    assert behavior.TrialSet.keys() == [sessions[0], sessions[2]]
    assert len(behavior.TrialSet.Trial()) == 4
    assert len(acquisition.Session()) == 3
    audit = {row["change_path"]: row["change_detail"] for row in data.Change.to_dicts()}
    assert audit == {table: f"{count} rows: a test" for table, count in expected.items()}


def test_a_restriction_by_a_descendant_deletes_what_it_selects(sessions):
    """DataJoint alone deletes nothing on PostgreSQL and raises on MySQL."""
    delete(acquisition.Session & (behavior.TrialSet.Trial & "choice = 2"), "a test")
    assert acquisition.Session.to_arrays("session_number").tolist() == [1, 3]


def test_a_restriction_that_selects_nothing_deletes_nothing(sessions):
    assert delete(acquisition.Session & {"session_number": 99}, "a test") == {}
    assert len(acquisition.Session()) == 3
    assert len(data.Change()) == 0


def test_a_delete_that_fails_leaves_everything(sessions, database):
    with pytest.raises(RuntimeError), database.transaction:
        delete(acquisition.Session & sessions[0], "a test")
        raise RuntimeError
    assert len(acquisition.Session()) == 3
    assert len(data.Change()) == 0


def test_only_tables_can_be_deleted_from(sessions):
    with pytest.raises(dj.DataJointError, match="only rows of a table"):
        delete(acquisition.Session.proj(other="rig") * lab.Lab.proj(), "a test")


def test_what_depends_on_rows_is_what_the_database_says(sessions, database):
    """Rows on which nothing hangs go without a look at all tables: those of any table here, and each by itself."""
    database.dependencies.load()
    for table in registry.tables():
        for part in (table, *registry.parts(table)):
            children = database.dependencies.children(part.full_table_name)
            if not children:
                assert not has_dependent_rows(part()), registry.label(part)
    for rows, depend in {
        acquisition.Session: True, acquisition.SessionTask: True, behavior.TrialSet: True, subject.Subject: True,
        behavior.TrialSet.Trial: False, lab.Lab: True, subject.Line: False, data.Dataset: False,
    }.items():  # fmt: skip
        assert has_dependent_rows(rows()) == depend, registry.label(rows)
    new = {name: sessions[0][name] for name in acquisition.Session.primary_key} | {"session_number": 9}
    acquisition.Session.insert1(new | {"eid": ID % 9, "rig": "it's 100 %"})
    assert not has_dependent_rows(acquisition.Session & new)
    assert not has_dependent_rows(acquisition.Session & {"rig": "it's 100 %"})
    assert has_dependent_rows(acquisition.Session & {"rig": "rig1"})
    assert delete(acquisition.Session & new, "a test") == {"acquisition.Session": 1}
