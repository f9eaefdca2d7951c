"""Protects answers that are given again: they are those of now, whoever wrote in between."""

from __future__ import annotations

import datetime
from uuid import UUID

import datajoint as dj
import pytest

from one_bridge import ONE
from one_bridge.unchanged import LARGEST, Unchanged, question
from pipeline.database.connection import raw_connection
from pipeline.schemas import acquisition, data, lab, subject
from tests.one_bridge.trees import File, Session, build

DAY = datetime.date(2024, 5, 6)


def enter_session(number: int) -> None:
    acquisition.Session.insert1(
        {"lab": "lab1", "subject": "mouse1", "session_date": DAY, "session_number": number,
         "eid": f"00000000-0000-4000-8000-{number:012d}"}
    )  # fmt: skip


@pytest.fixture
def one(database) -> ONE:
    lab.Lab.insert1({"lab": "lab1"})
    subject.Subject.insert1(
        {"lab": "lab1", "subject": "mouse1", "subject_uuid": "10000000-0000-4000-8000-000000000000"}
    )
    enter_session(1)
    return ONE()


@pytest.mark.parametrize("writer", ["another connection", "this connection", "an open transaction"])
def test_what_was_written_is_seen_at_once(one, writer):
    first = one.search(subject="mouse1")
    assert one.search(subject="mouse1") == first and len(first) == 1
    if writer == "an open transaction":
        with dj.conn().transaction:
            enter_session(2)
            assert len(one.search(subject="mouse1")) == 2
    elif writer == "this connection":
        enter_session(2)
    else:
        other = raw_connection(dj.conn().address)
        table = acquisition.Session().full_table_name
        with other.cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table} (lab, subject, session_date, session_number, eid) "
                f"SELECT lab, subject, session_date, 2, '00000000-0000-4000-8000-000000000002' FROM {table}"
            )
        other.commit()
        other.close()
    assert len(one.search(subject="mouse1")) == 2


def test_an_answer_can_be_changed_by_who_got_it(one):
    one.search(subject="mouse1").clear()
    assert len(one.search(subject="mouse1")) == 1


def test_files_that_appear_are_listed(database, tmp_path):
    build(tmp_path, [Session(files=[File("alf/spikes.times.npy")])])
    one = ONE()
    (eid,) = one.search()
    assert one.list_datasets(eid) == one.list_datasets(eid) == ["alf/spikes.times.npy"]
    (row,) = data.Dataset().to_dicts()
    data.Dataset.insert1(row | {"rel_path": "alf/spikes.amps.npy", "dataset_id": str(UUID(int=1, version=4))})
    assert one.list_datasets(eid) == ["alf/spikes.amps.npy", "alf/spikes.times.npy"]


def test_few_answers_are_held(one):
    kept = Unchanged(dj.conn())
    made = [kept.get(question(number), lambda number=number: number) for number in range(3 * LARGEST)]
    assert made == list(range(3 * LARGEST)) and len(kept._answers) <= LARGEST


def test_questions_that_only_look_alike_differ():
    assert question("search", {"number": 1}) != question("search", {"number": "1"})
    assert question("search", {"subject": ["a,b"]}) != question("search", {"subject": ["a", "b"]})
    assert question(iter("ab")) is None
