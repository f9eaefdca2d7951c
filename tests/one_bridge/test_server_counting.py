"""Protects the number of sessions that a list says: counted by the keys of datasets, it is that of the sessions."""

from __future__ import annotations

import numpy as np
import pytest

from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import counting, parse, resolve, sql
from pipeline.schemas import data
from pipeline.web.threads import Database
from tests.one_bridge.trees import File, Session, build, dataset_id

SESSIONS = [
    Session(
        date=f"2020-01-0{day}",
        subject=subject,
        projects=("alpha",) if day % 2 else (),
        files=[
            File(f"alf/probe0{probe}/spikes.times.npy", np.ones(2), qc=("NOT_SET", "CRITICAL", "FAIL")[day % 3])
            for probe in range(day % 3)
        ]
        + [File("alf/trials_or_NOT.table.npy", np.ones(day))],
    )
    for subject in ("KS014", "or_1")
    for day in range(1, 7)
]
BY_CHILDREN = [
    {"datasets": "spikes.times.npy"},
    {"datasets": "trials_or_NOT.table.npy"},
    {"datasets": "spikes.times.npy,trials_or_NOT.table.npy", "date_range": "2020-01-02,2020-01-05"},
    {"datasets": "spikes.times.npy", "subject": "or_1", "number": "1"},
    {"datasets": "spikes.times.npy", "dataset_qc_lte": "CRITICAL"},
    {"datasets": "spikes.times.npy", "dataset_qc_lte": "PASS", "lab": "simlab"},
    {"projects": "alpha", "date_range": "2020-01-02,2020-01-05"},
    {"datasets": "spikes.times.npy", "projects": "alpha"},
    {"django": "data_dataset_session_related__name,spikes.times.npy"},
    {"django": "data_dataset_session_related__name__icontains,TIMES,subject__nickname,KS014", "number": "1"},
    {"django": "data_dataset_session_related__qc__gte,40,data_dataset_session_related__name,spikes.times.npy"},
]
BY_THEMSELVES = [
    {},
    {"subject": "or_1"},
    {"datasets": "spikes.times.npy", "qc": "NOT_SET"},
    {"datasets": "nothing.npy"},
    {"django": "~data_dataset_session_related__name,spikes.times.npy"},
    {"django": "data_dataset_session_related__isnull,True"},
]


def counts(database: Database, parameters: dict[str, str]) -> tuple[int, int, bool]:
    """What is said, what there is, and whether children told it."""
    endpoint = ENDPOINTS["sessions"]
    listed = sql.restricted(resolve.resolve(endpoint, parse.parse(parameters)), database)
    told = counting.of_children(listed.counted) is not None
    return counting.count(listed.counted, database), len(listed.rows.to_dicts()), told


def test_sessions_are_counted_by_what_refers_to_them(database, tmp_path):
    build(tmp_path, SESSIONS)
    online = {"dataset_id": str(dataset_id(SESSIONS[1], "alf/probe00/spikes.times.npy")), "dataset_online": False}
    data.Dataset.update1(online)
    there = Database(database)
    try:
        for parameters in (*BY_CHILDREN, *BY_THEMSELVES):
            said, rows, told = there.read(lambda asked=parameters: counts(there, asked))
            assert said == rows, parameters
            assert told == (parameters in BY_CHILDREN), parameters
        assert there.read(lambda: counts(there, BY_CHILDREN[0]))[0] == 4
    finally:
        there.close()


@pytest.mark.one_database
def test_only_rows_that_must_refer_to_a_session_count_it():
    key = ["lab", "subject"]
    wrapped = "(((lab, subject) IN (SELECT lab, subject FROM b WHERE (c IN (1)))))"
    assert counting._children(wrapped, key) == "SELECT lab, subject FROM b WHERE (c IN (1))"
    for condition in (
        '("lab", "subject") not in (SELECT "lab","subject" FROM "a"."b")',
        "((lab, subject) IN (SELECT lab, subject FROM b)) IS NOT TRUE",
        "(lab, subject) IN (SELECT lab, subject FROM b) OR (lab, subject) IN (SELECT lab, subject FROM c)",
        "(subject, lab) IN (SELECT subject, lab FROM b)",
        "(lab, subject) IN (SELECT subject, lab FROM b)",
        "(lab) IN (SELECT lab FROM b)",
        "lab = 'x'",
    ):
        assert counting._children(condition, key) is None, condition
