"""The page of a brain region: the tree, the counts, and what is within."""

from __future__ import annotations

import pytest

from tests.dashboard.browser import looks
from tests.dashboard.lab import LONG

pytestmark = pytest.mark.slow


def numbers(seen, acronym: str) -> list[int]:
    """Units, those that pass and insertions of a region in the tree."""
    line = seen.page.locator(f".nj-tree-line:has(a:text-is('{acronym}'))").first
    return [int(text.replace(",", "")) for text in line.locator(".nj-number").all_inner_texts()]


def fact(seen, name: str) -> int:
    return int(seen.page.locator(f"dt:text-is('{name}') + dd").inner_text().replace(",", ""))


def test_the_tree_counts_what_is_within(visit):
    seen = visit("/app/region/root")
    assert numbers(seen, "root")[:2] == [fact(seen, "Units"), fact(seen, "Pass the IBL criteria")]
    brain = numbers(seen, "grey")
    parts = [numbers(seen, name) for name in ("CH", "BS")]
    assert brain[:2] == [sum(column) for column in list(zip(*parts, strict=True))[:2]]
    seen.page.locator(".nj-tree a", has_text="TH").first.click()
    seen.page.wait_for_selector("h1:has-text('Thalamus')")
    assert numbers(seen.ready(), "TH")[0] == fact(seen, "Units") > 0


def test_units_and_insertions_of_a_region(visit):
    seen = visit("/app/region/TH")
    regions = seen.page.locator("#region-units .ag-cell[col-id=region]").all_inner_texts()
    assert len(regions) == min(fact(seen, "Units"), len(regions)) > 0 and set(regions) <= {"LP", "PO", "TH"}
    good = seen.page.locator("#region-units .ag-cell[col-id=good]").all_inner_texts()
    assert good == sorted(good, reverse=True), "those that pass come first"
    seen.page.locator("#region-insertions a", has_text="probe00").first.click()
    seen.page.wait_for_selector("[data-figure=insertion-drift], .nj-sentence")


def test_branches_open_and_close(visit):
    seen = visit("/app/region/root")
    shown = seen.page.locator(".nj-tree a:visible").count()
    seen.page.locator(".nj-tree summary").first.click(position={"x": 4, "y": 12})
    assert seen.page.locator(".nj-tree a:visible").count() == 1 < shown


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("th", "upper and lower case differ"),
        ("Thx", "The Allen atlas has no region"),
        ("';DROP TABLE x;--", "The Allen atlas has no region"),
        ("CB", "No probe has recorded here yet."),
        ("x" * 300, "The Allen atlas has no region"),
    ],
)
def test_what_is_not_there_is_said(answer, path, sentence):
    assert sentence in answer(f"/app/region/{path}").sentences[0]


def test_the_menu_leads_to_all_regions_and_the_public_sees_pseudonyms(visit):
    seen = visit("/app/", viewer=None)
    seen.page.click(".nj-nav a:has-text('Regions')")
    seen.page.wait_for_selector("h1:has-text('Brain regions')")
    assert "mouse-" in seen.ready().text("#region-insertions") and LONG not in seen.page.content()


def test_looks(visit):
    looks(visit, "/app/region/root", "region", but=("nested-interactive",))  # a line of the tree opens, and has a link
