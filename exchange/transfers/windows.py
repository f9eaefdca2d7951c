"""Nightly windows: the hours of a lab in which transfers run, in its own time zone."""

from __future__ import annotations

import datetime
import re
import zoneinfo
from dataclasses import dataclass

from pipeline.errors import NeurojointError


@dataclass(frozen=True)
class Window:
    """From `start` to `end`, local time of `zone`; the end may be on the next day.

    >>> night = Window.parse("22:00", "06:00", "Europe/London")
    >>> at = lambda hour, month=1: datetime.datetime(2026, month, 15, hour)  # UTC
    >>> [night.is_open(at(hour)) for hour in (21, 22, 5, 6)]
    [False, True, True, False]
    >>> [night.is_open(at(hour, month=7)) for hour in (20, 21, 4, 5)]  # summer time
    [False, True, True, False]
    """

    start: datetime.time
    end: datetime.time
    zone: zoneinfo.ZoneInfo

    @classmethod
    def parse(cls, start: str, end: str, zone: str) -> Window:
        """A window from text.

        Raises
        ------
        NeurojointError : no times of day, equal ones, or no time zone.
        """
        times = []
        for text in (start, end):
            if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
                raise NeurojointError(f"{text!r} is no time of day", "write it as HH:MM, e.g. 02:00")
            times.append(datetime.time.fromisoformat(text))
        if times[0] == times[1]:
            raise NeurojointError("a window that ends when it begins is none", "give another end")
        try:
            return cls(times[0], times[1], zoneinfo.ZoneInfo(zone))
        except (zoneinfo.ZoneInfoNotFoundError, ValueError):
            raise NeurojointError(f"{zone!r} is no time zone", "write it as Europe/London") from None

    def is_open(self, now: datetime.datetime) -> bool:
        """Whether a moment (UTC, without zone) lies in the window."""
        time = now.replace(tzinfo=datetime.UTC).astimezone(self.zone).time()
        if self.start < self.end:
            return self.start <= time < self.end
        return time >= self.start or time < self.end

    def next_change(self, now: datetime.datetime) -> datetime.datetime:
        """When the window opens, or, if it is open, closes next; UTC, without zone.

        A time of day that daylight saving leaves out is taken as the moment at which the clocks change.

        >>> Window.parse("02:30", "05:00", "Europe/London").next_change(datetime.datetime(2026, 3, 29, 0, 0))
        datetime.datetime(2026, 3, 29, 1, 30)
        """
        wanted = self.end if self.is_open(now) else self.start
        local = now.replace(tzinfo=datetime.UTC).astimezone(self.zone)
        for days in range(-1, 4):
            day = local.date() + datetime.timedelta(days=days)
            moment = datetime.datetime.combine(day, wanted, self.zone).astimezone(datetime.UTC).replace(tzinfo=None)
            if moment > now and self.is_open(moment) == (wanted is self.start):
                return moment
        raise AssertionError("a window opens every day")
