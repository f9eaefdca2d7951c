"""The address of every page: the only place that knows them. Pages link to each other through here, never by import.

All pages are below `BASE`, so that the site and the bridge can share one port.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode

from pipeline.web.error_words import InvalidRequest

BASE = "/app"
FILES = f"{BASE}/_file"
NWB = f"{BASE}/_nwb"
DO, UNDO, WRITE, REMOVE = f"{BASE}/_do", f"{BASE}/_undo", f"{BASE}/_write", f"{BASE}/_remove"
READ = f"{BASE}/_read"
PICTURE, EXPORT, CARD, CALENDAR = f"{BASE}/_picture", f"{BASE}/_export", f"{BASE}/_card", f"{BASE}/_calendar"
SIGN_IN, SIGN_OUT, SESSIONS = f"{BASE}/sign-in", f"{BASE}/sign-out", f"{BASE}/sessions-of-mine"
LONGEST = 2000  # characters of an address that is read

TEMPLATES: dict[str, str] = {
    "overview": "/",
    "mouse": "/mouse/<lab>/<subject>",
    "session": "/session/<lab>/<subject>/<date>/<number>",
    "notebook": "/notebook/<lab>/<subject>",
    "round": "/round",
    "colony": "/colony",
    "calendar": "/calendar",
    "inbox": "/inbox",
    "admin": "/admin",
    "daily": "/daily",
    "lab": "/lab",
    "health": "/health",
    "transfers": "/transfers",
    "rules": "/rules",
    "insertion": "/insertion/<lab>/<subject>/<date>/<number>/<probe>",
    "cells": "/cells/<lab>/<subject>/<date>/<number>/<probe>",
    "region": "/region/<acronym>",
}
"""Page name -> its path below BASE; `<name>` stands for one part."""


@dataclass(frozen=True)
class Place:
    """What an address means: a page, the parts of its path, and what stands behind the question mark."""

    page: str
    parts: dict[str, str]
    query: dict[str, str]


class BadAddress(InvalidRequest, ValueError):
    """An address that no page has, or a part of one that cannot be meant. The message is a sentence for people."""


def to(page: str, *parts: Any, **query: Any) -> str:
    """The address of a page.

    Parameters
    ----------
    parts : what stands for the `<name>`s of its template, in order.
    query : what stands behind the question mark; None and "" are left out.

    >>> to("mouse", "churchland_lab", "CSHL 001/b", days="2024-05-06")
    '/app/mouse/churchland_lab/CSHL%20001%2Fb?days=2024-05-06'
    """
    given = iter(parts)
    path = re.sub(r"<\w+>", lambda _: quote(str(next(given)), safe=""), TEMPLATES[page])
    parameters = {name: str(value) for name, value in query.items() if value not in (None, "")}
    return BASE + path + (f"?{urlencode(parameters)}" if parameters else "")


def overview(**query: Any) -> str:
    """All mice, with filters in the query."""
    return to("overview", **query)


def mouse(lab: str, subject: str, **query: Any) -> str:
    """One mouse."""
    return to("mouse", lab, subject, **query)


def session(lab: str, subject: str, date: datetime.date | str, number: int, **query: Any) -> str:
    """One session.

    >>> session("simlab", "m1", datetime.date(2024, 5, 6), 1)
    '/app/session/simlab/m1/2024-05-06/1'
    """
    return to("session", lab, subject, date, number, **query)


def file(dataset_id: str) -> str:
    """One registered file, to be saved."""
    return f"{FILES}/{quote(dataset_id, safe='')}"


def nwb(eid: str) -> str:
    """The address of a session's NWB file."""
    return f"{NWB}/{quote(eid, safe='')}"


def notebook(lab: str, subject: str, **query: Any) -> str:
    """The page on which people enter what happens to an animal."""
    return to("notebook", lab, subject, **query)


def daily(**query: Any) -> str:
    """Who trained on a day (`date`, `lab` in the query)."""
    return to("daily", **query)


def lab(**query: Any) -> str:
    """Groups of mice compared."""
    return to("lab", **query)


def health(**query: Any) -> str:
    """How the pipeline does."""
    return to("health", **query)


def insertion(lab: str, subject: str, date: datetime.date | str, number: int | str, probe: str, **query: Any) -> str:
    """One probe insertion."""
    return to("insertion", lab, subject, date, number, probe, **query)


def cells(lab: str, subject: str, date: datetime.date | str, number: int | str, probe: str, **query: Any) -> str:
    """The units of one probe insertion."""
    return to("cells", lab, subject, date, number, probe, **query)


def region(acronym: str, **query: Any) -> str:
    """One brain region."""
    return to("region", acronym, **query)


def parse(path: str, search: str = "") -> Place:
    """What an address means.

    Raises
    ------
    BadAddress : no page has it.

    >>> parse("/app/mouse/simlab/m1", "?days=2024-05-06")
    Place(page='mouse', parts={'lab': 'simlab', 'subject': 'm1'}, query={'days': '2024-05-06'})
    """
    if len(path) + len(search) > LONGEST:
        raise BadAddress("This address is too long to be one of this site.")
    below = path.removeprefix(BASE)
    if path != BASE and not path.startswith(f"{BASE}/"):
        raise BadAddress("This address is not one of this site.")
    for name, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(below or "/"):
            parts = {part: _decoded(value) for part, value in match.groupdict().items()}
            return Place(name, parts, query_of(search))
    raise BadAddress("There is no page at this address.")


def query_of(search: str) -> dict[str, str]:
    """The names and values behind a question mark; of a name given twice the last counts.

    >>> query_of("?lab=a&lab=b&empty=")
    {'lab': 'b'}
    """
    try:
        return dict(parse_qsl(search.removeprefix("?"), max_num_fields=100, errors="strict"))
    except ValueError:
        return {}


def session_key(parts: Mapping[str, str]) -> dict[str, Any]:
    """`session_date` and `session_number` from the parts of an address.

    Raises
    ------
    BadAddress : they are no date and number.

    >>> session_key({"date": "2024-05-06", "number": "001"})
    {'session_date': datetime.date(2024, 5, 6), 'session_number': 1}
    """
    number = parts["number"]
    if not re.fullmatch(r"[0-9]{1,5}", number) or int(number) > 32767:
        raise BadAddress(f"{number!r} is not the number of a session: use 1, 2, …")
    return {"session_date": date_of(parts["date"]), "session_number": int(number)}


def date_of(text: str) -> datetime.date:
    """A date as addresses have it, e.g. 2024-05-06.

    Raises
    ------
    BadAddress : it is none.
    """
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
            return datetime.date.fromisoformat(text)
    except ValueError:
        pass
    raise BadAddress(f"{text[:40]!r} is not a date: use year-month-day, e.g. 2024-05-06.")


def _decoded(part: str) -> str:
    try:
        text = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise BadAddress("This address holds signs that no name has.") from None
    if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
        raise BadAddress("This address holds signs that no name has.")
    return text


_PATTERNS = {
    name: re.compile(re.sub(r"<(\w+)>", r"(?P<\1>[^/]+)", template) + "/?") for name, template in TEMPLATES.items()
}
