"""The overview in a real browser: what rows say; what is filtered, sorted, kept in the address and saved."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter

import pytest

from dashboard import links
from tests.dashboard import lab
from tests.dashboard.browser import Visit, looks

pytestmark = pytest.mark.slow

LIVING = {"fast_001", "slow_002", "never_003", "side_biased_004", lab.ONE_SESSION, lab.NO_TIMES, lab.NO_SESSION}


def names(seen: Visit) -> list[str]:
    """The mice in the order in which they stand in the table."""
    return seen.page.evaluate(
        """() => [...document.querySelectorAll("#overview-grid .ag-pinned-left-cols-container .ag-row")]
             .sort((a, b) => a.getAttribute("row-index") - b.getAttribute("row-index"))
             .map((row) => row.innerText.trim()).filter(Boolean)"""
    )


def wait(seen: Visit, expected: set[str]) -> None:
    """Until the table holds just these mice."""
    seen.page.wait_for_function(
        """(expected) => { const rows = document.querySelectorAll(
             "#overview-grid .ag-pinned-left-cols-container .ag-row:not(.ag-row-loading)");
           const found = [...rows].map((row) => row.innerText.trim()).filter(Boolean).sort();
           return found.join() === expected.join() }""",
        arg=sorted(expected),
    )


def cell(seen: Visit, mouse: str, column: str) -> str:
    row = seen.page.locator(f'#overview-grid .ag-row[row-id="{lab.LAB}/{mouse}"]')
    return row.locator(f'[col-id="{column}"]').inner_text()


def pick(seen: Visit, name: str, text: str) -> None:
    """Choose in one of the filters above the table."""
    seen.page.click(f'input[id*=\'"name":"{name}"\']')
    seen.page.click(f'[role=option]:has-text("{text}")')


def test_each_living_mouse_has_a_row_that_says_how_it_does(visit, served):
    seen = visit("/app/")
    wait(seen, LIVING)
    truth = json.loads((served.root / "truth.json").read_text())
    counts = Counter(session["subject"] for session in truth["sessions"])
    assert cell(seen, "slow_002", "n_sessions") == str(counts["slow_002"])
    weight = [session["weight"] for session in truth["sessions"] if session["subject"] == "slow_002"][-1]
    assert abs(float(cell(seen, "slow_002", "weight")) - weight) < 1.5  # g; weighed again after it
    assert cell(seen, lab.NO_SESSION, "n_sessions") == "0" and cell(seen, lab.NO_SESSION, "last_session") == ""
    assert seen.page.locator('[row-id="simlab/slow_002"] svg.nj-spark path').count() == 2
    assert "need attention" in seen.text("#overview-count")


def test_filters_are_kept_in_the_address_and_work_from_it(visit):
    seen = visit("/app/")
    pick(seen, "status", "in training")
    seen.page.wait_for_function("() => location.search.includes('status=in_training')")
    gone = f'#overview-grid [row-id="{lab.LAB}/{lab.NO_SESSION}"]'
    seen.page.wait_for_function("(row) => !document.querySelector(row)", arg=gone)
    seen.page.fill('input[id*=\'"name":"q"\']', "young")
    wait(seen, {lab.ONE_SESSION})
    seen.page.wait_for_function("() => location.search.includes('q=young')")
    address = seen.page.evaluate("location.pathname + location.search")
    again = visit(address)
    wait(again, {lab.ONE_SESSION})
    assert again.page.input_value('input[id*=\'"name":"q"\']') == "young"
    assert "1 of " in again.text("#overview-count")


def test_columns_sort_and_filter_on_the_server(visit):
    seen = visit("/app/")
    wait(seen, LIVING)
    seen.page.click('#overview-grid [col-id="n_sessions"] .ag-header-cell-label')
    seen.page.wait_for_function("() => location.search.includes('sort=n_sessions-asc')")
    seen.page.wait_for_function(
        "(name) => document.querySelector('#overview-grid .ag-pinned-left-cols-container [row-index=\"0\"]')"
        "?.innerText.trim() === name",
        arg=lab.NO_SESSION,
    )
    model = json.dumps({"n_sessions": {"filterType": "number", "type": "greaterThan", "filter": 1}})
    filtered = visit(links.overview(sort="subject-desc", f=model))
    wait(filtered, {"fast_001", "slow_002", "never_003", "side_biased_004"})
    assert names(filtered) == ["slow_002", "side_biased_004", "never_003", "fast_001"]


@pytest.mark.parametrize("query", ["f=%7B%22x&rules=unheard", "f=[]&sort=nothing-up,-", "lab=%00&alert=unheard"])
def test_an_address_that_cannot_be_meant_shows_a_table_all_the_same(visit, query):
    seen = visit(f"/app/?{query}")
    assert seen.page.locator("#overview-grid").count() == 1 and "Traceback" not in seen.text()


def test_the_table_is_saved_as_it_is_shown(visit):
    seen = visit(links.overview(q="side biased"))
    wait(seen, {"side_biased_004"})
    with seen.page.expect_download() as waiting:
        seen.page.click("#overview-csv")
    rows = list(csv.DictReader(io.StringIO(waiting.value.path().read_text())))
    assert waiting.value.suggested_filename == "mice.csv"
    assert [row["subject"] for row in rows] == ["side_biased_004"]
    assert rows[0]["lab"] == lab.LAB and float(rows[0]["performance_easy"]) <= 1 and rows[0]["alive"] == "True"


def test_alerts_can_be_asked_for(visit):
    seen = visit(links.overview(alert="any"))
    row = "#overview-grid .ag-pinned-left-cols-container .ag-row:not(.ag-row-loading)"
    seen.page.wait_for_selector(f"{row} >> text=/./")
    shown = set(names(seen))
    assert shown and shown < LIVING
    for name in shown:
        assert cell(seen, name, "alerts")


def test_a_mouse_is_a_click_away_and_back_again(visit):
    seen = visit(links.overview(sort="subject-desc"))
    seen.page.click("text=slow_002")
    seen.page.wait_for_selector("[data-figure=performance]")
    assert seen.page.url.endswith(links.mouse(lab.LAB, "slow_002"))
    seen.page.go_back()
    seen.page.wait_for_selector("#overview-grid .ag-row")
    assert "sort=subject-desc" in seen.page.url


def test_it_looks_well_everywhere(visit):
    looks(visit, "/app/", "overview")
