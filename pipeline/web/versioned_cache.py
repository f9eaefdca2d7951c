"""Keeps what was made from the tables until their version changes; the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

_T = TypeVar("_T")


class Kept:
    """Values by name, each with the version it was made of; safe to share between threads.

    Parameters
    ----------
    size : how many are kept.

    Examples
    --------
    >>> kept = Kept(2)
    >>> kept.get("a", "1", lambda: "made"), kept.get("a", "1", lambda: "again"), kept.get("a", "2", lambda: "again")
    ('made', 'made', 'again')
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._values: OrderedDict[Hashable, tuple[str, Future[Any]]] = OrderedDict()

    def get(self, name: Hashable, version: str, make: Callable[[], _T]) -> _T:
        """The value of this version, made now if it is not kept; who asks meanwhile waits for it.

        None, which says that something is not there yet, is not kept; nor is an error, which everyone who waited gets.
        """
        with self._lock:
            kept = self._values.get(name)
            is_known = kept is not None and kept[0] == version
            known = kept if kept is not None and is_known else (version, Future())
            self._values[name] = known
            self._values.move_to_end(name)
            while len(self._values) > self._size:
                self._values.popitem(last=False)
        value = known[1]
        if is_known:
            return value.result()
        try:
            made = make()
        except BaseException as error:
            self._forget(name, known)
            value.set_exception(error)
            raise
        if made is None:
            self._forget(name, known)
        value.set_result(made)
        return made

    def _forget(self, name: Hashable, entry: tuple[str, Future[Any]]) -> None:
        with self._lock:
            if self._values.get(name) is entry:
                del self._values[name]
