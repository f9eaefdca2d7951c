"""Runs the site: alone (`neurojoint dashboard`) or as one process with the bridge (`neurojoint serve --dashboard`)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import uvicorn
from a2wsgi import WSGIMiddleware

import pipeline
from dashboard import links
from dashboard.server import auth
from dashboard.server.app import create_app
from dashboard.site import Site
from pipeline.errors import OperatorError
from pipeline.notifications.watching import watching
from pipeline.settings import settings
from pipeline.web.accounts import Users, store_path
from pipeline.web.hanging_disks import WithoutHangingDisks, widen
from pipeline.web.request_limits import LOGIN_BODY, Asgi, WholeBodies, server_options
from pipeline.web.threads import Database
from pipeline.web.throttle import Throttle

LOCAL = ("127.0.0.1", "::1", "localhost")
THREADS = 8  # requests that one process answers at once
LARGEST_BODY_OF_STRANGERS = 1 << 20  # byte
_KEY, _PUBLIC = "NEUROJOINT_DASHBOARD_KEY", "NEUROJOINT_DASHBOARD_PUBLIC"


def serve(host: str = "127.0.0.1", port: int = 8050, public: bool = False, key: str = "", processes: int = 1) -> None:
    """Serve the site until a signal ends it.

    Parameters
    ----------
    public : whether those who are not signed in may look, with pseudonyms.
    key : a token that signs in without an account (see `new_key`).
    processes : how many answer requests; sign-in and live updates work with any number.
    """
    options: dict[str, Any] = {"host": host, "port": port} | server_options(settings().trusted_proxies)
    if processes == 1:
        uvicorn.run(application(public, key), **options)
        return
    os.environ[_KEY], os.environ[_PUBLIC] = key, "1" if public else ""
    uvicorn.run("dashboard.server.serve:_application_of_a_worker", factory=True, workers=processes, **options)


def application(
    public: bool = False, key: str = "", database: Database | None = None, throttle: Throttle | None = None
) -> Asgi:
    """The site as an ASGI application; joins the database unless one is given."""
    if database is None:
        database = Database(pipeline.connect())
    site = Site(database, Users(store_path()), settings(), public, key)
    site.throttle = throttle or site.throttle
    watching(database.working)
    threads = WSGIMiddleware(create_app(site).server, workers=THREADS)

    def lend(number: int) -> None:
        widen(threads.executor, number)
        database.lend(number)

    return WholeBodies(WithoutHangingDisks(cast("Asgi", threads), lend), _largest_body)


def onto(api: Asgi, database: Database, throttle: Throttle, public: bool = False) -> Asgi:
    """The site and another application as one: addresses below `links.BASE` are the site's, all others the other's.

    Parameters
    ----------
    api : the other application; a browser that asks it for `/` is led to the site.
    database, throttle : those of the other application, which the site shares.
    """
    site = application(public, database=database, throttle=throttle)

    async def dispatch(scope: MutableMapping[str, Any], receive: Callable, send: Callable) -> None:
        await (site if _is_for_the_site(scope) else api)(scope, receive, send)

    return dispatch


def _is_for_the_site(scope: MutableMapping[str, Any]) -> bool:
    if scope["type"] != "http":
        return False
    path = scope["path"]
    if path == "/":
        return any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
    return path == links.BASE or path.startswith(f"{links.BASE}/")


def new_key(public: bool) -> str:
    """A key to sign in with where there are no accounts; empty where there are, or where everyone may look.

    Only who sees the terminal (or the log) knows it; it ends with the process.
    """
    has_accounts = any(item.enabled for item in Users(store_path()).list())
    return "" if has_accounts or public else secrets.token_urlsafe(24)


def address(host: str, port: int, key: str = "") -> str:
    """The address to open in a browser."""
    shown = f"[{host}]" if ":" in host else "127.0.0.1" if host in ("0.0.0.0", "") else host  # noqa: S104 - shown only
    return f"http://{shown}:{port}{links.overview()}" + (f"?key={key}" if key else "")


def check(host: str, key: str) -> None:
    """Refuse to serve a site without accounts to other computers.

    Raises
    ------
    NeurojointError : nobody could sign in but with the key, over an open network.
    """
    if key and host not in LOCAL:
        raise OperatorError("there are no accounts, so nobody could sign in", "add one: neurojoint user add NAME")


def _largest_body(scope: MutableMapping[str, Any]) -> int:
    """How many bytes a request may send: little for signing in, and for those who carry no session."""
    if scope["path"] in (links.SIGN_IN, links.SIGN_OUT):
        return LOGIN_BODY
    cookies = b"; ".join(value for name, value in scope["headers"] if name == b"cookie")
    return auth.LARGEST_BODY if auth.COOKIE.encode() in cookies else LARGEST_BODY_OF_STRANGERS


def _application_of_a_worker() -> Asgi:
    return application(bool(os.environ.get(_PUBLIC)), os.environ.get(_KEY, ""))
