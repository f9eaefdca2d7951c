"""Nonsense sent to the server, made from its own schema: no error 500, nothing without a login, no file of others."""

from __future__ import annotations

import collections
import json
import os
import string
import time
from pathlib import Path

import numpy as np
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query.evaluate import LOOKUPS
from one_bridge.server.query.resolve import known_parameters
from pipeline.database.bulk import insert_many
from pipeline.schemas import action, data, lab
from tests.one_bridge.trees import File, Session, build, locate, over_sessions

pytestmark = pytest.mark.slow

EXAMPLES = int(os.environ.get("NEUROJOINT_FUZZ_EXAMPLES", "150"))
SECRET = b"this file lies outside the data root"
QUIET = settings(
    max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck), derandomize=True
)
SESSION = Session(
    projects=("alpha",), probes=("probe00",),
    files=[File("alf/_ibl_trials.choice.npy", np.arange(3.0)), File("alf/#r1#/spikes.times.npy", np.arange(2.0))],
)  # fmt: skip
OPEN = {("POST", "/auth-token"), ("GET", "/api/schema"), ("GET", "/")}


@pytest.fixture
def served(serve, tmp_path: Path):
    build(tmp_path / "data", [SESSION])
    insert_many(lab.LabMember, {"user_name": ["mia", "ada"]})
    data.Tag.insert1({"tag": "a tag"})
    (tmp_path / "secret.npy").write_bytes(SECRET)
    mouse = {"lab": "simlab", "subject": "KS014"}
    action.Weighing.insert1(mouse | {"weighing_time": "2020-01-01 12:00:00", "weight": 20.0})
    action.WaterRestriction.insert1(mouse | {"restriction_start": "2020-01-02 12:00:00"})
    locate(SESSION, "probe00", ["VPM", None])
    over_sessions(tmp_path / "data")
    return serve(tmp_path / "data")


def ids() -> st.SearchStrategy[str]:
    """Identifiers that exist, so that requests come further than 404, and some that do not."""
    known = [
        str(SESSION.eid),
        "KS014",
        "simlab",
        "alpha",
        "mia",
        "a tag",
        "trials.choice",
        "npy",
        "local",
        "Water",
        "TH",
        "549",
    ]
    return st.sampled_from(known) | st.text(max_size=20)


def operations(url: str) -> st.SearchStrategy[schemathesis.Case]:
    schema = schemathesis.openapi.from_url(f"{url}/api/schema")
    collected = [operation.ok() for operation in schema.get_all_operations()]
    assert len(collected) > 80
    return st.one_of([item.as_strategy() for item in collected])


def answer_of(case: schemathesis.Case, headers: dict[str, str]) -> requests.Response | None:
    """The answer, or None where the request cannot be put on the wire."""
    case.headers = None  # what the fuzzer makes of `Authorization` would throw the login away
    try:
        return case.call(headers=headers, timeout=30)
    except (requests.exceptions.InvalidURL, UnicodeError, requests.exceptions.InvalidHeader):
        return None


def test_no_request_made_from_the_schema_is_an_error_of_the_server(served):
    """With an administrator's token, so that every operation is really carried out."""
    headers = {"Authorization": f"Token {served.token('ada')}"}

    @seed(1)
    @QUIET
    @given(case=operations(served.url), identifier=ids())
    def check(case: schemathesis.Case, identifier: str) -> None:
        for name in {"id", "nickname"} & set(case.path_parameters or {}):
            if identifier.strip("./"):
                case.path_parameters[name] = identifier
        answer = answer_of(case, headers)
        if answer is not None:
            assert answer.status_code < 500, (
                case.method,
                case.formatted_path,
                case.query,
                case.body,
                answer.text[:500],
            )
            assert SECRET not in answer.content

    check()


def test_nothing_is_read_or_written_without_a_login(served, database):
    """Every operation but the login itself answers 401 or 403, whatever is sent; the tables stay as they are."""
    before = _counts(database)
    n_failures = len(data.Change())

    @seed(2)
    @QUIET
    @given(
        case=operations(served.url), header=st.none() | st.sampled_from(["Token ", "Token x", "Basic eDp5", "Bearer"])
    )
    def check(case: schemathesis.Case, header: str | None) -> None:
        answer = answer_of(case, {"Authorization": header} if header else {})
        if answer is None or (case.method.upper(), case.operation.path) in OPEN:
            return
        # 404, 405: the fuzzer broke the address, so there is no such operation; 429: too many wrong passwords
        assert answer.status_code in (401, 403, 404, 405, 429), (
            case.method,
            case.formatted_path,
            case.query,
            answer.status_code,
            answer.text[:200],
        )
        assert b"KS014" not in answer.content

    check()
    assert _counts(database) == before and len(data.Change()) == n_failures


@pytest.mark.soak
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["", "mia", "max", "ada"])
def test_requests_made_from_the_schema_for_minutes(served, name):
    """As a stranger, a member, a manager and an admin: NEUROJOINT_FUZZ_MINUTES each, other examples each time."""
    headers = {"Authorization": f"Token {served.token(name)}"} if name else {}
    end = time.monotonic() + 60 * float(os.environ.get("NEUROJOINT_FUZZ_MINUTES", "10"))
    cases, wrong, answers = operations(served.url), [], collections.Counter()

    @settings(QUIET, max_examples=200, derandomize=False)
    @given(case=cases, identifier=ids())
    def check(case: schemathesis.Case, identifier: str) -> None:
        if time.monotonic() > end:
            return
        for parameter in {"id", "nickname"} & set(case.path_parameters or {}):
            if identifier.strip("./"):
                case.path_parameters[parameter] = identifier
        answer = answer_of(case, headers)
        if answer is None:
            return
        answers[answer.status_code] += 1
        is_open = name or (case.method.upper(), case.operation.path) in OPEN
        expected = range(200, 500) if is_open else (401, 403, 404, 405, 429)
        if answer.status_code not in expected or SECRET in answer.content:
            wrong.append((case.method, case.formatted_path, case.query, case.body, answer.text[:300]))

    while time.monotonic() < end:
        check()
    print(name or "nobody", sum(answers.values()), "requests", dict(answers))
    assert not wrong, "\n".join(map(str, wrong[:20]))


def test_each_operation_needs_a_login(served):
    """The plain request of each operation of the schema, one by one."""
    schema = requests.get(f"{served.url}/api/schema", timeout=10).json()
    for path, verbs in schema["paths"].items():
        for verb in set(verbs) - {"parameters"}:
            address = (
                path.replace("{id}", str(SESSION.eid))
                .replace("{nickname}", "KS014")
                .replace("{tag}", "a%20tag")
                .replace("{path}", "x")
            )
            answer = requests.request(verb, served.url + address, json={}, timeout=10)
            if (verb.upper(), path) not in OPEN:
                assert answer.status_code in (401, 403), (verb, path, answer.status_code)


FILTERS = st.one_of(
    *(st.sampled_from([(name, parameter) for parameter in known_parameters(one)]) for name, one in ENDPOINTS.items())
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.text(string.printable, max_size=30),
    st.sampled_from(["KS014", "simlab,x", "1", "-1", "9" * 30, "2020-01-01", "2020-01-01,2020-02-01", "2020", "True",
                     "None", "[1,2]", "('a',)", "%", "\\", "'", "--", "x;y", "a__gt;1", "nan", "1e400", "0000-00-00",
                     "[", "é", "TH", "549", "-549"]),
)  # fmt: skip
PATHS = st.sampled_from(
    ["pk", "id", "name", "subject", "lab", "session", "number", "start_time", "json", "extended_qc", "datasets",
     "users", "data_dataset_session_related", "hash", "file_size", "exists", "weight", "date_time", "tags", "~pk",
     "__class__"]
)  # fmt: skip


@pytest.mark.parametrize("kind", ["filters", "django"])
def test_filters_are_answered_or_refused(served, kind):
    """Any value of any filter is 200 or 400, never 500."""
    session = served.session("ada")
    django = st.tuples(
        st.sampled_from(list(ENDPOINTS)),
        st.lists(st.tuples(PATHS, PATHS, st.sampled_from(["", *LOOKUPS]), VALUES), max_size=3),
    )

    @seed(3)
    @QUIET
    @given(one=st.tuples(FILTERS, VALUES) if kind == "filters" else django)
    def check(one: tuple) -> None:
        if kind == "filters":
            ((endpoint, name), value) = one
            parameters = {name: value}
        else:
            endpoint, pairs = one
            parts = ["__".join(filter(None, (a, b, lookup))) + f",{value}" for a, b, lookup, value in pairs]
            parameters = {"django": ",".join(parts)}
        try:
            answer = session.get(f"{served.url}/{endpoint}", params=parameters, timeout=30)
        except UnicodeEncodeError:
            return
        assert answer.status_code in (200, 400), (answer.url, answer.text[:300])
        assert "count" in answer.json() or answer.json()["status_code"] == 400

    check()


CODE = (
    "number__in,[__import__('os').getpid()]", "number__in,(lambda: 1)()", "pk__in,[open('/etc/passwd')]",
    "number__in,[1]*10**9", "__class____name,x", "subject__delete,1", "pk__in," + "[" * 5000, "name,{1:2}",
)  # fmt: skip


def test_django_filters_are_never_evaluated(served):
    session = served.session("ada")
    for text in CODE:
        answer = session.get(f"{served.url}/sessions", params={"django": text}, timeout=10)
        assert answer.status_code == 400, (text[:80], answer.text[:200])


SQL = [
    "' OR '1'='1",
    "\\' OR 1=1 --",
    "x'); DROP TABLE session; --",
    '" OR ""="',
    "%' OR '%'='",
    "\\",
    "';SELECT pg_sleep(5);'",
]


def test_values_stay_values(served):
    """Quotes and backslashes in a value find nothing, and break out of nothing."""
    for i, text in enumerate(SQL):
        _stays_a_value(served, f"q{i}", text)


def _stays_a_value(served, name: str, text: str) -> None:
    session = served.session("ada")
    for path in (
        "/sessions?subject={}", "/sessions?django=subject,{}", "/sessions?django=subject__icontains,{}",
        "/sessions?django=narrative__regex,{}", "/weighings?nickname={}", "/files?relative_path={}", "/tags?name={}",
        "/subjects?projects={}", "/users?username={}", "/datasets?collection={}", "/notes?text={}",
    ):  # fmt: skip
        answer = session.get(served.url + path.format(requests.utils.quote(text)), timeout=10)
        assert answer.status_code == 400 or answer.json()["count"] == 0, (path, answer.text[:200])
    made = session.post(f"{served.url}/projects", json={"name": name, "description": text}, timeout=10)
    assert made.json()["description"] == text
    obtained = session.get(f"{served.url}/projects", params={"django": f"description,{text}"}, timeout=10).json()
    if text[:1] not in "'\"":
        assert [result["name"] for result in obtained["results"]] == [name]


OUTSIDE = (
    "../secret.npy", "..%2Fsecret.npy", "%2e%2e/secret.npy", "....//secret.npy", "/etc/passwd", "%2Fetc%2Fpasswd",
    f"{SESSION.path}/../../../../../secret.npy", f"{SESSION.path}/alf/%2e%2e/%2e%2e/secret.npy", "%00",
    "~root/.ssh", f"{SESSION.path}/alf/link.data.npy", f"{SESSION.path}/alf/..%5c..%5csecret.npy",
    f"{SESSION.path}/",
)  # fmt: skip


def test_no_path_leaves_the_data_root(served):
    """Neither a download nor a picture nor a registration; a link in the root that leads out is not followed."""
    (served.root / SESSION.path / "alf/link.data.npy").symlink_to(served.root.parent / "secret.npy")
    session = served.session("ada")
    for path in OUTSIDE:
        for prefix in ("/data/", "/uploaded/"):
            request = requests.Request("GET", served.url + prefix, headers=session.headers).prepare()
            request.url = served.url + prefix + path  # requests would take the dots away
            answer = session.send(request, timeout=10)
            assert answer.status_code in (400, 404), (path, answer.status_code)
            assert SECRET not in answer.content
        body = {"path": "KS014/2020-01-01/001", "filenames": [requests.utils.unquote(path)]}
        assert session.post(f"{served.url}/register-file", json=body, timeout=10).status_code == 400, path


def test_a_registered_link_that_leads_out_is_not_served(served):
    """Even if the database says that the file is there."""
    path = served.root / SESSION.path / "alf/_ibl_trials.choice.npy"
    address = f"{served.url}/data/{SESSION.path}/alf/_ibl_trials.choice.npy"
    assert served.session().get(address, timeout=10).status_code == 200
    path.unlink()
    path.symlink_to(served.root.parent / "secret.npy")
    answer = served.session().get(address, timeout=10)
    assert answer.status_code == 404 and SECRET not in answer.content


BODIES = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
        max_leaves=10,
    ).map(lambda value: json.dumps(value).encode()),
    st.just(b"[" * 100_000),
)


def test_any_body_is_answered(served):
    """Bytes that are no JSON, JSON that is no record, forms that are broken: an error of the client."""
    session = served.session("ada")
    kinds = [
        "application/json",
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "text/plain",
        "",
    ]
    paths = [f"/{name}" for name, one in ENDPOINTS.items() if "create" in one.verbs] + ["/register-file", "/auth-token"]

    @seed(4)
    @QUIET
    @given(path=st.sampled_from(paths), body=BODIES, kind=st.sampled_from(kinds))
    def check(path: str, body: bytes, kind: str) -> None:
        answer = session.post(served.url + path, data=body, headers={"Content-Type": kind}, timeout=30)
        assert 400 <= answer.status_code < 500, (path, body, answer.status_code)

    check()


def test_a_character_that_no_database_holds_is_an_error_of_the_request(served):
    """In the parts of addresses and bodies that no table of fields describes."""
    session = served.session("ada")
    for path in ("/cache.zip?tag=a%00", "/cache/info/a%00b", "/data/a%00", "/water-requirement/a%00",
                 "/sessions/a%00/nwb", "/check-protected?path=a%00&filenames=b", "/tasks/a%00", "/tasks/a%00/log",
                 "/tasks/graph/a%00", "/sessions/a%00/timeline", "/sessions/a%00", "/subjects/a%00"):  # fmt: skip
        assert 400 <= session.get(served.url + path, timeout=30).status_code < 500, path
    for path in ("/tasks/a%00/hold", "/tasks/a%00/finish", "/tasks/a%00/heartbeat"):
        assert 400 <= session.post(served.url + path, json={"token": "a"}, timeout=30).status_code < 500, path
    for field in ("path", "hostname", "name", "labs", "created_by"):
        body = {"path": "KS014/2020-01-01/001", "filenames": ["alf/_ibl_trials.choice.npy"], field: "a\0"}
        assert 400 <= session.post(f"{served.url}/register-file", json=body, timeout=30).status_code < 500, field


WRONG: tuple[object, ...] = ({}, {"a": {"'": 1}}, [], [[1]], True, 0, -1, 1e300, "", "x")


def test_a_value_of_a_wrong_type_is_an_error_of_the_request(served):
    """In each field of each kind of record, with the others as wrong as it, and with an animal that is there."""
    session = served.session("ada")
    for name, endpoint in ENDPOINTS.items():
        for verb in {"create": "post", "update": "patch"}.items():
            if verb[0] not in endpoint.verbs:
                continue
            place = "" if verb[0] == "create" else f"/{SESSION.eid}"
            for value in WRONG:
                body = {field.name: value for field in endpoint.fields}
                for sent in (body, body | {"subject": "KS014", "lab": "simlab"}):
                    answer = getattr(session, verb[1])(f"{served.url}/{name}{place}", json=sent, timeout=60)
                    assert answer.status_code < 500, (name, verb, value, answer.text[:300])


def test_a_large_body_is_refused(served):
    answer = served.session("ada").post(f"{served.url}/notes", data=b"x" * (17 << 20), timeout=30)
    assert answer.status_code == 413


def _counts(database) -> dict[str, int]:
    from pipeline.database import registry

    return {registry.label(table): len(table()) for table in registry.tables()}
