"""Protects what the tables know of copies from what clients say of them: the file is looked at where it can be, and
what cannot be looked at never counts as verified."""

from __future__ import annotations

import os

import numpy as np
import pytest

from exchange.transfers import free
from ingest.rows.claims import NEVER
from pipeline.schemas import data
from tests.one_bridge.remote import FIRST
from tests.one_bridge.trees import dataset_id

pytestmark = pytest.mark.slow

PATH = "alf/probe00/spikes.times.npy"
KEY = {"dataset_id": str(dataset_id(FIRST, PATH))}


@pytest.fixture
def record(served):
    """Address of the record of a copy, and the file."""
    result = served.session().get(f"{served.url}/files?dataset={KEY['dataset_id']}", timeout=30).json()["results"]
    return f"{served.url}/files/{result[0]['id']}", served.root / FIRST.path / PATH


def say(served, at: str, exists, user: str = "mia", **more):
    return served.session(user).patch(at, json={"exists": exists} | more, timeout=30)


def stored() -> dict:
    return (data.FileRecord & KEY).fetch1()


def test_a_file_that_is_gone_and_comes_back(served, record):
    at, path = record
    content, before = path.read_bytes(), stored()
    path.unlink()
    answer = say(served, at, False, json={"why": "moved"})
    assert answer.status_code == 200 and not answer.json()["exists"] and answer.json()["json"] == {"why": "moved"}
    assert "Alyx-API-Notice" not in answer.headers and (data.Dataset & KEY).fetch1("dataset_online") == 0
    refused = say(served, at, True, json={"why": "back"})
    assert refused.status_code == 400 and "copy it there first" in refused.json()["exists"][0]
    assert stored()["file_state"] == "missing" and stored()["record_json"] == {"why": "moved"}, "all or nothing"
    path.write_bytes(content)
    assert say(served, at, True).json()["exists"] and (data.Dataset & KEY).fetch1("dataset_online") == 1
    assert stored()["record_hash"] == before["record_hash"] and stored()["verified"] > before["verified"]
    notes = (data.Change & f"change_path = 'local:{FIRST.path}/{PATH}'").to_dicts(order_by="change_time, change_id")
    assert [(note["change_action"], note["change_user"]) for note in notes] == [("deleted", "mia"), ("restored", "mia")]


def test_a_file_that_is_there_is_not_gone_because_somebody_says_so(served, record):
    at, _ = record
    before = stored()
    answer = say(served, at, False)
    assert answer.status_code == 200 and answer.json()["exists"] is True
    assert "exists is True" in answer.headers["Alyx-API-Notice"] and stored() == before


def test_another_file_in_its_place_is_not_the_copy(served, record):
    at, path = record
    path.unlink()
    say(served, at, False)
    np.save(path, np.arange(7.0))
    answer = say(served, at, True)
    assert answer.status_code == 400 and "register" in answer.json()["exists"][0]
    path.unlink()
    os.mkfifo(path)
    assert say(served, at, True).status_code == 400, "not waited for, and no file"
    path.unlink()
    outside = served.root.parent / "outside.npy"
    np.save(outside, np.linspace(0, 5, 50))
    path.symlink_to(outside)
    assert say(served, at, True).status_code == 400, "outside of the root"
    assert stored()["file_state"] == "missing"


def test_what_the_server_cannot_see_is_noted_and_never_verified(served, record):
    """A repository that others reach, as the programs that copy with Globus use it."""
    data.Repository.insert1({"repository": "far", "repository_kind": "globus", "repository_root": "/data"})
    data.FileRecord.insert1(stored() | {"repository": "far", "file_state": "missing", "record_hash": "f" * 32})
    url = f"{served.url}/files?dataset={KEY['dataset_id']}&data_repository=far"
    at = f"{served.url}/files/{served.session().get(url, timeout=30).json()['results'][0]['id']}"
    answer = say(served, at, True)
    assert answer.status_code == 200 and answer.json()["exists"] is True
    far = (data.FileRecord & KEY & {"repository": "far"}).fetch1()
    assert far["verified"] == NEVER and far["record_hash"] == (data.Dataset & KEY).fetch1("dataset_hash")
    (candidate,) = free._candidates("local", "d.dataset_id = %s", [KEY["dataset_id"]], "", 1)
    assert candidate.copies == [], "it allows no file to be deleted"
    assert say(served, at, False).json()["exists"] is False
    notes = (data.Change & "change_path LIKE 'far:%%'").to_dicts()
    assert len(notes) == 2 and all("not verified" in note["change_detail"] for note in notes)


@pytest.mark.parametrize("sent", ["perhaps", None, 3, [], {"a": 1}])
def test_neither_true_nor_false_is_refused(served, record, sent):
    answer = say(served, record[0], sent)
    assert answer.status_code == 400 and set(answer.json()) == {"exists", "status_code"}


def test_who_may_only_read_says_nothing(served, record):
    assert say(served, record[0], False, "pat").status_code == 403


def test_the_client_says_it_as_to_alyx(one, served, record):
    at, path = record
    path.unlink()
    answer = one.alyx.rest("files", "partial_update", id=at[-36:], data={"exists": False})
    assert answer["exists"] is False
