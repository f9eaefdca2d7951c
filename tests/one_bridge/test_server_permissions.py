"""Protects the table of roles in docs/server.md: each role, endpoint and action, and what is guarded within one."""

from __future__ import annotations

import pytest

from one_bridge.server.endpoints import ENDPOINTS
from pipeline.schemas import data
from tests.one_bridge.remote import FIRST
from tests.one_bridge.trees import dataset_id

pytestmark = pytest.mark.slow

LEVEL = {None: -1, "public": 0, "member": 1, "manager": 2, "admin": 3}
PEOPLE = {"nobody": None, "pat": "public", "mia": "member", "max": "manager", "ada": "admin"}
OF_MEMBERS = (
    "sessions", "insertions", "trajectories", "datasets", "aggregates", "files", "subjects", "weighings",
    "water-administrations", "water-restriction", "surgeries", "notes", "chronic-insertions", "aligned-channels",
    "fields-of-view", "fov-location", "imaging-stack", "downloads", "data-notices", "culls", "genotype-tests",
    "implants", "requests", "locations",
)  # fmt: skip
OF_MANAGERS = (
    "projects",
    "procedures",
    "water-type",
    "dataset-types",
    "data-formats",
    "revisions",
    "tags",
    "imaging-type",
    "cull-methods",
    "cull-reasons",
    "brain-regions",
)
OF_ADMINS = ("labs", "data-repository")
OF_ANIMALS = (
    "subjects", "weighings", "water-administrations", "water-restriction", "surgeries", "notes", "culls",
    "genotype-tests", "implants", "requests", "locations",
)  # fmt: skip
"""Where the role in the lab decides, record by record (test_rights)."""


def needed(endpoint: str, action: str) -> str:
    """The least role, as docs/server.md has it."""
    if action in ("list", "read"):
        return "public"
    if endpoint in OF_ADMINS or (endpoint == "users" and action == "delete"):
        return "admin"
    if endpoint in OF_MANAGERS or endpoint == "users":
        return "manager"
    return "manager" if action == "delete" and endpoint not in OF_ANIMALS else "member"


@pytest.mark.slow
def test_roles_of_every_endpoint_and_action(served):
    """Requests that name no record or say nothing: who may not is told so before anything is looked at."""
    wrong = []
    for name, role in PEOPLE.items():
        http = served.session(None if name == "nobody" else name)
        for endpoint, definition in ENDPOINTS.items():
            known = {*OF_MEMBERS, *OF_MANAGERS, *OF_ADMINS, "users", "channels"}
            assert endpoint in known or set(definition.verbs) <= {"list", "read"}, f"{endpoint} is not in this table"
            absent = f"{served.url}/{endpoint}/{dataset_id(FIRST, 'absent')}"
            for action, verb, url in (
                ("list", "GET", f"{served.url}/{endpoint}?limit=1"),
                ("read", "GET", absent),
                ("update", "PATCH", absent),
                ("create", "POST", f"{served.url}/{endpoint}"),
                ("delete", "DELETE", absent),
            ):
                if action not in definition.verbs:
                    continue
                status = http.request(verb, url, json={} if verb != "GET" else None, timeout=30).status_code
                may = LEVEL[role] >= LEVEL[needed(endpoint, action)]
                if (status not in (401, 403)) != may or status >= 500:
                    wrong.append((name, endpoint, action, status))
    assert not wrong


def test_protection_is_not_undone_by_those_whom_it_is_for(served):
    data.Tag.insert([{"tag": "rel1", "tag_protected": True}, {"tag": "mine", "tag_protected": False}])
    one = str(dataset_id(FIRST, "alf/probe00/spikes.times.npy"))
    data.DatasetTag.insert1({"dataset_id": one, "tag": "rel1"})
    url = f"{served.url}/datasets/{one}"
    member, manager = served.session("mia"), served.session("max")
    for body in ({"tags": []}, {"tags": ["mine"]}, {"tags": ["rel1", "mine"]}, {"tags": ""}):
        assert member.patch(url, json=body, timeout=30).status_code == 403, body
        assert member.put(url, json=body, timeout=30).status_code == 403, body
    assert member.patch(url, json={"tags": ["rel1"], "qc": "PASS"}, timeout=30).status_code == 200  # as it is
    assert data.DatasetTag.fetch1("tag") == "rel1"
    assert manager.patch(url, json={"tags": ["mine"]}, timeout=30).json()["protected"] is False


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        ("weighings", {"subject": "KS014", "date_time": "2020-01-01T10:00:00", "weight": 20}),
        ("water-administrations", {"subject": "KS014", "date_time": "2020-01-01T10:00:00", "water_administered": 1}),
        ("notes", {"content_type": "session", "object_id": str(FIRST.eid), "text": "x"}),
    ],
)
def test_entries_of_others_stay(served, endpoint, body):
    """A member deletes what is theirs; the entries of others are the managers', and cannot be taken over."""
    of_max = served.session("max").post(f"{served.url}/{endpoint}", json=body, timeout=30).json()
    mia = served.session("mia")
    assert mia.delete(of_max["url"], timeout=120).status_code == 403
    assert mia.patch(of_max["url"], json={"user": "mia"}, timeout=30).status_code == 403
    assert mia.delete(of_max["url"], timeout=120).status_code == 403
    assert served.session("max").delete(of_max["url"], timeout=120).status_code == 204
    own = mia.post(f"{served.url}/{endpoint}", json=body, timeout=30).json()
    assert own["user"] == "mia" and mia.delete(own["url"], timeout=120).status_code == 204


def test_requests_are_answered_by_managers(served):
    """Who asks for animals edits and closes the request; whether it is granted is not theirs to say."""
    mia, url = served.session("mia"), f"{served.url}/requests"
    asked = {"lab": "simlab", "count": 3}
    for own in ({"status": "answered"}, {"answer": "yes"}, {"manager": "mia"}):
        assert mia.post(url, json=asked | own, timeout=30).status_code == 403, own
    made = mia.post(url, json=asked, timeout=30).json()
    for own in ({"status": "answered"}, {"status": "declined"}, {"answer": "yes"}, {"manager": "mia"}):
        assert mia.patch(made["url"], json=own, timeout=30).status_code == 403, own
        assert mia.put(made["url"], json=asked | own, timeout=30).status_code == 403, own
    assert mia.patch(made["url"], json={"count": 4, "status": "closed"}, timeout=30).json()["status"] == "closed"
    said = served.session("max").patch(made["url"], json={"status": "declined", "answer": "none left"}, timeout=30)
    assert said.json()["answer"] == "none left"
    assert mia.patch(made["url"], json={"status": "open"}, timeout=30).status_code == 403  # nor is it taken back
    assert mia.patch(made["url"], json=asked | {"status": "declined", "answer": "none left"}, timeout=30).ok
