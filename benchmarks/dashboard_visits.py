"""Visits to a running site for its benchmark: what a browser asks for and how long it takes, and many users at once."""

from __future__ import annotations

import http.client
import random
import statistics
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dashboard.server import auth

CHROMIUM = "/usr/bin/chromium"
PATIENCE_MS = 60_000
LONGEST_PAUSE_S = 4.0  # of a user between two pages
DRAWN = """() => [...document.querySelectorAll(".nj-figure")].every((card) => card.querySelector(".main-svg"))
  && [...document.querySelectorAll(".nj-grid")].every(
    (grid) => grid.querySelector(".ag-row:not(.ag-row-loading), .ag-overlay-no-rows-center"))"""
SEEN = """() => new Promise((done) => {
  const look = () => document.querySelector("#round tr[data-key], .nj-page:not(:has(#round))")
    ? requestAnimationFrame(() => done(performance.now())) : setTimeout(look, 5);
  look();
})"""


@dataclass(frozen=True)
class Load:
    """One load of a page: requests, bytes as sent, ms until something, the page and all figures were painted."""

    requests: int
    n_bytes: int
    first_paint: float
    page: float
    drawn: float


@dataclass(frozen=True)
class Visited:
    """A page as a browser loads it with an empty cache and again, and the questions that it asks the server."""

    cold: Load
    warm: Load
    questions: tuple[bytes, ...]


def in_browser(url: str, token: str, paths: dict[str, str], repeats: int = 3) -> dict[str, Visited]:
    """Load pages (name -> path) in Chromium; medians of the times."""
    from playwright.sync_api import sync_playwright

    visits = {}
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        for name, path in paths.items():
            cold, warm, questions = [], [], ()
            for _ in range(repeats):
                context = browser.new_context(viewport={"width": 1360, "height": 900})
                name_of = auth.cookie_name(urlsplit(url).netloc)
                cookie = {"name": name_of, "value": token, "url": f"{url}/app", "httpOnly": True}
                context.add_cookies([cookie])
                page = context.new_page()
                one, questions = _load(page, url + path)
                cold.append(one)
                page.goto("about:blank")
                warm.append(_load(page, url + path)[0])
                context.close()
            visits[name] = Visited(_median(cold), _median(warm), questions)
        browser.close()
    return visits


def together(
    url: str, token: str, views: Sequence[Sequence[bytes]], users: int, rounds: int, pause: bool
) -> list[float]:
    """Server times (ms) of page views by users at once: the sum over the questions of a view, one after the other.

    Parameters
    ----------
    views : what is asked in each view; users go through them from different places.
    rounds : views of each user; a first one is not counted.
    pause : whether a user looks at the page (0 to `LONGEST_PAUSE_S`) before opening the next.
    """
    times: list[float] = []
    problems: list[str] = []
    begin = threading.Barrier(users)

    def use(user: int) -> None:
        chance = random.Random(user)  # noqa: S311 - pauses
        line = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        begin.wait()
        for turn in range(rounds + 1):
            took = 0.0
            if pause:
                time.sleep(chance.uniform(0, LONGEST_PAUSE_S))
            for question in views[(user * 7 + turn) % len(views)]:
                start = time.perf_counter()
                status, content = ask(line, token, question)
                took += time.perf_counter() - start
                if status not in (200, 204) or b"nj-problem" in content:
                    problems.append(f"{status}: {content[:200]!r}")
            if turn:
                times.append(took * 1000)
        line.close()

    threads = [threading.Thread(target=use, args=(user,)) for user in range(users)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise RuntimeError(f"{len(problems)} answers were not what was asked for, e.g. {problems[0]}")
    return times


def ask(line: http.client.HTTPConnection, token: str, question: bytes) -> tuple[int, bytes]:
    """Send one question of a page and read the answer."""
    name = auth.cookie_name(f"{line.host}:{line.port}")
    headers = {"Content-Type": "application/json", "Cookie": f"{name}={token}", "Connection": "keep-alive"}
    line.request("POST", "/app/_dash-update-component", question, headers)
    answer = line.getresponse()
    return answer.status, answer.read()


def _load(page: Any, address: str) -> tuple[Load, tuple[bytes, ...]]:
    sizes: list[float] = []
    questions: list[bytes] = []

    def asked(request: Any) -> None:
        if request.method == "POST" and "/_dash-update-component" in request.url:
            questions.append(request.post_data_buffer)

    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.on("request", asked)
    page.goto(address, wait_until="commit")
    seen = page.evaluate(SEEN)
    page.wait_for_function(DRAWN, timeout=PATIENCE_MS)
    drawn = page.evaluate("performance.now()")
    page.wait_for_load_state("networkidle")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    page.remove_listener("request", asked)
    devtools.detach()
    sent = [size for size in sizes if size]
    return Load(len(sent), int(sum(sent)), paint, seen, drawn), tuple(questions)


def _median(loads: list[Load]) -> Load:
    return Load(
        *(round(statistics.median(getattr(load, name) for load in loads)) for name in ("requests", "n_bytes")),
        *(statistics.median(getattr(load, name) for load in loads) for name in ("first_paint", "page", "drawn")),
    )
