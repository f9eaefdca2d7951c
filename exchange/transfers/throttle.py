"""A limit of bandwidth, for those backends whose tools have none of their own."""

from __future__ import annotations

import time
from collections.abc import Callable


class Throttle:
    """Call it with the bytes that went over; it sleeps as long as they were too many.

    Parameters
    ----------
    rate : 10^6 byte per s; 0 for no limit.

    >>> slept = []
    >>> throttle = Throttle(2.0, clock=lambda: 0.0, sleep=slept.append)
    >>> throttle(1_000_000)
    >>> slept
    [0.5]
    """

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._rate, self._clock, self._sleep = rate * 1e6, clock, sleep
        self._free_at = clock()

    def __call__(self, n_bytes: int) -> None:
        if self._rate <= 0:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now) + n_bytes / self._rate
        if self._free_at > now:
            self._sleep(self._free_at - now)


def throttled(progress: Callable[[int], None], throttle: Throttle) -> Callable[[int], None]:
    """Both called with the bytes that went over."""

    def note(n_bytes: int) -> None:
        progress(n_bytes)
        throttle(n_bytes)

    return note
