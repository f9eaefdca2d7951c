"""The database refuses one statement of a request: the answer tells nothing of it, and all is as before, or done.

Each statement of each request, in turn, is replaced by one that raises an error in PostgreSQL itself, whose text,
detail and hint hold a secret. The statement before it has been carried out, so that half of a request is tried too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg2.extensions
import pytest
import requests

from pipeline.database import registry
from pipeline.database.bulk import insert_many
from pipeline.schemas import action, data, lab, subject
from pipeline.web import threads
from tests.one_bridge.remote import FIRST, SESSIONS
from tests.one_bridge.trees import build, dataset_id, locate, over_sessions

pytestmark = pytest.mark.slow

SECRET = "nobodymayread"
PATH = f"/srv/{SECRET}/users.sqlite"
STATES = (  # SQLSTATE of each class of errors that a driver knows, and of what a server in trouble says
    "22001", "22P02", "23505", "23503", "23514", "0A000", "42703", "42P01", "42501", "40001", "40P01", "55P03", "57014",
    "53100", "53200", "53300", "57P01", "58030", "08006", "XX000", "XX001", "25006",
)  # fmt: skip
LOST = "lost"  # the server ends the connection
PID, LABEL = "0d3e1c1c-9a0a-4a8b-8f3f-0e0a5d6b7c11", "probe07"
MOUSE = {"subject": "KS014", "lab": "simlab"}
EID = str(FIRST.eid)
FOV, STACK = "3f0b6f6e-3a77-4b3f-9a9f-1b4c0b8b1a21", "3f0b6f6e-3a77-4b3f-9a9f-1b4c0b8b1a22"
MADE: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {  # endpoint: a record to make, and a change of it
    "labs": ({"name": "newlab"}, {"institution": "x"}),
    "users": ({"username": "new"}, {"fullname": "N"}),
    "projects": ({"name": "new", "users": ["mia"]}, {"description": "x", "users": ["max"]}),
    "procedures": ({"name": "new"}, {"description": "x"}),
    "water-type": ({"name": "new"}, {}),
    "dataset-types": ({"name": "new.thing"}, {"description": "x"}),
    "data-formats": ({"name": "new", "file_extension": ".new"}, {"description": "x"}),
    "data-repository": ({"name": "new", "repository_type": "local", "globus_path": "/srv/new"}, {"hostname": "x"}),
    "revisions": ({"name": "2023-07-01"}, {"description": "x"}),
    "tags": ({"name": "new"}, {"description": "x"}),
    "imaging-type": ({"name": "two photon"}, {}),
    "cull-methods": ({"name": "new"}, {}),
    "cull-reasons": ({"name": "new"}, {}),
    "locations": ({"name": "new", "lab": "simlab"}, {"description": "x"}),
    "subjects": ({"nickname": "m9", "lab": "simlab", "sex": "F"}, {"description": "x", "sex": "M"}),
    "sessions": (
        MOUSE | {"start_time": "2023-07-04T10:00:00", "number": 2, "users": ["mia"], "projects": ["alpha"]},
        {"narrative": "x", "users": ["max"], "qc": "FAIL"},
    ),
    "insertions": ({"session": EID, "name": LABEL, "id": PID}, {"qc": "FAIL", "json": {"a": 1}}),
    "chronic-insertions": (MOUSE | {"name": "chronic", "start_time": "2020-01-01"}, {"serial": "12"}),
    "trajectories": (
        {"probe_insertion": PID, "provenance": "Planned", "x": 1, "y": 1, "z": 1, "depth": 2000, "theta": 1, "phi": 1},
        {"x": 2},
    ),
    "aligned-channels": ({"axial": 20, "lateral": 11, "x": 1, "y": 1, "z": 1}, {"x": 2}),
    "fields-of-view": ({"session": EID, "name": "FOV_00", "imaging_type": "mesoscope", "id": FOV}, {"json": {"a": 1}}),
    "fov-location": (
        {"field_of_view": FOV, "x": [1, 2, 3, 4], "y": [1, 2, 3, 4], "z": [1, 2, 3, 4], "n_xyz": [2, 2, 1]},
        {"default_provenance": True},
    ),
    "imaging-stack": ({"name": "new", "id": STACK}, {}),
    "culls": (MOUSE | {"date": "2023-12-01"}, {"description": "x"}),
    "requests": ({"lab": "simlab", "count": 3}, {"count": 4}),
    "genotype-tests": (
        MOUSE | {"sequence": "Cre", "date": "2023-07-01", "test_result": "Present"}, {"test_result": "Absent"},
    ),
    "implants": (MOUSE | {"date": "2023-07-01", "implant_weight": 1}, {"implant_weight": 2}),
    "weighings": (MOUSE | {"date_time": "2020-01-01T10:00:00", "weight": 20}, {"weight": 21}),
    "water-administrations": (
        MOUSE | {"date_time": "2020-01-01T10:00:00", "water_administered": 1, "session": EID},
        {"water_administered": 2},
    ),
    "water-restriction": (MOUSE | {"start_time": "2020-02-01T10:00:00"}, {"reference_weight": 21}),
    "surgeries": (MOUSE | {"start_time": "2020-01-01T10:00:00", "users": ["mia"]}, {"narrative": "x"}),
    "notes": ({"content_type": "session", "object_id": EID, "text": "x"}, {"text": "y"}),
    "data-notices": ({"name": "new", "description": "x"}, {"description": "y"}),
}  # fmt: skip
SOME = ("projects", "sessions", "weighings")
OTHERS: tuple[tuple[str, str, Any], ...] = (
    ("PATCH", "/datasets/{dataset}", {"qc": "PASS", "tags": ["a_tag"]}),
    ("PATCH", "/files/{file}", {"exists": False}),
    ("PATCH", "/brain-regions/549", {"description": "x"}),
    ("GET", "/water-requirement/KS014", None), ("GET", "/water-restricted-subjects", None),
    ("GET", "/sync-file-status", None), ("GET", "/cache/info", None), ("GET", "/cache.zip", None),
    ("GET", "/data/{path}", None), ("GET", "/sessions/{eid}/nwb", None), ("GET", "/tasks?status=Waiting", None),
    ("POST", "/check-protected", {"path": "KS014/2020-01-01/001", "filenames": ["alf/_ibl_trials.choice.npy"]}),
    ("POST", "/new-download", {"user": "mia", "datasets": ["{dataset}"]}),
    ("POST", "/register-file", {"path": "KS014/2020-01-01/001", "filenames": ["alf/_ibl_trials.rewardVolume.npy"]}),
    ("POST", "/tasks", {"name": "new", "session": EID, "executable": "x", "status": "Waiting"}),
    ("POST", "/tasks/claim", {"worker": "w", "host": "h", "kinds": ["x"], "environments": ["x"], "token": FOV}),
    ("GET", "/sessions?django=subject__nickname__icontains,KS&dataset_types=trials.choice&limit=2", None),
    ("GET", "/insertions?atlas_acronym=TH", None), ("GET", "/datasets?session={eid}&exists=True", None),
)  # fmt: skip


class Trouble:
    """Counts the statements of the server's connections, and lets one of them fail."""

    def __init__(self) -> None:
        self.fail(-1)

    def fail(self, number: int, state: str = "", ever_after: bool = False) -> None:
        """The statement of that number (from 0) fails, with an SQLSTATE; `ever_after`: those behind it, too."""
        self.number, self.state, self.ever_after, self.count = number, state, ever_after, 0

    def next(self) -> str:
        """The statement to be sent instead of the next one, if any."""
        self.count += 1
        is_due = self.count - 1 == self.number or (self.ever_after and self.number < self.count - 1)
        if self.number < 0 or not is_due:
            return ""
        if self.state == LOST:
            return "SELECT pg_terminate_backend(pg_backend_pid())"
        return (
            f"DO $$ BEGIN RAISE EXCEPTION 'value \"{SECRET}\" in {PATH}' USING ERRCODE = '{self.state}', DETAIL = "
            f"'Key (subject)=({SECRET}) in INSERT INTO {SECRET}', HINT = 'see {PATH}'; END $$"
        )

    @property
    def was_met(self) -> bool:
        return self.count > self.number >= 0

    def cursor(self) -> type[psycopg2.extensions.cursor]:
        trouble = self

        class Cursor(psycopg2.extensions.cursor):
            def execute(self, query, vars=None):  # noqa: A002 - the driver's name
                instead = trouble.next()
                return super().execute(instead) if instead else super().execute(query, vars)

            def copy_expert(self, sql, file, size=8192):
                instead = trouble.next()
                return super().execute(instead) if instead else super().copy_expert(sql, file, size)

        return Cursor


@dataclass
class Lab:
    """The server, its trouble, and what is asked of it."""

    served: Any
    trouble: Trouble
    connection: Any
    session: requests.Session
    documented: dict[str, Any]

    def send(self, verb: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(verb, f"{self.served.url}{path}", json=body, timeout=60)

    def forget(self) -> None:
        """What was asked before is asked of the database again."""
        self.served.app.state.bridge.answers.forget()
        self.served.app.state.bridge.serialiser.forget()

    def state(self) -> dict[str, tuple[int, int]]:
        """Table -> how many rows, and a sum over what they hold; without the tables that ship with the program."""
        tables = [table for item in registry.tables() if not hasattr(item, "contents") and not hasattr(item, "constant")
                  for table in (item, *registry.parts(item))]  # fmt: skip
        names = [table().full_table_name for table in tables if "brain" not in table.__name__.lower()]
        asked = " UNION ALL ".join(
            f"SELECT {index}, count(*), coalesce(sum(hashtext(t::text)::bigint), 0)::bigint FROM {name} t"
            for index, name in enumerate(names)
        )
        return {names[index]: (count, total) for index, count, total in self.connection.query(asked).fetchall()}

    def check(self, verb: str, path: str, answer: requests.Response, asked: str) -> None:
        """No word of the error in the answer, and its status is one that the schema lists."""
        said = f"{asked}: {answer.status_code} {answer.text[:300]} {dict(answer.headers)}"
        told = answer.text + str(dict(answer.headers))
        assert SECRET not in told and "/srv/" not in told.replace("/srv/new", ""), said
        if answer.status_code >= 400:
            assert not re.search(r"INSERT INTO|SELECT .* FROM|UPDATE .* SET|Traceback|psycopg2", told), said
        assert str(answer.status_code) in self.responses(verb, path), said

    def responses(self, verb: str, path: str) -> Collection[str]:
        path = path.partition("?")[0]
        for known, verbs in self.documented.items():
            pattern = re.sub(r"\{\w+\}", "[^/]+" if known != "/data/{path}" else ".+", known)
            if verb.lower() in verbs and re.fullmatch(pattern, path):
                return verbs[verb.lower()]["responses"]
        return {"200", "201", "202", *self.documented["/me"]["get"]["responses"]}  # of lab servers, and NWB files


@pytest.fixture
def troubled(serve, database, tmp_path, monkeypatch) -> Iterator[Lab]:
    build(tmp_path / "data", SESSIONS)
    insert_many(lab.LabMember, {"user_name": ["mia", "max", "ada"]})
    data.Tag.insert1({"tag": "a_tag"})
    subject.Sequence.insert1({"sequence": "Cre"})
    mouse = {"lab": "simlab", "subject": "KS014"}
    action.Weighing.insert1(mouse | {"weighing_time": "2020-01-01 12:00:00", "weight": 20.0})
    action.WaterRestriction.insert1(mouse | {"restriction_start": "2020-01-02 12:00:00"})
    locate(FIRST, "probe00", ["VPM", None])
    over_sessions(tmp_path / "data")
    np.save(tmp_path / "data" / FIRST.path / "alf/_ibl_trials.rewardVolume.npy", np.arange(3.0))
    served = serve(tmp_path / "data")
    trouble, open_one = Trouble(), threads.raw_connection

    def troubled_connection(*args: Any, **options: Any) -> Any:
        raw = open_one(*args, **options)
        raw.cursor_factory = trouble.cursor()
        return raw

    monkeypatch.setattr(threads, "raw_connection", troubled_connection)
    database_of_server = served.app.state.bridge.database
    database_of_server._forget_idle()
    documented = requests.get(f"{served.url}/api/schema", timeout=10).json()["paths"]
    yield Lab(served, trouble, database, served.session("ada"), documented)
    trouble.fail(-1)
    database_of_server._forget_idle()


class Record:
    """A record of one endpoint, which is made and deleted as often as it takes."""

    def __init__(self, lab: Lab, name: str, body: dict[str, Any]) -> None:
        self.lab, self.name, self.body = lab, name, body
        self.known = self.listed()
        self.place = ""

    def listed(self) -> set[str]:
        records = self.lab.send("GET", f"/{self.name}?limit=1000").json()["results"]
        return {identifier(self.name, record) for record in records}

    def make(self) -> None:
        answer = self.lab.send("POST", f"/{self.name}", self.body)
        assert answer.status_code == 201, (self.name, answer.text)
        self.find()

    def find(self) -> None:
        (self.place,) = self.listed() - self.known

    def delete(self) -> None:
        self.find()
        answer = self.lab.send("DELETE", self.place)
        assert answer.status_code == 204, (self.place, answer.text)

    def renew(self) -> None:
        self.delete()
        self.make()


def identifier(name: str, record: dict[str, Any]) -> str:
    if "url" in record:
        return "/" + record["url"].split("/", 3)[-1]
    return f"/{name}/{requests.utils.quote(record['id'], safe='')}"


def fails(
    lab: Lab, verb: str, path: Callable[[], str], body: Any, states: Iterator[str], again: Callable[[], None],
    longest: int = 500,
) -> None:  # fmt: skip
    """Send a request once for each of its statements, which fails; then as it is. `again` makes it possible."""
    done: list[tuple[str, dict[str, int]]] = []
    for number in range(longest):
        state, where = next(states), path()
        before = lab.state()
        lab.forget()
        lab.trouble.fail(number, state, ever_after=number % 2 == 1)
        answer = lab.send(verb, where, body)
        was_met = lab.trouble.was_met
        lab.trouble.fail(-1)
        asked = f"{verb} {where}, statement {number}, {state}"
        lab.check(verb, where, answer, asked)
        after = lab.state()
        added = {name: after[name][0] - count for name, (count, _) in before.items() if after[name] != (count, _)}
        if verb == "GET":
            assert not added, (asked, added)
        elif added:
            done.append((asked, added))
        if not was_met:
            is_there = answer.status_code == 400 and done and again is nothing  # made by one that failed after it
            assert is_there or answer.status_code < 400, (asked, answer.text[:300])
            break
        if added:
            again()
    else:
        raise AssertionError(f"{verb} {path()} has no end")
    half = [item for item in done if item[1] != done[-1][1]]
    assert again is nothing or not half, (half, done[-1])


def turns(states: tuple[str, ...]) -> Iterator[str]:
    while True:
        yield from states


def nothing() -> None:
    """What a request that reads leaves needs no mending."""


def walk(lab: Lab, names: tuple[str, ...]) -> None:
    """Make, read, change and delete a record of each endpoint, in all of which each statement fails once."""
    states = turns((*STATES, LOST))
    records: dict[str, Record] = {}
    for name in names:
        body, change = MADE[name]
        if name == "aligned-channels":
            body = body | {"trajectory_estimate": records["trajectories"].place.rpartition("/")[2]}
        record = records[name] = Record(lab, name, body)
        fails(lab, "POST", lambda name=name: f"/{name}", body, states, record.delete)
        record.find()
        fails(lab, "GET", lambda name=name: f"/{name}", None, states, nothing)
        fails(lab, "GET", lambda record=record: record.place, None, states, nothing)
        if change:
            fails(lab, "PATCH", lambda record=record: record.place, change, states, record.renew)
    for record in reversed(records.values()):
        fails(lab, "DELETE", lambda record=record: record.place, None, states, record.make)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_a_statement_that_fails_is_told_to_nobody_and_leaves_no_half_record(troubled):
    walk(troubled, SOME)


@pytest.mark.soak
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_each_statement_of_every_endpoint(troubled):
    walk(troubled, tuple(MADE))


@pytest.mark.soak
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_each_statement_of_what_is_no_list_of_records(troubled):
    lab, states = troubled, turns((*STATES, LOST))
    dataset = str(dataset_id(FIRST, "alf/_ibl_trials.choice.npy"))
    file = next(record for record in lab.send("GET", f"/files?dataset={dataset}").json()["results"])
    names = {"{dataset}": dataset, "{eid}": EID, "{file}": identifier("files", file).rpartition("/")[2],
             "{path}": f"{FIRST.path}/alf/_ibl_trials.choice.npy"}  # fmt: skip
    for verb, path, body in OTHERS:
        for name, value in names.items():
            path = path.replace(name, value)
            body = json.loads(json.dumps(body).replace(name, value))
        fails(lab, verb, lambda path=path: path, body, states, nothing)
