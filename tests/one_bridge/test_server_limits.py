"""What a client of the server may not do: fill the disk, hold the others up, store names that are no folders."""

from __future__ import annotations

import socket
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests

from pipeline.database.bulk import insert_many
from pipeline.schemas import lab, subject
from pipeline.web.request_limits import LOGIN_BODY
from tests.one_bridge.serving import Served
from tests.one_bridge.trees import File, Session, build

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)


@pytest.fixture
def served(serve, tmp_path: Path) -> Served:
    build(tmp_path / "data", [Session(files=[File("alf/spikes.times.npy", np.arange(3.0))])])
    insert_many(lab.LabMember, {"user_name": ["mia"]})
    return serve(tmp_path / "data")


def test_a_note_that_fails_leaves_no_picture(served):
    wrong = {"user": "mia", "content_type": "session", "object_id": "no such session", "text": "x"}
    answer = served.session("mia").post(f"{served.url}/notes", data=wrong, files={"image": PNG}, timeout=60)
    assert answer.status_code == 400
    assert [path for path in served.root.rglob("*") if path.suffix in (".png", ".jpg", ".gif")] == []


def test_a_picture_comes_with_the_width_that_ibllib_states(served):
    """Its plots of training go to /notes with `width`; what no client sends is still refused."""
    http = served.session("mia")
    eid = http.get(f"{served.url}/sessions?limit=1", timeout=60).json()["results"][0]["id"]
    note = {"user": "mia", "content_type": "session", "object_id": eid, "text": "training", "width": "orig"}
    answer = http.post(f"{served.url}/notes", data=note, files={"image": PNG}, timeout=60)
    assert answer.status_code == 201 and answer.json()["image"] and "width" not in answer.json()
    answer = http.post(f"{served.url}/notes", data=note | {"height": "3"}, files={"image": PNG}, timeout=60)
    assert answer.status_code == 400 and "height" in answer.json()


def test_a_login_needs_no_16_mb(served):
    for body in (b'{"a":[' + b"0," * LOGIN_BODY + b"0]}", b'{"username": "mia", "password": "wrong"}'):
        answer = requests.post(
            f"{served.url}/auth-token", body, headers={"Content-Type": "application/json"}, timeout=60
        )
        assert answer.status_code == (413 if len(body) > LOGIN_BODY else 400)


def test_an_upload_that_is_broken_off_costs_nobody_anything(served, caplog):
    place = urlsplit(served.url)
    for _ in range(20):
        with socket.create_connection((place.hostname, place.port)) as connection:
            connection.sendall(b"POST /auth-token HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert requests.get(f"{served.url}/api/schema", timeout=60).status_code == 200
    assert "Traceback" not in caplog.text


@pytest.mark.parametrize("name", ["..", ".", "<img src=x>", "a=b&c?d#e", "=HYPERLINK(1)", "'; DROP TABLE x; --", "a b"])
def test_names_that_could_not_be_a_folder_are_refused(served, name):
    known = (lab.Lab.to_arrays("lab")).tolist()[0]
    n_before = len(subject.Subject())
    answer = served.session("mia").post(f"{served.url}/subjects", json={"nickname": name, "lab": known}, timeout=60)
    assert answer.status_code == 400 and "nickname" in answer.json()
    assert len(subject.Subject()) == n_before
