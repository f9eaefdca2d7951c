"""Lists that were answered a moment ago, kept so that many clients with one question cost one search.

Writing through the server forgets them all, and so does what a person entered through another program (the site, an
import), `LOOKED_S` later at most. What a registration or a worker writes meanwhile shows in lists once they are older
than `KEPT_S`; single records, logins and everything that writes never come from here.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

KEPT_S = 5.0
LOOKED_S = 0.25
MOST_BYTES = 64 << 20


class Answers:
    """Answers by question; several threads with one question wait for the one that is working on it.

    Parameters
    ----------
    kept : s; 0 keeps nothing.
    entered : says which entry of a person is the latest; asked every `LOOKED_S`.

    Examples
    --------
    >>> answers = Answers(60)
    >>> answers.get("?", lambda: b"first"), answers.get("?", lambda: b"second")
    (b'first', b'first')
    >>> answers.forget(); answers.get("?", lambda: b"third")
    b'third'
    """

    def __init__(self, kept: float = KEPT_S, entered: Callable[[], object] | None = None) -> None:
        self.kept = kept
        self._entered, self._looked = entered, -LOOKED_S
        self._latest: object = None
        self._lock = threading.Lock()
        self._found: OrderedDict[Hashable, tuple[float, bytes]] = OrderedDict()
        self._working: dict[Hashable, threading.Lock] = {}
        self._bytes = self._age = 0

    def get(self, question: Hashable, make: Callable[[], bytes]) -> bytes:
        """The answer that is kept, else the one that `make` makes; an exception of `make` is not kept."""
        if not self.kept:
            return make()
        self._look()
        with self._lock:
            if (known := self._known(question)) is not None:
                return known
            working = self._working.setdefault((question, self._age), threading.Lock())
            key = (question, self._age)
        with working:
            with self._lock:
                if (known := self._known(question)) is not None:
                    return known
            try:
                answer = make()
                with self._lock:
                    if key[1] == self._age:  # else something was written while it was made
                        self._keep(question, answer)
                return answer
            finally:
                with self._lock:
                    self._working.pop(key, None)

    def forget(self) -> None:
        """Forget all: something was written."""
        with self._lock:
            self._found.clear()
            self._bytes = 0
            self._age += 1

    def _look(self) -> None:
        """Forget all if somebody has entered something through another program."""
        now = time.monotonic()
        if self._entered is None or now - self._looked < LOOKED_S:
            return
        self._looked = now
        latest = self._entered()
        if latest != self._latest:
            self._latest = latest
            self.forget()

    def _known(self, question: Hashable) -> bytes | None:
        made, answer = self._found.get(question, (0.0, None))
        return answer if answer is not None and time.monotonic() - made < self.kept else None

    def _keep(self, question: Hashable, answer: bytes) -> None:
        if question in self._found:
            self._bytes -= len(self._found.pop(question)[1])
        self._found[question] = (time.monotonic(), answer)
        self._bytes += len(answer)
        while self._bytes > MOST_BYTES:
            self._bytes -= len(self._found.popitem(last=False)[1][1])
