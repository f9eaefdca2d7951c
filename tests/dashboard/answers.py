"""What the server sends for an address, without a browser: for addresses that mean nothing, of which there are many.

That a browser shows such an answer is tested once (`test_app`); here it costs milliseconds in place of seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest
import requests

from tests.dashboard.browser import Served

OUTPUTS = (("page", "children"), ("title", "data"), ("place", "data"))


@dataclass(frozen=True)
class Answer:
    """A page as the browser is sent it."""

    content: Any

    @property
    def text(self) -> str:
        """Everything that the page says."""
        return " ".join(_texts(self.content))

    def texts(self, name: str) -> list[str]:
        """What each element of a CSS class says."""
        return [" ".join(_texts(part)) for part in _parts(self.content) if name in _class(part).split()]

    @property
    def sentences(self) -> list[str]:
        """What stands in place of something that cannot be shown."""
        return self.texts("nj-sentence")

    @property
    def figures(self) -> set[str]:
        """The names of the figures."""
        return {part["props"]["data-figure"] for part in _parts(self.content) if "data-figure" in part["props"]}


@pytest.fixture
def answer(served: Served) -> Callable[..., Answer]:
    """Asks for pages: `answer("/app/region/th", viewer="mia")`; `viewer=None` is the public."""
    return lambda path, viewer="mia": ask(served, path, viewer)


def ask(served: Served, path: str, viewer: str | None = "mia") -> Answer:
    """The page at an address; fails if the program had an error."""
    pathname, _, search = quote(path, safe="/?&=%+,;:@").partition("?")
    given = [("url", "pathname", pathname), ("url", "search", search and f"?{search}"), ("version", "data", "")]
    body = {
        "output": f"..{'...'.join(f'{name}.{kind}' for name, kind in OUTPUTS)}..",
        "outputs": [{"id": name, "property": kind} for name, kind in OUTPUTS],
        "inputs": [{"id": name, "property": kind, "value": value} for name, kind, value in given],
        "changedPropIds": ["url.pathname"],
        "state": [{"id": "place", "property": "data", "value": None}],
    }
    cookies = {served.cookie: served.users.issue_token(viewer, "login")} if viewer else {}
    told = requests.post(f"{served.url}/app/_dash-update-component", json=body, cookies=cookies, timeout=60)
    assert told.status_code == 200, told.text
    page_answer = Answer(json.loads(told.text)["response"]["page"]["children"])
    assert "Traceback" not in told.text and "an error in the program" not in page_answer.text, page_answer.text
    return page_answer


def _parts(content: Any) -> Iterator[dict[str, Any]]:
    """The components of a page, from the outer to the inner."""
    if isinstance(content, list):
        for item in content:
            yield from _parts(item)
    elif isinstance(content, dict) and "props" in content:
        yield content
        for value in content["props"].values():
            yield from _parts(value)


def _texts(content: Any) -> Iterator[str]:
    if isinstance(content, list):
        for item in content:
            yield from _texts(item)
    elif isinstance(content, dict) and "props" in content:
        yield from _texts(content["props"].get("children"))
    elif content is not None and not isinstance(content, dict | bool):
        yield str(content)


def _class(part: dict[str, Any]) -> str:
    return str(part["props"].get("className") or "")
