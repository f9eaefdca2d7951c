"""Training rules on the site: a change is tried on all animals, and saved by an admin as a new version."""

from __future__ import annotations

import json

import pytest

from tests.dashboard.browser import ROLES

pytestmark = pytest.mark.slow

ADMIN = next(name for name, role in ROLES.items() if role == "admin")


def test_rules_are_tried_and_saved(visit, served):
    seen = visit("/app/rules?rules=ibl_pipeline_2021:1", viewer=ADMIN)
    rules = json.loads(seen.page.input_value("#rules-text"))
    seen.page.click("#rules-preview")
    seen.page.wait_for_selector("#rules-shown:has-text('0 promoted, 0 demoted')")

    level = rules["levels"][0] | {"window": 1, "criteria": [], "complete": False}
    seen.page.fill("#rules-text", json.dumps(rules | {"levels": [level], "failures": []}))
    seen.page.click("#rules-preview")
    seen.page.wait_for_selector("#rules-shown .nj-chip:has-text('promoted')")
    assert "0 promoted" not in seen.text("#rules-shown") and "Nothing is saved" in seen.text("#rules-shown")

    seen.page.fill("#rules-name", "gentle")
    seen.page.click("#rules-save")
    seen.page.wait_for_selector("#rules-said:has-text('no description')")
    seen.page.fill("#rules-why", "One session is enough.")
    seen.page.click("#rules-save")
    seen.page.wait_for_selector("#rules-said:has-text('Saved as gentle:1')")
    assert "One session is enough." in served.run("rules", "list")
    seen.page.click("#rules-save")
    seen.page.wait_for_selector("#rules-said:has-text('same rules')")

    seen.page.fill("#rules-text", json.dumps(rules | {"levels": [level | {"statsu": 1}]}))
    seen.page.click("#rules-preview")
    seen.page.wait_for_selector("#rules-changes:has-text('no training rules')")


def test_others_try_rules_and_save_none(visit):
    seen = visit("/app/rules", viewer="mia")
    assert not seen.page.locator("#rules-save").count() and "An admin can save them" in seen.text()
    assert "not shown to the public" in visit("/app/rules", viewer=None).text()
    assert "no training rules called nobody" in visit("/app/rules?rules=nobody", viewer="mia").text()
