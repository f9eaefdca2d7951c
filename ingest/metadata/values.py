"""Checks of single values that people and rigs write into metadata, with plain messages: names, times, numbers."""

from __future__ import annotations

import datetime
import math
import zoneinfo
from typing import Any

from pipeline.analysis import coordinates

PROVENANCES = {
    "planned": "planned",
    "micro-manipulator": "micro_manipulator",
    "histology track": "histology",
    "ephys aligned histology track": "ephys_aligned",
}
"""How Alyx spells where a track is from -> our names of it."""
SHALLOWEST = 20.0
"""um; no probe is in the brain less deep than this, so that a smaller number is in mm or m."""


def name(value: Any, longest: int = 64, forbidden: str = "%\\") -> str:
    """A name that may become part of a key.

    Raises
    ------
    ValueError
        It is empty, too long, or has a character that keys must not have: `%`, a backslash or a control character
        (DataJoint finds no rows by such keys).

    Examples
    --------
    >>> name(" ada ")
    'ada'
    """
    if not isinstance(value, str | int):
        raise ValueError(f"{value!r} is no name")
    text = str(value).strip()
    if not text:
        raise ValueError("the name is empty")
    if len(text) > longest:
        raise ValueError(f"{text[:20]!r}… is longer than {longest} characters")
    if not text.isprintable() or any(character in text for character in forbidden):
        raise ValueError(f"{text!r} has a control character or one of {forbidden}")
    return text


def substance(value: Any) -> str:
    """The name of what is given to drink, which may have a `%`.

    >>> substance("Water 10% Sucrose")
    'Water 10% Sucrose'
    """
    return name(value, 64, "\\")


def text(value: Any, longest: int = 1000) -> str:
    """A remark; line breaks become spaces."""
    plain = " ".join(str(value).split())
    if not plain.isprintable():
        raise ValueError("it has control characters")
    if len(plain) > longest:
        raise ValueError(f"it is longer than {longest} characters")
    return plain


def names(value: Any, longest: int = 64) -> list[str]:
    """Names in a list or separated by commas, each once, in their order.

    >>> names("a, b,a")
    ['a', 'b']
    """
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    return list(dict.fromkeys(name(part, longest) for part in parts if str(part).strip()))


def utc(value: Any, time_zone: str = "UTC") -> datetime.datetime:
    """A time as UTC without zone; one that has no offset is taken in `time_zone`.

    >>> utc("2023-07-01T12:00:00", "Europe/London")
    datetime.datetime(2023, 7, 1, 11, 0)
    >>> utc("2023-07-01T12:00:00Z", "Europe/London")
    datetime.datetime(2023, 7, 1, 12, 0)
    """
    try:
        when = value if isinstance(value, datetime.datetime) else datetime.datetime.fromisoformat(str(value).strip())
    except ValueError:
        raise ValueError(f"{value!r} is no time (write it as 2023-07-01T12:00:00)") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=zoneinfo.ZoneInfo(time_zone))
    try:
        return when.astimezone(datetime.UTC).replace(tzinfo=None)
    except OverflowError:
        raise ValueError(f"{value!r} is out of range") from None


def date(value: Any) -> datetime.date:
    """A date, YYYY-MM-DD."""
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.date.fromisoformat(str(value).strip()[:10])
    except ValueError:
        raise ValueError(f"{value!r} is no date (write it as 2023-07-01)") from None


def number(value: Any, low: float = 0, high: float = math.inf) -> float:
    """A number between `low` and `high`, both included.

    >>> number("22.5", 1, 2000)
    22.5
    """
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{value!r} is no number") from None
    if isinstance(value, bool) or not math.isfinite(found):
        raise ValueError(f"{value!r} is no number")
    if not low <= found <= high:
        raise ValueError(f"{found:g} is not between {low:g} and {high:g}")
    return found


def flag(value: Any) -> bool:
    """A yes or no: 1, 0, true, false, yes, no."""
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False, "": False}
    found = known.get(str(value).strip().lower())
    if found is None:
        raise ValueError(f"{value!r} is neither 0 nor 1")
    return found


def sex(value: Any) -> str:
    """M, F or U."""
    found = str(value).strip().upper()[:1] or "U"
    if found not in "MFU":
        raise ValueError(f"{value!r} is not M, F or U")
    return found


def time_zone(value: Any) -> str:
    """An IANA time zone, e.g. Europe/London."""
    try:
        return zoneinfo.ZoneInfo(str(value).strip()).key
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{value!r} is no time zone (write it as Europe/London)") from None


def provenance(value: Any) -> str:
    """How a track is known, in our words or in those of Alyx.

    >>> provenance("Ephys aligned histology track"), provenance("planned")
    ('ephys_aligned', 'planned')
    """
    text = str(value).strip().lower()
    found = PROVENANCES.get(text, text)
    if found not in PROVENANCES.values():
        raise ValueError(f"{value!r} is none of {', '.join(PROVENANCES.values())}")
    return found


def from_bregma(value: Any) -> float:
    """A coordinate of a place in the brain, um from bregma."""
    return number(value, -coordinates.LARGEST, coordinates.LARGEST)


def depth(value: Any) -> float:
    """How deep a probe is in the brain, um.

    >>> depth("4000")
    4000.0
    >>> depth("3.9")
    Traceback (most recent call last):
    ValueError: 3.9 um is not as deep as a probe: mm or m? um are expected
    """
    found = number(value, 0, coordinates.LARGEST)
    if found < SHALLOWEST:
        raise ValueError(f"{found:g} um is not as deep as a probe: mm or m? um are expected")
    return found
