"""Daily summary: what became of each mouse's day, in the tables and on the page."""

from __future__ import annotations

import datetime
import uuid

import pytest

from dashboard.queries import daily, progress
from tests.dashboard import lab as simulated
from tests.dashboard import rows
from tests.dashboard.browser import looks
from tests.dashboard.rows import DAY

pytestmark = pytest.mark.slow

BEFORE, LONG_AGO = DAY - datetime.timedelta(days=1), DAY - datetime.timedelta(days=40)


def _refuse(path: str, key: dict | None = None) -> None:
    from pipeline.schemas import data

    now = datetime.datetime(2026, 3, 11, 12)
    data.Quarantine.insert1((key or {}) | {
        "quarantine_id": uuid.uuid4().hex, "repository": "local", "quarantine_path": path, "reason": "truncated",
        "detail": "", "remedy": "copy it again", "first_seen": now, "last_seen": now,
    })  # fmt: skip


@pytest.fixture
def here(database):
    """A lab in Tokyo, nine hours before UTC."""
    from pipeline.schemas import data, lab

    lab.Lab.insert1({"lab": "here", "time_zone": "Asia/Tokyo"})
    data.Repository.insert1({"repository": "local", "repository_kind": "local", "repository_root": "/data"})
    return database


def _registered(time: datetime.datetime) -> None:
    from pipeline.schemas import data

    data.IngestRun.insert1({"run_id": str(uuid.uuid4()), "run_start": time, "run_end": time, "run_root": "/data"})


def _found(day: datetime.date = DAY) -> dict[str, daily.Mouse]:
    return {mouse.subject: mouse for mouse in daily.summary({"here": day}).mice}


def test_every_reason_why_a_mouse_has_no_result_is_told_apart(here):
    from pipeline.schemas import behavior, data

    names = ["trained", "computing", "unread", "failed", "refused", "lost", "bare", "habituated", "idle"]
    rows.mice(*names)
    rows.compute(rows.session("trained", n_trials=300), n_easy=100, n_correct=90)
    rows.session("computing", n_trials=200)
    unread = rows.session("unread")
    data.AlfObject.insert1(unread | {
        "object_collection": "alf", "object_name": "trials", "object_fingerprint": "0" * 32,
        "accepted_columns": ",choice,", "refused_columns": {},
    })  # fmt: skip
    message = {"status": "error", "error_message": "InvalidData: nothing fits", "priority": 5}
    behavior.TrialSet().jobs.insert1(rows.session("failed") | {"task_collection": "alf"} | message)
    refused = rows.session("refused")
    _refuse("here/Subjects/refused/2026-03-11/001/alf/_ibl_trials.table.pqt", refused)
    rows.session("lost", BEFORE)
    _refuse(f"here/Subjects/lost/{DAY}/1x/alf/_ibl_trials.table.pqt")
    rows.session("bare")
    rows.session("habituated", protocol="_iblrig_tasks_habituationChoiceWorld6")
    rows.session("idle", BEFORE)
    result = _found()
    kinds = {name: result[name].today.kind for name in names}
    assert kinds == {
        "trained": progress.TRAINED, "computing": progress.COMPUTING, "unread": progress.COMPUTING,
        "failed": progress.ERROR, "refused": progress.REFUSED, "lost": progress.REFUSED, "bare": progress.NO_TRIALS,
        "habituated": progress.OTHER, "idle": daily.UNKNOWN,
    }  # fmt: skip
    assert result["trained"].today.n_trials == 300 and result["trained"].today.performance_easy == 0.9
    assert result["trained"].today.sessions[0].minutes == 10 and result["trained"].status == "trained_1a"
    assert result["computing"].today.sessions[0].waits_for[0] == "performance"
    assert result["failed"].today.sessions[0].errors == [("behavior.TrialSet", "InvalidData: nothing fits")]
    assert result["lost"].today.refused[0][1] == "truncated" and not result["lost"].today.sessions
    assert result["idle"].last_session == BEFORE


def test_a_day_is_over_for_a_lab_when_files_were_registered_after_its_midnight(here):
    """In Tokyo the eleventh of March ends at 15:00 UTC."""
    rows.mice("idle")
    rows.session("idle", BEFORE)
    _registered(datetime.datetime(2026, 3, 11, 14, 59))
    assert _found()["idle"].today.kind == daily.UNKNOWN
    _registered(datetime.datetime(2026, 3, 11, 15, 1))
    assert _found()["idle"].today.kind == daily.ABSENT


def test_several_sessions_of_a_day_are_pooled_and_the_worst_counts(here):
    rows.mice("two")
    rows.compute(rows.session("two", n_trials=300), n_easy=100, n_correct=90)
    rows.session("two", number=2, n_trials=100)
    today = _found()["two"].today
    assert today.n_trials == 400 and today.kind == progress.COMPUTING and len(today.sessions) == 2


def test_mice_without_anything_recent_are_only_counted(here):
    rows.mice("old", "new")
    rows.mice("dead", death_date=LONG_AGO)
    rows.session("old", LONG_AGO)
    rows.session("dead", LONG_AGO)
    rows.session("new", BEFORE)
    day_summary = daily.summary({"here": DAY})
    assert [mouse.subject for mouse in day_summary.mice] == ["new"]
    assert day_summary.n_others == {"here": 1} and day_summary.newest == {"here": BEFORE}
    assert daily.summary({"here": LONG_AGO}).newest == {"here": LONG_AGO}


def test_water_that_is_due_and_the_last_weight(here):
    from pipeline.schemas import action

    rows.mice("thirsty", "fresh")
    for mouse in ("thirsty", "fresh"):
        key = {"lab": "here", "subject": mouse}
        action.WaterRestriction.insert1(key | {"restriction_start": datetime.datetime(2026, 3, 1)})
        rows.write("action.WaterHistory", key | {"water_fingerprint": "0" * 32, "n_restriction_days": 1})
        rows.write("action.WaterStatus", key | {
            "session_date": DAY if mouse == "thirsty" else BEFORE, "restricted": True, "weighed": True,
            "day_weight": 20.0, "weight_pct": 82.0, "water_reward": 0.3, "water_supplement": 0.1, "day_adlib": False,
            "expected_water": 1.0, "remaining_water": 0.6, "underweight": True, "critical": False,
        })  # fmt: skip
    result = _found()
    thirsty, fresh = result["thirsty"], result["fresh"]
    assert thirsty.water_given == pytest.approx(0.4) and thirsty.water_due == 0.6
    assert thirsty.underweight and thirsty.weight == 20 and thirsty.today.weighed
    assert (fresh.water_given, fresh.water_due) == (0, 1), "nothing is entered yet: all is still due"
    assert fresh.weight_date == BEFORE and not fresh.today.weighed


def _day_of(served, subject: str = simulated.ONE_SESSION) -> datetime.date:
    """The last day of a mouse of the simulated lab."""
    folders = (served.root / simulated.LAB / "Subjects").glob(f"{subject}/20*")
    return datetime.date.fromisoformat(max(folder.name for folder in folders))


def test_the_page_says_who_trained_and_leads_to_mouse_and_session(visit, served):
    day = _day_of(served)
    seen = visit(f"/app/daily?date={day}")
    row = seen.page.locator("tr", has=seen.page.get_by_role("link", name=simulated.ONE_SESSION, exact=True))
    assert "240 trials" in row.inner_text()
    assert seen.page.locator(".nj-daily-user").count() >= 1
    assert simulated.NO_SESSION not in seen.text(".nj-daily"), "a mouse without anything recent is only counted"
    row.get_by_text("240 trials").click()
    seen.page.wait_for_url(f"**/app/session/{simulated.LAB}/{simulated.ONE_SESSION}/{day}/1")
    seen.page.go_back()
    seen.ready()
    seen.page.get_by_role("link", name=simulated.ONE_SESSION, exact=True).click()
    seen.page.wait_for_url(f"**/app/mouse/{simulated.LAB}/{simulated.ONE_SESSION}")


def test_days_are_turned_by_keys_and_filters_are_in_the_address(visit, served):
    day = _day_of(served)
    before = day - datetime.timedelta(days=1)
    seen = visit(f"/app/daily?date={day}")
    for key, there in (("k", before), ("j", day)):
        seen.page.keyboard.press(key)
        seen.page.wait_for_url(f"**/app/daily?date={there}")
        seen.page.wait_for_selector(f"#daily-words:has-text('{there:%a} {there.day} {there:%b}')")
    seen.page.get_by_role("textbox", name="Show").click()
    seen.page.get_by_role("option", name="did not train", exact=True).click()
    seen.page.wait_for_function("() => !document.querySelector('.nj-daily')?.innerText.includes('240 trials')")
    assert "show=idle" in seen.page.url and f"date={day}" in seen.page.url
    again = visit(f"/app/daily?date={day}&show=idle")
    assert "240 trials" not in again.text("#daily-content")


def test_older_data_are_said_and_offered(visit, served):
    day = _day_of(served, "*")
    seen = visit(f"/app/daily?date={day + datetime.timedelta(days=9)}")
    assert "Nobody trained" in seen.text(".nj-sentence")
    seen.page.locator(".nj-sentence a").first.click()
    seen.page.wait_for_url(f"**/app/daily?date={day}*")
    seen.page.wait_for_selector(".nj-daily a[href*='/app/session/']")


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ("?date=yesterday", "is not a date"),
        ("?date=2026-02-30", "is not a date"),
        ("?date=0001-01-01", "is no day"),
        ("?lab=nowhere", "no lab called nowhere"),
        ("?date=2001-01-01", "No mouse had a session"),
        ("?user=nobody&show=nonsense", ""),
    ],
)
def test_what_cannot_be_meant_is_a_sentence(answer, search, words):
    assert words in answer(f"/app/daily{search}").text


def test_the_public_sees_pseudonyms_and_no_people(visit, served):
    seen = visit(f"/app/daily?date={_day_of(served)}", viewer=None)
    text = seen.text()
    assert "mouse-" in text and simulated.ONE_SESSION not in text
    assert (
        seen.page.locator(".nj-daily-user").count() == 0
        and seen.page.get_by_role("textbox", name="Responsible").count() == 0
    )


def test_it_looks_well(visit, served):
    looks(visit, f"/app/daily?date={_day_of(served)}", "daily")
