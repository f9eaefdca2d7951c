"""One registration at a time for each repository: an advisory lock of the database, gone when its connection is."""

from __future__ import annotations

import contextlib
import time
import zlib
from collections.abc import Iterator

import datajoint as dj

from pipeline.errors import NeurojointError

PATIENCE = 5.0  # s; a server needs a moment to notice that a killed process is gone


@contextlib.contextmanager
def repository_lock(
    connection: dj.Connection, prefix: str, repository: str, patience: float | None = None
) -> Iterator[None]:
    """Hold the lock of a repository; wait for it `patience` seconds, by default a few.

    Raises
    ------
    NeurojointError
        Another registration of this repository is running.
    """
    number = zlib.crc32(f"{prefix}ingest:{repository}".encode())
    postgres = connection.adapter.backend == "postgresql"
    take = f"SELECT pg_try_advisory_lock({number})" if postgres else f"SELECT GET_LOCK('neurojoint{number}', 0)"
    give = f"SELECT pg_advisory_unlock({number})" if postgres else f"SELECT RELEASE_LOCK('neurojoint{number}')"
    until = time.monotonic() + (PATIENCE if patience is None else patience)
    while not connection.query(take).fetchone()[0]:
        if time.monotonic() > until:
            raise NeurojointError(
                f"another `neurojoint ingest` of the repository {repository} is running", "wait until it has ended"
            )
        time.sleep(0.2)
    try:
        yield
    except BaseException:
        with contextlib.suppress(Exception):  # what went wrong before counts; the lock ends with the connection
            connection.query(give)
        raise
    connection.query(give)
