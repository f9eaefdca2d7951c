"""Protects /tasks: Alyx's shape for clients of old, with the right answers in odd cases; claims that nobody shares."""

from __future__ import annotations

import concurrent.futures
import datetime
import hashlib
import json
import re
import uuid
from pathlib import Path

import pytest
import requests

from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, action, data, lab, subject, task, transfer
from tests.one_bridge.serving import Served

pytestmark = pytest.mark.slow
CASES = Path(__file__).parents[3] / "shared/cases/tasks"
ENDPOINT = "0f8a9ba0-5b0c-4d0e-8d8d-222222222222"
DAY = "2026-11-28"
OF_AGENTS = re.compile("/tasks/(claim|plan|health|[^/]+/(heartbeat|log|finish|release|protected))")


@pytest.fixture
def rig(serve, tmp_path) -> tuple[Served, requests.Session]:
    """A server with the lab and the animal of the trace, and the repository of its lab server."""
    insert_many(lab.Lab, {"lab": ["cortexlab", "otherlab"]})
    insert_many(lab.LabMember, {"user_name": ["root"]})
    insert_many(lab.LabLocation, {"lab": ["cortexlab"], "location": "rig_1"})
    insert_many(subject.Subject, {"lab": ["cortexlab", "otherlab"], "subject": ["KS014", "x"],
                                  "subject_uuid": [str(uuid.uuid4()), str(uuid.uuid4())]})  # fmt: skip
    data.Repository.insert1({"repository": "lab_SR", "repository_kind": "globus", "repository_root": "/mnt",
                             "repository_host": ENDPOINT})  # fmt: skip
    transfer.Access.insert1({"repository": "lab_SR", "lab": "cortexlab", "access_options": {}})
    action.WaterType.insert1({"water_type": "Water 10% Sucrose"}, skip_duplicates=True)
    action.ProcedureType.insert1({"procedure_type": "Behavior training/tasks"}, skip_duplicates=True)
    (tmp_path / "demo" / "cortexlab" / "Subjects").mkdir(parents=True)
    served = serve(tmp_path / "demo")
    return served, served.session()


@pytest.fixture
def session(rig) -> str:
    served, http = rig
    body = {"subject": "KS014", "lab": "cortexlab", "start_time": f"{DAY}T10:00:00", "number": 1}
    return http.post(f"{served.url}/sessions", json=body, timeout=30).json()["url"][-36:]


def agent(rig, name: str = "cortexlab") -> requests.Session:
    """A session with the token of an agent of one lab."""
    obtained = requests.Session()
    obtained.headers["Authorization"] = f"Token {rig[0].users.issue_token('mia', 'agent', labs=[name])}"
    return obtained


def call(rig, method: str, path: str, body=None, expect: int = 200, http=None):
    """Ask as a member; where only agents ask, as the agent of cortexlab."""
    served, own = rig
    if method == "POST" and http is None and OF_AGENTS.fullmatch(path):
        own = agent(rig)
    answer = (http or own).request(method, served.url + path, json=body, timeout=30)
    assert answer.status_code == expect, (method, path, answer.status_code, answer.text[:400])
    return answer.json() if answer.content and "json" in answer.headers["content-type"] else answer.text


def add(rig, session: str | None, name: str = "t", expect: int = 201, **more):
    return call(rig, "POST", "/tasks", {"name": name, "session": session, "arguments": {}} | more, expect)


def test_every_request_of_the_unmodified_client_of_lab_servers_is_answered(rig):
    """The trace of ibllib 4.1.0; identifiers are those of this server, in the order in which they appear."""
    if not CASES.exists():
        pytest.skip(f"no real recordings at {CASES}")
    served, http = rig
    trace = json.loads((CASES / "ibllib_local_server_trace.json").read_text())
    eid, known, tasks = "", {"<id1>": ENDPOINT}, []
    names = ["<id3>", "<id4>"]
    times = {"start_time": f"{DAY}T10:00:00", "end_time": f"{DAY}T10:30:00"}
    for number, one in enumerate(trace["requests"]):
        path, method, text = one["path"], one["method"], one["body"]
        if method == "POST" and path == "/tasks":
            fields = dict(re.findall(r'"(executable|name)": "([^"…]+)', text))
            parents = [tasks[-1]] if '"parents": ["' in text else []
            body = {**fields, "priority": 90, "io_charge": 5, "gpu": 0, "cpu": 1, "ram": 4, "parents": parents,
                    "level": int(re.search(r'"level": (\d)', text)[1]), "time_out_secs": 7200, "status": "Waiting",
                    "log": None, "arguments": {}, "module": "x", "session": eid, "graph": "Pipeline",
                    "data_repository": "lab_SR"}  # fmt: skip
        elif text and "…" in text:
            body = ({"json": {"raid_used": 43.0}} if "data-repository" in path else
                    {"subject": "KS014", "users": ["root"], "location": "rig_1", "lab": "cortexlab", "projects": [],
                     "procedures": ["Behavior training/tasks"], "type": "Experiment", "number": "001",
                     "task_protocol": "_iblrig_tasks_trainingChoiceWorld7.2.0", **times}
                    if path == "/sessions" else
                    {"time_elapsed_secs": 1.5, "log": "text", "version": "4.1.0", "status": "Complete"})  # fmt: skip
        else:
            body = json.loads(text) if text else None
        for mark in re.findall(r"<id\d+>", path):
            path = path.replace(
                mark, known.get(mark) or tasks[names.index(mark) if mark in names else int(mark[3]) % 5]
            )
        if body and body.get("session") == "<id2>":
            body["session"] = eid
        answer = http.request(method, served.url + path, json=body, timeout=30)
        assert answer.status_code in (200, 201), (number, method, path, body, answer.text[:500])
        content = answer.json()
        if method == "POST" and path == "/tasks":
            tasks.append(content["id"])
        elif method == "POST" and path == "/sessions":
            eid = known["<id2>"] = content["url"][-36:]
        elif "task_queue" in one["step"] and path.startswith("/tasks"):
            assert len(content["results"]) == 4, path  # the children wait; also for the string in place of a list
        elif "globus_endpoint_id" in path:
            assert content["results"][0]["name"] in ("lab_SR", "cortexlab"), path
    assert http.get(f"{served.url}/data-repository/lab_SR", timeout=30).json()["json"] == {"raid_used": 43.0}


def test_odd_requests_get_the_right_answer(rig, session):
    made = add(rig, session, arguments=None)
    assert made["status"] == "Waiting" and made["session"] == session and made["parents"] == []
    add(rig, session, arguments=None, expect=400)
    add(rig, session, "u", status="Foo", expect=400)
    assert "Waiting, Held, Started" in str(add(rig, session, "u", status="Foo", expect=400))
    add(rig, session, "v", time_out_sec=1, module="x")
    assert add(rig, session, "w", time_out_secs=40000)["time_out_secs"] == 40000
    assert add(rig, session, "r", ram=1.5)["ram"] == 2
    assert add(rig, None, "JobCreator", status="Empty", data_repository="lab_SR")["status"] == "Empty"
    call(rig, "PATCH", f"/tasks/{made['id']}", {"status": "Complete"})
    for query, count in [
        ("status=Waiting", 3), ("status=waiting", 3), ("status=20", 3), ("status=Waiting,Complete", 4),
        ("data_repository=lab_SR", 1), ("name=t", 1), (f"session={session}", 4), ("django=status__in,['Empty']", 1),
        ("django=session__isnull,True", 1), ("lab=cortexlab", 4), ("lab=simlab", 0), ("id=" + made["id"], 1),
    ]:  # fmt: skip
        assert call(rig, "GET", f"/tasks?{query}")["count"] == count, query
    assert "Foo" in str(call(rig, "GET", "/tasks?status=Foo", expect=400))
    call(rig, "GET", f"/tasks/{uuid.uuid4()}", expect=404)
    call(rig, "GET", "/tasks/nonsense", expect=404)
    add(rig, session, "p", parents=[str(uuid.uuid4())], expect=400)
    add(rig, str(uuid.uuid4()), "p", expect=400)
    add(rig, session, "n" * 65, expect=400)


def test_lists_are_ordered_by_level_priority_and_session(rig, session):
    for name, level, priority in [("b", 1, 100), ("a", 0, 10), ("c", 0, 90), ("d", 1, 100)]:
        add(rig, session, name, level=level, priority=priority)
    assert [result["name"] for result in call(rig, "GET", "/tasks")["results"]] == ["c", "a", "b", "d"]


def test_a_child_is_held_by_its_parents_and_by_nobody_s_memory(rig, session):
    """The client of old stores Held, and forgets children whose parents were long (ibllib PR 1106)."""
    parent = add(rig, session, "parent")["id"]
    child = add(rig, session, "child", parents=[parent])
    assert child["status"] == "Held" and child["parents"] == [parent]
    assert call(rig, "PATCH", f"/tasks/{child['id']}", {"status": "Held"})["status"] == "Held"
    assert [result["name"] for result in call(rig, "GET", "/tasks?status=Held")["results"]] == ["child"]
    call(rig, "PATCH", f"/tasks/{parent}", {"status": "Started"})
    call(rig, "PATCH", f"/tasks/{parent}", {"status": "Complete", "log": "x" * 200_000, "time_elapsed_secs": 3.5})
    assert call(rig, "GET", f"/tasks/{child['id']}")["status"] == "Waiting"
    assert len(call(rig, "GET", f"/tasks/{parent}")["log"]) == 200_000
    assert call(rig, "PATCH", f"/tasks/{child['id']}", {"status": "Held"})["status"] == "Waiting"
    call(rig, "PATCH", f"/tasks/{parent}", {"parents": [child["id"]]}, 400)
    assert call(rig, "POST", f"/tasks/{child['id']}/hold", {})["status"] == "Held"
    assert call(rig, "POST", f"/tasks/{child['id']}/unhold", {})["status"] == "Waiting"


def test_of_four_that_start_one_task_with_a_token_one_does(rig, session):
    identifier = add(rig, session)["id"]
    served, _ = rig
    tokens = [str(uuid.uuid4()) for _ in range(4)]
    sessions = [served.session() for _ in tokens]

    def start(http, token):
        body = {"status": "Started"} | ({"token": token} if token else {})
        return http.patch(f"{served.url}/tasks/{identifier}", json=body, timeout=30).status_code

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(start, sessions, tokens)) == [200, 409, 409, 409]
    assert start(sessions[0], None) == 409  # a client of old does not take it away
    old = add(rig, session, "old")["id"]
    identifier = old
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start, sessions, [None] * 4)) == [200] * 4


def report(number: int = 1, **more) -> dict:
    files = {"raw_behavior_data/_iblrig_taskData.raw.jsonable": 10,
             "raw_behavior_data/_iblrig_taskSettings.raw.json": 10}  # fmt: skip
    return {"lab": "cortexlab", "subject": "KS014", "date": DAY, "number": number, "files": files,
            "repository": "lab_SR"} | more  # fmt: skip


def claim(rig, http=None, expect=200, **more):
    body = {"host": "h", "kinds": ["extract_trials", "extract_wheel", "compress_video"], "repository": "lab_SR",
            "token": str(uuid.uuid4()), "cores": 8, "memory": 32000} | more  # fmt: skip
    return call(rig, "POST", "/tasks/claim", body, expect, http)


def test_an_agent_plans_claims_reports_and_what_it_made_is_registered(rig, tmp_path):
    served, _ = rig
    obtained = call(rig, "POST", "/tasks/plan", report())
    assert set(obtained["tasks"]) >= {"extract_trials_00"}
    assert call(rig, "POST", "/tasks/plan", report())["tasks"] == obtained["tasks"]
    got = claim(rig)
    assert got["kind"] == "extract_trials" and got["session"]["subject"] == "KS014"
    address = f"/tasks/{got['id']}"
    call(rig, "POST", f"{address}/heartbeat", {"token": got["token"], "progress": 0.5, "activity": "reading"})
    call(rig, "POST", f"{address}/log", {"token": got["token"], "piece": 0, "text": "one line\n"})
    assert call(rig, "GET", f"{address}/log") == "one line\n"
    import pandas as pd

    table = tmp_path / "t.pqt"
    pd.DataFrame({"intervals_0": [0.0, 2.0], "intervals_1": [1.0, 3.0], "choice": [1, -1]}).to_parquet(table)
    content = table.read_bytes()
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    path = "alf/_ibl_trials.table.pqt"
    headers = {"X-Lease": got["token"], "X-MD5": md5}
    http = agent(rig)
    assert requests.put(f"{served.url}{address}/files/{path}", data=b"", timeout=30).status_code == 403
    assert served.session().put(f"{served.url}{address}/files/{path}", headers=headers, timeout=30).status_code == 403
    for name, status in [
        (path, 200),
        ("alf/x.y.npy", 400),
        ("..%2f..%2fx.y.npy", 400),
        ("raw_x/_ibl_trials.a.npy", 400),
    ]:
        answer = http.put(f"{served.url}{address}/files/{name}", data=content, headers=headers, timeout=30)
        assert answer.status_code in (status, 404 if status == 400 else status), (name, answer.text)
    wrong = headers | {"X-MD5": "0" * 32}
    assert http.put(f"{served.url}{address}/files/{path}", data=content, headers=wrong, timeout=30).status_code == 400
    output = {"path": path, "md5": md5, "size": len(content), "modified_ns": 1, "uploaded": True}
    body = {"token": got["token"], "state": "Complete", "elapsed": 1.0, "version": "1", "outputs": [output]}
    call(rig, "POST", f"{address}/finish", body | {"outputs": [output | {"path": "../../x.y.npy"}]}, 400)
    call(rig, "POST", f"{address}/finish", body | {"token": str(uuid.uuid4())}, 409)
    assert call(rig, "POST", f"{address}/finish", body) == {"state": "Complete"}
    assert call(rig, "POST", f"{address}/finish", body) == {"state": "Complete"}
    stored = served.root / "cortexlab/Subjects/KS014" / DAY / "001" / path
    assert stored.read_bytes() == content
    assert (data.Dataset & {"rel_path": path}).fetch1("dataset_hash").strip() == md5
    assert task.TaskOutput().fetch1("output_path") == path
    states = {item["name"]: item["status"] for item in call(rig, "GET", f"/tasks/graph/{obtained['session']}")["tasks"]}
    assert states["extract_trials_00"] == "Complete"


def test_what_stays_on_the_lab_server_is_recorded_there(rig):
    video = "raw_video_data/_iblrig_leftCamera.raw.mp4"
    call(rig, "POST", "/tasks/plan", report(files={video.replace("mp4", "avi"): 100}))
    got = claim(rig)
    output = {"path": video, "md5": "1" * 32, "size": 70, "modified_ns": 5, "uploaded": False}
    body = {"token": got["token"], "state": "Complete", "version": "1", "outputs": [output]}
    call(rig, "POST", f"/tasks/{got['id']}/finish", body)
    record = (data.FileRecord & {"repository": "lab_SR"}).fetch1()
    assert record["file_path"] == f"cortexlab/Subjects/KS014/{DAY}/001/{video}" and record["record_size"] == 70
    assert (data.Dataset & {"rel_path": video}).fetch1("dataset_online")


def test_a_token_of_a_lab_does_that_lab_s_tasks_and_nothing_else(rig):
    served, _ = rig
    call(rig, "POST", "/tasks/plan", report())
    mine, theirs = agent(rig), agent(rig, "otherlab")
    assert claim(rig, theirs) == {}
    for path in ("claim", "plan", "health", "x/finish", "x/heartbeat", "x/log", "x/release", "x/protected"):
        refused = call(rig, "POST", f"/tasks/{path}", {}, 403, served.session())
        assert "neurojoint user token mia --lab LAB" in refused["detail"]
    assert claim(rig, served.session("max"), kinds=["none"]) == {}, "a manager's is for all labs"
    identifier = call(rig, "GET", "/tasks?limit=1")["results"][0]["id"]
    for method, path, body in [
        ("POST", "/tasks/plan", report(2)), ("POST", f"/tasks/{identifier}/abandon", {}),
        ("PATCH", f"/tasks/{identifier}", {"status": "Complete"}), ("DELETE", f"/tasks/{identifier}", None),
        ("POST", "/weighings", {}), ("POST", "/register-file", {}), ("POST", "/sessions", {}),
        ("POST", "/tasks", {"name": "x"}), ("PATCH", "/subjects/KS014", {"description": "x"}),
    ]:  # fmt: skip
        call(rig, method, path, body, 403, theirs)
    got = claim(rig, mine)
    assert got["session"]["lab"] == "cortexlab"
    for action_ in ("heartbeat", "finish", "log", "release"):
        body = {"token": got["token"], "state": "Complete", "piece": 0, "text": "x"}
        if action_ != "release":
            call(rig, "POST", f"/tasks/{got['id']}/{action_}", body, 403, theirs)
    call(rig, "POST", "/tasks/health", {"host": "h1", "cores": 4, "memory": 8000}, 200, mine)
    assert call(rig, "GET", "/tasks/hosts")[0]["labs"] == "cortexlab"
    assert requests.get(f"{served.url}/tasks", timeout=30).status_code == 403
    assert requests.post(f"{served.url}/tasks/claim", json={}, timeout=30).status_code == 403


def test_claims_and_reports_that_make_no_sense_are_refused(rig):
    for body in (
        {}, {"kinds": "x"}, {"kinds": [1]}, {"kinds": ["a"], "token": "x"}, {"kinds": ["a"], "cores": "many"},
        {"kinds": ["a"], "cores": -1}, {"kinds": ["a"], "repository": "nowhere"}, {"kinds": ["a"], "memory": 1e9},
    ):  # fmt: skip
        call(rig, "POST", "/tasks/claim", body, 400)
    for change in (
        {"files": None}, {"files": {"../x": 1}}, {"files": {"x": "1"}}, {"date": "yesterday"}, {"number": "x"},
        {"lab": "../x"}, {"subject": "nobody"}, {"description": [1]}, {"description": {"devices": 3}},
        {"repository": "nowhere"},
    ):  # fmt: skip
        call(rig, "POST", "/tasks/plan", report(**change), 400)
    assert not task.Task() and not acquisition.Session()


def test_only_who_may_holds_abandons_and_restarts_the_tasks_of_a_lab(rig, session):
    """The policy decides, also where an old client says the same by PATCH; what was done is written down."""
    served, _ = rig
    one = add(rig, session)["id"]
    insert_many(lab.LabMember, {"user_name": ["mia", "tom"]})
    start = datetime.date(2020, 1, 1)
    insert_many(lab.LabMembership, {
        "lab": ["cortexlab", "otherlab"], "user_name": ["tom", "mia"], "lab_role": ["technician", "member"],
        "membership_start": [start] * 2,
    })  # fmt: skip
    for who in ("mia", "max"):  # mia is of the other lab
        http, status = served.session(who), 403 if who == "mia" else 200
        for name in ("hold", "unhold", "abandon", "restart"):
            call(rig, "POST", f"/tasks/{one}/{name}", {}, status, http)
        call(rig, "PATCH", f"/tasks/{one}", {"status": "Abandoned"}, status, http)
        call(rig, "PATCH", f"/tasks/{one}", {"status": "Waiting"}, 200, http)
    assert (
        "Ask a member of cortexlab" in call(rig, "POST", f"/tasks/{one}/hold", {}, 403, served.session("mia"))["detail"]
    )
    call(rig, "PATCH", f"/tasks/{one}", {"status": "Errored"}, 200, served.session("mia"))  # its lab server failed
    call(rig, "PATCH", f"/tasks/{one}", {"status": "Waiting"}, 403, served.session("mia"))  # that is a restart
    changes = (data.Change & {"change_user": "max"}).to_dicts()
    assert {row["change_action"] for row in changes} == {"held", "let go", "abandoned", "restarted"}
    assert all(row["change_path"] == f"cortexlab/Subjects/KS014/{DAY}/001/t" for row in changes)
