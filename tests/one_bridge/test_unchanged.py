"""Protects answers that are given again: they are those of now, whoever wrote in between."""

from __future__ import annotations

import datetime
import random
import uuid
from collections.abc import Iterator
from uuid import UUID

import datajoint as dj
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from one_bridge import ONE, query
from one_bridge.sessions_in_memory import SessionsInMemory
from one_bridge.tables import uuids
from one_bridge.unchanged import LARGEST, Unchanged, question
from pipeline.database.connection import raw_connection
from pipeline.schemas import acquisition, data, lab, subject
from tests.conftest import empty_tables
from tests.one_bridge.drawn import trees
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


QUESTIONS: tuple[dict, ...] = (
    {}, {"subject": "KS014"}, {"subject": r"^KS01[45]$"}, {"subject": ["Mouse_7", "nobody"]}, {"lab": "simlab"},
    {"laboratory": "other", "number": 1}, {"number": [1, 3, 2**70]}, {"date_range": ["2019-12-31", "2020-01-01"]},
    {"date_range": "2020-01-01"}, {"date_range": [None, "2019-12-31"]}, {"date_range": ["2020-01-02", None]},
    {"task_protocol": "training"}, {"task_protocol": ["ephys", "6.4.2"], "number": 1}, {"task_protocol": "$"},
    {"project": "ibl"}, {"projects": ["x.y", "brainwide"]}, {"projects": "ibl.*,"}, {"projects": ""},
    {"project": "nothing"}, {"projects": "ibl", "date_range": ["2020-01-01", None], "subject": "S"},
)  # fmt: skip


@settings(
    deadline=None, database=None, max_examples=3, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(tree=trees())
def test_sessions_in_memory_are_those_of_the_database(database, tmp_path_factory, tree):
    empty_tables(database)
    build(tmp_path_factory.mktemp("tree") / "data", tree)
    one = ONE()
    held = SessionsInMemory(uuids)
    for wildcards in (True, False):
        one.wildcards = wildcards
        for terms in QUESTIONS:
            stated = uuids(query.eids(query.sessions(terms, one._reading)))
            assert held.search(terms, one._reading) == stated == one.search(**terms), terms


@pytest.fixture
def made(monkeypatch) -> list:
    """One item for each time that the sessions are read into memory."""
    times: list = []
    monkeypatch.setattr("one_bridge.api.SessionsInMemory", lambda *given: times.append(1) or SessionsInMemory(*given))
    return times


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_sessions_are_read_into_memory_for_the_second_question_of_a_row_of_them(one, made):
    assert len(one.search(number=1)) == 1 and not made
    assert not one.search(number=2) and not one.search(number=3) and len(made) == 1
    enter_session(2)
    assert len(one.search(number=2)) == 1 and len(made) == 1
    assert not one.search(number=3) and len(one.search(number=[1, 2])) == 2 and len(made) == 1


def _statements(rng: random.Random) -> Iterator[tuple[str, bool]]:
    """Statements of any program that change sessions and their projects in every way, and whether rows go away."""
    session, member = acquisition.Session().full_table_name, acquisition.SessionProject().full_table_name
    keys = acquisition.Session().keys()
    members = acquisition.SessionProject().to_dicts()

    def where(row: dict) -> str:
        return " AND ".join(f"{name} = '{value}'" for name, value in row.items())

    if keys:
        key = rng.choice(keys)
        yield f"UPDATE {session} SET task_protocol = '{rng.choice(PROTOCOLS)}' WHERE {where(key)}", False
        yield f"UPDATE {session} SET session_narrative = 'x' WHERE {where(key)}", False
        yield f"UPDATE {session} SET eid = '{uuid.UUID(int=rng.getrandbits(128), version=4)}' WHERE {where(key)}", True
        yield f"UPDATE {session} SET session_number = {rng.randint(100, 30000)} WHERE {where(key)}", False
        yield (f"DELETE FROM {member} WHERE {where(key)}; INSERT INTO {member} (lab, subject, session_date, "
               f"session_number, project) SELECT lab, subject, session_date, session_number, project FROM {session}, "
               f"{lab.Project().full_table_name} WHERE {where(key)} LIMIT {rng.randint(1, 2)}"), False  # fmt: skip
        if rng.random() < 0.2:
            yield f"DELETE FROM {member} WHERE {where(key)}; DELETE FROM {session} WHERE {where(key)}", True
    if members:
        yield f"DELETE FROM {member} WHERE {where(rng.choice(members))}", True
    day, number = rng.choice(("2024-05-05", "2024-05-06", "2024-05-07")), rng.randint(100, 30000)
    yield (f"INSERT INTO {session} (lab, subject, session_date, session_number, eid) SELECT lab, subject, '{day}', "
           f"{number}, '{uuid.UUID(int=rng.getrandbits(128), version=4)}' FROM "
           f"{subject.Subject().full_table_name} ORDER BY random() LIMIT 1"), False  # fmt: skip
    yield (
        f"UPDATE {subject.Subject().full_table_name} SET subject = 'm{rng.getrandbits(32)}' WHERE subject LIKE 'm%'",
        False,
    )
    yield f"UPDATE {data.Tag().full_table_name} SET tag_description = 'x'", False


PROTOCOLS = ("", "training", "ephysChoice")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.soak)])
def test_what_another_program_changes_is_taken_over(one, made, seed):
    rng = random.Random(seed)
    other = raw_connection(dj.conn().address)
    other.autocommit = True
    lab.Project.insert({"project": name} for name in ("ibl", "brainwide"))
    subject.Subject.insert1({"lab": "lab1", "subject": "KS014", "subject_uuid": str(UUID(int=9, version=4))})
    for number in range(2, 8):
        enter_session(number)
    questions = ({}, {"projects": "ibl"}, {"projects": ""}, {"projects": "ibl,brain"}, {"subject": "m"}, {"number": 1},
                 {"date_range": ["2024-05-06", None]}, {"task_protocol": "train"})  # fmt: skip
    gone = 0
    for _ in range(60 if seed == 1 else 2000):
        one.search()
        one.search(number=0)
        statement, can_go = rng.choice(list(_statements(rng)))
        with other.cursor() as cursor:
            cursor.execute(statement)
        gone += can_go
        for terms in rng.sample(questions, len(questions)):
            assert one.search(**terms) == uuids(query.eids(query.sessions(terms, one._reading))), (statement, terms)
    other.close()
    assert len(made) <= 1 + gone
