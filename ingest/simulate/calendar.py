"""On which days a simulated mouse is trained: from a first date on, or so that the lab ends on a given date."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

WEEKEND = (5, 6)
"""Saturday and Sunday, as `date.weekday` counts."""
ENDS = (0, 0, 1, 3)
"""In a lab with a last date: how many training days before it each mouse of four has its last session."""


@dataclass(frozen=True)
class Course:
    """The days of one mouse."""

    start: date  # of the first session
    rest: tuple[int, int] = WEEKEND  # two days in a row, of the week, without sessions
    last: date = date.min  # weighed and given water until then, also after the last session


def ending(last: date, index: int, n_sessions: int, twice_every: int) -> Course:
    """The course of mouse number `index` of a lab that ends on the date `last`.

    The days of rest are the third and fourth before it, so that what happens depends on no day of the week.

    Parameters
    ----------
    n_sessions, twice_every : how many sessions, and on every which training day there are two.

    Examples
    --------
    >>> [ending(date(2024, 5, 6), mouse, 1, 9).start.isoformat() for mouse in range(4)]
    ['2024-05-06', '2024-05-06', '2024-05-05', '2024-05-01']
    """
    rest = ((last.weekday() - 4) % 7, (last.weekday() - 3) % 7)
    left = ENDS[index % len(ENDS)] + _training_days(n_sessions, twice_every)
    day = last + timedelta(days=1)
    while left:
        day -= timedelta(days=1)
        left -= day.weekday() not in rest
    return Course(day, rest, last)


def _training_days(n_sessions: int, twice_every: int) -> int:
    """
    >>> _training_days(8, 9), _training_days(10, 9), _training_days(11, 9)
    (8, 9, 10)
    """
    days = 0
    while n_sessions > 0:
        days += 1
        n_sessions -= 1 if days % twice_every else 2
    return days
