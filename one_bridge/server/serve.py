"""`neurojoint serve`: joins the database and answers HTTP requests until it is stopped."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import uvicorn
from fastapi import FastAPI

import pipeline
from one_bridge.server.app import create_app
from pipeline.errors import OperatorError
from pipeline.settings import settings
from pipeline.web.accounts import Users, store_path
from pipeline.web.request_limits import server_options

LOCAL = ("127.0.0.1", "::1", "localhost")


def serve(
    host: str = "127.0.0.1", port: int = 8000, public_read: bool = False, root: Path | None = None,
    beside: Callable[[FastAPI], Callable[..., Awaitable[None]]] = lambda api: api,
) -> None:  # fmt: skip
    """Serve until a signal ends it.

    Parameters
    ----------
    host, port : where to listen.
    public_read : whether those who are not logged in may read.
    root : the data root; by default that of the settings.
    beside : makes of this application what is served, e.g. together with another one on the same port.

    Raises
    ------
    NeurojointError : nobody could log in, or the database cannot be reached.
    """
    users = Users(store_path())
    if not public_read and not any(user.enabled for user in users.list()):
        raise OperatorError("there are no accounts, so nobody could log in", "add one: neurojoint user add NAME")
    connection = pipeline.connect()
    app = create_app(connection, users, root or settings().data_root, settings().home, public_read, _version())
    uvicorn.run(beside(app), host=host, port=port, **server_options(settings().trusted_proxies))


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("neurojoint")
    except PackageNotFoundError:
        return "0"
