"""A running server for the tests of the HTTP face: real application, real sockets, in a thread."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import datajoint as dj
import requests
import uvicorn

from one_bridge.server.app import create_app
from pipeline.web.accounts import Users
from pipeline.web.request_limits import server_options

PASSWORD = "correct horse"
ROLES = {"ada": "admin", "max": "manager", "mia": "member", "pat": "public"}


@dataclass
class Served:
    """Where the server is, and who may use it."""

    url: str
    root: Path
    users: Users
    app: object

    def token(self, name: str = "mia") -> str:
        return self.users.issue_token(name, "test")

    def session(self, name: str | None = "mia") -> requests.Session:
        """A requests session that is logged in as one of ROLES, or not at all."""
        result = requests.Session()
        if name:
            result.headers["Authorization"] = f"Token {self.token(name)}"
        return result


@contextlib.contextmanager
def serving(connection: dj.Connection, root: Path, home: Path, public_read: bool = False) -> Iterator[Served]:
    """Serve the tables on a free port of 127.0.0.1."""
    users = accounts(home / "users.sqlite")
    app = create_app(connection, users, root, home, public_read, "test")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, **server_options()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the server does not start"
        time.sleep(0.01)
    try:
        yield Served(f"http://127.0.0.1:{port}", root, users, app)
    finally:
        server.should_exit = True
        thread.join(20)


class Shared:
    """A server that stays, while the tables, files and accounts that it serves change."""

    def __init__(self) -> None:
        self._running = contextlib.ExitStack()
        self._connection: dj.Connection | None = None
        self._served: Served | None = None

    def serve(self, connection: dj.Connection, root: Path, home: Path, public_read: bool = False) -> Served:
        """Serve what the tables of a connection hold now; nothing that was served before is remembered."""
        if self._served is None or connection is not self._connection:
            self.stop()
            self._served = self._running.enter_context(serving(connection, root, home, public_read))
            self._connection = connection
            return self._served
        bridge = self._served.app.state.bridge
        users = accounts(home / "users.sqlite")
        bridge.gate.__init__(users, public_read)
        bridge.roots.data_root, bridge.cache.folder = root, home / "bridge" / "cache"
        bridge.roots.announce()
        bridge.serialiser.forget()
        bridge.answers.forget()
        return Served(self._served.url, root, users, self._served.app)

    def stop(self) -> None:
        self._running.close()
        self._served = None


def accounts(path: Path) -> Users:
    """The accounts ROLES; their passwords are hashed once a run."""
    users = Users(path)
    if not _made:
        for name, role in ROLES.items():
            users.add(name, PASSWORD, role)
        users._store().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _made.append(path.read_bytes())
    else:
        path.touch(0o600)
        path.write_bytes(_made[0])
    return users


_made: list[bytes] = []
