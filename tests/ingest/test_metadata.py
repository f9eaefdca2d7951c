"""Protects metadata: usable rows count, refusals name file, row and column, corrections update."""

from __future__ import annotations

import datetime
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.files import session_metadata
from ingest.files.scan import SessionKey
from ingest.files.session_metadata import Facts
from ingest.metadata import files as metadata
from pipeline.alf import identity
from pipeline.entry import field_of
from pipeline.entry.parse import parse
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, action, audit, data, lab, subject
from tests.ingest.tree import ingest, rows, write

SESSION = "mylab/Subjects/m1/2023-07-03/001"
KEY = SessionKey("mylab", "m1", "2023-07-03", 1)
TIME = field_of("action.Weighing", "weighing_time")
EID = "604e1da8-1e3d-41c4-a29e-21d573a0b84c"


def settings_file(session, content, collection="raw_task_data_00"):
    folder = session / collection
    folder.mkdir(parents=True, exist_ok=True)
    (folder / session_metadata.SETTINGS).write_text(json.dumps(content))


def settings_8(**changed):
    told = {
        "SUBJECT_NAME": "m1", "SESSION_START_TIME": "2023-07-03T12:00:00", "SESSION_END_TIME": "2023-07-03T13:00:00",
        "PYBPOD_PROTOCOL": "_iblrig_tasks_trainingChoiceWorld", "IBLRIG_VERSION": "8.15.6", "ALYX_USER": "ada",
        "PROJECTS": ["learning"], "PROCEDURES": ["Behavior training/tasks"], "RIG_NAME": "_iblrig_my_behavior_0",
        "SESSION_DELAY_START": 60, "SUBJECT_WEIGHT": 22.5, "TOTAL_WATER_DELIVERED": 1200.0,
        "REWARD_TYPE": "Water 10% Sucrose",
    }  # fmt: skip
    return told | changed


def session_row():
    return (acquisition.Session & dict(zip(acquisition.Session.primary_key, KEY, strict=True))).fetch1()


def test_the_settings_tell_of_the_session(database, tmp_path):
    settings_file(write(tmp_path, SESSION), settings_8())
    (tmp_path / "labs.csv").write_text("lab,time_zone\nmylab,Europe/London\n")
    assert ingest(tmp_path, metadata=[tmp_path]).quarantined == 0
    row = session_row()
    assert row["start_time"] == datetime.datetime(2023, 7, 3, 11), "the lab's time was not turned into UTC"
    assert row["end_time"] == datetime.datetime(2023, 7, 3, 12)
    assert row["task_protocol"] == "_iblrig_tasks_trainingChoiceWorld8.15.6"
    assert (row["rig"], row["start_delay"]) == ("_iblrig_my_behavior_0", 60)
    assert rows(acquisition.SessionUser, "user_name") == [("ada",)]
    assert rows(acquisition.SessionProject, "project") == [("learning",)]
    assert rows(action.Weighing, "weighing_time", "weight", "weighing_user") == [(row["start_time"], 22.5, "ada")]
    given_water = rows(acquisition.SessionWater * action.WaterAdministration, "water_volume", "water_type")
    assert given_water == [(1.2, "Water 10% Sucrose")]


def test_old_settings_are_read_too():
    old = {
        "SUBJECT_NAME": "m1", "SESSION_DATETIME": "2023-07-03T12:15:18.145140", "SUBJECT_WEIGHT": 23.0,
        "PYBPOD_PROTOCOL": "_iblrig_tasks_biasedChoiceWorld", "IBLRIG_VERSION_TAG": "5.0.0", "PYBPOD_BOARD": "rig0",
        "PYBPOD_CREATOR": ["ada", "2671b209-5f71-4f0b-8f62-ef74f2e9e833", "local"], "SESSION_START_DELAY_SEC": 900,
    }  # fmt: skip
    session_facts, problems = session_metadata.session_facts(KEY, None, [("s.json", old)], "UTC")
    assert not problems
    assert (session_facts.task_protocol, session_facts.users, session_facts.rig) == (
        "_iblrig_tasks_biasedChoiceWorld5.0.0",
        ["ada"],
        "rig0",
    )
    assert (session_facts.start_delay, session_facts.start_time.microsecond) == (900, 145140)


def test_chained_protocols_are_one_session():
    second = settings_8(
        SESSION_START_TIME="2023-07-03T13:10:00", SESSION_END_TIME="2023-07-03T13:40:00", ALYX_USER="cajal",
        PYBPOD_PROTOCOL="_iblrig_tasks_passiveChoiceWorld", SUBJECT_WEIGHT=None, TOTAL_WATER_DELIVERED=100,
    )  # fmt: skip
    files = [("x/raw_task_data_01/s.json", second), ("x/raw_task_data_00/s.json", settings_8())]
    session_facts, problems = session_metadata.session_facts(KEY, None, files, "UTC")
    assert not problems
    assert (
        session_facts.task_protocol == "_iblrig_tasks_trainingChoiceWorld8.15.6/_iblrig_tasks_passiveChoiceWorld8.15.6"
    )
    assert (session_facts.start_time.hour, session_facts.end_time.minute, session_facts.users) == (
        12,
        40,
        ["ada", "cajal"],
    )
    assert (session_facts.start_delay, len(session_facts.weighings), len(session_facts.water)) == (120, 1, 2)


def test_the_description_goes_before_the_settings():
    description = {
        "projects": ["described"],
        "tasks": [{"_iblrig_tasks_trainingChoiceWorld": {"collection": "raw_task_data_00"}}, {"passive": {}}],
    }
    files = [("x/raw_task_data_00/s.json", settings_8())]
    session_facts, _ = session_metadata.session_facts(KEY, ("d.yaml", description), files, "UTC")
    assert (session_facts.projects, session_facts.procedures) == (["described"], ["Behavior training/tasks"])
    assert session_facts.task_protocol == "_iblrig_tasks_trainingChoiceWorld8.15.6/passive"


@pytest.mark.parametrize(
    ("changed", "column"),
    [
        ({"SUBJECT_NAME": "m2"}, "SUBJECT_NAME"),
        ({"SESSION_START_TIME": "2021-01-01T00:00:00"}, "SESSION_DATETIME"),
        ({"SESSION_START_TIME": "noon"}, "SESSION_START_TIME"),
        ({"SUBJECT_WEIGHT": -3}, "SUBJECT_WEIGHT"),
        ({"ALYX_USER": "a%da"}, "ALYX_USER"),
        ({"PROJECTS": ["a\\b"]}, "PROJECTS"),
    ],
)
def test_settings_that_cannot_be_used_are_named_and_the_rest_counts(changed, column):
    session_facts, problems = session_metadata.session_facts(KEY, None, [("s.json", settings_8(**changed))], "UTC")
    reason = "wrong_animal" if column == "SUBJECT_NAME" else "bad_metadata"
    assert [(problem.path, problem.reason, problem.column) for problem in problems] == [("s.json", reason, column)]
    assert session_facts.rig == (None if column == "SUBJECT_NAME" else "_iblrig_my_behavior_0")


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)))
def test_no_settings_break_the_reader(thing):
    for name in settings_8():
        session_metadata.session_facts(
            KEY, ("d.yaml", {"tasks": thing}), [("s.json", settings_8(**{name: thing}))], "UTC"
        )
    session_metadata.session_facts(KEY, ("d.yaml", thing), [("s.json", thing)], "UTC")


def test_a_metadata_file_goes_before_the_folder_and_a_correction_updates(database, tmp_path):
    settings_file(write(tmp_path, SESSION), settings_8())
    told = tmp_path / "sessions.json"
    told.write_text(
        json.dumps({SESSION: {"eid": EID, "task_protocol": "told", "users": ["marr"], "location": "room1"}})
    )
    ingest(tmp_path, metadata=[told])
    row = session_row()
    assert (row["eid"], row["task_protocol"], row["location"]) == (EID, "told", "room1")
    assert rows(acquisition.SessionUser, "user_name") == [("marr",)]
    told.write_text(json.dumps({SESSION: {"eid": EID, "task_protocol": "corrected", "users": ["ada"]}}))
    assert ingest(tmp_path, metadata=[told]).metadata_rows == 1
    assert session_row()["task_protocol"] == "corrected"
    assert rows(acquisition.SessionUser, "user_name") == [("ada",)]
    said = [detail for (detail,) in rows(data.Change & {"change_action": "replaced"}, "change_detail")]
    assert any("told -> corrected" in value for value in said)
    edits = audit.Edit & {"edit_source": "metadata sessions.json"}
    assert set(rows(edits & {"edit_table": "acquisition.SessionUser"}, "edit_action", "edit_path")) == {
        ("create", "mylab/m1/2023-07-03/1/marr"),
        ("delete", "mylab/m1/2023-07-03/1/marr"),
        ("create", "mylab/m1/2023-07-03/1/ada"),
    }


def test_a_name_in_a_list_that_cannot_be_written_is_a_problem_of_the_file_and_the_others_count(database, tmp_path):
    write(tmp_path, SESSION)
    told = tmp_path / "sessions.json"
    told.write_text(json.dumps({SESSION: {"users": ["ada", "a/b"], "projects": ["p1"]}}))
    assert ingest(tmp_path, metadata=[told]).reasons == {"bad_metadata": 1}
    assert rows(acquisition.SessionProject, "project") == [("p1",)]
    told.write_text(json.dumps({SESSION: {"projects": ["p2"]}}))
    ingest(tmp_path, metadata=[told])
    assert rows(acquisition.SessionProject, "project") == [("p2",)]
    assert len(acquisition.SessionUser()) == 0


def test_an_eid_that_comes_later_replaces_the_derived_one_unless_another_session_has_it(database, tmp_path):
    write(tmp_path, SESSION)
    other = SESSION.replace("001", "002")
    write(tmp_path, other)
    ingest(tmp_path)
    assert session_row()["eid"] == identity.eid(SESSION)
    told = tmp_path / "sessions.json"
    told.write_text(json.dumps({SESSION: {"eid": EID.upper()}}))
    ingest(tmp_path, metadata=[told])
    assert session_row()["eid"] == EID
    told.write_text(json.dumps({other: {"eid": EID}}))
    assert ingest(tmp_path, metadata=[told]).reasons == {"bad_metadata": 1}
    assert (acquisition.Session & {"session_number": 2}).fetch1("eid") == identity.eid(other)
    told.write_text(json.dumps({SESSION: {"eid": "d3b07384-d9a0-1c9b-8a3e-0123456789ab"}}))
    ingest(tmp_path, metadata=[told])
    assert "version" in data.Quarantine.fetch1("detail") and session_row()["eid"] == EID


SUBJECTS = """lab,subject,sex,birth_date,line,strain,source,responsible_user,projects,colour
mylab,m1,F,2023-01-02,Ai95,C57BL/6J,Jax,ada,"learning,other",brown
mylab,m2,X,2023-13-02,,,,,,
mylab,,M,,,,,,,
mylab,m3,M,,a%b,,,,,
"""


def test_bad_rows_and_columns_are_named_and_the_rest_is_written(database, tmp_path):
    write(tmp_path, SESSION)
    (tmp_path / "subjects.csv").write_text(SUBJECTS)
    (tmp_path / "weighings.csv").write_text(
        "subject,weighing_time,weight,user\nm1,2023-07-03T09:00:00Z,22.5,ada\nm1,2023-07-04,heavy,ada\nm9,2023-07-04,2,\n"
        "m1,2023-07-05T09:00:00\n"
    )
    summary = ingest(tmp_path, metadata=[tmp_path / "subjects.csv", tmp_path / "weighings.csv"])
    collected = {(path, column): detail for path, column, detail in
             rows(data.Quarantine, "quarantine_path", "quarantine_column", "detail")}  # fmt: skip
    assert collected.keys() == {
        ("subjects.csv", "colour"), ("subjects.csv", "sex"), ("subjects.csv", "birth_date"),
        ("subjects.csv", "subject"), ("subjects.csv", "line"), ("weighings.csv", "weight"),
        ("weighings.csv", "subject"), ("weighings.csv", ""),
    }  # fmt: skip
    assert "row 3" in collected["subjects.csv", "sex"] and "row 4" in collected["subjects.csv", "subject"]
    assert "row 3" in collected["weighings.csv", "weight"]
    assert summary.reasons == {"bad_metadata": 8}
    assert [row[:2] for row in rows(subject.Subject, "subject", "sex", "birth_date")] == [
        ("m1", "F"), ("m2", "U"), ("m3", "M"),
    ]  # fmt: skip
    assert rows(subject.SubjectProject, "project") == [("learning",), ("other",)]
    assert rows(action.Weighing, "weight") == [(22.5,)]
    (tmp_path / "subjects.csv").write_text(SUBJECTS.splitlines()[0].removesuffix(",colour") + "\nmylab,m1,M,,,,,,\n")
    summary = ingest(tmp_path, metadata=[tmp_path / "subjects.csv"])
    assert (summary.metadata_rows, summary.resolved) == (1, 5), "corrected: the value and the entries"
    assert summary.metadata_withdrawn == 5, "two animals, two projects, and what is empty now"
    assert rows(subject.Subject, "subject") == [("m1",)] and not subject.SubjectProject()
    assert (subject.Subject & {"subject": "m1"}).fetch1("sex") == "M"


def test_the_simulated_lab_is_read_as_it_was_written(database, tmp_path):
    from ingest.simulate import write_lab

    truth = json.loads(write_lab(tmp_path / "root", n_mice=2, n_sessions=8, wheel=False).read_text())
    summary = ingest(tmp_path / "root", metadata=[tmp_path / "root"])
    assert summary.quarantined == 0 and summary.sessions_new == 16
    for session in truth["sessions"]:
        key = {"subject": session["subject"], "session_date": session["date"], "session_number": session["number"]}
        row = (acquisition.Session & key).fetch1()
        assert row["eid"] == (session["eid"] or identity.eid(session["path"]))
        assert row["task_protocol"] == session["task_protocol"] and row["rig"] == session["rig"]
        assert row["start_time"] == datetime.datetime.fromisoformat(session["start_time"]).replace(tzinfo=None)
        water = rows(action.WaterAdministration & (acquisition.SessionWater & key).proj(), "water_volume")
        assert water == [(pytest.approx(session["water"]),)], "water of a session must count once"
    assert len(subject.Subject()) == 2 and len(action.WaterRestriction()) == 2
    again = ingest(tmp_path / "root", metadata=[tmp_path / "root"])
    assert again.metadata_rows == 0


def test_water_of_a_metadata_file_replaces_that_of_the_settings(database, tmp_path):
    settings_file(write(tmp_path, SESSION), settings_8())
    ingest(tmp_path)
    assert rows(action.WaterAdministration, "water_volume") == [(1.2,)]
    water = tmp_path / "water.csv"
    water.write_text(
        "lab,subject,administration_time,volume,water_type,adlib,user,session_number\n"
        "mylab,m1,2023-07-03T13:05:00,1.1,Water 10% Sucrose,0,ada,1\nmylab,m1,2023-07-03T17:00:00,0.4,Hydrogel,0,ada,\n"
        "mylab,m1,2023-07-04T13:05:00,1.1,Water,0,ada,1\n"
    )
    assert ingest(tmp_path, metadata=[water]).reasons == {"bad_metadata": 1}  # there is no session on that day
    assert rows(action.WaterAdministration, "water_volume") == [(0.4,), (1.1,), (1.1,)]
    assert len(acquisition.SessionWater()) == 1


def test_restrictions_take_the_reference_weight_of_the_animal(database, tmp_path):
    write(tmp_path, SESSION)
    (tmp_path / "subjects.csv").write_text(
        "subject,reference_weight,implant_weight,implant_date\nm1,24.5,1.2,2023-06-01\n"
    )
    (tmp_path / "restrictions.csv").write_text("subject,start_time,end_time\nm1,2023-07-01T09:00:00,\n")
    ingest(tmp_path, metadata=[tmp_path])
    assert rows(action.WaterRestriction, "reference_weight", "restriction_end") == [(24.5, None)]
    assert rows(subject.Implant, "implant_weight") == [(1.2,)]
    (tmp_path / "restrictions.csv").write_text(
        "subject,start_time,end_time\nm1,2023-07-01T09:00:00,2023-08-01T09:00:00\n"
    )
    assert ingest(tmp_path, metadata=[tmp_path]).metadata_rows == 1
    assert rows(lab.Lab, "lab") == [("mylab",)]


def test_a_metadata_file_that_is_not_there_or_has_another_name_says_so(tmp_path):
    with pytest.raises(NeurojointError, match="does not exist"):
        metadata.read_files([tmp_path / "subjects.csv"], tmp_path, None, {})
    (tmp_path / "mice.csv").touch()
    with pytest.raises(NeurojointError, match="must end in"):
        metadata.read_files([tmp_path / "mice.csv"], tmp_path, None, {})


@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("m")
    for name in (*(f"{kind}.csv" for kind in metadata.FILES), "sessions.json"):
        (folder / name).write_bytes(b"lab,subject,weight\n" + content)
    metadata_read = metadata.read_files([folder], folder, "mylab", {})
    assert all(problem.reason == "bad_metadata" for problem in metadata_read.problems())


@given(st.datetimes(datetime.datetime(1990, 1, 1), datetime.datetime(2060, 1, 1)))
def test_times_with_an_offset_are_the_same_whatever_the_zone(when):
    text = when.isoformat() + "+02:00"
    assert parse(TIME, text, "America/New_York") == when - datetime.timedelta(hours=2) == parse(TIME, text)


def test_facts_are_completed_not_mixed():
    assert Facts(users=["a"]).over(Facts(users=["b"], rig="r")) == Facts(users=["a"], rig="r")


def test_the_manual_names_every_reason_column_and_field():
    from pathlib import Path

    from pipeline.alf.reasons import REASONS

    manual = (Path(__file__).parents[2] / "docs" / "ingest.md").read_text(encoding="utf-8")
    names = {field.also[0] if field.also and field.also[0] != "date_time" else field.name
             for fields in metadata.FILES.values() for field in fields}  # fmt: skip
    missing = {name for name in (*REASONS, *names, *metadata.SESSION_FIELDS) if name not in manual}
    assert missing <= {"water_volume"}, f"docs/ingest.md does not name {missing}"


def test_a_session_that_would_end_before_it_starts_is_named_and_stays_as_it_was(database, tmp_path):
    write(tmp_path, SESSION)
    ingest(tmp_path)
    told = tmp_path / "sessions.json"
    times = {"start_time": "2023-07-03T12:00:00", "end_time": "2023-07-03T11:00:00"}
    told.write_text(json.dumps({SESSION: times | {"rig": "rig1"}}))
    assert ingest(tmp_path, metadata=[told]).reasons == {"bad_metadata": 1}
    assert "is before start time" in data.Quarantine.fetch1("detail")
    assert (session_row()["end_time"], session_row()["rig"]) == (None, "rig1")
    assert (audit.Edit & {"edit_table": "acquisition.Session"}).fetch1("edit_source") == "metadata sessions.json"
