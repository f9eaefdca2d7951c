"""Whatever is sent to the endpoint of the callbacks, and whoever sends it, the site answers, and never with a 5xx."""

from __future__ import annotations

import json
import os
import random

import pytest

from dashboard import links
from dashboard.server import app as site_app
from dashboard.server import auth
from dashboard.site import Site
from pipeline import settings
from pipeline.web.accounts import Users
from pipeline.web.threads import Database
from tests.one_bridge.remote import SESSIONS
from tests.one_bridge.trees import build

pytestmark = pytest.mark.slow

UPDATE = f"{links.BASE}/_dash-update-component"
SHOWN: dict[str, object] = {
    "lab": "simlab",
    "name": "KS014",
    "date": "2020-01-01",
    "number": "1",
    "rules": "",
    "version": "",
    "trials": "",
    "choices": 0,
}  # what the pages of a mouse and of a session keep
PARTS: list[object] = [
    None, True, 0, -1, 10**30, 1e308, "", "x", "\0", "\ud800", "../..", "<img src=x onerror=alert(1)>", "1-3",
    "0001-01-01", "9999-12-31", "/app/mouse/simlab/KS014", "/app/session/simlab/KS014/2020-01-01/1", "/app/%00", [], {},
    [[]], {"lab": "simlab", "name": "KS014"}, {"startRow": -5, "endRow": 10**9, "filterModel": {"x": {"type": 1}}},
    {"props": {"value": None}}, {"index": [], "type": {}}, {"startRow": "x"}, {"startRow": [1], "endRow": {}},
    {"filterModel": 3}, {"filterModel": {"name": "x"}}, {"sortModel": "x"}, {"sortModel": [3]},
    {"sortModel": [{"colId": [], "sort": 1}]}, {"filterModel": {"name": {"filterType": "number", "filter": "x"}}},
    {"points": "x"}, {"points": []}, {"points": [1]}, {"points": [{"customdata": ["x"]}]},
    {"points": [{"customdata": 3}]}, ["x", []], [1, "x"],
    *({name: value for name, value in SHOWN.items() if name != absent} for absent in SHOWN),
    *(SHOWN | {name: value} for name in SHOWN for value in (None, [], {}, 10**30, "x", "0000-00-00", "\0")),
]  # fmt: skip
BODIES = [b"", b"{", b"null", b"[]", b"1", b'"x"', b"{}", b'{"output": 1}', b'{"output": "a.b", "inputs": 3}',
          b"\xff\xfe", b"[" * 100_000,
          b'{"output": "..a.b...c.d..", "outputs": [], "inputs": [{}], "changedPropIds": [[]]}']  # fmt: skip
EACH = int(os.environ.get("NEUROJOINT_FUZZ_CALLBACKS", "4"))  # values for each callback


@pytest.fixture
def site(database, tmp_path):
    build(tmp_path / "data", SESSIONS)
    users = Users(tmp_path / "users.sqlite")
    users.add("mia", "correct horse", "member")
    with settings.override(home=tmp_path) as chosen:
        threads = Database(database)
        yield Site(threads, users, chosen, public=True)
        threads.close()


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("name", ["", "mia"])
def test_callbacks_answer_whatever_they_are_given(site, name, caplog):
    rng = random.Random(1)  # noqa: S311 - the same values in each run
    client = site_app.create_app(site).server.test_client()
    if name:
        client.set_cookie(auth.COOKIE, site.users.issue_token(name, "login"), path=links.BASE)
    wrong: list[tuple] = []
    for sent in BODIES:
        answer = client.post(UPDATE, data=sent, content_type="application/json")
        if answer.status_code >= 500:
            wrong.append((sent[:60], answer.status_code))
    callbacks = client.get(f"{links.BASE}/_dash-dependencies").get_json()
    asked = 0
    for callback in callbacks:
        if callback["clientside_function"] is not None:
            continue
        for _ in range(EACH):
            body = _body(callback, rng)
            answer = client.post(UPDATE, data=json.dumps(body), content_type="application/json")
            asked += 1
            if answer.status_code >= 500:
                wrong.append((callback["output"][:60], json.dumps(body["inputs"])[:200], answer.status_code))
    assert asked > 50
    assert not wrong, "\n".join(map(str, wrong))
    told = {(type(record.exc_info[1]).__name__, str(record.exc_info[1])[:200])
            for record in caplog.records if record.exc_info}  # fmt: skip
    assert not told, "what no page sends is no error of the program"


def _body(callback: dict, rng: random.Random) -> dict:
    def one(given: dict) -> object:
        name = given["id"]
        if name.startswith("{"):
            name = {key: "x" if isinstance(part, list) else part for key, part in json.loads(name).items()}
        sent = {"id": name, "property": given["property"], "value": rng.choice(PARTS)}
        if rng.random() < 0.05:
            sent.pop(rng.choice(list(sent)))
        return [sent] if isinstance(name, dict) and "ALL" in given["id"] else sent

    outputs = [part.rpartition(".") for part in callback["output"].strip(".").split("...")]
    listed = [{"id": json.loads(i) if i.startswith("{") else i, "property": p} for i, _, p in outputs]
    first = callback["inputs"][0] if callback["inputs"] else {"id": "x", "property": "y"}
    return {
        "output": callback["output"],
        "outputs": listed if callback["output"].startswith("..") else listed[0],
        "inputs": [one(given) for given in callback["inputs"]],
        "state": [one(given) for given in callback["state"]],
        "changedPropIds": [f"{first['id']}.{first['property']}"],
    }
