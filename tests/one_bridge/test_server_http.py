"""What the client does not see: roles, shapes of pages and errors, ranges of files, freshness, lost connections."""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import datajoint as dj
import numpy as np
import pytest
import requests

from one_bridge.server.endpoints import ENDPOINTS
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, action, data, lab, subject
from pipeline.web.response_cache import Answers
from tests.one_bridge.serving import PASSWORD, Served
from tests.one_bridge.trees import File, Session, build, dataset_id

REVISED = "alf/#2020-02-02#/_ibl_trials.choice.npy"
FIRST = Session(files=[File("alf/spikes.times.npy", np.arange(100.0)), File(REVISED, np.arange(3.0))], projects=("p",))
SECOND = Session(date="2020-01-02", number=1, files=[File("alf/spikes.times.npy", np.arange(3.0))])


@pytest.fixture
def served(serve, tmp_path: Path):
    build(tmp_path / "data", [FIRST, SECOND])
    insert_many(lab.LabMember, {"user_name": ["mia"]})
    return serve(tmp_path / "data")


@pytest.fixture
def get(served: Served):
    session = served.session("mia")
    return lambda path, **more: session.get(served.url + path, timeout=30, **more)


def test_pages_have_alyx_shape(get, served):
    page = get("/sessions?limit=1").json()
    assert list(page) == ["count", "next", "previous", "results"] and page["count"] == 2
    assert page["next"] == "/sessions?limit=1&offset=1" and page["previous"] is None
    last = get(page["next"]).json()
    assert last["next"] is None and last["previous"] == "/sessions?limit=1&offset=0"
    assert page["results"][0]["id"] == str(SECOND.eid) and last["results"][0]["id"] == str(FIRST.eid)
    assert last["results"][0]["url"] == f"{served.url}/sessions/{FIRST.eid}"
    beyond = get("/sessions?offset=99").json()
    assert (beyond["count"], beyond["next"], beyond["results"]) == (2, None, [])
    assert get("/sessions/?limit=1").json() == page


BAD = ("limit=0", "limit=x", "offset=-1", "number=x", "date_range=20x", "colour=red&strict=true", "dataset_qc_lte=GOOD",
       "django=number", "django=nothing,1", "django=number__near,1")  # fmt: skip


def test_bad_input_is_400(get):
    for query in BAD:
        answer = get(f"/sessions?{query}")
        assert answer.status_code == 400 and answer.json()["status_code"] == 400, query


def test_errors_have_alyx_shape(get, served):
    assert get(f"/sessions/{dataset_id(FIRST, 'x')}").json() == {
        "detail": "No Session matches the given query.", "status_code": 404}  # fmt: skip
    wrong = requests.get(f"{served.url}/sessions", headers={"Authorization": "Token bad"}, timeout=10)
    assert wrong.status_code == 403 and wrong.json() == {"detail": "Invalid token.", "status_code": 403}
    login = requests.post(f"{served.url}/auth-token", data={"username": "mia", "password": "wrong"}, timeout=10)
    assert login.status_code == 400 and "non_field_errors" in login.json()
    made = served.session().post(
        f"{served.url}/sessions", json={"subject": "nobody", "start_time": "2020-01-01"}, timeout=10
    )
    assert made.status_code == 400
    assert made.json() == {
        "subject": ["there is no animal 'nobody': enter it first, or correct the name"],
        "status_code": 400,
    }


def test_the_qc_filter_counts_sessions_once(get):
    """Alyx counts a session once for each of its datasets."""
    assert get("/sessions?dataset_qc_lte=PASS").json()["count"] == 2


def test_every_endpoint_lists_and_is_in_the_schema(served, get):
    paths = get("/api/schema").json()["paths"]
    for name, endpoint in ENDPOINTS.items():
        answer = get(f"/{name}?limit=2")
        assert answer.status_code == 200, (name, answer.text[:300])
        for record in answer.json()["results"]:
            identifier = record["url"] if "url" in record else f"/{name}/{requests.utils.quote(record['id'], safe='')}"
            assert get("/" + identifier.split("/", 3)[-1] if "://" in identifier else identifier).status_code == 200
        written = ENDPOINTS[endpoint.aside] if endpoint.writes_aside else endpoint
        creates = "create" in (*written.verbs, *written.own_verbs)
        assert set(paths[f"/{name}"]) == {"get"} | ({"post"} if creates else set()), name
        refused = requests.post(f"{served.url}/{name}", json={}, timeout=10).status_code
        assert refused == (403 if creates else 405), name


def test_roles(served):
    """In this order, since what is allowed is also done."""
    weight = {"subject": "KS014", "date_time": "2020-01-01T00:00:00", "weight": 1}
    for role, verb, path, body, allowed in (
        ("pat", "GET", "/sessions", None, True),
        ("pat", "POST", "/weighings", weight, False),
        ("pat", "POST", "/register-file", {}, False),
        ("mia", "POST", "/weighings", weight, True),
        ("mia", "DELETE", f"/sessions/{FIRST.eid}", None, False),
        ("mia", "POST", "/tags", {"name": "t"}, False),
        ("max", "POST", "/tags", {"name": "t"}, True),
        ("max", "DELETE", f"/sessions/{FIRST.eid}", None, True),
        ("max", "POST", "/labs", {"name": "other"}, False),
        ("ada", "POST", "/labs", {"name": "other"}, True),
    ):
        answer = served.session(role).request(verb, served.url + path, json=body, timeout=120)
        assert (answer.status_code < 300) == allowed, (role, verb, path, answer.text)
        assert answer.status_code in (200, 201, 204, 403)


def test_public_reading_is_a_choice(serve, tmp_path):
    build(tmp_path / "data", [FIRST])
    open_to_all = serve(tmp_path / "data", public_read=True)
    assert requests.get(f"{open_to_all.url}/sessions", timeout=10).json()["count"] == 1
    answer = requests.post(f"{open_to_all.url}/tags", json={"name": "t"}, timeout=10)
    assert answer.status_code == 403


def test_downloads(served, get):
    """With the uuid in the name, quoted revisions, ranges and lengths, and with a password after a challenge only."""
    path = served.root / FIRST.path / "alf/spikes.times.npy"
    content = path.read_bytes()
    did = dataset_id(FIRST, "alf/spikes.times.npy")
    address = f"/data/{FIRST.path}/alf/spikes.times.{did}.npy"
    answer = get(address)
    assert answer.content == content and answer.headers["Content-Length"] == str(len(content))
    part = get(address, headers={"Range": "bytes=10-19"})
    assert part.status_code == 206 and part.content == content[10:20]
    assert get(f"/data/{FIRST.path}/alf/spikes.times.npy").content == content
    revised = REVISED.replace("#", "%23").replace(".npy", f".{dataset_id(FIRST, REVISED)}.npy")
    assert get(f"/data/{FIRST.path}/{revised}").status_code == 200
    assert get(f"/data/{FIRST.path}/alf/spikes.times.{dataset_id(SECOND, 'x')}.npy").status_code == 404
    challenge = requests.get(served.url + address, timeout=10)
    assert challenge.status_code == 401 and challenge.headers["WWW-Authenticate"].startswith("Basic")
    assert requests.get(served.url + address, auth=("mia", PASSWORD), timeout=10).content == content
    assert requests.get(served.url + address, auth=("mia", "wrong"), timeout=10).status_code == 401


def test_protected_datasets_are_not_deleted(served):
    data.Tag.insert1({"tag": "paper", "tag_protected": True})
    data.DatasetTag.insert1({"dataset_id": str(dataset_id(FIRST, "alf/spikes.times.npy")), "tag": "paper"})
    admin = served.session("ada")
    for path in (
        f"/sessions/{FIRST.eid}",
        "/subjects/KS014",
        f"/datasets/{dataset_id(FIRST, 'alf/spikes.times.npy')}",
        "/tags/paper",
    ):
        answer = admin.delete(served.url + path, timeout=120)
        assert answer.status_code == 403 and "protected" in answer.text, path
    assert admin.delete(f"{served.url}/sessions/{SECOND.eid}", timeout=120).status_code == 204


def test_what_takes_no_protected_dataset_along_can_be_deleted(served):
    """Water, weights and probes of the mouse and session whose dataset is protected; copies of that dataset stay."""
    dataset = str(dataset_id(FIRST, "alf/spikes.times.npy"))
    data.Tag.insert1({"tag": "paper", "tag_protected": True})
    data.DatasetTag.insert1({"dataset_id": dataset, "tag": "paper"})
    insert_many(lab.LabLocation, {"lab": ["simlab"] * 2, "location": ["used", "spare"]})
    acquisition.Session.update1((acquisition.Session & {"eid": str(FIRST.eid)}).keys()[0] | {"location": "used"})
    data.DatasetType.insert1({"dataset_type": "zzz.times"})
    data.Dataset.update1({"dataset_id": dataset, "dataset_type": "zzz.times"})
    admin = served.session("ada")
    mouse = {"subject": "KS014", "date_time": "2020-01-01T10:00:00"}
    bodies = {
        "water-administrations": mouse | {"water_administered": 1},
        "weighings": mouse | {"weight": 20},
        "insertions": {"session": str(FIRST.eid), "name": "probe00"},
    }
    for name, body in bodies.items():
        made = admin.post(f"{served.url}/{name}", json=body, timeout=30).json()
        assert admin.delete(f"{served.url}/{name}/{made['id']}", timeout=120).status_code == 204, name
    copy = admin.get(f"{served.url}/files?dataset={dataset}", timeout=30).json()["results"][0]
    refused = (f"files/{copy['id']}", "dataset-types/zzz.times", "locations/used")
    for path, status in [*((path, 403) for path in refused), ("locations/spare", 204)]:
        assert admin.delete(f"{served.url}/{path}", timeout=120).status_code == status, path
    assert data.Dataset & {"dataset_id": dataset}


def test_registration_checks_what_the_client_says(served):
    (served.root / SECOND.path / "alf" / "spikes.clusters.npy").write_bytes(b"not what it seems")
    body = {"path": "KS014/2020-01-02/001", "labs": "simlab", "filenames": ["alf/spikes.clusters.npy"]}
    session = served.session()

    def post(**more) -> requests.Response:
        return session.post(f"{served.url}/register-file", json=body | more, timeout=30)

    assert post(hashes=["0" * 32]).status_code == 400
    assert post(filesizes=[1]).status_code == 400
    assert post(filenames=["alf/spikes.depths.npy"]).status_code == 400  # not there
    assert post(filenames=["alf/not alf.txt"]).status_code == 400
    assert post(hashes=[]).status_code == 400
    assert post(path="KS014/2020-01-09/001").status_code == 400
    answer = post()  # what ingest refuses is not registered here either
    assert answer.status_code == 400 and "spikes.clusters.npy is refused" in answer.text


def test_a_subject_of_two_labs_needs_its_id(served, get):
    insert_many(lab.Lab, {"lab": ["other"]})
    insert_many(subject.Subject, {"lab": ["other"], "subject": "KS014", "subject_uuid": str(dataset_id(FIRST, "s"))})
    assert get("/subjects/KS014").status_code == 400
    assert get(f"/subjects/{dataset_id(FIRST, 's')}").json()["lab"] == "other"
    session = served.session()
    weight = {"subject": "KS014", "date_time": "2020-01-01T10:00:00", "weight": 20}
    assert session.post(f"{served.url}/weighings", json=weight, timeout=10).status_code == 400
    assert session.post(f"{served.url}/weighings", json=weight | {"lab": "other"}, timeout=10).status_code == 201
    assert action.Weighing().fetch1("lab") == "other"


def test_times_are_those_of_the_lab(served, get):
    lab.Lab.update1({"lab": "simlab", "time_zone": "America/New_York"})
    session = served.session()
    body = {"subject": "KS014", "number": "002", "start_time": "2020-07-01T22:30:00"}
    made = session.post(f"{served.url}/sessions", json=body, timeout=10)
    row = (acquisition.Session & {"session_date": "2020-07-01"}).fetch1()
    assert str(row["start_time"]) == "2020-07-02 02:30:00" and row["session_number"] == 2
    assert made.json()["start_time"] == "2020-07-01T22:30:00"
    again = session.put(made.json()["url"], json={"start_time": "2020-07-01"}, timeout=10)
    assert again.json()["start_time"] == "2020-07-01T22:30:00"  # midnight says nothing new
    weight = {"subject": "KS014", "date_time": "2020-07-01T23:00:00", "weight": 20}
    assert session.post(f"{served.url}/weighings", json=weight, timeout=10).json()["date_time"] == "2020-07-01T23:00:00"
    assert get("/weighings?date_range=2020-07-01").json()["count"] == 1
    assert get("/weighings?date_range=2020-07-02").json()["count"] == 0


def test_a_failed_write_leaves_nothing(served, database):
    session = served.session()
    body = {"subject": "KS014", "start_time": "2021-01-01T10:00:00", "users": ["nobody"]}
    assert session.post(f"{served.url}/sessions", json=body, timeout=10).status_code == 400
    assert not acquisition.Session & {"session_date": "2021-01-01"}
    session.post(f"{served.url}/sessions", json=body | {"users": ["mia"]}, timeout=10)
    again = session.post(f"{served.url}/sessions", json=body | {"users": ["mia"], "number": 1}, timeout=10)
    assert again.status_code == 400 and "exists" in again.text


def test_own_writes_show_at_once(served, get):
    for i in range(5):
        assert get("/weighings").json()["count"] == i
        body = {"subject": "KS014", "date_time": f"2020-01-01T00:00:0{i}", "weight": 20}
        served.session().post(f"{served.url}/weighings", json=body, timeout=10)


def test_lost_connections_are_replaced(served, database, get):
    """The database server ends every connection of ours: the next requests, reading and writing, work."""
    body = {"subject": "KS014", "date_time": "2020-01-01T00:00:00", "weight": 20}
    assert get("/sessions").status_code == 200
    _cut_connections(database)
    served.app.state.bridge.answers.forget()
    assert get("/sessions").status_code == 200
    _cut_connections(database)
    assert served.session().post(f"{served.url}/weighings", json=body, timeout=30).status_code == 201


def test_no_request_is_lost_while_others_write(served):
    """Reading in many threads while rows are written: every answer is whole."""
    token = served.token()

    def work(i: int) -> list[int]:
        with requests.Session() as session:
            session.headers["Authorization"] = f"Token {token}"
            collected = []
            for j in range(25):
                if i < 2:
                    body = {"subject": "KS014", "date_time": f"2020-01-01T0{i}:00:{j:02d}", "weight": 20}
                    collected.append(session.post(f"{served.url}/weighings", json=body, timeout=60).status_code)
                else:
                    path = ("/sessions?datasets=spikes.times.npy", "/weighings", f"/sessions/{FIRST.eid}")[j % 3]
                    collected.append(session.get(served.url + path, timeout=60).status_code)
            return collected

    with ThreadPoolExecutor(8) as threads:
        codes = [code for obtained in threads.map(work, range(8)) for code in obtained]
    assert sorted(set(codes)) == [200, 201] and len(codes) == 200
    assert len(action.Weighing()) == 50


def test_one_question_is_answered_once():
    """Many threads that ask the same wait for one answer; an error is not kept; writing forgets what was being made."""
    answers, calls, begun = Answers(60), [], threading.Event()

    def slow() -> bytes:
        calls.append(1)
        begun.set()
        time.sleep(0.2)
        return b"answer"

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(lambda _: answers.get("q", slow), range(8))) == {b"answer"}
    assert len(calls) == 1
    with pytest.raises(ZeroDivisionError):
        answers.get("e", lambda: 1 / 0)
    assert answers.get("e", lambda: b"fine") == b"fine"
    begun.clear()
    answers.forget()
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(answers.get, "q", slow)
        begun.wait()
        answers.forget()
        assert late.result() == b"answer"
    assert answers.get("q", lambda: b"new") == b"new"


def _cut_connections(database: dj.Connection) -> None:
    """End all other sessions on the database server, as its restart does."""
    from pipeline.database.connection import raw_connection

    own = raw_connection(database.address)
    with own.cursor() as cursor:
        if database.adapter.backend == "postgresql":
            others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
            cursor.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        else:
            cursor.execute(
                "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND command = 'Sleep'"
            )
            for (one,) in cursor.fetchall():
                cursor.execute(f"KILL {one}")
    own.close()
    time.sleep(0.2)
    database.reopen()  # the connection of the tests themselves


def test_water_of_a_restricted_mouse(get, database):
    """As Alyx counts it (facts of `pipeline.analysis.water`): 4 % of the weight a day, 5 % below the least weight."""
    mouse = {"lab": "simlab", "subject": "KS014"}
    lab.Lab.update1({"lab": "simlab", "time_zone": "America/New_York", "reference_weight_pct": 0.8})
    subject.Implant.insert1(mouse | {"implant_date": "2020-01-02", "implant_weight": 1.0})
    for day, weight in ((1, 20.0), (4, 16.0)):
        action.Weighing.insert1(mouse | {"weighing_time": f"2020-01-{day:02d} 23:30:00", "weight": weight})
    action.WaterRestriction.insert1(
        mouse | {"restriction_start": "2020-01-02 12:00:00", "restriction_end": "2020-01-04 23:00:00"}
    )
    action.WaterAdministration.insert1(
        mouse | {"administration_time": "2020-01-04 02:00:00", "water_volume": 0.5, "water_type": "Water"}
    )  # at night: the third in New York
    answer = get("/water-requirement/KS014?start_date=2019-12-31&end_date=2020-01-05").json()
    assert {name: answer[name] for name in ("subject", "implant_weight", "reference_weight_pct")} == {
        "subject": "KS014", "implant_weight": 1.0, "reference_weight_pct": 0.8}  # fmt: skip
    days = {record["date"]: record for record in answer["records"]}
    assert list(days) == [f"2020-01-{day:02d}" if day else "2019-12-31" for day in range(6)]
    assert [item["is_water_restricted"] for item in days.values()] == [False, False, True, True, True, False]
    assert [item["weight"] for item in days.values()] == [0, 20, 20, 20, 16, 16]
    assert [item["weighing_at"] for item in days.values()] == [None, 20, None, None, 16, None]
    third, fourth = days["2020-01-03"], days["2020-01-04"]
    assert third["expected_water"] == pytest.approx(0.04 * 19)
    assert third["excess_water"] == pytest.approx(0.5 - 0.04 * 19) and third["given_water_supplement"] == 0.5
    assert fourth["expected_water"] == pytest.approx(0.05 * 15) and fourth["given_water_total"] == 0
    assert fourth["min_weight"] == pytest.approx(0.8 * (fourth["expected_weight"] - 1) + 1)
    assert third["percentage_weight"] == pytest.approx(100)  # of the last weight that is known
    assert fourth["percentage_weight"] == pytest.approx(100 * 15 / (fourth["expected_weight"] - 1))
    assert len(get("/water-requirement/KS014?end_date=2020-01-04").json()["records"]) == 4
    assert get("/water-requirement/nobody").status_code == 404
    for bad in ("start_date=x", "start_date=0001-01-01", "end_date=2020-13-01", "start_date=1950-01-01"):
        assert get(f"/water-requirement/KS014?{bad}").status_code == 400, bad
    assert get("/water-requirement/KS014?start_date=2020-02-01&end_date=2020-01-01").json()["records"] == []


def test_who_is_under_water_restriction(get, served):
    mouse = {"lab": "simlab", "subject": "KS014"}
    assert get("/water-restricted-subjects").json() == []
    action.Weighing.insert1(mouse | {"weighing_time": "2020-01-01 12:00:00", "weight": 20.0})
    action.WaterRestriction.insert1(mouse | {"restriction_start": "2020-01-02 12:00:00"})
    served.app.state.bridge.answers.forget()
    (obtained,) = get("/water-restricted-subjects").json()
    assert obtained["nickname"] == "KS014" and obtained["remaining_water"] == obtained[
        "expected_water"
    ] == pytest.approx(0.8)
    assert [result["nickname"] for result in get("/subjects?water_restricted=True").json()["results"]] == ["KS014"]
    assert get("/subjects?water_restricted=False").json()["count"] == 0
    # An odd row that is stored already costs that animal its numbers, in its own line, and nobody else anything.
    action.Weighing.insert1(mouse | {"weighing_time": "2020-01-03 12:00:00", "weight": -20.0})
    action.WaterAdministration.insert1(mouse | {"administration_time": "2020-01-03 13:00:00", "water_volume": -0.5,
                                                "water_type": "Water"})  # fmt: skip
    served.app.state.bridge.answers.forget()
    (odd,) = get("/water-restricted-subjects").json()
    assert odd["expected_water"] == pytest.approx(0.8) and len(odd["errors"]) == 2 and "-20 g" in odd["errors"][0]
    assert len(get("/water-requirement/KS014").json()["errors"]) == 2
    assert get("/subjects/KS014").json()["water_restricted"] is True
    assert get("/subjects?water_restricted=maybe").status_code == 400
    subject.Subject.update1(mouse | {"death_date": "2020-01-04"})
    served.app.state.bridge.answers.forget()
    assert get("/water-restricted-subjects").json() == []
    assert get("/subjects?water_restricted=True").json()["count"] == 0


def test_filters_that_are_no_values_of_the_records(serve, tmp_path):
    """What Alyx filters by beyond its records: a probe, a day of registration, a repository, histology, a project."""
    probed = Session(date="2020-01-03", probes=("probe00", "probe01"), projects=("p",), files=[
        File(name, np.arange(3.0)) for name in (
            "alf/probe00/spikes.times.npy", "alf/probe00/ks/spikes.times.npy", "alf/probe001/spikes.times.npy",
            "raw_ephys_data/probe00/_x_y.z.npy", "alf/probe01/spikes.times.npy")
    ])  # fmt: skip
    other = Session(subject="KS015", files=[File("alf/probe00/spikes.times.npy", np.arange(3.0))])
    build(tmp_path / "data", [probed, other])
    insert_many(lab.LabMember, {"user_name": ["mia"]})
    animal = {"lab": probed.lab, "subject": probed.subject}
    subject.SubjectProject.insert1(animal | {"project": "p"})
    key = next(iter((acquisition.Session & {"eid": str(other.eid)}).keys()))
    action.ProcedureType.insert1({"procedure_type": "Histology"}, skip_duplicates=True)
    acquisition.SessionProcedure.insert1(key | {"procedure_type": "Histology"})
    served = serve(tmp_path / "data")
    session = served.session("mia")

    def found(path: str, *names: str) -> list:
        answer = session.get(served.url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        return sorted("/".join(result[name] for name in names) for result in answer.json()["results"])

    (pid,) = found(f"/insertions?name=probe00&session={probed.eid}", "id")
    of_probe = ["alf/probe00", "alf/probe00/ks", "raw_ephys_data/probe00"]
    assert found(f"/datasets?probe_insertion={pid}", "collection") == of_probe
    assert found(f"/datasets?probe_insertion={uuid.uuid4()}", "collection") == []
    (day,) = {str(to_array)[:10] for to_array in data.Dataset.to_arrays("registered")}
    after = str(datetime.date.fromisoformat(day) + datetime.timedelta(days=1))
    for terms, n in ((f"created_date={day}", 6), (f"created_date={after}", 0), (f"created_date_gte={day}", 6),
                     (f"created_date_gte={after}", 0), (f"created_date_lte={day}", 6), ("data_repository=local", 6),
                     ("data_repository=nowhere", 0), (f"created_date_lte={day}&probe_insertion={pid}", 3)):  # fmt: skip
        assert len(found(f"/datasets?{terms}", "id")) == n, terms
    assert found("/sessions?histology=True", "subject") == ["KS015"]
    assert found("/sessions?histology=false", "subject") == [probed.subject]
    assert found("/subjects?project=P", "nickname") == [probed.subject] and found("/subjects?project=q", "id") == []
    for bad in ("/datasets?probe_insertion=x", "/datasets?created_date=x", "/sessions?histology=x"):
        answer = session.get(served.url + bad, timeout=30)
        assert answer.status_code == 400 and bad.split("?")[1].split("=")[0] in answer.json(), answer.text


def test_what_rigs_leave_out(served):
    """As in Alyx: the time is now, and a base session, which stands for a day, needs no number."""
    session = served.session()
    begin = datetime.datetime.now(datetime.UTC) - datetime.timedelta(minutes=1)
    for endpoint, body, name in (
        ("sessions", {"subject": "KS014"}, "start_time"),
        ("weighings", {"subject": "KS014", "weight": 20}, "date_time"),
        ("water-administrations", {"subject": "KS014", "water_administered": 1}, "date_time"),
        ("water-restriction", {"subject": "KS014"}, "start_time"),
        ("surgeries", {"subject": "KS014"}, "start_time"),
    ):
        made = session.post(f"{served.url}/{endpoint}", json=body, timeout=30)
        assert made.status_code == 201, (endpoint, made.text)
        assert made.json()[name] >= begin.replace(tzinfo=None).isoformat()[:19], endpoint
    base = {"subject": "KS014", "type": "Base", "start_time": "2021-01-01T10:00:00"}
    numbers = [session.post(f"{served.url}/sessions", json=base, timeout=30).json()["number"] for _ in range(2)]
    numbers.append(session.post(f"{served.url}/sessions", json=base | {"type": "x"}, timeout=30).json()["number"])
    assert numbers == [0, 1, 2]


def test_impossible_values_are_refused(served):
    session = served.session()
    now = {"subject": "KS014", "date_time": "2020-01-01T12:00:00"}
    for endpoint, body in (
        ("weighings", {"weight": -20}), ("weighings", {"weight": 0}), ("weighings", {"weight": 25000}),
        ("water-administrations", {"water_administered": -0.5}),
    ):  # fmt: skip
        assert session.post(f"{served.url}/{endpoint}", json=now | body, timeout=30).status_code == 400, body
    assert session.get(f"{served.url}/water-restricted-subjects", timeout=30).status_code == 200


def test_the_interface_is_documented_on_a_page(served):
    """Redoc with a script of this server; that a browser fetches nothing from elsewhere is tested with one."""
    answer = requests.get(f"{served.url}/docs", timeout=30)
    assert answer.status_code == 200 and "//" not in answer.text and "api/schema" in answer.text
    assert "http" not in answer.headers["Content-Security-Policy"]
    script = requests.get(f"{served.url}/docs/redoc.standalone.js", timeout=30)
    assert script.status_code == 200 and len(script.content) > 500_000
    assert script.headers["Content-Type"].startswith("text/javascript")


@pytest.mark.slow
@pytest.mark.one_database
def test_the_page_of_the_interface_asks_no_other_host(served, chromium):
    page = chromium.new_page()
    answered = []
    page.on("response", lambda answer: answered.append((answer.status, answer.url)))
    page.goto(f"{served.url}/docs", timeout=60_000)
    page.get_by_text("dataset_qc_lte").first.wait_for(state="attached", timeout=60_000)
    page.close()
    outside = [url for _, url in answered if not url.startswith((served.url, "blob:", "data:"))]
    assert not outside and all(status == 200 for status, _ in answered)


def test_identifiers_are_uuids(served, database):
    """ONE and ibllib cut them from the end of the address; one row is found by each."""
    http = served.session("ada")
    mouse = {"subject": "KS014"}
    for endpoint, body in (
        ("weighings", mouse | {"date_time": "2020-01-01T08:00:00.25", "weight": 20}),
        ("water-administrations", mouse | {"date_time": "2020-01-01T09:00:00", "water_administered": 1}),
        ("water-restriction", mouse | {"start_time": "2020-01-01T10:00:00", "end_time": "2020-03-01T10:00:00"}),
        ("surgeries", mouse | {"start_time": "2020-01-01T11:00:00"}),
        ("locations", {"name": "rig1", "lab": "simlab"}),
    ):
        other = body | (
            {"name": "rig2"} if "name" in body else {next(n for n in body if "time" in n): "2020-02-01T08:00:00"}
        )
        made, second = (http.post(f"{served.url}/{endpoint}", json=item, timeout=30).json() for item in (body, other))
        assert str(uuid.UUID(made["id"])) == made["url"][-36:] and uuid.UUID(made["id"]).version == 3, endpoint
        assert made["id"] != second["id"]
        assert http.get(f"{served.url}/{endpoint}/{made['url'][-36:]}", timeout=30).json() == made, endpoint
        listed = http.get(f"{served.url}/{endpoint}?django=pk,{made['id']}", timeout=30).json()
        assert [result["id"] for result in listed["results"]] == [made["id"]]
        assert http.get(f"{served.url}/{endpoint}?id={made['id']}", timeout=30).json()["count"] == 1
        assert http.delete(f"{served.url}/{endpoint}/{made['id']}", timeout=120).status_code == 204
        assert http.get(f"{served.url}/{endpoint}/{made['id']}", timeout=30).status_code == 404
    (record, *_) = http.get(f"{served.url}/files?limit=1", timeout=30).json()["results"]
    assert http.get(f"{served.url}/files/{record['id']}", timeout=30).json()["dataset"] == record["dataset"]
