"""Files that are online only elsewhere are read from the nearest copy, and archived ones say how to get them."""

from __future__ import annotations

import datetime
import logging

import numpy as np
import pytest

from exchange.transfers import plan, run
from exchange.transfers.retrieve import bring, retrieve
from one_bridge import ONE
from pipeline.database.bulk import insert_many
from pipeline.schemas import data
from pipeline.schemas.inputs import files, remote_files
from tests.exchange.transfers import servers
from tests.exchange.transfers.lab import SESSION, add_place, add_repository, build, copies, new_bucket, want

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

KEY = {"lab": "mylab", "subject": "m1", "session_date": datetime.date(2020, 1, 1), "session_number": 1}
CHOICE = [1, -1, 1, 1, -1, 0]


@pytest.fixture(scope="module")
def s3():
    with servers.s3_server() as server:
        yield server


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of its own."""
    monkeypatch.setattr(remote_files, "cache_root", lambda: tmp_path / "cache")
    return tmp_path / "cache"


def test_another_computer_reads_from_s3_through_a_cache(database, tmp_path, s3, cache):
    build(tmp_path / "rig")
    add_place("bucket", s3.place(new_bucket(s3)))
    want("bucket")
    plan.plan()
    run.run()
    (tmp_path / "rig").rename(tmp_path / "on another computer")
    one = ONE()
    eid = one.search(subject="m1")[0]
    assert list(one.load_dataset(eid, "_ibl_trials.choice.npy")) == CHOICE
    assert list(one.load_object(eid, "trials")["choice"]) == CHOICE
    contents = files.read_object(KEY, "trials")
    assert list(contents.values["choice"]) == CHOICE
    assert all(path.is_relative_to(cache) for path in contents.paths)
    assert sum(item.is_file() for item in cache.rglob("*")) == 4
    s3.stop()
    try:
        assert list(files.read_object(KEY, "trials").values["choice"]) == CHOICE, "once is enough"
    finally:
        s3.start()


def test_web_servers_are_read_and_damaged_copies_are_refused(database, tmp_path, cache, caplog):
    build(tmp_path / "rig")
    (tmp_path / "rig").rename(tmp_path / "web")
    with servers.web_server(tmp_path / "web") as address:
        insert_many(data.Repository, {"repository": ["web"], "repository_kind": "http", "repository_root": address})
        records = (data.FileRecord & {"repository": "rig"}).to_dicts()
        data.FileRecord.insert({**row, "repository": "web"} for row in records)
        one = ONE()
        eid = one.search(subject="m1")[0]
        servers.Ranges.cuts = 1
        assert list(one.load_dataset(eid, "_ibl_trials.choice.npy")) == CHOICE
        np.save(tmp_path / "web" / SESSION / "alf" / "_ibl_trials.feedbackType.npy", np.ones(6))
        with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="not found"):
            one.load_dataset(eid, "_ibl_trials.feedbackType.npy")
        assert "is not what was registered" in caplog.text
        assert sum(path.is_file() for path in cache.rglob("*")) == 1


def test_an_archived_file_says_how_to_get_it_and_a_retriever_gets_it(database, tmp_path, ssh_server, cache, caplog):
    build(tmp_path / "rig")
    (tmp_path / "far").mkdir()
    add_place("far", ssh_server.place("ssh", tmp_path / "far"), access_archive=True)
    want("far")
    plan.plan()
    run.run()
    (tmp_path / "rig").rename(tmp_path / "gone")
    add_repository("desk", tmp_path / "desk")
    one = ONE()
    eid = one.search(subject="m1")[0]
    with caplog.at_level(logging.WARNING), pytest.raises(Exception, match="not found"):
        one.load_dataset(eid, "_ibl_trials.choice.npy")
    assert "neurojoint retrieve --dataset" in caplog.text
    retrieve({"rel_path": "alf/_ibl_trials.choice.npy"}, "desk", wait=False)  # for another program to bring
    one.retriever = bring
    assert list(one.load_dataset(eid, "_ibl_trials.choice.npy")) == CHOICE
    assert len(copies("desk")) == 1


def test_the_cache_keeps_to_its_size(tmp_path, cache):
    for number in range(5):
        path = remote_files.cached_path(f"{number:032d}", f"a/b{number}.npy")
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x" * 100)
        import os

        os.utime(path.parent, (number, number))
    assert remote_files.trim(250) == 300
    assert sorted(item.name for item in cache.rglob("*.npy")) == ["b3.npy", "b4.npy"]


@pytest.fixture(scope="module")
def ssh_server(tmp_path_factory):
    with servers.sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server
