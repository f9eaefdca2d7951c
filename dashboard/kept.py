"""Keeps what was made from the tables until their version changes; the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

_T = TypeVar("_T")


class Kept:
    """Values by name, each with the version it was made of.

    Parameters
    ----------
    size : how many are kept.

    Examples
    --------
    >>> kept = Kept(2)
    >>> kept.get("a", "1", lambda: "made"), kept.get("a", "1", lambda: "anew"), kept.get("a", "2", lambda: "anew")
    ('made', 'made', 'anew')
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[str, Any]] = OrderedDict()

    def get(self, name: Hashable, version: str, make: Callable[[], _T]) -> _T:
        """The value of this version, made now if it is not kept."""
        with self._lock:
            known = self._values.get(name)
            if known is not None and known[0] == version:
                self._values.move_to_end(name)
                return known[1]
        value = make()
        with self._lock:
            self._values[name] = version, value
            self._values.move_to_end(name)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        return value
