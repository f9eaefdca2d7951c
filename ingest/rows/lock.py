"""One registration at a time for each repository, over all computers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import datajoint as dj

from pipeline.worker import locks

PATIENCE = 5.0  # s; a server needs a moment to notice that a killed process is gone


@contextlib.contextmanager
def repository_lock(
    connection: dj.Connection, prefix: str, repository: str, patience: float | None = None
) -> Iterator[None]:
    """Hold the lock of a repository; wait for it `patience` seconds, by default a few.

    One whose holder has had no heartbeat for a minute is taken from it (`pipeline.worker.locks`).

    Raises
    ------
    NeurojointError
        Another registration of this repository is running; the message says where, and since when.
    """
    with locks.hold(
        connection, f"{prefix}ingest:{repository}"[: locks.LONGEST_NAME], f"ingest of the repository {repository}",
        PATIENCE if patience is None else patience,
        f"another `neurojoint ingest` of the repository {repository} is running", "wait until it has ended",
    ):  # fmt: skip
        yield
