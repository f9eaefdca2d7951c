"""One process and one port for the site and the bridge, on files that tests change: sign-in, keys, what arrives."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dashboard import links
from one_bridge import client_config
from tests.dashboard import browser as windows
from tests.dashboard import lab
from tests.dashboard.browser import NEUROJOINT, PASSWORD, Served, Visit
from tests.one_bridge.serving import accounts

pytestmark = pytest.mark.slow

TODAY = datetime.datetime.now(datetime.UTC).date()
MOUSE = "early_001"

ARRIVE = """
import sys
from pathlib import Path
import ingest, pipeline
from pipeline import worker
pipeline.connect()
ingest.register(Path(sys.argv[1]), processes=1)
worker.work(once=True, processes=1)
"""

get = functools.partial(requests.get, timeout=30)
post = functools.partial(requests.post, timeout=30)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`neurojoint serve --public-dashboard` over one mouse with one session."""
    folder = Path(tempfile.mkdtemp(prefix="neurojoint-together-"))
    folder.chmod(0o711)
    (folder / "home" / "bridge").mkdir(parents=True)
    (folder / "home").chmod(0o711)
    accounts(folder / "home" / "bridge" / "users.sqlite")
    result = Served("", folder / "home", folder / "root")
    state = {}
    try:
        arrive(result, {MOUSE: 2})
        state = windows.serve(folder, "serve", "--public-dashboard")
        yield Served(state["url"], result.home, result.root)
    finally:
        with contextlib.suppress(ProcessLookupError, KeyError):
            os.kill(state["pid"], signal.SIGTERM)
        result.run("db", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def window(site: Served, browser) -> Iterator[Visit]:
    """A window in which nobody is signed in; nothing may go wrong in it."""
    with opened(browser, site.url) as seen:
        yield seen


@contextlib.contextmanager
def opened(browser, url: str) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1360, "height": 900}, locale="en-GB")
    page = context.new_page()
    page.set_default_timeout(windows.PATIENCE_MS)
    seen = Visit(page, url)
    windows.watch(seen)
    yield seen
    context.close()
    assert not seen.problems


def arrive(site: Served, days_ago: dict[str, int]) -> None:
    """A session more of each mouse: its files, registered and computed."""
    for mouse, ago in days_ago.items():
        lab.add_session(site.root, mouse, TODAY - datetime.timedelta(days=ago))
    windows.run([sys.executable, "-c", ARRIVE, str(site.root)], site.environment())


def sign_in(seen: Visit, name: str = "mia", path: str = "/app/") -> Visit:
    seen.page.goto(f"{seen.url}/app/sign-in?next={path}")
    seen.page.fill("input[name=name]", name)
    seen.page.fill("input[name=password]", PASSWORD)
    seen.page.click("button")
    return seen.ready()


def test_the_one_client_and_the_browser_are_served_by_one_process(site, window, tmp_path, monkeypatch):
    from one.api import ONE

    monkeypatch.setenv("HOME", str(tmp_path))
    ONE.cache_clear()
    client_config.configure(site.url, "mia", site.users.issue_token("mia", "test"), tmp_path / "downloads")
    one = ONE(base_url=site.url, username="mia", password=PASSWORD, silent=True)
    (eid,) = one.search(subject=MOUSE)
    trials = one.load_object(eid, "trials", collection="alf")
    assert len(trials["choice"]) == 240
    sign_in(window, path=links.mouse(lab.LAB, MOUSE))  # the same account
    points = window.page.evaluate("document.querySelector('[data-figure=trials] .js-plotly-plot')._fullData[0].y[0]")
    assert points == len(trials["choice"])


def test_each_address_is_answered_by_whose_it_is(site):
    assert get(f"{site.url}/nonexistent").status_code == 404
    assert "json" in get(f"{site.url}/nonexistent").headers["Content-Type"]
    assert get(f"{site.url}/sessions").status_code in (401, 403)  # the site is public, the bridge is not
    assert "json" in get(f"{site.url}/").headers["Content-Type"]
    led = get(f"{site.url}/", headers={"Accept": "text/html"})
    assert led.url == f"{site.url}/app/" and led.status_code == 200
    assert get(f"{site.url}/app").status_code == 200
    assert get(f"{site.url}/apparel").status_code == 404
    assert get(f"{site.url}/app/nowhere").status_code == 404


def test_wrong_passwords_are_slowed_down_for_both(site):
    answers = [
        post(f"{site.url}/app/sign-in", {"name": "pat", "password": f"wrong {i}"}).status_code for i in range(12)
    ]
    assert answers[0] == 401 and answers[-1] == 429
    right = post(f"{site.url}/app/sign-in", {"name": "pat", "password": PASSWORD}, allow_redirects=False)
    assert right.status_code == 429 and int(right.headers["Retry-After"]) > 0
    token = post(f"{site.url}/auth-token", {"username": "pat", "password": PASSWORD})
    assert token.status_code == 429


def test_another_site_cannot_post_in_a_persons_name(site):
    token = site.users.issue_token("mia", "login")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://elsewhere.example"}):
        answer = post(f"{site.url}/app/_dash-update-component", json={}, headers=headers, cookies={site.cookie: token})
        assert answer.status_code == 403


def test_what_arrives_appears_without_reloading(site, window):
    """A session on the open page of its mouse, and a mouse on the open overview."""
    sign_in(window, path=links.mouse(lab.LAB, MOUSE))
    overview = Visit(window.page.context.new_page(), site.url, window.problems)
    windows.watch(overview)
    overview.go("/app/")
    for seen in (window, overview):
        seen.page.evaluate("window.here = true")  # gone after a reload
    assert "Sessions (1)" in window.text("#mouse-history") and "late_002" not in overview.text()
    arrive(site, {MOUSE: 1, "late_002": 1})
    overview.page.wait_for_function("() => document.querySelector('#overview-grid')?.innerText.includes('late_002')")
    window.page.bring_to_front()
    window.page.wait_for_function("() => document.querySelector('#mouse-history')?.innerText.includes('Sessions (2)')")
    window.page.wait_for_function(
        "() => document.querySelector('[data-figure=trials] .js-plotly-plot')?._fullData?.[0]?.y?.length === 2"
    )
    assert all(seen.page.evaluate("window.here") is True for seen in (window, overview))


def test_the_site_alone_can_be_entered_by_a_key_where_there_are_no_accounts(site, browser):
    """`neurojoint dashboard` prints an address that signs in; without it nobody comes in."""
    users, kept = site.home / "bridge" / "users.sqlite", site.home / "bridge" / "kept"
    users.rename(kept)
    open_to_all = [NEUROJOINT, "dashboard", "--host", "0.0.0.0"]  # noqa: S104 - is refused
    try:
        refused = subprocess.run(open_to_all, env=site.environment(), capture_output=True, text=True, check=False)
        assert refused.returncode and "neurojoint user add" in refused.stderr
        state = windows.serve(site.home.parent, "dashboard")
        try:
            printed = (site.home.parent / "dashboard.log").read_text()
            key = re.search(r"\?key=(\S+)", printed)[1]
            assert get(f"{state['url']}/app/").url.startswith(f"{state['url']}/app/sign-in")
            assert get(f"{state['url']}/app/_version").status_code == 401
            assert get(f"{state['url']}/app/?key=wrong").url.startswith(f"{state['url']}/app/sign-in")
            with opened(browser, state["url"]) as seen:
                seen.page.goto(f"{state['url']}/app/?key={key}")
                seen.page.wait_for_selector(f"#overview-grid >> text={MOUSE}")
                assert "key=" not in seen.page.url
        finally:
            os.kill(state["pid"], signal.SIGTERM)
    finally:
        kept.rename(users)


def test_it_listens_to_this_computer_only(site):
    port = site.url.rpartition(":")[2]
    own = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()]
    assert f"0100007F:{int(port):04X}" in [words[1] for words in own]
    assert f"00000000:{int(port):04X}" not in [words[1] for words in own]
