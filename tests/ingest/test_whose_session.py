"""Protects whose data a folder holds: wrong animals wait for a person, renamed folders are recognised, names last."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.entry import renaming
from pipeline.schemas import acquisition, action, data, subject
from tests.ingest.tree import ingest, rows, write

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

M1 = "mylab/Subjects/m1/2020-01-01/001"
M2 = "mylab/Subjects/m2/2020-01-01/001"


def settings_of(folder: Path, animal: str, **more: object) -> None:
    told = {"SUBJECT_NAME": animal, "SESSION_DATETIME": "2020-01-01T10:00:00", "PYBPOD_PROTOCOL": "training"} | more
    (folder / "raw_behavior_data").mkdir(exist_ok=True)
    (folder / "raw_behavior_data/_iblrig_taskSettings.raw.json").write_text(json.dumps(told))


def usable(**key: object) -> list[str]:
    """Objects of a session of which something may be read."""
    return sorted((data.AlfObject & key & "accepted_columns <> ''").to_arrays("object_name"))


def in_quarantine() -> dict[str, str]:
    return dict(rows(data.Quarantine & "resolved IS NULL", "reason", "detail"))


def test_a_folder_with_the_settings_of_another_animal_waits_until_it_is_moved(database, tmp_path):
    write(tmp_path, M2.replace("2020-01-01", "2020-01-02"))
    settings_of(write(tmp_path, M1), "m2", SUBJECT_WEIGHT=21.5)
    ingest(tmp_path)
    assert usable(subject="m1") == [] and not action.Weighing()
    detail = in_quarantine()["wrong_animal"]
    assert f"neurojoint session move {M1} {M2}" in detail and f"neurojoint session confirm {M1} m2" in detail
    eid = (acquisition.Session & {"subject": "m1"}).fetch1("eid")

    renaming.move_session(M1, M2).apply()
    ingest(tmp_path)
    assert in_quarantine() == {}
    assert usable(subject="m2", session_date="2020-01-01") == ["taskSettings", "trials"]
    assert (acquisition.Session & {"eid": eid}).fetch1("subject") == "m2"
    assert action.Weighing.fetch1("subject", "weight") == ("m2", 21.5)
    assert not (acquisition.Session & {"subject": "m1"})
    summary = ingest(tmp_path)
    assert (summary.sessions_new, summary.sessions_vanished, summary.files_new) == (0, 0, 0)


def test_a_folder_that_a_person_confirms_is_used_as_it_is(database, tmp_path):
    settings_of(write(tmp_path, M1), "m2", SUBJECT_WEIGHT=21.5)
    ingest(tmp_path)
    renaming.confirm_session(M1, "m2", user="ada")
    ingest(tmp_path)
    assert in_quarantine() == {} and "trials" in usable(subject="m1")
    assert action.Weighing.fetch1("subject") == "m1"


def test_a_session_whose_data_were_used_before_the_settings_came_waits_too(database, tmp_path):
    folder = write(tmp_path, M1)
    ingest(tmp_path)
    assert usable(subject="m1") == ["trials"]
    settings_of(folder, "m2")
    ingest(tmp_path)
    assert usable(subject="m1") == []


def test_a_renamed_folder_is_recognised_and_the_command_it_proposes_settles_it(database, tmp_path):
    for day in (1, 2):
        write(tmp_path, f"mylab/Subjects/m1/2020-01-0{day}/001", choice=np.full(6, day % 2))
    ingest(tmp_path)
    before = rows(acquisition.Session, "eid"), rows(data.Dataset, "dataset_id")
    uuid = subject.Subject.fetch1("subject_uuid")
    (tmp_path / "mylab/Subjects/m1").rename(tmp_path / "mylab/Subjects/mouse1")
    for _ in range(2):  # asking again changes nothing
        ingest(tmp_path, accept_missing=True)
        assert len(acquisition.Session()) == 2 and not (subject.Subject & {"subject": "mouse1"})
        assert "neurojoint subject rename mylab/m1 mouse1" in in_quarantine()["renamed_folder"]

    renaming.rename_subject("mylab", "m1", "mouse1").apply()
    ingest(tmp_path)
    assert in_quarantine() == {}
    assert (rows(acquisition.Session, "eid"), rows(data.Dataset, "dataset_id")) == before
    assert subject.Subject.fetch1("subject", "subject_uuid") == ("mouse1", uuid)
    assert set(data.FileRecord.to_arrays("file_state")) == {"online"}


def test_a_folder_under_the_former_name_goes_on_meaning_the_animal(database, tmp_path):
    write(tmp_path, M1)
    ingest(tmp_path)
    renaming.rename_subject("mylab", "m1", "mouse1").apply()
    settings_of(write(tmp_path, "mylab/Subjects/m1/2020-01-02/001"), "m1", SESSION_DATETIME="2020-01-02T10:00:00")
    (tmp_path / "weighings.csv").write_text("lab,subject,weighing_time,weight\nmylab,m1,2020-01-03T10:00,20\n")
    summary = ingest(tmp_path, metadata=[tmp_path / "weighings.csv"])
    assert (summary.sessions_new, summary.sessions_vanished) == (1, 0)
    assert set(acquisition.Session.to_arrays("subject")) == {"mouse1"} == set(action.Weighing.to_arrays("subject"))
    assert in_quarantine() == {}


def test_a_new_animal_may_have_a_former_name(database, tmp_path):
    write(tmp_path, M1)
    ingest(tmp_path)
    renaming.rename_subject("mylab", "m1", "mouse1").apply()
    subject.Subject.insert1({"lab": "mylab", "subject": "m1", "subject_uuid": "604e1da8-1e3d-41c4-a29e-21d573a0b84c"})
    write(tmp_path, "mylab/Subjects/m1/2020-02-01/001", choice=np.full(6, 1))
    ingest(tmp_path)
    assert rows(acquisition.Session, "subject", "session_date") == [
        ("m1", datetime.date(2020, 2, 1)),
        ("mouse1", datetime.date(2020, 1, 1)),
    ]


def test_two_names_with_one_uuid_propose_the_command(database, tmp_path):
    write(tmp_path, M1)
    given = "604e1da8-1e3d-41c4-a29e-21d573a0b84c"
    table = tmp_path / "subjects.csv"
    table.write_text(f"lab,subject,subject_uuid\nmylab,m1,{given}\n")
    ingest(tmp_path, metadata=[table])
    table.write_text(f"lab,subject,subject_uuid\nmylab,mouse1,{given}\n")
    ingest(tmp_path, metadata=[table])
    assert rows(subject.Subject, "subject", "subject_uuid") == [("m1", given)]
    assert "neurojoint subject rename mylab/m1 mouse1" in in_quarantine()["bad_metadata"]


def test_sessions_after_death_are_flagged_with_what_to_do(database, tmp_path):
    write(tmp_path, M1)
    table = tmp_path / "subjects.csv"
    table.write_text("lab,subject,death_date\nmylab,m1,2019-12-31\n")
    ingest(tmp_path, metadata=[table])
    assert "died on 2019-12-31" in in_quarantine()["after_death"]
    table.write_text("lab,subject,death_date\nmylab,m1,2020-12-31\n")
    ingest(tmp_path, metadata=[table])
    assert in_quarantine() == {}


def test_one_limit_for_weights_of_csv_and_rigs(database, tmp_path):
    settings_of(write(tmp_path, M1), "m1", SUBJECT_WEIGHT=0.0215)
    (tmp_path / "weighings.csv").write_text("lab,subject,weighing_time,weight\nmylab,m1,2020-01-03T10:00,0.0215\n")
    ingest(tmp_path, metadata=[tmp_path / "weighings.csv"])
    assert not action.Weighing()
    columns = {column for (column,) in rows(data.Quarantine & {"reason": "bad_metadata"}, "quarantine_column")}
    assert columns == {"SUBJECT_WEIGHT", "weight"}
