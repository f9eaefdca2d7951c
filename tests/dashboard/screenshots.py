"""Pictures of every page in light, in dark and on a phone: `python -m tests.dashboard.screenshots FOLDER`.

Goes from the overview along the links until every registered page was seen; pages with parts in their address are
those to which a link leads. `--site FOLDER` keeps the simulated lab there, and uses it again; `--readme docs/images`
also writes the upper parts of the pictures, small enough for the README.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dashboard import links
from dashboard.server.app import find_pages
from tests.dashboard import browser
from tests.dashboard.browser import DESK, PHONE, Served, Visit

LAB = ("16", "26", "1")  # mice, sessions of each, sessions with probes of each
LOOKS = {"light": ("light", DESK), "dark": ("dark", DESK), "phone": ("light", PHONE)}
MOST_VISITED = 6  # pages of a kind, in search of links to other kinds
TALLEST = 1400  # px of a picture for the README
VIEWS = {"lab": "?by=sex"}
"""What pages are asked to show, where that says more than what they show by themselves."""
IN_DARK, ON_PHONE = "mouse", "daily"
"""Pages that the README also shows in dark, and on a phone."""


def take(folder: Path, site: Path, only: str = "", looks: tuple[str, ...] = tuple(LOOKS)) -> Iterator[Path]:
    """Write `<page>_<look>.png` of every page; yields their paths."""
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    is_new = not (site / "home").exists()
    state = browser.start(site, *LAB) if is_new else browser.serve(site, "dashboard", "--public")
    served = Served(state["url"], site / "home", site / "root")
    try:
        with sync_playwright() as playwright:
            chromium = browser.launch(playwright)
            places = examples(browser.open_window(chromium, served, "light", DESK, "ada"))
            for name in sorted(set(find_pages()) - set(places)):
                print(f"no link leads to the page {name}")  # noqa: T201 - a command
            for name, address in places.items():
                for look in looks:
                    if only in name:
                        scheme, width = LOOKS[look]
                        seen = browser.open_window(chromium, served, scheme, width, "ada")
                        seen.go(address + VIEWS.get(name, ""))
                        yield _picture(seen, folder / f"{name}_{look}.png")
                        for problem in seen.problems:
                            print(f"{address}: {problem}")  # noqa: T201 - a command
                        seen.page.close()
            chromium.close()
    finally:
        os.kill(state["pid"], signal.SIGTERM)


def examples(seen: Visit) -> dict[str, str]:
    """An address of each registered page to which links lead from the overview."""
    pages = find_pages()
    collected: dict[str, str] = {}
    visited: dict[str, int] = {}
    todo = [links.overview(sort="n_sessions-desc")]
    known = set(todo)
    while todo and len(collected) < len(pages):
        address = next((item for item in todo if _page_of(item) not in collected), todo[0])  # what is new comes first
        todo.remove(address)
        name = _page_of(address)
        if name not in pages or visited.get(name, 0) >= MOST_VISITED:
            continue
        visited[name] = visited.get(name, 0) + 1
        seen.go(address)
        if not seen.page.locator(".nj-problem").count():
            collected.setdefault(name, address)
        for href in seen.page.eval_on_selector_all("a[href^='/app/']", "all => all.map((one) => one.href)"):
            parts = urlsplit(href)
            if parts.path not in known and not parts.path.startswith(("/app/_", "/app/sign")):
                known.add(parts.path)
                todo.append(parts.path + (f"?{parts.query}" if parts.query else ""))
    return {name: collected[name] for name in pages if name in collected}


def _page_of(address: str) -> str:
    return links.parse(*address.partition("?")[::2]).page


def _picture(seen: Visit, path: Path) -> Path:
    whole = seen.shot(path.stem)
    shutil.copyfile(whole, path)
    return path


def for_readme(picture: Path, folder: Path) -> Path | None:
    """Write the upper part of a picture with few colours, if the README shows it."""
    from PIL import Image

    page, _, look = picture.stem.rpartition("_")
    if look == "light":
        name = page
    elif (page, look) in ((IN_DARK, "dark"), (ON_PHONE, "phone")):
        name = f"{page}_{look}"
    else:
        return None
    folder.mkdir(parents=True, exist_ok=True)
    whole = Image.open(picture).convert("RGB")
    part = whole.crop((0, 0, whole.width, min(whole.height, TALLEST)))
    part.quantize(192, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
        folder / f"{name}.png", optimize=True
    )
    return folder / f"{name}.png"


def _arguments() -> Any:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--site", type=Path, help="where the simulated lab is kept")
    parser.add_argument("--readme", type=Path, help="write small pictures for the README there")
    parser.add_argument("--only", default="", help="a part of a page's name")
    return parser.parse_args()


if __name__ == "__main__":
    given = _arguments()
    kept = given.site or Path(tempfile.mkdtemp(prefix="neurojoint-pictures-"))
    kept.mkdir(parents=True, exist_ok=True)
    kept.chmod(0o711)
    for written in take(given.folder, kept, given.only):
        print(written)  # noqa: T201 - a command
        if given.readme:
            for_readme(written, given.readme)
