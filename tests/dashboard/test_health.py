"""The health of the pipeline: what is counted, what failed, and who may give failed jobs back to the workers."""

from __future__ import annotations

import datetime
import json

import pytest

from dashboard.pages.health import MAY_RETRY
from dashboard.queries import health as queries
from pipeline.settings import settings
from pipeline.worker import status
from tests.dashboard import console
from tests.dashboard.browser import looks

FAIL = """
jobs = behavior.Camera().jobs
for number in range(3):
    key = {"lab": "simlab", "subject": f"broken_{number}", "session_date": "2024-01-01", "session_number": 1}
    jobs.insert1(key | {"status": "pending", "priority": 5})
    jobs.error(key, "InvalidData: a/b/leftCamera.times.npy: 7 times, not 9" if number else "MemoryError: too little")
"""
COUNT = """len(behavior.Camera().jobs & "status = 'error'")"""
FORGET = """
jobs = behavior.Camera().jobs
jobs.connection.query(f"DELETE FROM {jobs.full_table_name} WHERE subject LIKE %s", ("broken%",))
"""
RETRIED = 'str((data.Change & {"change_action": "retried"}).to_dicts())'


@pytest.fixture(scope="module")
def run(served):
    """Another program on the tables."""
    with console.opened(served) as result:
        yield result


@pytest.fixture
def failures(run):
    """Three failed jobs of two kinds; called, it says how many are left."""
    run(FAIL)
    yield lambda: run(COUNT)
    run(FORGET)


def test_errors_are_grouped_and_a_manager_gives_them_back(visit, run, failures):
    seen = visit("/app/health", viewer="max")
    group = seen.page.locator(".nj-errors li", has_text="behavior.Camera").filter(has_text="not N")
    group.wait_for()  # what everybody shares may be some seconds old
    assert "2" in group.locator(".nj-chip").inner_text() and "broken_" in group.inner_text()
    group.locator("button").click()
    seen.page.wait_for_selector("text=All failed jobs of behavior.Camera whose message contains")
    seen.page.click("#health-yes")
    seen.page.wait_for_selector("text=2 jobs given back to the workers.")
    group.wait_for(state="detached")
    assert failures() == 1, "the job with another message is left as it was"
    assert "MemoryError" in seen.text(".nj-errors")
    assert "max" in run(RETRIED), "it was written down who did"


def test_a_member_has_no_buttons_and_is_refused(visit, failures):
    """Also where the request is made by hand."""
    seen = visit("/app/health", viewer="mia")
    seen.page.wait_for_selector("text=broken_")
    assert "broken_" in seen.text() and "Retry" not in seen.text() and f"A {MAY_RETRY} can give" in seen.text()
    known = seen.page.evaluate("fetch('/app/_dash-dependencies').then((answer) => answer.json())")
    retry = next(value for value in known if [part["id"] for part in value["inputs"]] == ["health-yes"])
    names = [part.rsplit(".", 1) for part in retry["output"].strip(".").split("...")]
    body = {
        "output": retry["output"],
        "outputs": [{"id": name, "property": what} for name, what in names],
        "inputs": [{"id": "health-yes", "property": "n_clicks", "value": 1}],
        "changedPropIds": ["health-yes.n_clicks"],
        "state": [{"id": "health-asked", "property": "data", "value": ["", ""]}],
    }
    answer = seen.page.evaluate(
        """(body) => fetch('/app/_dash-update-component', {method: 'POST', body,
        headers: {'Content-Type': 'application/json'}}).then((answer) => answer.text())""",
        json.dumps(body),
    )
    assert f"Only a {MAY_RETRY} may retry failed jobs" in answer and failures() == 3


def test_the_tables_are_those_of_the_command(visit, served):
    seen = visit("/app/health")
    printed = served.run("status", "--json")
    rows = {row["table"]: row for row in json.loads(printed)["tables"]}
    shown = seen.page.eval_on_selector_all(
        ".nj-table tr", "all => all.map((row) => [...row.cells].map((cell) => cell.innerText))"
    )
    collected = {row[0]: row[2] for row in shown if row and row[0].startswith("behavior.TrialSet")}
    one = rows["behavior.TrialSet"]
    assert collected == {"behavior.TrialSet": f"{one['done']:,} of {one['total']:,}"}
    assert "truncated: 1" in seen.text() and "copy the file again" in seen.text("#health-refused")
    seen.page.click("#health-refused a")
    seen.page.wait_for_url("**/app/session/**")


def test_the_public_sees_counts_only(visit):
    seen = visit("/app/health", viewer=None)
    words = seen.text()
    assert "behavior.TrialSet" in words
    assert not {"What went wrong", "Quarantine\n", "Disks", "Workers\n"} & set(words.splitlines())
    assert "Retry" not in words and "fast_001" not in seen.page.content()


def test_looks(visit, failures):
    looks(visit, "/app/health", "health", viewer="max")


def test_one_look_answers_many_viewers():
    """The state is collected once for all who ask within a few seconds, and again for who has changed something."""
    looked = []

    def read(ask, *args):
        if ask is queries.look:
            looked.append(1)
            return queries.Health(status.Status(datetime.datetime(2026, 1, 1)))
        return {}

    watch = queries.Watch(read, settings())
    first = watch.health()
    assert watch.health() is first and len(looked) == 1
    watch.forget()
    assert watch.health() is not first and len(looked) == 2


@pytest.mark.parametrize(
    "message",
    ["InvalidData: /data/lab/x.npy: 12 rows, not 13: extract again", "MemoryError", "KeyError: 'a b'", "1", ""],
)
def test_the_buttons_fragment_is_in_every_message_of_its_group(message):
    assert queries.fragment(status._without_particulars(message)).lower() in message.lower()
