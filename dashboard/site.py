"""What all pages share: the database in threads, who is looking, names in public, time zones; and what a page is."""

from __future__ import annotations

import datetime
import threading
import zoneinfo
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import flask

from dashboard import data_version
from pipeline import policy
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NotFoundError
from pipeline.policy import pseudonyms
from pipeline.schemas import lab as schema
from pipeline.schemas import subject as subject_schema
from pipeline.settings import Settings
from pipeline.web.accounts import Account, Users
from pipeline.web.threads import Database
from pipeline.web.throttle import Throttle

_P = ParamSpec("_P")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Page:
    """One page, as its module says it in `PAGE`.

    The module also has `layout(site, viewer, *, query, **parts)`, which returns Dash components: `parts` are the named
    parts of the path (strings, decoded), `query` what stands behind the question mark; it may raise `NotFound` or
    `links.BadAddress`, whose sentence is shown. And it may have `register(app, site)`, which adds callbacks.

    Parameters
    ----------
    name : a key of `links.TEMPLATES`, which holds its path.
    title : for the menu and the window.
    order : place in the menu.
    in_menu : whether the menu has it.
    parts : what the menu puts in place of the `<name>`s of its path.
    icon : name of an icon of `dashboard.components.icons`.
    refresh : whether the shell makes the page again when new data arrive. False for a page that updates by itself
        (`Input("version", "data")` in a callback of its own).
    early : whether it stands in the document before the programs of the site have started (`server.first_paint`); it
        is made of `dash.html` alone.
    """

    name: str
    title: str
    order: int = 100
    in_menu: bool = False
    parts: tuple[str, ...] = ()
    icon: str = ""
    refresh: bool = True
    early: bool = False


@dataclass(frozen=True)
class Viewer:
    """Who is looking. In public nobody has a name: mice have pseudonyms, notes and people are not shown."""

    name: str
    role: str
    public: bool = False

    def may(self, role: str) -> bool:
        """Has this viewer the rights of a role (`public`, `member`, `manager`, `admin`)?"""
        return Account(self.name, self.role, True).may(role)


PUBLIC = Viewer("", "public", public=True)


class NotFound(NotFoundError):
    """There is no such mouse, session, …; the message is the sentence that the page shows."""


class Site:
    """What pages are given.

    Parameters
    ----------
    database : the tables as threads use them.
    users : the accounts.
    settings : of this process.
    public : whether those who are not signed in may look (with pseudonyms).
    key : a token that signs in as the person who started the site; for a site without accounts.
    """

    def __init__(
        self, database: Database, users: Users, settings: Settings, public: bool = False, key: str = ""
    ) -> None:
        self.database, self.users, self.settings, self.public, self.key = database, users, settings, public, key
        self.throttle = Throttle(path=users.path.with_name("attempts.sqlite"))
        self.live = data_version.Versions(self.read)
        self._lock = threading.Lock()
        self._names: dict[str, dict[tuple[str, str], str]] = {}
        self._zones: dict[str, tuple[str, zoneinfo.ZoneInfo]] = {}

    def read(self, ask: Callable[_P, _T], *args: _P.args, **options: _P.kwargs) -> _T:
        """What a function that queries the tables returns; safe in threads, once more if the connection was lost."""
        return self.database.read(lambda: ask(*args, **options))

    @property
    def viewer(self) -> Viewer:
        """Who sent the request that is being answered."""
        return flask.g.viewer

    @property
    def home(self) -> Path:
        """The folder of what the site keeps."""
        return self.settings.home / "dashboard"

    def name(self, lab: str, subject: str, viewer: Viewer | None = None) -> str:
        """What a viewer is told that a mouse is called, in pages and addresses."""
        viewer = viewer or self.viewer
        return pseudonyms.subject(lab, subject, self.home) if viewer.public else subject

    def subject(self, lab: str, name: str, viewer: Viewer | None = None) -> str:
        """The mouse that a viewer calls by this name.

        Raises
        ------
        NotFound : there is none.
        """
        viewer = viewer or self.viewer
        if not viewer.public:
            if not self.read(_exists, lab, name):
                raise NotFound(f"There is no mouse called {name} in the lab {lab}.")
            return name
        version = self.live.version()
        with self._lock:
            known = self._names.get(version)
        if known is None:
            barred = self.read(_embargoed)
            pairs = [pair for pair in self.read(_subjects) if pair not in barred]
            known = {(at, self.name(at, one, viewer)): one for at, one in pairs}
            with self._lock:
                self._names = {version: known}
        if (lab, name) not in known:
            raise NotFound(f"There is no mouse called {name} in the lab {lab}.")
        return known[lab, name]

    def barred(self, viewer: Viewer | None = None) -> frozenset[tuple[str, str]]:
        """Lab and name of the mice that a viewer is not to be told of: for the public those under embargo."""
        viewer = viewer or self.viewer
        return self.read(_embargoed) if viewer.public else frozenset()

    def zone(self, lab: str) -> zoneinfo.ZoneInfo:
        """The time zone of a lab; UTC where it is unknown."""
        version = self.live.version()
        stamp, zone = self._zones.get(lab, ("", None))
        if zone is None or stamp != version:
            try:
                zone = zoneinfo.ZoneInfo(self.read(_zone, lab))
            except (KeyError, ValueError, OSError):
                zone = zoneinfo.ZoneInfo("UTC")
            self._zones[lab] = version, zone
        return zone

    def local(self, time: datetime.datetime | None, lab: str) -> datetime.datetime | None:
        """A time of the tables (UTC) in the lab's time zone."""
        if time is None:
            return None
        return time.replace(tzinfo=datetime.UTC).astimezone(self.zone(lab))

    def today(self, lab: str) -> datetime.date:
        """The date that a lab has now."""
        return datetime.datetime.now(self.zone(lab)).date()


def _exists(lab: str, name: str) -> bool:
    return bool(subject_schema.Subject.proj() & {"lab": lab, "subject": name})


def _subjects() -> list[tuple[str, str]]:
    table = fetch_columns(subject_schema.Subject, "lab", "subject")
    return list(zip(table["lab"].to_pylist(), table["subject"].to_pylist(), strict=True))


def _embargoed() -> frozenset[tuple[str, str]]:
    return policy.current().embargoed


def _zone(lab: str) -> str:
    return (schema.Lab & {"lab": lab}).to_dicts()[0]["time_zone"] if schema.Lab & {"lab": lab} else "UTC"


Component = Any
"""A Dash component, text, number, or list of them."""
