"""The page of a mouse: days on one axis, days compared, what is missing, history; and mice of which little is known."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from dashboard import links
from tests.dashboard import lab
from tests.dashboard.browser import Visit, looks

pytestmark = pytest.mark.slow

MICE = "fast_001", "slow_002", "never_003", "side_biased_004"
LONG = links.mouse(lab.LAB, lab.LONG)
OVER_DAYS = ["water", "performance", "trials", "heatmap", "fits"]


def graph(seen: Visit, name: str, what: str) -> object:
    """Something of a figure, as JavaScript says it of the plot `gd`."""
    result = 'document.querySelector(`[data-figure="${name}"] .js-plotly-plot`)'
    return seen.page.evaluate(f"(name) => {{ const gd = {result}; return {what} }}", name)


def trace(seen: Visit, name: str, of: str) -> dict:
    """x and y of a trace of a figure."""
    points = "({x: Array.from(one.x), y: Array.from(one.y)})"
    picked = f"gd._fullData.filter((one) => one.name === {json.dumps(of)}).map((one) => {points})[0] || null"
    return graph(seen, name, picked)


def ranges(seen: Visit) -> list[list[str]]:
    return [graph(seen, name, "gd._fullLayout.xaxis.range") for name in OVER_DAYS]


def click_day(seen: Visit, name: str, place: int) -> str:
    """Click on a point of the first trace of a figure; returns its date."""
    card = seen.page.locator(f'[data-figure="{name}"]')
    card.scroll_into_view_if_needed()
    x, y = graph(seen, name, f"[gd._fullData[0].x[{place}], gd._fullData[0].y[{place}]]")
    at = graph(
        seen, name,
        f"(() => {{ const {{xaxis, yaxis}} = gd._fullLayout; const box = gd.getBoundingClientRect();"
        f" return [box.x + xaxis._offset + xaxis.d2p({json.dumps(x)}), box.y + yaxis._offset + yaxis.d2p({y})] }})()",
    )  # fmt: skip
    seen.page.mouse.move(*at)
    seen.page.wait_for_selector(f'[data-figure="{name}"] .hoverlayer > g')
    seen.page.mouse.click(*at)
    return x[:10]


def chosen(seen: Visit) -> list[str]:
    result = links.query_of(seen.page.evaluate("location.search")).get("days", "")
    return result.split(",") if result else []


def test_figures_show_the_sessions_that_were_simulated(visit, served):
    seen = visit(LONG)
    names = seen.page.eval_on_selector_all("[data-figure]", "all => all.map((one) => one.dataset.figure)")
    assert names == [*OVER_DAYS, "psychometric", "chronometric"]
    sessions = [
        session
        for session in json.loads((served.root / "truth.json").read_text())["sessions"]
        if session["subject"] == lab.LONG
    ]
    n_trials = defaultdict(int)
    for session in sessions:
        n_trials[session["date"]] += session["n_trials"]
    drawn = trace(seen, "trials", "trials")
    assert dict(zip((day[:10] for day in drawn["x"]), drawn["y"], strict=True)) == n_trials
    assert f"Sessions ({len(sessions)})" in seen.text("#mouse-history")
    assert {"weight", "least weight, 85 %", "critical weight, 75 %"} <= set(
        graph(seen, "water", "gd.data.map((one) => one.name)")
    )
    shapes = graph(seen, "water", "gd.layout.shapes.map((one) => one.name)")
    assert "restriction" in shapes  # the period, as a band
    criteria = graph(seen, "fits", "gd.layout.shapes.filter((one) => one.yref === 'y').map((one) => one.y0)")
    assert 19 in criteria  # percent: the threshold of the published rules for 1a


def test_all_days_zoom_together(visit):
    seen = visit(LONG)
    whole = ranges(seen)
    assert all(item == whole[0] for item in whole)
    box = seen.page.locator('[data-figure="performance"] .nsewdrag').first.bounding_box()
    seen.page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 40)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + 45, steps=4)
    seen.page.mouse.up()
    seen.page.wait_for_function(
        """([names, before]) => {
             const of = (name) => document.querySelector(`[data-figure="${name}"] .js-plotly-plot`)?._fullLayout;
             const all = new Set(names.map((name) => of(name)?.xaxis.range.join() ?? before));
             return all.size === 1 && !all.has(before) }""",
        arg=[OVER_DAYS, ",".join(whole[0])],
    )
    seen.page.click("[data-period='0']")
    seen.page.wait_for_function(
        "(start) => [...document.querySelectorAll('.js-plotly-plot')].slice(0, 5).every((gd) =>"
        " gd._fullLayout?.xaxis.range[0].startsWith(start))",
        arg=whole[0][0][:10],
    )


def test_a_click_on_a_day_compares_it(visit):
    seen = visit(LONG)
    before = graph(seen, "psychometric", "gd.data.length")
    day = click_day(seen, "performance", 2)
    seen.page.wait_for_function("(day) => location.search.includes(day)", arg=day)
    assert any(item.startswith(day) for item in chosen(seen)) and len(chosen(seen)) == 4  # the last three, and this one
    count = "(n) => document.querySelector('[data-figure=psychometric] .js-plotly-plot')?.data.length %s n"
    seen.page.wait_for_function(count % ">", arg=before)
    assert day in " ".join(graph(seen, "psychometric", "gd.data.map((one) => one.name)"))
    bands = "gd.layout.shapes.filter((one) => one.name === 'chosen day').length"
    assert graph(seen, "fits", bands) == graph(seen, "performance", bands) == 4
    address = seen.page.evaluate("location.pathname + location.search")
    seen.page.mouse.move(0, 0)
    click_day(seen, "performance", 2)  # again: away with it
    seen.page.wait_for_function("(day) => !location.search.includes(day)", arg=day)
    again = visit(address)  # the address says what is compared
    assert day in " ".join(graph(again, "chronometric", "gd.data.map((one) => one.name)"))
    again.page.wait_for_function(
        "() => document.querySelector('[data-figure=water] .js-plotly-plot')?.layout?.shapes?.filter("
        "(one) => one.name === 'chosen day').length === 4"
    )


def test_what_the_next_status_needs_is_said_in_words(visit):
    words = visit(links.mouse(lab.LAB, "side_biased_004")).page.locator("#mouse-missing li").all_inner_texts()
    assert words and any("needs" in word or "more" in word for word in words)
    assert any(sign.isdigit() for sign in "".join(words))


def test_history_and_its_kinds(visit):
    seen = visit(LONG)
    rows = seen.page.locator("#mouse-events .ag-center-cols-container .ag-row")
    seen.page.click("#mouse-kind >> text=surgery")
    seen.page.wait_for_function("document.querySelector('#mouse-events')?.innerText.includes('Headplate implant')")
    assert all("surgery" in text for text in rows.all_inner_texts())
    seen.page.click("#mouse-kind >> text=note")
    seen.page.wait_for_function("() => document.querySelector('#mouse-events')?.innerText.includes('whiskers trimmed')")
    seen.page.click("#mouse-kind >> text=weighing")
    seen.page.wait_for_function("() => /\\d\\.\\d g/.test(document.querySelector('#mouse-events')?.innerText)")


def test_sessions_lead_to_their_pages_and_to_their_probes(visit):
    seen = visit(LONG)
    hrefs = seen.page.eval_on_selector_all(
        "#mouse-sessions a[href]", "all => all.map((one) => one.getAttribute('href'))"
    )
    pages = {links.parse(href).page for href in hrefs}
    assert pages == {"session", "insertion"}


def test_keys_lead_to_the_mice_beside(visit):
    seen = visit(LONG)
    title = "(name) => document.querySelector('.nj-title').innerText.startsWith(name)"
    seen.page.keyboard.press("j")
    seen.page.wait_for_function(title, arg="never_003")
    seen.ready()
    assert seen.page.url.endswith(links.mouse(lab.LAB, "never_003"))
    seen.page.keyboard.press("ArrowLeft")
    seen.page.wait_for_function(title, arg=lab.LONG)
    seen.ready()
    seen.page.keyboard.press("k")  # the first has none before it
    seen.page.click("#mouse-days")
    seen.page.keyboard.press("j")  # typed into a field, it is a letter
    seen.page.wait_for_timeout(200)
    assert seen.text(".nj-title").startswith(lab.LONG)
    assert not chosen(seen)  # of one mouse nothing is kept for the other


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (links.mouse(lab.LAB, "nobody"), "There is no mouse called nobody in the lab simlab."),
        (links.mouse("elsewhere", lab.LONG), "There is no mouse called fast_001 in the lab elsewhere."),
        (links.mouse(lab.LAB, "x" * 3000), "This address is too long"),
        (links.mouse(lab.LAB, "'; DROP TABLE subject; --"), "There is no mouse called"),
        (links.mouse(lab.LAB, lab.NO_SESSION), "Nothing is known of this mouse yet"),
    ],
)
def test_where_there_is_nothing_stands_a_sentence(answer, path, words):
    told = answer(path)
    assert words in told.text and not told.figures


@pytest.mark.parametrize("days", ["2020-01-01.1,..,,", "2024-99-99.1,%00"])
def test_days_of_an_address_that_are_none_are_left_out(answer, days):
    told = answer(f"{LONG}?days={days}&rules=unheard-of")
    assert "psychometric" in told.figures and "Training is judged once" in told.text


def test_a_mouse_with_one_session(visit):
    seen = visit(links.mouse(lab.LAB, lab.ONE_SESSION))
    assert trace(seen, "trials", "trials")["y"] == [240]
    assert "Sessions (1)" in seen.text("#mouse-history")
    assert "There is nothing yet for: water and weight." in seen.text()


def test_a_mouse_whose_files_have_no_times(visit):
    seen = visit(links.mouse(lab.LAB, lab.NO_TIMES))
    assert trace(seen, "performance", "easy trials")["y"] == [100]
    assert trace(seen, "trials", "duration") is None
    assert "There are no response times" in " ".join(
        graph(seen, "chronometric", "gd.layout.annotations.map((one) => one.text)")
    )


def test_it_looks_well_everywhere(visit):
    looks(visit, LONG, "mouse")
