"""The page of a probe: what it shows of a probe of which all is known, and of one of which something is missing."""

from __future__ import annotations

import pytest

from tests.dashboard import probes
from tests.dashboard.browser import LAB, looks
from tests.dashboard.lab import LONG

pytestmark = pytest.mark.slow


def at(served, which: int = probes.FULL, probe: str = "probe00", query: str = "") -> str:
    return probes.address(served.root, LAB, LONG, which, probe=probe) + query


def names(seen) -> set[str]:
    """The figures of the page."""
    return set(seen.page.eval_on_selector_all("[data-figure]", "all => all.map((one) => one.dataset.figure)"))


def drawn(seen, figure: str, expression: str):
    """A value of a figure as it is drawn."""
    script = f"(card) => {{ const plot = card.querySelector('.js-plotly-plot'); return {expression}; }}"
    return seen.page.eval_on_selector(f"[data-figure={figure}]", script)


def test_all_that_is_known_of_a_probe(visit, served):
    seen = visit(at(served))
    assert {"drift", "units", "response", "spectrum", "rms", "firing_rate", "ibl_label"} <= {
        name.removeprefix("insertion-") for name in names(seen)
    }
    words = seen.text()
    assert "Pass the criteria" in words and "NP1" in words and "Recorded" in words
    traces = drawn(seen, "insertion-units", "plot._fullData.filter((one) => one.customdata).map((one) => one.x.length)")
    assert sum(traces) == seen.page.locator("#insertion-table .ag-pinned-left-cols-container .ag-row").count() == 17
    regions = drawn(seen, "insertion-drift", "plot.data.filter((one) => one.type === 'bar').map((one) => one.name)")
    shown = seen.page.eval_on_selector_all(".nj-subtitle a[href*='/region/']", "all => all.map((one) => one.innerText)")
    assert regions[::-1] == shown, "from the tip upwards beside the figure, from the surface down in words"


def test_choices_stay_in_the_address(visit, served):
    seen = visit(at(served))
    seen.page.click("#insertion-clustering")
    seen.page.get_by_role("option", name=probes.SORTINGS[0], exact=True).click()
    seen.page.wait_for_selector(".nj-facts dd:text-is('6')")  # five and a silent one
    assert "clustering=probe00" in seen.page.url
    seen.ready().page.click("#insertion-criteria")
    seen.page.get_by_role("option", name="basic", exact=True).click()
    seen.page.wait_for_selector("text=criteria basic 1")
    assert "criteria=basic" in seen.page.url and "clustering=probe00" in seen.page.url
    again = visit(seen.page.url.removeprefix(seen.url))
    assert again.text(".nj-facts dd") == "6" and "criteria basic 1" in again.text()


def test_a_unit_and_the_other_probe_are_one_step_away(visit, served):
    seen = visit(at(served))
    seen.page.locator("#insertion-table").get_by_role("link", name="3", exact=True).click()
    seen.page.wait_for_selector("h1:text-is('Unit 3')")
    seen.page.go_back()
    seen.page.wait_for_selector("h1:has-text('probe00')")
    seen.ready().page.keyboard.press("ArrowRight")
    seen.page.wait_for_selector("h1:has-text('probe01')")


def test_a_probe_whose_spikes_have_only_times(visit, served):
    words = visit(at(served, probes.BARE)).text()
    assert "spikes without depths" in words and "do not say at which depths" in words
    assert "there is no spikes.amps: amplitudes, cutoffs, missed_spikes and ibl_label are null" in words
    assert "Firing rate" in words, "what can be known is there"


@pytest.mark.parametrize(
    ("which", "probe", "sentence"),
    [
        (probes.ODD, probes.SILENT, "There are no sorted spikes of this probe."),
        (probes.ODD, probes.REFUSED, "The files of this sorting are in quarantine."),
        (probes.FULL, "probe07", "There is no probe called probe07"),
    ],
    ids=["without spikes", "refused", "unknown"],
)
def test_what_is_not_there_is_said(answer, served, which, probe, sentence):
    assert sentence in answer(at(served, which, probe)).sentences[0]


def test_what_was_computed_is_shown_when_the_files_are_gone(answer, served):
    assert {"insertion-drift", "insertion-units"} <= answer(at(served, probes.VANISHED)).figures


@pytest.mark.parametrize(
    "path",
    [
        "insertion/simlab/fast_001/2024-13-01/1/probe00",
        "insertion/simlab/fast_001/2024-05-01/one/probe00",
        "insertion/simlab/fast_001/2024-05-01/1/%00",
        "insertion/simlab/fast_001/1999-05-01/1/..%2F..%2Fetc",
    ],
)
def test_an_address_that_means_nothing_is_answered_with_a_sentence(answer, path):
    assert len(answer("/app/" + path).sentences) == 1


def test_unknown_choices_in_the_address_do_no_harm(answer, served):
    assert "insertion-drift" in answer(at(served, query="?clustering=no&criteria=';--&event=x&value=<script>")).figures


def test_the_public_sees_a_pseudonym_only(visit, served):
    seen = visit("/app/region/root", viewer=None)
    href = seen.page.locator("a[href*='/insertion/']").first.get_attribute("href")
    assert LONG not in href
    seen.go(href)
    assert LONG not in seen.page.content() and "insertion-units" in names(seen)
    seen.go(at(served))
    assert "There is no mouse called" in seen.text(".nj-sentence")


def test_looks(visit, served):
    looks(visit, at(served), "insertion")
