"""A real Chromium in front of a real site over the simulated lab: what the tests of pages use.

All test processes of a run share one lab and one server, made by the first that needs them and ended by the last.
Screenshots are written to `$NEUROJOINT_SCREENSHOTS` (default: `neurojoint-screenshots` in the folder for temporary
files).
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import importlib.util
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboard.server import auth
from pipeline.web.accounts import Users
from tests.chromium import CHROMIUM, launch  # noqa: F401 - for those who take them from here
from tests.dashboard import lab
from tests.one_bridge.serving import PASSWORD, ROLES, accounts

NEUROJOINT = str(Path(sys.executable).with_name("neurojoint"))
REPOSITORY = Path(__file__).parents[2]
SCREENSHOTS = Path(os.environ.get("NEUROJOINT_SCREENSHOTS") or Path(tempfile.gettempdir()) / "neurojoint-screenshots")
PHONE, DESK = 390, 1360  # px
PATIENCE_MS = 30_000  # the machine of CI is slow; nothing waits that long otherwise
OF_AG_GRID = ("aria-required-children", "scrollable-region-focusable")
"""What axe says of AG Grid's own elements: header rows of tables that are not drawn yet, and its body, which arrow keys
scroll once a cell has the focus."""
COUNT_CALLBACKS = """
  window.callbacks = {open: 0, changed: performance.now()};
  const ask = window.fetch;
  window.fetch = (...what) => {
    if (!String(what[0]?.url ?? what[0]).includes("_dash-update-component")) return ask(...what);
    const count = (step) => { window.callbacks.open += step; window.callbacks.changed = performance.now(); };
    count(1);
    return ask(...what).finally(() => count(-1));
  };"""

__all__ = ["PASSWORD", "ROLES", "Served", "Visit", "browser", "served", "visit"]


@dataclass(frozen=True)
class Served:
    """The running site. Those who are not signed in see it as the public does."""

    url: str
    home: Path
    root: Path

    @property
    def users(self) -> Users:
        return Users(self.home / "bridge" / "users.sqlite")

    @property
    def cookie(self) -> str:
        """The name of the cookie that signs in."""
        return auth.cookie_name(urlsplit(self.url).netloc)

    def environment(self) -> dict[str, str]:
        """For programs that work on the site's database."""
        return _environment(self.home.parent)

    def run(self, *arguments: str) -> str:
        """A `neurojoint` command on the site's database; returns what it printed."""
        return run([NEUROJOINT, *arguments], self.environment())


@dataclass
class Visit:
    """One open page, and everything about it that must not happen."""

    page: Any
    url: str
    problems: list[str] = field(default_factory=list)

    def go(self, path: str) -> Visit:
        """Open an address and wait until the page, its figures and its tables are there."""
        self.page.goto(self.url + path)
        return self.ready()

    def ready(self) -> Visit:
        """Wait until nothing is being loaded or drawn."""
        self.page.wait_for_selector(".nj-page", timeout=PATIENCE_MS)
        self.page.wait_for_function(
            """() => document.title !== "Dash" && !document.getElementById("early") && !callbacks.open
               && performance.now() - callbacks.changed > 100
               && document.querySelector(".nj-page") && [...document.querySelectorAll(".nj-figure")].every(
                 (card) => card.querySelector(".js-plotly-plot .main-svg"))
               && [...document.querySelectorAll(".nj-grid")].every(
                 (grid) => grid.querySelector(".ag-row:not(.ag-row-loading), .ag-overlay-no-rows-center"))""",
            timeout=PATIENCE_MS,
        )
        return self

    def text(self, selector: str = ".nj-page") -> str:
        """The text of the first element of a kind."""
        return self.page.locator(selector).first.inner_text()

    def shot(self, name: str) -> Path:
        """Write a screenshot of the whole page."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        size = self.page.viewport_size
        tall = self.page.evaluate("document.documentElement.scrollHeight")
        self.page.set_viewport_size(size | {"height": max(size["height"], min(tall, 6000))})  # tables draw what is seen
        self.page.wait_for_timeout(400)  # colours fade, plotly draws once more
        self.page.screenshot(path=path, full_page=True)
        self.page.set_viewport_size(size)
        return path


@pytest.fixture(scope="session")
def served() -> Iterator[Served]:
    """The site over the simulated lab."""
    with shared("site", "tests.dashboard.lab") as result:
        yield result


@contextlib.contextmanager
def shared(name: str, lab: str, *lab_options: str, members: Collection[str] = ()) -> Iterator[Served]:
    """A site that all test processes of a run share: who comes first builds it, who leaves last ends it.

    Parameters
    ----------
    name : tells the sites of a run apart.
    lab, lab_options : the program that builds its lab; see `start`.
    members : who else has an account; given once, since an account that is given again ends its tokens.
    """
    if not Path(CHROMIUM).exists():
        pytest.skip(f"no {CHROMIUM}: apt-get install chromium")
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    # not in pytest's own folder: as root the database runs as another user, which cannot enter that
    folder = Path(tempfile.gettempdir()) / f"neurojoint-{name}-{run}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    with _locked(folder) as state:
        if not state.get("users"):
            try:
                state |= start(folder, *lab_options, lab=lab)
            except BaseException:
                run([NEUROJOINT, "db", "stop"], _environment(folder))
                raise
            for member in members:
                Users(folder / "home" / "bridge" / "users.sqlite").add(member, "correct horse", "member")
        state["users"] = state.get("users", 0) + 1
    yield Served(state["url"], folder / "home", folder / "root")
    with _locked(folder) as state:
        state["users"] -= 1
        if not state["users"]:
            stop(folder, state)
    if not state["users"]:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def browser(served: Served, chromium: Any) -> Any:
    """The browser, once the site over the simulated lab is there."""
    return chromium


@pytest.fixture
def visit(served: Served, browser: Any) -> Iterator[Callable[..., Visit]]:
    """Opens pages: `visit("/app/", scheme="dark", width=390, viewer="mia")`; `viewer=None` is the public.

    At the end the test fails if a page wrote an error to the console, raised one, got an answer of 500 or more, or
    asked another host for anything.
    """
    with visiting(browser, served) as open_page:
        yield open_page


@contextlib.contextmanager
def visiting(browser: Any, served: Served) -> Iterator[Callable[..., Visit]]:
    """What the fixture `visit` is, for any site."""
    opened: list[Visit] = []

    def open_page(
        path: str | None = None, scheme: str = "light", width: int = DESK, viewer: str | None = "mia"
    ) -> Visit:
        window = open_window(browser, served, scheme, width, viewer)
        opened.append(window)
        return window if path is None else window.go(path)

    yield open_page
    problems = [f"{item.page.url}: {problem}" for item in opened for problem in item.problems]
    for item in opened:
        item.page.close()
    assert not problems, "\n".join(problems)


def open_window(browser: Any, served: Served, scheme: str, width: int, viewer: str | None) -> Visit:
    """An empty page that writes down every problem."""
    page = _context(browser, served, scheme, width, viewer).new_page()
    page.set_default_timeout(PATIENCE_MS)
    visited = Visit(page, served.url)
    watch(visited)
    return visited


def looks(
    visit: Callable[..., Visit], path: str, name: str, viewer: str | None = "mia", but: tuple[str, ...] = ()
) -> None:
    """A page in light, in dark and on a phone: as wide as the screen, accessible, and walked through by Tab.

    `but` names rules of axe-core that it does not follow.

    Screenshots are written if `$NEUROJOINT_SCREENSHOTS` names a folder.
    """
    seen = visit(path, viewer=viewer)
    for kind, scheme, width, skipped in (
        ("light", "light", DESK, ()), ("dark", "dark", DESK, ()), ("phone", "light", PHONE, ("color-contrast",)),
    ):  # fmt: skip
        seen.page.emulate_media(color_scheme=scheme)
        seen.page.set_viewport_size({"width": width, "height": 844 if width == PHONE else 900})
        seen.page.wait_for_function(
            "(scheme) => document.documentElement.dataset.mantineColorScheme === scheme", arg=scheme
        )
        seen.ready()
        assert is_as_wide_as_the_screen(seen.page), f"{name} is wider than {kind}"
        barriers_seen = barriers(seen.page, (*skipped, *but))
        assert not barriers_seen, f"{name}, {kind}: {barriers_seen}"
        if "NEUROJOINT_SCREENSHOTS" in os.environ:
            seen.shot(f"{name}_{kind}")
    walk_by_tab(seen.page)


def is_as_wide_as_the_screen(page: Any) -> bool:
    """Whether nothing has to be moved sideways to be seen, once figures have taken the width of the window."""
    from playwright.sync_api import TimeoutError as TooLate

    try:
        page.wait_for_function("() => document.documentElement.scrollWidth <= window.innerWidth")
    except TooLate:
        return False
    return True


def barriers(page: Any, skipped: Collection[str] = ()) -> list[tuple[str, str]]:
    """What axe-core finds serious or critical on a page: (rule, the first element).

    Parameters
    ----------
    skipped : rules that are left out.
    """
    if not page.evaluate("'axe' in window"):
        page.evaluate(_axe())
    page.wait_for_function("() => document.getAnimations().every((one) => one.playState !== 'running' || "
                           "one.effect?.getComputedTiming().iterations === Infinity)")  # fmt: skip
    rules = {name: {"enabled": False} for name in skipped}
    result = page.evaluate("(rules) => axe.run(document, {resultTypes: ['violations'], rules})", rules)
    return [
        (item["id"], node["html"][:300])
        for item in result["violations"]
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"][:3]
        if not (item["id"] in OF_AG_GRID and 'class="ag-' in node["html"])
    ]


@functools.cache
def _axe() -> str:
    """The program axe-core, as a package brings it."""
    package = importlib.util.find_spec("axe_playwright_python")
    assert package is not None and package.submodule_search_locations
    (rglob,) = Path(package.submodule_search_locations[0]).rglob("axe.min.js")
    return rglob.read_text(encoding="utf-8")


def walk_by_tab(page: Any, steps: int = 25) -> None:
    """Press Tab: the focus goes on from one element to the next, each of which can be seen to have it."""
    page.evaluate("document.activeElement?.blur(); window.walked = []; window.stuck = ''")
    for _ in range(steps):
        page.keyboard.press("Tab")
        page.evaluate("""() => {
            const at = document.activeElement;
            if (at && at !== document.body && window.walked.at(-1) === at) window.stuck = at.outerHTML.slice(0, 300);
            window.walked.push(at);
        }""")
    assert not page.evaluate("window.stuck"), page.evaluate("window.stuck")
    assert page.evaluate("new Set(window.walked).size") > 5, "few elements can be reached by Tab"


def _context(browser: Any, served: Served, scheme: str, width: int, viewer: str | None) -> Any:
    """A window of a kind, kept with its cache."""
    name = (served.url, scheme, width, viewer)
    if name not in _contexts:
        height = 844 if width == PHONE else 900
        options = {"viewport": {"width": width, "height": height}, "color_scheme": scheme, "locale": "en-GB"}
        context = browser.new_context(**options, has_touch=width == PHONE, permissions=["clipboard-write"])
        if viewer:
            token = served.users.issue_token(viewer, "login")
            cookie = {"name": served.cookie, "value": token, "url": served.url + "/app", "httpOnly": True}
            context.add_cookies([cookie])
        _contexts[name] = context
    return _contexts[name]


_contexts: dict[tuple, Any] = {}


def watch(seen: Visit) -> None:
    """Write down what must not happen on a page: errors, and requests to other hosts; count callbacks for `ready`."""
    page, problems = seen.page, seen.problems
    page.add_init_script(COUNT_CALLBACKS)

    def asked(request: Any) -> None:
        if not request.url.startswith((seen.url, "data:", "blob:")):
            problems.append(f"asks another host: {request.url[:200]}")

    def said(message: Any) -> None:
        is_expected = re.search(r"status of 40[134]", message.text) and "Failed to load resource" in message.text
        if message.type == "error" and not is_expected:
            problems.append(f"console: {message.text[:500]}")

    def answered(answer: Any) -> None:
        if answer.status >= 500:
            problems.append(f"{answer.status} from {answer.url}")

    page.on("request", asked)
    page.on("console", said)
    page.on("response", answered)
    page.on("pageerror", lambda error: problems.append(f"error: {str(error)[:500]}"))


def start(folder: Path, *lab_options: str, lab: str = "tests.dashboard.lab") -> dict[str, Any]:
    """Build the lab in `folder`, add the accounts, start the server; returns its `url` and `pid`.

    Parameters
    ----------
    lab, lab_options : the lab is built by `python -m <lab> <folder>/root <lab_options>`.
    """
    home, root = folder / "home", folder / "root"
    shutil.rmtree(home, ignore_errors=True)
    shutil.rmtree(root, ignore_errors=True)
    (home / "bridge").mkdir(parents=True)
    home.chmod(0o711)
    accounts(home / "bridge" / "users.sqlite")
    run([sys.executable, "-m", lab, str(root), *lab_options], _environment(folder))
    return serve(folder, "dashboard", "--public")


def serve(folder: Path, *command: str) -> dict[str, Any]:
    """Start a serving `neurojoint` command on a free port; returns its `url` and `pid`."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    path = folder / f"{command[0]}.log"
    with path.open("wb") as log:
        server = subprocess.Popen(
            [NEUROJOINT, *command, "--port", str(port)], env=_environment(folder), cwd=REPOSITORY,
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/app/sign-in", timeout=5).read()  # noqa: S310 - our own server
            return {"url": url, "pid": server.pid}
        except OSError:
            assert server.poll() is None and time.monotonic() < until, path.read_text()
            time.sleep(0.1)


def _environment(folder: Path) -> dict[str, str]:
    places = {"NEUROJOINT_HOME": str(folder / "home"), "NEUROJOINT_DATA_ROOT": str(folder / "root")}
    return os.environ | places


def stop(folder: Path, state: dict[str, Any]) -> None:
    """End the server and its database."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(state["pid"], signal.SIGTERM)
    run([NEUROJOINT, "db", "stop"], _environment(folder))


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[dict[str, Any]]:
    """What the test processes of this run know of the site, while no other may change it."""
    path = folder / "state.json"
    with path.open("a+", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        state = json.loads(file.read() or "{}")
        yield state
        file.seek(0)
        file.truncate()
        json.dump(state, file)
        file.flush()


LAB = lab.LAB
