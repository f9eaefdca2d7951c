"""Each column of text gets a mark of its own: the public site gives back none that may not leave.

The walk goes without a browser over pages, their callbacks and what they offer for download; what may leave is what
`pipeline.policy` names. Then all of it is asked again while reading fails: no answer tells more than that it does.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import psycopg2
import pytest

import ingest
from dashboard import links
from dashboard.server import app as site_app
from dashboard.server import auth
from dashboard.site import Site
from ingest import simulate
from pipeline import entry, errors, settings, worker
from pipeline.database import registry
from pipeline.policy import columns
from pipeline.schemas import subject
from pipeline.web.accounts import Users
from pipeline.web.threads import Database

pytestmark = pytest.mark.slow

UPDATE = f"{links.BASE}/_dash-update-component"
MARK = re.compile(r"mrk([0-9]{4})x")
LEAST = 12  # characters that a column must hold to get a mark
ROUNDS = 3  # of callbacks on each page: what one gives may be what the next is given
FAILED = "nobodymayread"
STATUSES = {"training_status", "next_status"}  # words of the rules of training, computed for every animal
BY: dict[str, Any] = {"user": "ada", "source": "test"}


@pytest.fixture
def site(database, tmp_path):
    """A small lab in which people wrote something everywhere, and one session whose file changed."""
    root = tmp_path / "data"
    simulate.write_lab(root, 1, 3, lab="simlab", wheel=False)
    ingest.register(root, metadata=sorted(root.glob("*.csv")), repository="r", processes=1)
    worker.work(once=True, processes=1)
    with settings.override(home=tmp_path) as chosen:
        threads = Database(database)
        users = Users(tmp_path / "users.sqlite")
        users.add("mia", "correct horse", "member")
        yield Site(threads, users, chosen, public=True)
        threads.close()


def fill(connection: Any) -> dict[str, str]:
    """Put a mark into each text column that is no key, no name of another row and no word of a fixed list."""
    marks: dict[str, str] = {}
    tables = [table for table in registry.tables() if not hasattr(table, "constant")]
    for table in [each for item in tables for each in (item, *registry.parts(item))]:
        query = table()
        if not len(query):
            continue
        heading = query.heading
        fixed = {
            name for parent in query.parents(as_objects=False, foreign_key_info=True) for name in parent[1]["attr_map"]
        }
        for name, column in heading.attributes.items():
            length = re.search(r"char\w*(?: varying)?\((\d+)\)", str(column.type))
            if column.in_key or name in fixed or "fingerprint" in name or not length or int(length[1]) < LEAST:
                continue
            mark = f"mrk{len(marks):04}x"
            sql = f'UPDATE {query.full_table_name} SET "{name}" = %s'
            try:
                with connection.transaction:
                    connection.query(sql, args=(mark,))
            except Exception:  # noqa: S112 - unique, or checked by the database
                continue
            marks[mark] = f"{registry.label(table)}.{name}"
    return marks


def properties(content: Any) -> dict[str, dict[str, Any]]:
    """Identifier of a component (JSON where it has parts) -> its properties."""
    result: dict[str, dict[str, Any]] = {}
    if isinstance(content, dict):
        own = content.get("props")
        if isinstance(own, dict) and own.get("id"):
            name = own["id"]
            result[name if isinstance(name, str) else json.dumps(name, sort_keys=True, separators=(",", ":"))] = own
        for value in content.values():
            result |= properties(value)
    elif isinstance(content, list):
        for value in content:
            result |= properties(value)
    return result


class Walk:
    """The public's way through the site; all answers in `texts`."""

    def __init__(self, site: Site) -> None:
        app = site_app.create_app(site)
        self.client = app.server.test_client()
        self.texts: list[tuple[str, str]] = []
        self.callbacks = [item for item in self.client.get(f"{links.BASE}/_dash-dependencies").get_json()
                          if item["clientside_function"] is None]  # fmt: skip
        self.layout = self.ask("GET", f"{links.BASE}/_dash-layout")
        self.seen: list[str] = []
        self.files: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def ask(self, verb: str, path: str, **body: Any) -> Any:
        answer = self.client.open(path, method=verb, **body)
        text = answer.get_data(as_text=True)
        self.texts.append((f"{verb} {path} {str(body)[:300]}", text))
        return json.loads(text) if answer.is_json and answer.status_code == 200 else None

    def again(self) -> list[tuple[str, str]]:
        """Ask everything that was asked so far once more; returns what was answered now."""
        self.texts = []
        for body in self.bodies:
            self.ask("POST", UPDATE, json=body)
        for path in [*self.seen, *self.files, f"{links.BASE}/_dash-layout", f"{links.BASE}/_version"]:
            self.ask("GET", path)
        return self.texts

    def go(self, address: str) -> None:
        """Open a page, run its callbacks, and follow its links."""
        if address in self.seen or len(self.seen) > 60:
            return
        self.seen.append(address)
        path, _, search = address.partition("?")
        known = properties(self.layout)
        known.setdefault("url", {}).update({"pathname": path, "search": f"?{search}" if search else ""})
        for _ in range(ROUNDS):
            for callback in self.callbacks:
                body = self._body(callback, known)
                if body is None or body in self.bodies:
                    continue
                self.bodies.append(body)
                answer = self.ask("POST", UPDATE, json=body)
                for name, given in ((answer or {}).get("response") or {}).items():
                    known.setdefault(name, {}).update(given)
                    known |= properties(given)
        for result in self._links(known):
            self.go(result)

    def _links(self, known: dict[str, Any]) -> Iterator[str]:
        text = html.unescape(json.dumps(known))
        for result in sorted(set(re.findall(rf'"({links.BASE}/[^"\\]*)"', text))):
            if re.search(r"/_(?!dash)|\.(csv|zip|nwb|svg|ics)", result):
                if result not in self.files:
                    self.files.append(result)
                    self.ask("GET", result)
            elif "assets" not in result and "_dash" not in result:
                yield result

    def _body(self, callback: dict[str, Any], known: dict[str, dict[str, Any]]) -> dict[str, Any] | None:
        def one(given: dict[str, str]) -> Any:
            name = given["id"]
            if name.startswith("{"):
                pattern = json.loads(name)
                matching = [(own, json.loads(own)) for own in known if own.startswith("{")]
                fit = [{"id": id_, "property": given["property"], "value": known[own].get(given["property"])}
                       for own, id_ in matching
                       if id_.keys() == pattern.keys()
                       and all(isinstance(v, list) or id_[k] == v for k, v in pattern.items())]  # fmt: skip
                return fit if "ALL" in name else (fit[0] if fit else {"id": pattern, "property": given["property"]})
            return {"id": name, "property": given["property"], "value": known.get(name, {}).get(given["property"])}

        inputs, state = [one(x) for x in callback["inputs"]], [one(x) for x in callback["state"]]
        if not any(x if isinstance(x, list) else x.get("value") is not None for x in inputs):
            return None
        parts = [part.rpartition(".") for part in callback["output"].strip(".").split("...")]
        outputs = [{"id": json.loads(i) if i.startswith("{") else i, "property": p} for i, _, p in parts]
        first = next((x for x in inputs if isinstance(x, dict)), None)
        changed = [f"{first['id']}.{first['property']}"] if first and isinstance(first["id"], str) else []
        return {
            "output": callback["output"],
            "outputs": outputs if callback["output"].startswith("..") else outputs[0],
            "inputs": inputs, "state": state, "changedPropIds": changed,
        }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_no_mark_of_a_private_column_leaves_nor_of_what_fails(site, database, monkeypatch):
    animal = subject.Subject().to_dicts()[0]
    animal = {"lab": animal["lab"], "subject": animal["subject"]}
    entry.write("lab.LabMember", [{"user_name": "cajal", "full_name": "Santiago"}], create_missing=True, **BY)
    times = {"surgery_start": "2024-01-01T10:00:00"}
    entry.write("action.Surgery", [animal | times | {"surgery_narrative": "narrative"}], create_missing=True, **BY)
    entry.write("subject.AdverseEffect", [animal | {"effect_date": "2024-01-01", "effect_number": 1,
                                                    "effect_severity": 1, "effect_text": "text"}], **BY)  # fmt: skip
    marks = fill(database)
    assert len(marks) > 20
    walk = Walk(site)
    walk.go(f"{links.BASE}/")
    assert len(walk.seen) > 5 and len(walk.texts) > 40
    leaked = set()
    for asked, text in walk.texts:
        for mark in {f"mrk{number}x" for number in MARK.findall(unquote(text))}:
            label = marks.get(mark, mark)
            if label.rpartition(".")[2] not in columns.TEXT | STATUSES:
                leaked.add((label, asked[:160]))
    assert not leaked, "\n".join(map(str, sorted(leaked)))
    for name in ("", "mia"):
        if name:
            walk.client.set_cookie(auth.COOKIE, site.users.issue_token(name, "login"), path=links.BASE)
        for error in failures():
            with monkeypatch.context() as patch:
                patch.setattr(Database, "read", lambda *_, error=error: raise_(error))
                told = walk.again()
            assert len(told) > 40 and [item for item in told if FAILED in item[1]] == [], (name, error)


def raise_(error: BaseException) -> None:
    raise error


def failures() -> Iterator[BaseException]:
    """What reading the tables can raise, each with a name that nobody may read; a class of each branch of words."""
    yield errors.InvalidData(f"lab/Subjects/{FAILED}/wheel.npy", "truncated", f"of {FAILED}", f"copy {FAILED} again")
    yield psycopg2.errors.UndefinedColumn(f"column {FAILED} does not exist")
