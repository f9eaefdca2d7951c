"""The cell browser: a unit of which all is known, keys that go from cell to cell, and units of which little is."""

from __future__ import annotations

import numpy as np
import pytest

from tests.dashboard import probes
from tests.dashboard.browser import LAB, looks
from tests.dashboard.lab import NO_TIMES
from tests.dashboard.test_insertion import at as insertion_at
from tests.dashboard.test_insertion import drawn, names

pytestmark = pytest.mark.slow


def at(served, query: str = "", which: int = probes.FULL, probe: str = "probe00") -> str:
    return insertion_at(served, which, probe).replace("/insertion/", "/cells/") + query


ALL = {"cells-units", "cells-waveform", "cells-correlogram", "cells-rate", "cells-raster", "cells-amplitudes",
       "cells-pace"}  # fmt: skip


def test_a_unit_that_prefers_stimuli_on_the_right(visit, served):
    seen = visit(at(served, f"?unit={probes.TUNED}&split=side&event=stim_on"))
    assert names(seen) == ALL
    words = seen.text()
    assert "responds:" in words and "passes" in words
    times = np.array(drawn(seen, "cells-rate", "Array.from(plot._fullData[0].x)"))
    right, left = (
        np.array(drawn(seen, "cells-rate", f"Array.from(plot._fullData.find((one) => /{side}/.test(one.name)).y)"))
        for side in ("right", "left")
    )
    after, before = (times > 0.08) & (times < 0.22), times < -0.1
    assert right[after].mean() > 5 * left[after].mean() and right[before].mean() < 2 * left[before].mean() + 2


def test_rows_of_the_raster_are_the_trials_of_the_rate(visit, served):
    """Trials after the end of the recording are in neither."""
    seen = visit(at(served, f"?unit={probes.TUNED}&split=side"))
    rate = drawn(seen, "cells-rate", "plot.data.map((one) => one.name)")
    rows = drawn(seen, "cells-raster", "plot.data.map((one) => one.name)")
    assert set(rate) <= set(rows) and "(0)" not in "".join(rate)


def test_keys_go_from_cell_to_cell(visit, served):
    seen = visit(at(served))
    assert seen.text("h1") == "Unit 0"
    for key, unit in (("ArrowRight", 1), ("j", 2), ("ArrowLeft", 1), ("k", 0)):
        seen.page.keyboard.press(key)
        seen.page.wait_for_selector(f"h1:text-is('Unit {unit}')")
        seen.ready()
    seen.page.keyboard.press("ArrowLeft")
    assert seen.text("h1") == "Unit 0", "before the first there is none"


def test_keys_keep_to_the_units_and_the_order_that_are_chosen(visit, served):
    seen = visit(at(served, "?which=good&sort=rate"))
    order, rates = [], []
    while True:
        order.append(seen.text("h1"))
        rates.append(float(seen.page.locator("dt:text-is('Firing rate') + dd").inner_text().split()[0]))
        assert seen.page.locator("dt:text-is('Criteria') + dd").inner_text() == "passes"
        if not seen.page.locator("[data-keys^=j]").count():
            break
        seen.page.keyboard.press("j")
        seen.page.wait_for_selector(f"h1:not(:text-is('{order[-1]}'))")
        seen.ready()
    assert len(set(order)) == len(order) >= probes.GOOD_UNITS and rates == sorted(rates, reverse=True)
    assert f"{len(order)} of {len(order)}" in seen.text(".nj-subtitle")


def test_choices_and_a_click_stay_in_the_address(visit, served):
    seen = visit(at(served, "?unit=1"))
    seen.page.click("#cells-split")
    seen.page.get_by_role("option", name="feedback", exact=True).click()
    seen.page.wait_for_selector("[data-figure=cells-rate] .legendtext:has-text('reward')")
    assert "split=feedback" in seen.page.url and "unit=1" in seen.page.url
    seen.ready().page.evaluate(
        """() => { const plot = document.querySelector("[data-figure=cells-units] .js-plotly-plot");
        plot.data.forEach((trace, curveNumber) => (trace.customdata || []).forEach(([unit], pointNumber) => {
          if (unit === 5) plot.emit("plotly_click", {points: [{curveNumber, pointNumber, x: 0, y: 0}]});
        })); }"""
    )
    seen.page.wait_for_selector("h1:text-is('Unit 5')")
    assert "split=feedback" in seen.page.url


def test_a_condition_chooses_the_trials_and_a_period_is_marked(visit, served):
    """By an expression in the address or typed into the page; what is no condition is said, and nothing is shown."""
    seen = visit(at(served, f"?unit={probes.TUNED}&condition=contrast_right+>%3D+0.25&split=side"))
    rate = drawn(seen, "cells-rate", "plot.data.map((one) => one.name)")
    assert len(rate) == 1 and rate[0].lower().startswith(("stimulus right", "right"))
    rows = drawn(seen, "cells-raster", "plot.data.map((one) => one.name)")
    assert rate[0] in rows, "the raster has as many trials as the rate"
    seen.page.fill("#cells-condition", "contrast_right >= nothing")
    seen.page.press("#cells-condition", "Enter")
    seen.page.locator(".nj-sentence", has_text="no column nothing").wait_for()
    assert "cells-rate" not in names(seen.ready()) and "condition=contrast_right" in seen.page.url


def test_a_tracked_feature_and_a_period_beside_the_spikes(visit, served):
    """The rows are those of the raster; where the camera does not see the feature there is nothing."""
    served.run("period", "add", "early", "--from", "stim_on_times", "--to", "stim_on_times", "--shift", "0", "0.2")
    seen = visit(at(served, f"?unit={probes.TUNED}&split=side&period=early"))
    marks = {name: drawn(seen, "cells-raster", f"Array.from(plot.data.find((one) => one.name === '{name}').x)")
             for name in ("early begins", "early ends")}  # fmt: skip
    assert np.allclose(marks["early begins"], 0, atol=1e-6) and np.allclose(marks["early ends"], 0.2, atol=1e-6)
    seen.page.click("#cells-signal")
    seen.page.get_by_role("option", name="leftCamera.dlc.tongue_y", exact=True).click()
    seen.page.wait_for_selector("[data-figure=cells-signal] .js-plotly-plot")
    assert "signal=leftCamera.dlc.tongue_y" in seen.ready().page.url
    rows = drawn(seen, "cells-raster", "plot.data.slice(1, 3).map((one) => Number(/\\((\\d+)\\)/.exec(one.name)[1]))")
    picture = np.array(drawn(seen, "cells-signal", "Array.from(plot._fullData[0].z, (row) => Array.from(row, (one) => "
                             "Number.isFinite(one) ? one : -1))"))  # fmt: skip
    times = np.array(drawn(seen, "cells-signal", "Array.from(plot._fullData[0].x)"))
    assert len(picture) == sum(rows)
    out, hidden = (times > 0.23) & (times < 0.37), (times > 0.05) & (times < 0.17)
    seen_rows = np.flatnonzero((picture[:, out] > 0).all(axis=1))  # all but a trial that the camera did not see end
    assert len(seen_rows) >= len(picture) - 1
    assert all((picture[row, out] == (50 if row < rows[0] else 60)).all() for row in seen_rows)
    assert (picture[:, hidden] == -1).all()


def test_a_unit_without_a_spike(visit, served):
    seen = visit(at(served, "?unit=16"))
    words = seen.text()
    assert "too few spikes" in words and "Unit 16" in words


def test_spikes_that_have_only_times(visit, served):
    seen = visit(at(served, which=probes.BARE))
    words = seen.text()
    assert "no waveform" in words and "how large the spikes are" in words
    assert drawn(seen, "cells-pace", "plot.data.length") == 1


def test_trials_without_times(visit, served):
    seen = visit(probes.address(served.root, LAB, NO_TIMES, 0, "cells"))
    assert "There are no trials with this event." in seen.text() and "cells-correlogram" in names(seen)


def test_files_that_have_vanished(visit, served):
    seen = visit(at(served, which=probes.VANISHED))
    words = seen.text(".nj-sentence")
    assert "The spikes of this unit are not on this computer." in words and "neurojoint ingest" in words
    assert {"cells-rate", "cells-correlogram"} <= names(seen), "what was computed is shown"


@pytest.mark.parametrize(
    ("query", "which", "probe", "sentence"),
    [
        ("?unit=999", probes.FULL, "probe00", "There is no unit 999"),
        ("?unit=1e9", probes.FULL, "probe00", "There is no unit 1e9"),
        ("", probes.ODD, probes.SILENT, "no units of this probe"),
        ("", probes.ODD, probes.REFUSED, "no units of this probe"),
        ("", probes.FULL, "nothing", "There is no probe called nothing"),
        ("?which=good", probes.BARE, "probe00", "No unit passes the criteria"),
    ],
    ids=["unknown unit", "no number", "no spikes", "refused", "unknown probe", "none passes"],
)
def test_what_is_not_there_is_said(answer, served, query, which, probe, sentence):
    assert sentence in answer(at(served, query, which, probe)).sentences[0]


def test_looks(visit, served):
    looks(visit, at(served, f"?unit={probes.TUNED}&split=side"), "cells")
