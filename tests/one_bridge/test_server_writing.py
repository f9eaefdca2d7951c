"""Protects what a request to write can set: fields that cannot be set are refused by name, and nothing that is sent is
dropped without a word."""

from __future__ import annotations

import uuid

import pytest

pytestmark = pytest.mark.slow


def test_what_cannot_be_set_is_refused_by_name(served):
    """And a record that was read may be sent back whole, as programs do."""
    http = served.session("ada")
    records = {
        name: http.get(f"{served.url}/{name}", timeout=30).json()["results"][0]["url"].split("/")[-1]
        for name in ("sessions", "datasets", "insertions", "files")
    }
    for name, identifier in records.items():
        at = f"{served.url}/{name}/{identifier}"
        record = http.get(at, timeout=30).json()
        again = http.put(at, json=record, timeout=30)
        assert again.status_code == 200 and again.json() == record, again.text
    for name, body in (
        ("datasets", {"file_size": 3, "hash": "0" * 32, "qc": "PASS"}),
        ("datasets", {"collection": "alf/elsewhere"}),
        ("sessions", {"probe_insertion": [{"name": "probe09"}], "parent_session": str(uuid.uuid4())}),
        ("insertions", {"session_info": {"lab": "other"}}),
    ):
        at = f"{served.url}/{name}/{records[name]}"
        before = http.get(at, timeout=30).json()
        answer = http.patch(at, json=body, timeout=30)
        assert answer.status_code == 400 and set(answer.json()) - {"status_code"} == set(body) - {"qc"}, answer.text
        assert http.get(at, timeout=30).json() == before
    dataset = http.get(f"{served.url}/datasets/{records['datasets']}", timeout=30).json()
    same = {"session": dataset["session"][-36:], "url": dataset["url"], "qc": "PASS"}
    assert http.patch(f"{served.url}/datasets/{records['datasets']}", json=same, timeout=30).json()["qc"] == "PASS"
    body = {"subject": "KS014", "weight": 20.0, "nickname": "ZM_1"}
    answer = http.post(f"{served.url}/weighings", json=body, timeout=30)
    assert answer.status_code == 400 and "nickname" in answer.json()


def test_what_rigs_count_and_the_globus_collection_are_kept(served):
    http = served.session("ada")
    eid = http.get(f"{served.url}/sessions?subject=ZM_1", timeout=30).json()["results"][0]["id"]
    at = f"{served.url}/sessions/{eid}"
    assert http.patch(at, json={"json": {"rig": 1}}, timeout=30).status_code == 200
    answer = http.patch(at, json={"n_trials": 12, "n_correct_trials": 9}, timeout=30)
    assert answer.json()["json"] == {"rig": 1, "n_trials": 12, "n_correct_trials": 9}
    collection = str(uuid.uuid4())
    body = {"name": "lab_globus", "repository_type": "globus", "globus_path": "/data", "globus_endpoint_id": collection}
    assert http.post(f"{served.url}/data-repository", json=body, timeout=30).json()["globus_endpoint_id"] == collection
    content = http.get(f"{served.url}/data-repository?globus_endpoint_id={collection}", timeout=30).json()
    assert [result["name"] for result in content["results"]] == ["lab_globus"]
    body = {"name": "disk", "repository_type": "local", "globus_path": "/d", "globus_endpoint_id": collection}
    answer = http.post(f"{served.url}/data-repository", json=body, timeout=30)
    assert answer.status_code == 400 and "globus_endpoint_id" in answer.json()
