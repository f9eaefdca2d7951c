"""The frame: sign-in, what the public may see, live updates, and addresses that mean nothing."""

from __future__ import annotations

import pytest

from tests.dashboard.browser import PASSWORD, Visit, barriers

pytestmark = pytest.mark.slow


def test_navigation_holds_the_overview(visit):
    seen = visit("/app/")
    assert seen.page.title() == "Overview · neurojoint"
    assert seen.page.locator(".nj-nav a[href='/app/']").count() == 1


@pytest.mark.parametrize(
    "path", ["/app/nowhere", "/app/mouse/simlab", "/app/mouse/a/b/c/d", "/app/%ff", "/app/mouse/simlab/%00"]
)
def test_an_address_that_means_nothing_is_answered_with_a_sentence(visit, path):
    seen: Visit = visit(path)
    assert seen.page.locator(".nj-sentence").count() == 1
    assert "Traceback" not in seen.text() and "To the overview" in seen.text()


def test_signing_in_and_out(visit, served):
    seen = visit(viewer=None)
    seen.page.goto(seen.url + "/app/sign-in?next=/app/")
    for scheme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=scheme)
        assert not barriers(seen.page)
    seen.page.fill("input[name=name]", "mia")
    seen.page.fill("input[name=password]", "wrong password")
    seen.page.click("button")
    assert "wrong" in seen.text(".problem")
    seen.page.fill("input[name=password]", PASSWORD)
    seen.page.click("button")
    seen.ready()
    assert served.cookie.endswith(served.url.rpartition(":")[2]), "sites on other ports of the host have their own"
    token = next(cooky for cooky in seen.page.context.cookies() if cooky["name"] == served.cookie)
    assert token["httpOnly"] and token["sameSite"] == "Lax" and token["path"] == "/app"
    seen.page.click("#user")
    seen.page.click("text=Sign out")
    seen.ready()
    assert seen.page.locator("text=Sign in").count() == 1
    assert not [cooky for cooky in seen.page.context.cookies() if cooky["name"] == served.cookie]
