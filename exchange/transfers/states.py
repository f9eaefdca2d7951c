"""What may become of a file that is to be copied, and until when: no state is without a deadline.

    planned -> submitted -> arrived -> verified
       ^           |           |
       +-- failed <+-----------+      (after a wait, at most `MOST_ATTEMPTS` times; then a person is told)

What was cut off (the program was killed, a connection was lost) is planned again, in smaller groups; it counts as an
attempt when a file was under way alone. `cancelled` and `verified` are ends. A planned file that is not begun in time
is late, which `status` and the site show.
"""

from __future__ import annotations

import datetime

OPEN = ("planned", "submitted", "arrived", "failed")
MOST_ATTEMPTS = 6
FIRST_WAIT = datetime.timedelta(minutes=5)
LONGEST_WAIT = datetime.timedelta(days=1)
SLOWEST = 1e6
"""Byte per s: what goes over more slowly counts as stuck."""
NEVER = datetime.datetime(9999, 1, 1)
"""When a file is tried again that a person has to look at."""
LARGE = 1 << 30
"""Byte: larger files go in transfers of their own, after the small ones."""


def wait_after(attempts: int) -> datetime.timedelta:
    """How long a file waits after so many failed attempts.

    >>> [str(wait_after(n)) for n in (1, 2, 5, 9)]
    ['0:05:00', '0:20:00', '21:20:00', '1 day, 0:00:00']
    """
    return min(LONGEST_WAIT, FIRST_WAIT * 4 ** min(attempts - 1, 20))


def due(state: str, now: datetime.datetime, size: int = 0, attempts: int = 0) -> datetime.datetime:
    """Until when a file may stay in a state; of a failed one, when it is tried again.

    >>> now = datetime.datetime(2026, 1, 1)
    >>> due("planned", now), due("submitted", now, size=7_200_000_000), due("failed", now, attempts=1)
    (datetime.datetime(2026, 1, 4, 0, 0), datetime.datetime(2026, 1, 1, 3, 0), datetime.datetime(2026, 1, 1, 0, 5))
    """
    if state == "planned":
        return now + datetime.timedelta(days=3)
    if state in ("submitted", "arrived"):
        return now + datetime.timedelta(hours=1, seconds=size / SLOWEST)
    if state == "failed":
        return NEVER if attempts >= MOST_ATTEMPTS else now + wait_after(attempts)
    return NEVER


def group_size(most: int, interruptions: int) -> int:
    """How many files are carried as one, after so many interruptions one after the other.

    >>> [group_size(2_000, n) for n in (0, 1, 2, 6)]
    [2000, 500, 125, 1]
    """
    return max(1, most >> 2 * interruptions)


def of_transfer(states: dict[str, int]) -> str:
    """The state of a transfer by how many of its files are in which.

    >>> of_transfer({"verified": 3}), of_transfer({"verified": 2, "failed": 1})
    ('verified', 'failed')
    """
    for state in ("submitted", "arrived", "planned", "failed", "verified"):
        if states.get(state):
            return state
    return "cancelled"
