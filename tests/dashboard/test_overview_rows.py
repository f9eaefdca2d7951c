"""What the overview says of mice whose rows are known, on both databases; and 2,000 mice in a browser, part by part."""

from __future__ import annotations

import datetime
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import datajoint as dj
import pytest
import uvicorn

from dashboard.queries import overview
from dashboard.server import serve
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, action, behavior_analysis, lab, subject
from pipeline.settings import settings
from pipeline.web.threads import Database
from tests.dashboard import browser as windows
from tests.one_bridge.serving import accounts

pytestmark = pytest.mark.slow

NOW = datetime.datetime(2026, 3, 20, 22)  # UTC: evening in Berlin, still 20 March
TODAY = datetime.date(2026, 3, 20)
RULES = {"criteria": "ibl_pipeline_2021"}


def day(ago: int) -> datetime.date:
    return TODAY - datetime.timedelta(days=ago)


def write(table: type, **columns: object) -> None:
    """Rows of any table, also of those that are computed."""
    one = table()
    one._allow_insert = True
    insert_many(one, columns)


def add_mice(names: list[str], **more: object) -> None:
    uuids = [str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in names]
    write(subject.Subject, lab="berlin", subject=names, subject_uuid=uuids, **more)


def weigh(name: str, weights: dict[int, float], restricted_since: int | None = None) -> None:
    """Weighings at noon, days ago -> g; reference weight 25 g."""
    key = {"lab": "berlin", "subject": name}
    noon = datetime.time(11)
    write(action.Weighing, **key, weighing_time=[datetime.datetime.combine(day(n), noon) for n in weights],
          weight=list(weights.values()))  # fmt: skip
    if restricted_since is not None:
        start = datetime.datetime.combine(day(restricted_since), noon)
        write(action.WaterRestriction, **key, restriction_start=[start], reference_weight=25.0)


def train(name: str, easy: list[float], status: str = "in_training", reached: int = 90) -> None:
    """One session on each of the last days, with a performance; the status since some days ago."""
    key = {"lab": "berlin", "subject": name}
    dates = [day(len(easy) - i - 1) for i in range(len(easy))]
    eids = [str(uuid.uuid5(uuid.NAMESPACE_URL, f"{name}{date}")) for date in dates]
    write(acquisition.Session, **key, session_date=dates, session_number=1, eid=eids,
          start_time=[datetime.datetime.combine(date, datetime.time(10)) for date in dates],
          task_protocol="_iblrig_tasks_habituationChoiceWorld")  # fmt: skip
    versions = (behavior_analysis.TrainingCriteria & RULES).to_arrays("criteria_version")
    write(behavior_analysis.SubjectTraining, **key, **RULES, criteria_version=[max(versions)], training_status=status,
          training_fingerprint="0" * 32, n_training_sessions=len(easy), first_dates=[{status: str(day(reached))}],
          days_to_status=[{}], next_status="", missing_for_next=[[]])  # fmt: skip
    write(behavior_analysis.BehaviorHistory, **key, history_fingerprint=["0" * 32], n_training_days=len(easy),
          first_training_date=dates[0], last_training_date=dates[-1])  # fmt: skip
    nothing = dict.fromkeys(("day_performance", "day_response_time", "day_minutes"))
    known = set(behavior_analysis.DailySummary().heading.names)
    write(behavior_analysis.DailySummary, **key, session_date=dates, training_day=list(range(1, len(easy) + 1)),
          training_week=1, day_sessions=1, day_trials=500, day_performance_easy=easy,
          **{name: value for name, value in nothing.items() if name in known})  # fmt: skip


@pytest.fixture
def berlin(database: dj.Connection) -> None:
    write(lab.Lab, lab=["berlin"], lab_name="Berlin", time_zone="Europe/Berlin")


def alerts() -> dict[str, dict[str, str]]:
    rows = overview.mice(RULES["criteria"], NOW)
    return {row["subject"]: {alert["kind"]: alert["text"] for alert in row["alerts"]} for row in rows}


def test_alerts_say_what_needs_attention(berlin):
    add_mice(["fine", "thin", "light", "forgotten", "idle", "falling", "new", "dry", "lost"])
    add_mice(["dead"], death_date=day(3))
    for name, weight in (("fine", 22.0), ("light", 20.5), ("thin", 18.0), ("dead", 18.0)):
        weigh(name, {2: 25.0, 1: 22.0, 0: weight}, restricted_since=2)
    weigh("forgotten", {9: 25.0, 5: 22.0}, restricted_since=8)
    weigh("lost", {90: 25.0}, restricted_since=90)
    weigh("dry", {2: 25.0, 1: 23.0, 0: 23.0}, restricted_since=2)
    for name in ("fine", "light", "thin"):  # enough water today; `dry` got none
        write(action.WaterAdministration, lab="berlin", subject=name, water_type="Water", water_volume=1.2,
              administration_time=[datetime.datetime.combine(TODAY, datetime.time(12))])  # fmt: skip
    action.WaterHistory.populate()
    train("fine", [0.7, 0.8, 0.9], "trained_1a", reached=40)
    train("falling", [0.9] * 6 + [0.6, 0.65, 0.55], "trained_1a", reached=40)
    train("new", [0.8, 0.9, 0.95], "trained_1a", reached=2)
    write(acquisition.Session, lab="berlin", subject="idle", session_date=[day(6)], session_number=1,
          eid=[str(uuid.uuid4())], start_time=datetime.datetime.combine(day(6), datetime.time(10)),
          task_protocol="_iblrig_tasks_trainingChoiceWorld")  # fmt: skip
    raised_alerts = alerts()
    assert raised_alerts["fine"] == {}
    assert "critical" in raised_alerts["thin"] and "72 %" in raised_alerts["thin"]["critical"]
    assert "underweight" in raised_alerts["light"] and "82 %" in raised_alerts["light"]["underweight"]
    assert raised_alerts["forgotten"]["unweighed"] == "not weighed for 5 d"
    assert raised_alerts["dry"].keys() == {"water"} and "0.9 mL" in raised_alerts["dry"]["water"]
    assert raised_alerts["idle"] == {"idle": "no session for 6 d", "missing": "missing data"}
    assert raised_alerts["falling"] == {"dropping": "performance −30 %"}
    assert raised_alerts["new"] == {"reached": "new status, 2 d ago"}
    assert raised_alerts["lost"] == {"idle": "nothing for 90 d"}
    assert raised_alerts["dead"] == {}


def test_rows_hold_the_last_day(berlin):
    add_mice(["one", "two"], sex="F")
    train("one", [0.5, 0.6, None, 0.75], "trained_1a")
    weigh("one", {3: 25.0, 0: 23.5}, restricted_since=2)
    action.WaterHistory.populate()
    rows = {row["subject"]: row for row in overview.mice(RULES["criteria"], NOW)}
    one, two = rows["one"], rows["two"]
    assert (one["n_sessions"], one["last_session"], one["days_since"]) == (4, TODAY, 0)
    assert one["spark"] == pytest.approx([0.5, 0.6, None, 0.75]) and one["performance_easy"] == pytest.approx(0.75)
    assert one["status"] == "trained_1a" and one["weight"] == 23.5 and round(one["weight_pct"]) == 94
    assert one["water_today"] == 0 and one["water_due"] == pytest.approx(23.5 / 25, abs=0.07)
    assert (two["n_sessions"], two["last_session"], two["spark"], two["weight"]) == (0, None, [], None)


@pytest.fixture
def crowd(berlin, database: dj.Connection, tmp_path: Path) -> Iterator[windows.Served]:
    """A site over 2,000 mice."""
    if database.adapter.backend != "postgresql":
        pytest.skip("the browser sees the same on both databases")
    add_mice([f"mouse {i:04d}" for i in range(2000)], sex=["M" if i % 4 else "F" for i in range(2000)])
    (settings().home / "bridge").mkdir(exist_ok=True)
    accounts(settings().home / "bridge" / "users.sqlite")
    pool = Database(database)
    server = uvicorn.Server(uvicorn.Config(serve.application(database=pool), port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < until
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield windows.Served(f"http://127.0.0.1:{port}", settings().home, tmp_path)
    server.should_exit = True
    thread.join(20)
    pool.close()


def test_two_thousand_mice_are_fetched_part_by_part(crowd, browser):
    seen = windows.open_window(browser, crowd, "light", windows.DESK, "mia")
    fetched: list[int] = []

    def note(answer: object) -> None:
        if "getRowsResponse" in (answer.request.post_data or ""):
            fetched.append(len(answer.json()["response"]["overview-grid"]["getRowsResponse"]["rowData"]))

    seen.page.on("response", note)
    seen.go("/app/")
    assert "2,000 mice" in seen.text("#overview-count")
    first = '#overview-grid .ag-pinned-left-cols-container [row-index="0"]'
    seen.page.wait_for_function("(row) => document.querySelector(row)?.innerText.trim() === 'mouse 0000'", arg=first)
    assert sum(fetched) <= 200  # not all
    seen.page.click('#overview-grid [col-id="subject"] .ag-header-cell-label')
    seen.page.click('#overview-grid [col-id="subject"] .ag-header-cell-label')  # descending
    seen.page.wait_for_function("(row) => document.querySelector(row)?.innerText.trim() === 'mouse 1999'", arg=first)
    body = seen.page.locator("#overview-grid .ag-body-viewport")
    body.evaluate("(one) => { one.scrollTop = one.scrollHeight }")
    seen.page.wait_for_function(
        "() => [...document.querySelectorAll('#overview-grid .ag-pinned-left-cols-container .ag-row')]"
        ".some((row) => row.innerText.trim() === 'mouse 0000')"
    )
    assert max(fetched) <= 100 and sum(fetched) <= 1000
    seen.go("/app/?q=mouse+0042")
    seen.page.wait_for_function("() => document.querySelector('#overview-count')?.innerText.startsWith('1 of 2,000')")
    assert not seen.problems
    seen.page.close()
