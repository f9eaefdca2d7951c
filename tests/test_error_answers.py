"""Protects that each error reaches who must act on it: by command, HTTP and page, and nobody else sees the server."""

from __future__ import annotations

import inspect
import logging
import re

import click
import pytest
from click.testing import CliRunner
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from neurojoint.cli import ExplainedGroup
from one_bridge.server import exception_handlers
from one_bridge.server.auth import TooMany
from one_bridge.server.endpoint_model import BadInput, NotFound, Refused
from pipeline import errors
from pipeline.alf.reasons import REASONS, Reason
from pipeline.web.error_words import words_for

SECRET = "/srv/neurojoint/home/users.sqlite"
CLASSES = [
    cls
    for cls in vars(errors).values()
    if inspect.isclass(cls) and issubclass(cls, errors.NeurojointError) and cls is not errors.InvalidData
]


def instances(text):
    for cls in CLASSES:
        yield cls(text, "mend it")
    yield errors.InvalidData(SECRET, Reason.truncated, "12 of 80 bytes are there", "copy it again")
    yield ZeroDivisionError(text)
    yield FileNotFoundError(2, "No such file or directory", SECRET)
    yield PermissionError(13, "Permission denied", SECRET)


def by_command(error):
    @click.group(cls=ExplainedGroup)
    @click.option("--debug", is_flag=True)
    def group(debug):
        pass

    @group.command()
    def fail():
        raise error

    return CliRunner().invoke(group, ["fail"])


def by_http(error):
    app = FastAPI()
    exception_handlers.add_handlers(app)

    @app.get("/")
    def fail():
        raise error

    return TestClient(app, raise_server_exceptions=False).get("/")


EXPECTED = {
    errors.UserError: (1, 400),
    errors.NotFoundError: (1, 404),
    errors.AmbiguousError: (1, 400),
    errors.ConflictError: (1, 409),
    errors.PermissionDenied: (1, 403),
    errors.OperatorError: (1, 500),
    errors.InvalidSettings: (2, 500),
    errors.DatabaseUnavailable: (75, 503),
    errors.InvalidData: (1, 500),
    errors.NeurojointError: (1, 500),
}


@pytest.mark.parametrize("error", list(instances("what went wrong")), ids=lambda error: type(error).__name__)
def test_each_class_through_command_http_and_page(error, caplog):
    exit_code, status = EXPECTED.get(type(error), (1, 500))
    done = by_command(error)
    assert done.exit_code == exit_code and errors.explain(error) in done.output, "whoever types commands sees it all"
    with caplog.at_level(logging.WARNING):
        answer = by_http(error)
        page = words_for(error, "member")
    assert answer.status_code == answer.json()["status_code"] == page.status == status
    if isinstance(error, errors.UserError | errors.PermissionDenied):
        assert "What went wrong" in str(page) and "Mend it" in str(page)
    else:
        assert "what went wrong" not in f"{answer.text} {page}".lower()
        assert "what went wrong" in caplog.text or SECRET in caplog.text
    if status == 500:
        number = re.search(r"\b[0-9a-f]{6}\b", str(page))
        assert number and f"error {number[0]}" in caplog.text


@given(st.text(max_size=30).map(lambda text: f"{SECRET} {text}"), st.sampled_from(["public", "member", "admin"]))
def test_no_answer_to_a_client_holds_a_path_of_the_server(text, role):
    for error in instances(text):
        is_for_clients = isinstance(error, errors.UserError | errors.PermissionDenied)
        is_for_operators = not isinstance(error, errors.OperatorError | OSError | ArithmeticError)
        if not is_for_clients and not (is_for_operators and role == "admin"):
            assert SECRET not in str(words_for(error, role))


def test_errors_of_the_servers_are_of_these_classes():
    assert issubclass(BadInput, errors.UserError) and issubclass(NotFound, errors.NotFoundError)
    assert issubclass(Refused, errors.PermissionDenied)
    assert by_http(BadInput("weight", "too heavy")).json() == {"weight": ["too heavy"], "status_code": 400}
    assert by_http(NotFound()).json() == {"detail": "Not found.", "status_code": 404}
    assert by_http(Refused("no", {"error": "protected"})).status_code == 403
    assert by_http(TooMany(3)).status_code == 429


def test_every_class_has_its_answer_and_every_reason_its_member():
    assert {type(error) for error in instances("x")} - set(errors.ANSWERS) <= {
        ZeroDivisionError, FileNotFoundError, PermissionError,
    }  # fmt: skip
    assert [reason.value for reason in Reason] == list(REASONS)
