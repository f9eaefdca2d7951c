"""What those see who are not signed in: pseudonyms and no people, in all that is sent to the browser, on every page."""

from __future__ import annotations

import json
import re
from urllib.parse import quote

import pytest

from dashboard import links
from dashboard.pages import _entering
from dashboard.server.app import find_pages
from dashboard.site import PUBLIC, Site
from pipeline import settings
from pipeline.web.accounts import Users
from tests.dashboard import lab, screenshots
from tests.dashboard.browser import DESK, open_window

USERS = ("ada", "cajal", "marr", "max", "mia", "pat")
WRITTEN = ("no complications", "whiskers trimmed")
FOR_MEMBERS = ("admin", "calendar", "colony", "inbox", "notebook", "round", "rules")
"""Pages that tell the public no more than that they are for members."""
PROGRAMS = ("/app/assets/", "/app/_dash-component-suites/")


@pytest.fixture
def sent(served, browser):
    """The whole traffic of a walk over all pages as the public: (address and what was asked, answer); and the pages."""
    seen = open_window(browser, served, "light", DESK, None)
    texts = []

    def through(route):
        """Let an answer pass, and keep what it says."""
        request = route.request
        if request.url.removeprefix(served.url).startswith(PROGRAMS):
            return route.continue_()
        answer = route.fetch()
        texts.append((f"{request.url} {request.post_data or ''}", answer.text()))
        return route.fulfill(response=answer)

    seen.page.route(f"{served.url}/app/**", through)
    notebook = screenshots.examples(seen)
    mouse = links.parse(notebook["mouse"]).parts
    notebook["notebook"] = links.notebook(mouse["lab"], mouse["subject"])  # to which no link of the public leads
    for name, address in notebook.items():  # what the pages offer for download
        seen.go(address)
        assert (_entering.PUBLIC in seen.text()) == (name in FOR_MEMBERS), name
        for href in seen.page.eval_on_selector_all("a[download]", "all => all.map((one) => one.href)"):
            seen.page.evaluate("(href) => fetch(href).then((answer) => answer.text())", href)
    seen.page.unroute_all(behavior="wait")
    assert not seen.problems
    seen.page.close()
    return notebook, texts


def test_every_page_is_open_and_nothing_that_is_sent_names_a_mouse_or_a_person(sent, served, visit):
    pages, texts = sent
    assert set(pages) == set(find_pages())
    mice = {session["subject"] for session in json.loads((served.root / "truth.json").read_text())["sessions"]}
    mice |= {lab.ONE_SESSION, lab.NO_TIMES, lab.NO_SESSION}
    secret = re.compile("|".join([*map(re.escape, mice), *(rf"\b{user}\b" for user in USERS), *WRITTEN]))
    assert len(texts) > 20 and sum(len(text) for _, text in texts) > 200_000
    for asked, text in texts:
        for part in (asked, text):
            match = secret.search(part)
            assert match is None, f"{asked[:200]} … {part[max(0, match.start() - 150) : match.end() + 50]}"
    pseudonyms = set(re.findall(r"mouse-[a-z2-7]{10}\b", "".join(text for _, text in texts)))
    assert len(pseudonyms) >= len(mice) - 1
    seen = visit(pages["mouse"], viewer=None)  # the same mouse under the same name
    assert seen.text(".nj-title").startswith(links.parse(pages["mouse"]).parts["subject"])
    assert "Who" not in seen.text("#mouse-history")


def test_a_real_name_leads_nowhere(visit):
    for path in (links.mouse(lab.LAB, lab.LONG), links.session(lab.LAB, lab.LONG, "2026-01-01", 1)):
        seen = visit(path, viewer=None)
        assert "There is no mouse called" in seen.text()


def test_pseudonyms_are_long_and_depend_on_the_secret(tmp_path):
    def names(folder: str) -> list[str]:
        with settings.override(home=tmp_path / folder) as chosen:
            site = Site(None, Users(tmp_path / "users.sqlite"), chosen)
            return [site.name("a lab", f"mouse {i}", PUBLIC) for i in range(5000)]

    one, again, other = names("one"), names("one"), names("other")
    assert one == again and len(set(one)) == len(one)
    assert all(re.fullmatch("mouse-[a-z2-7]{10}", name) and quote(name) == name for name in one)  # 50 bits
    assert not set(one) & set(other)
