"""What an error says reaches only those for whom it is meant, whatever fails and wherever."""

from __future__ import annotations

import json
import logging

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient

from dashboard import links
from dashboard.server import app as site_app
from dashboard.server import auth
from dashboard.site import Site
from one_bridge.server import exception_handlers
from pipeline import settings
from pipeline.errors import InvalidData, InvalidSettings, NeurojointError, OperatorError, PermissionDenied, UserError
from pipeline.web.accounts import Account, Users
from pipeline.web.error_words import InvalidRequest, words_for

MARKER = "slow_002"
SECRET = f"/data/lab/Subjects/{MARKER}/alf/x.npy"
PASSWORD = "correct horse"

HIDDEN = [
    InvalidData(SECRET, "truncated", MARKER, MARKER), InvalidData(SECRET, "a reason of tomorrow", MARKER, MARKER),
    NeurojointError(MARKER, SECRET), OperatorError(SECRET, MARKER), InvalidSettings(SECRET, MARKER),
    RuntimeError(SECRET), KeyError(MARKER), FileNotFoundError(2, "No such file", SECRET), OSError(5, MARKER, SECRET),
    ValueError(MARKER), MemoryError(MARKER), AssertionError(SECRET),
]  # fmt: skip
"""Errors of which neither the public nor a member may read the text."""
OF_MEMBERS = [UserError(MARKER, SECRET), PermissionDenied(SECRET, MARKER)]


def kinds(errors):
    return pytest.mark.parametrize("error", errors, ids=lambda one: type(one).__name__)


@kinds(HIDDEN)
@pytest.mark.parametrize("role", ["public", "member"])
def test_texts_that_may_hold_names_and_paths_reach_neither_the_public_nor_members(error, role, caplog):
    with caplog.at_level(logging.WARNING):
        assert MARKER not in str(words_for(error, role))
    assert MARKER in caplog.text, "the log has it"


@kinds(OF_MEMBERS)
def test_what_a_member_entered_is_explained_to_members_only(error):
    assert MARKER in str(words_for(error, "member"))
    assert MARKER not in str(words_for(error, "public"))


def test_what_a_visitor_typed_is_explained_to_everyone():
    assert str(words_for(InvalidRequest("12x is no trial", "name trials by number"), "public")) == (
        "12x is no trial. Name trials by number."
    )


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_who_looks_after_the_files_reads_what_is_wrong_with_them(role):
    assert SECRET in str(words_for(HIDDEN[0], role))
    assert MARKER not in str(words_for(RuntimeError(MARKER), role)), "no person foresaw that text"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site on which every query fails."""
    users = Users(tmp_path / "users.sqlite")
    users.add("mia", PASSWORD, "member")
    with settings.override(home=tmp_path) as chosen:
        yield Site(None, users, chosen, public=True)


@pytest.mark.slow
@kinds([HIDDEN[0], HIDDEN[2], HIDDEN[5], HIDDEN[7], OF_MEMBERS[0]])
@pytest.mark.parametrize("name", ["", "mia"])
def test_every_page_and_callback_of_the_site_keeps_the_text_to_itself(site, error, name, monkeypatch):
    def fail(*_args, **_options):
        raise error

    monkeypatch.setattr(site, "read", fail)
    monkeypatch.setattr(site.live, "version", lambda: "1")
    for method in ("subject", "name", "today", "local"):
        monkeypatch.setattr(site, method, fail)
    client = site_app.create_app(site).server.test_client()
    if name:
        client.set_cookie(auth.COOKIE, site.users.issue_token(name, "login"), path=links.BASE)
    may_read = bool(name) and error in OF_MEMBERS
    callbacks = client.get(f"{links.BASE}/_dash-dependencies").get_json()
    answers = [client.get(f"{links.BASE}/_overview.csv"), client.get(f"{links.FILES}/{'0' * 36}")]
    for callback in callbacks:
        if callback["clientside_function"] is None:
            answers += [_call(client, callback, value) for value in VALUES]
    assert len(answers) > 20
    shown = [answer.get_data(as_text=True) for answer in answers]
    assert may_read or not any(MARKER in text for text in shown)
    if may_read:
        assert any(MARKER in text for text in shown), "the queries are reached"


SHOWN = {"lab": "a", "name": "m", "date": "2024-01-01", "number": "1", "rules": "", "version": "", "trials": ""}
VALUES = [
    None, "1-3", SHOWN, "/app/mouse/a/m", "/app/session/a/m/2024-01-01/1", "/app/", "/app/daily", "/app/lab",
    "/app/health", "/app/cells",
]  # fmt: skip


def _call(client, callback, value):
    """Ask a callback with this value for all that it takes."""

    def given(one):
        name = one["id"]
        if name.startswith("{"):
            name = {key: "x" if isinstance(part, list) else part for key, part in json.loads(name).items()}
        many = isinstance(name, dict) and "ALL" in one["id"]
        return [{"id": name, "property": one["property"], "value": value}] if many else {
            "id": name, "property": one["property"], "value": value,
        }  # fmt: skip

    outputs = [part.rpartition(".") for part in callback["output"].strip(".").split("...")]
    body = {
        "output": callback["output"],
        "outputs": [{"id": json.loads(i) if i.startswith("{") else i, "property": p} for i, _, p in outputs],
        "inputs": [given(input_) for input_ in callback["inputs"]],
        "state": [given(state) for state in callback["state"]],
        "changedPropIds": [f"{callback['inputs'][0]['id']}.{callback['inputs'][0]['property']}"],
    }
    if not callback["output"].startswith(".."):
        body["outputs"] = body["outputs"][0]
    return client.post(f"{links.BASE}/_dash-update-component", json=body)


@kinds([*HIDDEN, *OF_MEMBERS])
@pytest.mark.parametrize("role", ["public", "member"])
def test_every_answer_of_the_rest_server_keeps_the_text_to_itself(error, role):
    app = FastAPI()
    exception_handlers.add_handlers(app)

    @app.get("/")
    def fail(request: Request):
        request.state.account = Account("mia", role, True) if role != "public" else None
        raise error

    answer = TestClient(app, raise_server_exceptions=False).get("/")
    assert answer.status_code in (400, 403, 404, 500)
    assert (MARKER in answer.text) == (role == "member" and error in OF_MEMBERS)
