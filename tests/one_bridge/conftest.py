"""One server a backend for all tests of the HTTP face; each test has tables, files and accounts of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import datajoint as dj
import pytest
from one.api import OneAlyx

from pipeline.database.bulk import insert_many
from pipeline.schemas import lab
from tests.one_bridge.remote import SESSIONS, client
from tests.one_bridge.serving import Served, Shared
from tests.one_bridge.trees import build


@pytest.fixture(scope="session")
def shared(server: dict[str, object]) -> Iterator[Shared]:
    """The running server, started when a test first needs it."""
    shared_server = Shared()
    yield shared_server
    shared_server.stop()


@pytest.fixture
def serve(shared: Shared, database: dj.Connection, tmp_path: Path) -> Callable[..., Served]:
    """Let the running server serve the tables of this test: `serve(root, home, public_read=False)`."""
    return lambda root, home=tmp_path, public_read=False: shared.serve(database, root, home, public_read)


@pytest.fixture
def served(serve: Callable[..., Served], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """The server with three sessions and two people."""
    monkeypatch.setenv("HOME", str(tmp_path))
    build(tmp_path / "data", SESSIONS)
    insert_many(lab.LabMember, {"user_name": ["mia", "max"]})
    return serve(tmp_path / "data")


@pytest.fixture
def one(served: Served, tmp_path: Path) -> OneAlyx:
    """The unmodified client, logged in as a member."""
    return client(served, tmp_path)
