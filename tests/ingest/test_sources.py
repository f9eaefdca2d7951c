"""Protects that rows follow the files that say them: no order of files, corrections and time zones doubles a fact."""

from __future__ import annotations

import datetime
import json
import random
from pathlib import Path
from typing import Any

import pytest

from ingest.files.session_metadata import SETTINGS
from pipeline import entry
from pipeline.schemas import acquisition, action, data, lab, subject
from tests.conftest import empty_tables
from tests.ingest.tree import ingest, rows, write

pytestmark = pytest.mark.slow

SESSION = "tzlab/Subjects/night/2024-01-10/001"
WEIGHINGS = "lab,subject,weighing_time,weight\ntzlab,night,2024-01-09T21:00:00,22\n"
WATER = "lab,subject,administration_time,volume,water_type\ntzlab,night,2024-01-09T21:{minute}:00,1.0,Water\n"
LABS = "lab,time_zone\ntzlab,America/New_York\n"


def settings(folder: Path, **more: Any) -> None:
    told = {
        "SUBJECT_NAME": "night", "PYBPOD_PROTOCOL": "training", "SESSION_DATETIME": "2024-01-10T21:30:00",
        "SESSION_END_TIME": "2024-01-10T22:30:00", "TOTAL_WATER_DELIVERED": 900, "SUBJECT_WEIGHT": 21.5,
        "REWARD_TYPE": "Water",
    }  # fmt: skip
    path = folder / "raw_behavior_data" / SETTINGS
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(told | more))


def test_a_time_zone_that_comes_later_and_a_corrected_time_move_the_rows(database, tmp_path):
    settings(write(tmp_path, SESSION))
    (tmp_path / "weighings.csv").write_text(WEIGHINGS)
    (tmp_path / "water.csv").write_text(WATER.format(minute=30))
    both = [tmp_path / "weighings.csv", tmp_path / "water.csv"]
    ingest(tmp_path, metadata=both)
    assert acquisition.Session.fetch1("start_time") == datetime.datetime(2024, 1, 10, 21, 30)

    (tmp_path / "labs.csv").write_text(LABS)
    ingest(tmp_path, metadata=[*both, tmp_path / "labs.csv"])
    assert acquisition.Session.fetch1("start_time") == datetime.datetime(2024, 1, 11, 2, 30)
    assert rows(action.Weighing, "weighing_time", "weight") == [
        (datetime.datetime(2024, 1, 10, 2, 0), 22.0),
        (datetime.datetime(2024, 1, 11, 2, 30), 21.5),
    ]
    (tmp_path / "water.csv").write_text(WATER.format(minute=35))
    ingest(tmp_path, metadata=[*both, tmp_path / "labs.csv"])
    assert rows(action.WaterAdministration, "administration_time", "water_volume") == [
        (datetime.datetime(2024, 1, 10, 2, 35), 1.0),
        (datetime.datetime(2024, 1, 11, 3, 30), 0.9),
    ]
    said = data.SourceRow.of(
        "action.WaterAdministration",
        {"lab": "tzlab", "subject": "night", "administration_time": datetime.datetime(2024, 1, 10, 2, 35)},
    )
    assert said.fetch1("source_file", "source_line", "source_zone") == ("water.csv", 2, "America/New_York")


def test_a_time_zone_entered_by_a_person_moves_the_rows_of_files_that_are_not_given_again(database, tmp_path):
    settings(write(tmp_path, SESSION))
    (tmp_path / "weighings.csv").write_text(WEIGHINGS)
    ingest(tmp_path, metadata=[tmp_path / "weighings.csv"])
    entry.write("lab.Lab", [{"lab": "tzlab", "time_zone": "America/New_York"}], user="ada", source="rest")
    ingest(tmp_path)
    assert len(action.Weighing()) == 2
    assert acquisition.Session.fetch1("start_time") == datetime.datetime(2024, 1, 11, 2, 30)
    assert datetime.datetime(2024, 1, 10, 2, 0) in action.Weighing.to_arrays("weighing_time").tolist()


def test_what_a_person_corrected_stays_until_the_file_says_something_else(database, tmp_path):
    settings(write(tmp_path, SESSION))
    ingest(tmp_path)
    key = acquisition.Session.fetch1("KEY")
    entry.write("acquisition.Session", [key | {"task_protocol": "corrected"}], user="ada", source="rest")
    settings(tmp_path / SESSION, SUBJECT_WEIGHT=22)
    ingest(tmp_path)
    assert acquisition.Session.fetch1("task_protocol") == "corrected"
    settings(tmp_path / SESSION, SUBJECT_WEIGHT=22, PYBPOD_PROTOCOL="biased")
    ingest(tmp_path)
    assert acquisition.Session.fetch1("task_protocol") == "biased"
    assert rows(action.Weighing, "weight") == [(22.0,)]


def test_a_broken_file_withdraws_nothing(database, tmp_path):
    write(tmp_path, SESSION)
    path = tmp_path / "weighings.csv"
    path.write_text(WEIGHINGS)
    ingest(tmp_path, metadata=[path])
    path.write_text("lab,subject,weighing_time\n")
    ingest(tmp_path, metadata=[path])
    assert len(action.Weighing()) == 1
    path.write_text("lab,subject,weighing_time,weight\n")
    ingest(tmp_path, metadata=[path])
    assert len(action.Weighing()) == 0 == len(data.SourceRow & "source_line > 0")


MANY = {
    "labs.csv": [LABS, "lab,time_zone\ntzlab,Europe/London\n", None],
    "subjects.csv": [
        "lab,subject,sex,projects,implant_weight,implant_date\ntzlab,night,M,p,1.5,2023-12-01\ntzlab,other,F,,,\n",
        "lab,subject,sex,line\ntzlab,night,F,L1\n",
        None,
    ],
    "weighings.csv": [WEIGHINGS, WEIGHINGS + "tzlab,night,2024-01-08T08:00:00,21\n", None],
    "water.csv": [
        WATER.format(minute=30),
        WATER.format(minute=35),
        "lab,subject,administration_time,volume,session_number\ntzlab,night,2024-01-10T22:00:00,0.7,1\n",
        None,
    ],
    "restrictions.csv": ["lab,subject,start,end\ntzlab,night,2024-01-05T10:00,\n", None],
    "sessions.json": [
        json.dumps({SESSION: {"users": ["ada"], "task_protocol": "told", "start_time": "2024-01-10T21:00:00"}}),
        json.dumps({SESSION: {"note": "restless"}}),
        None,
    ],
}
"""File -> what it may say; None: it is not there."""
RIG = [{}, {"SUBJECT_WEIGHT": 23}, {"SESSION_DATETIME": "2024-01-10T20:00:00"}, {"ALYX_USER": "bob"}]


def facts() -> dict[str, list[tuple]]:
    """All rows that metadata files and settings say."""
    tables = [
        lab.Lab, subject.Subject, subject.SubjectProject, subject.Implant, action.Weighing, action.WaterAdministration,
        action.WaterRestriction, acquisition.Session, acquisition.SessionUser, acquisition.SessionWater,
    ]  # fmt: skip
    recorded = {}
    for table in tables:
        names = [name for name in table.heading.names if not table.heading[name].json]
        recorded[table.__name__] = rows(table, *names)
    recorded["SourceRow"] = rows(data.SourceRow, "source_file", "stated_table", "stated_key", "stated_values")
    return recorded


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_any_order_of_files_corrections_and_settings_ends_in_the_tables_of_a_fresh_database(database, tmp_path, seed):
    chance = random.Random(seed)
    folder = write(tmp_path, SESSION)
    settings(folder)
    here: dict[str, str | None] = {}
    (tmp_path / "labs.csv").write_text("lab\ntzlab\n")  # a folder of metadata has at least one file
    for _ in range(6):
        for name in chance.sample(sorted(MANY), 2):
            here[name] = chance.choice(MANY[name])
            if here[name] is None:
                (tmp_path / name).unlink(missing_ok=True)
            else:
                (tmp_path / name).write_text(here[name])
        if not any((tmp_path / name).exists() for name in MANY):
            (tmp_path / "labs.csv").write_text("lab\ntzlab\n")
        if chance.random() < 0.5:
            settings(folder, **chance.choice(RIG))
        ingest(tmp_path, metadata=[tmp_path])
    grown = facts()
    empty_tables(database)
    ingest(tmp_path, metadata=[tmp_path])
    fresh = facts()
    for table, expected in fresh.items():
        assert grown[table] == expected, (table, here)


@pytest.mark.one_database
def test_a_metadata_file_that_moved_or_was_renamed_is_the_same_file(database, tmp_path):
    """Its rows follow it; a corrected time in the new place moves the row, and other files are left alone."""
    write(tmp_path, SESSION)
    lines = [f"tzlab,night,2024-01-0{day}T21:00:00,2{day}\n" for day in range(1, 6)]
    former, other = tmp_path / "old" / "weighings.csv", tmp_path / "b" / "weighings.csv"
    for path in (former, other):
        path.parent.mkdir()
    former.write_text("lab,subject,weighing_time,weight\n" + "".join(lines))
    other.write_text("lab,subject,weighing_time,weight\ntzlab,night,2024-02-01T21:00:00,25\n")
    ingest(tmp_path, metadata=[former, other])
    now = tmp_path / "new" / "mouse_weighings.csv"
    now.parent.mkdir()
    lines[4] = lines[4].replace("T21:00", "T21:30")
    now.write_text("lab,subject,weighing_time,weight\n" + "".join(lines))
    former.unlink()
    other.unlink()  # what is merely gone goes on counting
    ingest(tmp_path, metadata=[now])
    recorded = rows(action.Weighing, "weighing_time", "weight")
    assert [time.strftime("%m-%d %H:%M") for time, _ in recorded] == [
        "01-01 21:00", "01-02 21:00", "01-03 21:00", "01-04 21:00", "01-05 21:30", "02-01 21:00",
    ]  # fmt: skip
    files = set(data.SourceRow.to_arrays("source_file"))
    assert {name for name in files if name.endswith("weighings.csv")} == {"new/mouse_weighings.csv", "b/weighings.csv"}
