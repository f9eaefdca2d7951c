"""Each role tries each kind of change on animals of two people, on the site and over HTTP: one policy, two faces."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from dashboard.server import auth
from dashboard.server.app import create_app as create_site
from dashboard.site import Site
from one_bridge.server.app import create_app as create_server
from pipeline import entry, settings
from pipeline.entry import policy
from pipeline.entry.reversal import from_json
from pipeline.entry.tables import class_of
from pipeline.schemas import action, audit
from pipeline.web.accounts import Users
from tests.entry.lab_fixture import lab_of_module  # noqa: F401 - a fixture
from tests.entry.lab_of_mice import BY, LAB

ACCOUNTS = dict.fromkeys(("rita", "tom", "mia", "cora", "lars", "dora"), "member") | {
    "max": "manager",
    "admin": "admin",
}
OWNING = ("tom", "mia", "cora")
"""Those of whom some reach their own animals only: they try both, others that of Bob."""
MICE = {"m1": "mia", "b1": "bob"}
NUMBERS = itertools.count(1)
Values = dict[str, Any]


@dataclass(frozen=True)
class Try:
    """One kind of change: table and row for the grid, address and body for the server."""

    table: str
    row: Callable[[str, int], Values]
    address: str
    body: Callable[[str, int], Values]
    verb: str = "POST"


def _time(number: int) -> str:
    return (datetime.datetime(2026, 2, 1) + datetime.timedelta(minutes=number)).isoformat()


def _day(number: int) -> str:
    return str(datetime.date(2026, 1, 1) + datetime.timedelta(days=number % 50))


def _of(mouse: str, **values: Any) -> Values:
    return {"lab": LAB, "subject": mouse} | values


TRIES = {
    "care": Try("action.Weighing", lambda mouse, n: _of(mouse, weighing_time=_time(n), weight="22,5"),
                "weighings", lambda mouse, n: {"subject": mouse, "date_time": _time(n), "weight": 22.5}),
    "restrict": Try("action.WaterRestriction",
                    lambda mouse, n: _of(mouse, restriction_start=_time(n), reference_weight="22"),
                    "water-restriction", lambda mouse, n: {"subject": mouse, "start_time": _time(n)}),
    "operate": Try("subject.Implant", lambda mouse, n: _of(mouse, implant_date=_day(n), implant_weight="1"),
                   "implants", lambda mouse, n: {"subject": mouse, "date": _day(n), "implant_weight": 1}),
    "colony": Try("subject.GenotypeTest",
                  lambda mouse, n: _of(mouse, sequence="cre", genotype_test_date=_day(n), test_result="Present"),
                  "genotype-tests",
                  lambda mouse, n: {"subject": mouse, "sequence": "cre", "date": _day(n), "test_result": "Present"}),
    "cull": Try("subject.Cull", lambda mouse, n: _of(mouse, cull_date="2026-02-20"),
                "culls", lambda mouse, n: {"subject": mouse, "date": "2026-02-20"}),
    "assign": Try("subject.Subject", lambda mouse, n: _of(mouse, ear_mark=f"e{n}"),
                  "subjects/{mouse}", lambda mouse, n: {"ear_mark": f"e{n}"}, "PATCH"),
    "request": Try("subject.SubjectRequest",
                   lambda mouse, n: {"lab": LAB, "request_id": f"{n:08d}-0000-4000-8000-000000000000",
                                     "request_count": "2", "request_date": "2026-02-01", "request_user": "mia"},
                   "requests", lambda mouse, n: {"lab": LAB, "count": 2}),
    "manage": Try("lab.LabLocation", lambda mouse, n: {"lab": LAB, "location": f"rig{n}"},
                  "locations", lambda mouse, n: {"lab": LAB, "name": f"rig{n}"}),
    "record": Try("acquisition.Session", lambda mouse, n: _of(mouse, session_date=_day(n), session_number=str(n % 900)),
                  "sessions",
                  lambda mouse, n: {"subject": mouse, "start_time": f"{_day(n)}T10:00:00", "number": n % 900}),
    "curate": Try("action.ProcedureType", lambda mouse, n: {"procedure_type": f"procedure {n}"},
                  "procedures", lambda mouse, n: {"name": f"procedure {n}"}),
    "administer": Try("lab.Lab", lambda mouse, n: {"lab": f"lab{n}", "time_zone": "UTC"},
                      "labs", lambda mouse, n: {"name": f"lab{n}"}),
}  # fmt: skip
"""Kind of change -> how it is tried. All verbs of the policy that write, but those that have no table of their own."""


class Faces:
    """The site and the server over one database, and accounts of everybody."""

    def __init__(self, api: Any, http: TestClient, users: Users) -> None:
        self.http = http
        site = Site(api.state.bridge.database, users, settings.settings())
        self.site = create_site(site).server
        self.tokens = {name: users.issue_token(name, "test") for name in ACCOUNTS}

    def ask_site(self, who: str, path: str, body: Values) -> int:
        browser = self.site.test_client()
        browser.set_cookie(auth.COOKIE, self.tokens[who], path="/app")
        answer = browser.post(f"/app/{path}", json=body)
        assert answer.status_code in (200, 403), answer.get_json()
        return answer.status_code

    def ask_server(self, who: str, verb: str, address: str, body: Values | None = None) -> int:
        headers = {"Authorization": f"Token {self.tokens[who]}"}
        answer = self.http.request(verb, f"/{address}", json=body, headers=headers)
        assert answer.status_code in (200, 201, 204, 403), answer.text
        return answer.status_code

    def done(self, face: str, who: str, one: Try, mouse: str) -> bool:
        """Whether a change is done; it is taken back. What is refused must leave nothing behind."""
        number, before = next(NUMBERS), len(audit.Edit())
        if face == "site":
            status = self.ask_site(who, "_write", {"table": one.table, "rows": [one.row(mouse, number)]})
        else:
            status = self.ask_server(who, one.verb, one.address.format(mouse=mouse), one.body(mouse, number))
        assert (len(audit.Edit()) > before) == (status != 403)
        if status != 403:
            _take_back(who)
        return status != 403


def _take_back(who: str) -> None:
    """What the last write of a person made is gone, without the search for dependent rows that `undo` begins with."""
    (last,) = (audit.Edit & {"edit_user": who}).to_dicts(order_by="edit_time DESC", limit=1)
    edits = (audit.Edit & {"edit_batch": last["edit_batch"]}).to_dicts(order_by="edit_number DESC")
    for edit in edits:
        table, key = class_of(edit["edit_table"]), from_json(edit["edit_table"], edit["edit_key"])
        if edit["edit_action"] == "create":
            (table & key).delete_quick()
        else:
            table.update1(key | from_json(edit["edit_table"], edit["edit_before"]))


@pytest.fixture(scope="module")
def faces(lab_of_module, tmp_path_factory) -> Iterator[Faces]:  # noqa: F811
    home = tmp_path_factory.mktemp("faces")
    users = Users(home / "users.sqlite")
    for name, role in ACCOUNTS.items():
        users.add(name, "correct horse", role)
    entry.write("subject.Sequence", [{"sequence": "cre"}], **BY)
    entry.write("lab.LabMember", [{"user_name": "max"}], **BY)
    api = create_server(lab_of_module, users, home, home, False)
    with TestClient(api) as http:
        yield Faces(api, http, users)


pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]


@pytest.mark.parametrize("verb", TRIES)
def test_site_and_server_allow_what_the_policy_allows(faces, verb):
    wrong = []
    for who, account in ACCOUNTS.items():
        person = policy.person_of(who, account)
        for mouse, responsible in MICE.items():
            if mouse == "m1" and who not in OWNING:
                continue
            may = policy.allows(person, verb, "" if verb == "administer" else LAB, responsible)
            for face in ("site", "server"):
                done = faces.done(face, who, TRIES[verb], mouse)
                wrong += [(face, who, mouse, f"may be done: {may}")] if done != may else []
    assert not wrong


def test_what_others_entered_is_deleted_by_managers(faces):
    """Own entries by oneself, others by managers whose rights reach the animal: on both faces."""
    wrong = []
    for who, account in ACCOUNTS.items():
        person = policy.person_of(who, account)
        for owner in {"bob", who} if who in ("rita", "tom", "cora") else ():
            reaches = policy.allows(person, "care", LAB, "bob")
            may = reaches and (owner == who or person.role(LAB) in policy.REMOVERS)
            for face in ("site", "server"):
                when = _time(next(NUMBERS))
                row = {"lab": LAB, "subject": "b1", "weighing_time": when}
                entry.write("action.Weighing", [row | {"weight": 22, "weighing_user": owner}], **BY)
                if face == "site":
                    status = faces.ask_site(who, "_remove", {"table": "action.Weighing", "keys": [row]})
                else:
                    listed = faces.http.get(f"/weighings?nickname=b1&limit=1&django=date_time,{when}",
                                            headers={"Authorization": f"Token {faces.tokens['admin']}"})  # fmt: skip
                    (record,) = listed.json()["results"]
                    status = faces.ask_server(who, "DELETE", record["url"].partition("//")[2].partition("/")[2])
                if (status != 403) != may:
                    wrong.append((face, who, owner))
                if status == 403:
                    (action.Weighing & row).delete_quick()
    assert not wrong
