"""What a session folder says of its session: a statement for each row, and what is said otherwise than before."""

from __future__ import annotations

import datetime
from types import SimpleNamespace

from ingest.files.report import Report
from ingest.files.scan import Folder, SessionKey
from ingest.files.session_metadata import DESCRIPTION, Facts
from ingest.rows import session_statements

WHEN = datetime.datetime(2024, 5, 1, 12)
FACTS = Facts(task_protocol="tones", users=["ada"], weighings=[(WHEN, 21.5, None)], water=[(WHEN, 0.8, "Water", "ada")])


def report(facts: Facts = FACTS, md5: str = "a") -> Report:
    folder = Folder(SessionKey("lab", "m1", "2024-05-01", 1), "lab/Subjects/m1/2024-05-01/001", "", 1, 1, 0)
    file = SimpleNamespace(rel_path=DESCRIPTION if isinstance(DESCRIPTION, str) else DESCRIPTION[0], md5=md5)
    return Report(folder, files=[file], facts=facts)  # type: ignore[list-item]


def test_each_row_that_a_folder_tells_of_is_a_statement():
    said = list(session_statements.statements_of(report()).values())
    assert [one.table for one in said] == [
        "acquisition.Session", "action.Weighing", "action.WaterAdministration", "acquisition.SessionWater",
    ]  # fmt: skip
    assert said[0].values == {"task_protocol": "tones", "users": ["ada"]}
    assert said[1].values == {"weight": 21.5} and said[2].values["water_user"] == "ada"
    assert said[3].values == {"session_date": datetime.date(2024, 5, 1), "session_number": 1}


def test_only_columns_that_are_said_otherwise_differ_and_an_eid_stays():
    now = Facts(task_protocol="lights", eid="x", rig="rig1")
    assert session_statements.differences(FACTS, now) == {"task_protocol": "lights", "rig": "rig1"}
    assert session_statements.said_columns(now) == {"task_protocol": "lights", "eid": "x", "rig": "rig1"}


def test_facts_are_new_where_a_file_that_tells_of_them_is_new_or_replaced():
    one = report()
    (path,) = (file.rel_path for file in one.files)
    assert session_statements.tells(one) and session_statements.facts_are_new(one, {})
    assert session_statements.facts_are_new(one, {path: {"dataset_hash": "b"}})
    assert not session_statements.facts_are_new(one, {path: {"dataset_hash": "a"}})
