"""One server a backend for all tests of the HTTP face; each test has tables, files and accounts of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import datajoint as dj
import pytest

from tests.one_bridge.serving import Served, Shared


@pytest.fixture(scope="session")
def shared(server: dict[str, object]) -> Iterator[Shared]:
    """The running server, started when a test first needs it."""
    found = Shared()
    yield found
    found.stop()


@pytest.fixture
def serve(shared: Shared, database: dj.Connection, tmp_path: Path) -> Callable[..., Served]:
    """Let the running server serve the tables of this test: `serve(root, home, public_read=False)`."""
    return lambda root, home=tmp_path, public_read=False: shared.serve(database, root, home, public_read)
