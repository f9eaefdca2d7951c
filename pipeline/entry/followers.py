"""What is to be done after rows were written or removed, in the same transaction: functions by their names, as data.

They write themselves, so the writer cannot import them.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Sequence

from pipeline.entry.audit import Edit, Origin

Follower = Callable[[Origin, str, Sequence[Edit]], None]

FOLLOWERS = ("pipeline.entry.consequences:follow",)


def follow(origin: Origin, table: str, edits: Sequence[Edit]) -> None:
    """Call every follower with the edits of one table."""
    for name in FOLLOWERS:
        _function(name)(origin, table, edits)


@functools.cache
def _function(name: str) -> Follower:
    module, _, function = name.partition(":")
    follower: Follower = getattr(importlib.import_module(module), function)
    return follower
