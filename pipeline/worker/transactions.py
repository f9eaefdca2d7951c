"""Conflicts with other transactions: how they are recognised, and retrying."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from pipeline.errors import causes

MOST_CONFLICTS = 6  # retries of one transaction

# Serialization failure, deadlock, lock timeout; for MySQL deadlock, lock timeout, record changed since it was read.
_POSTGRESQL = {"40001", "40P01", "55P03"}
_MYSQL = {1213, 1205, 1020}

_T = TypeVar("_T")


def is_conflict(error: BaseException | None) -> bool:
    """Whether another transaction got in the way, so that the same one may succeed when tried again."""
    return any(
        getattr(one, "pgcode", None) in _POSTGRESQL
        or (type(one).__module__.startswith("pymysql") and bool(one.args) and one.args[0] in _MYSQL)
        for one in causes(error)
    )


def pause(attempt: int) -> None:
    """Wait before the next attempt (they count from 0), each worker for another time."""
    time.sleep(0.02 * 2**attempt * (0.5 + random.random()))  # noqa: S311 - spreads the retries


def retry_on_conflict(act: Callable[[], _T]) -> _T:
    """Return what `act`, a whole transaction, returns; retry it after a conflict."""
    for attempt in range(MOST_CONFLICTS):
        try:
            return act()
        except Exception as error:
            if not is_conflict(error):
                raise
            pause(attempt)
    return act()
