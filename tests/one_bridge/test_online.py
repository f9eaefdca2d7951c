"""`data.Dataset.dataset_online` is what the FileRecords say, in whatever order files come, go and come back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ingest
from pipeline.database.bulk import fetch_columns
from pipeline.provenance.delete import delete
from pipeline.schemas import acquisition, data
from tests.conftest import empty_tables
from tests.one_bridge.trees import File, Session, build, dataset_id

pytestmark = pytest.mark.slow

ROOTS = ("here", "there")
PATHS = [f"simlab/Subjects/KS014/2020-01-0{day}/001/alf/{name}" for day in (1, 2) for name in ("a.b.npy", "c.d.npy")]
STEPS = st.one_of(
    st.tuples(st.just("write"), st.sampled_from(ROOTS), st.sampled_from(PATHS)),
    st.tuples(st.just("remove"), st.sampled_from(ROOTS), st.sampled_from(PATHS)),
    st.tuples(st.just("register"), st.sampled_from(ROOTS), st.just("")),
    st.tuples(st.sampled_from(["delete records", "delete repository", "delete session"]), st.sampled_from(ROOTS),
              st.just("")),
)  # fmt: skip
FIRST = [("write", root, path) for root in ROOTS for path in PATHS[:3]] + [("register", root, "") for root in ROOTS]


@settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, min_size=4, max_size=10))
def test_the_flag_equals_the_records(database, tmp_path_factory, steps):
    empty_tables(database)
    folder = tmp_path_factory.mktemp("roots")
    for step in FIRST + steps + [("register", root, "") for root in ROOTS]:
        do(folder, *step)
        check()


def do(folder: Path, what: str, root: str, path: str) -> None:
    file = folder / root / path
    if what == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.arange(3.0))
    elif what == "remove":
        file.unlink(missing_ok=True)
    elif what == "register":
        if (folder / root).is_dir():
            ingest.register(folder / root, repository=root, processes=1)
    elif what == "delete records":
        delete(data.FileRecord & {"repository": root}, "a test")
    elif what == "delete repository":
        delete(data.Repository & {"repository": root}, "a test")
    else:
        delete(acquisition.Session & {"session_date": "2020-01-01"}, "a test")


def check() -> None:
    online = set(fetch_columns(data.FileRecord & {"file_state": "online"}, "dataset_id")["dataset_id"].to_pylist())
    flags = fetch_columns(data.Dataset(), "dataset_id", "dataset_online").to_pylist()
    assert {row["dataset_id"]: bool(row["dataset_online"]) for row in flags} == {
        row["dataset_id"]: row["dataset_id"] in online for row in flags
    }


def test_only_the_datasets_that_are_meant_are_looked_at(database, tmp_path):
    one, other = Session(files=[File("alf/a.b.npy", b"1")]), Session(number=2, files=[File("alf/a.b.npy", b"1")])
    build(tmp_path, [one, other])
    data.FileRecord.update1(
        {"dataset_id": str(dataset_id(one, "alf/a.b.npy")), "repository": "local", "file_state": "missing"}
    )
    data.note_online(data.Dataset & {"session_number": 2})
    assert len(data.Dataset & {"dataset_online": True}) == 2
    data.note_online(data.Dataset & {"session_number": 1})
    assert (data.Dataset & {"dataset_online": True}).fetch1("session_number") == 2
