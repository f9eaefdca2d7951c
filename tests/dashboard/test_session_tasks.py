"""The time line of a session: whoever may holds, abandons and restarts its tasks by a button, and nobody else."""

from __future__ import annotations

import json
import uuid

import pytest

from dashboard import links
from dashboard.pages import _session_timeline as section
from dashboard.server import auth
from dashboard.server.app import create_app
from dashboard.site import Site, Viewer
from pipeline import entry, settings
from pipeline.schemas import data, task
from pipeline.tasks.queue import New, Queue
from pipeline.web.accounts import Users
from pipeline.web.threads import Database
from tests.entry.lab_fixture import lab_of_module  # noqa: F401 - a fixture
from tests.entry.lab_of_mice import BY, LAB

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]
KEY = {"lab": LAB, "subject": "m1", "session_date": "2026-02-01", "session_number": 1}
SHOWN = {"lab": LAB, "name": "m1", "date": "2026-02-01", "number": "1", "rules": "x", "version": "", "trials": ""}


@pytest.fixture
def site(lab_of_module, tmp_path):  # noqa: F811
    users = Users(tmp_path / "users.sqlite")
    for name in ("rita", "mia", "dora"):
        users.add(name, "correct horse", "member")
    threads = Database(lab_of_module)
    yield Site(threads, users, settings.settings())
    threads.close()


def press(site: Site, who: str, name: str, identifier: str) -> str:
    """What the site answers when somebody presses a button, also one that the page did not show."""
    client = create_app(site).server.test_client()
    client.set_cookie(auth.COOKIE, site.users.issue_token(who, "login"), path=links.BASE)
    (callback,) = (item for item in client.get(f"{links.BASE}/_dash-dependencies").get_json()
                   if "session-steps.children" in item["output"])  # fmt: skip
    names = [part.rsplit(".", 1) for part in callback["output"].strip(".").split("...")]
    button = {"type": "task", "change": name, "task": identifier}
    body = {
        "output": callback["output"], "outputs": [{"id": one, "property": what} for one, what in names],
        "inputs": [[{"id": button, "property": "n_clicks", "value": 1}]],
        "changedPropIds": [json.dumps(button, sort_keys=True, separators=(",", ":")) + ".n_clicks"],
        "state": [{"id": "session-shown", "property": "data", "value": SHOWN}],
    }  # fmt: skip
    answer = client.post(f"{links.BASE}/_dash-update-component", data=json.dumps(body), content_type="application/json")
    return answer.get_data(as_text=True)


def test_buttons_are_for_those_who_may_and_do_what_they_say(site):
    entry.write("acquisition.Session", [KEY], **BY)
    (identifier,) = Queue().add([New("compress_video_left", "compress_video")], KEY).values()
    mia, rita = (json.dumps(section.section(site, Viewer(who, "member"), KEY).to_plotly_json(), default=lambda one: (
        one.to_plotly_json())) for who in ("mia", "rita"))  # fmt: skip
    assert "Hold" in mia and "Abandon" in mia and "Restart" not in mia and "none works on" in mia
    assert "Abandon" not in rita and "compress_video_left" in rita
    for name, state, held in (("hold", "Waiting", 1), ("unhold", "Waiting", 0), ("abandon", "Abandoned", 0),
                              ("restart", "Waiting", 0)):  # fmt: skip
        for who in ("rita", "dora"):  # a reader, and the manager of another lab
            assert "may not hold, abandon and restart" in press(site, who, name, identifier)
        assert "written down under your name" in press(site, "mia", name, identifier)
        row = (task.Task & {"task_uuid": identifier}).fetch1()
        assert (row["task_state"], int(row["task_held"])) == (state, held), name
    assert (data.Change & {"change_user": "mia", "change_action": "abandoned"}).fetch1("change_detail") == identifier
    for name, other in (("explode", identifier), ("hold", str(uuid.uuid4())), ("hold", "x' OR 1=1")):
        assert "written down" not in press(site, "mia", name, other)
    row = (task.Task & {"task_uuid": identifier}).fetch1()
    assert row["task_state"] == "Waiting" and not row["task_held"]
