"""Which days and times can be those of something that has happened: no clock is right that says otherwise."""

from __future__ import annotations

import datetime

EARLIEST, LATEST = datetime.date(1970, 1, 1), datetime.date(2199, 12, 31)
"""Dates and times outside these are typing errors, or what a spreadsheet makes of a number (1900, 1904)."""

AHEAD = datetime.timedelta(hours=14, minutes=10)
"""How far a time may lie in the future: the easternmost time zone is UTC+14, and clocks of computers differ."""


def has_come(when: datetime.date, now: datetime.datetime | None = None) -> bool:
    """Whether a day, or a time in UTC, can have come somewhere on earth by a clock that is not quite right.

    Parameters
    ----------
    when : a `datetime` without an offset is UTC.
    now : in UTC without an offset; by default the present.

    Examples
    --------
    >>> noon = datetime.datetime(2024, 3, 1, 12)
    >>> has_come(datetime.date(2024, 3, 2), noon), has_come(datetime.date(2024, 3, 3), noon)
    (True, False)
    >>> has_come(noon + datetime.timedelta(hours=13), noon), has_come(noon + datetime.timedelta(days=1), noon)
    (True, False)
    """
    latest = (now or datetime.datetime.now(datetime.UTC).replace(tzinfo=None)) + AHEAD
    return when <= (latest if isinstance(when, datetime.datetime) else latest.date())


def why_not_a_session(day: str) -> str:
    """What is wrong with a day (YYYY-MM-DD) as that of a recording; empty where nothing is.

    >>> why_not_a_session("1904-01-01")
    '1904-01-01 is before 1970-01-01: the clock of the computer was not set'
    >>> why_not_a_session("2024-03-01")
    ''
    """
    date = datetime.date.fromisoformat(day)
    if date < EARLIEST:
        return f"{day} is before {EARLIEST}: the clock of the computer was not set"
    return "" if has_come(date) else f"{day} is in the future: the clock of the computer was wrong"
