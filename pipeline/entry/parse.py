"""From what a person, a file or a client wrote to a Python value: one parser for each type of field.

Every refusal is a `ValueError` whose sentence says what is wrong and what to type. Nothing is guessed: a decimal comma
that could be a thousands separator, a time that occurs twice and a number in another unit are refused.
"""

from __future__ import annotations

import datetime
import json
import math
import re
import unicodedata
import zoneinfo
from collections.abc import Callable
from typing import Any

from pipeline.alf.dates import EARLIEST, LATEST
from pipeline.alf.names import check, shown, water_name
from pipeline.entry.fields import Field

LONGEST_JSON = 1 << 20  # characters
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LOST_PLUS = re.compile(r"(:\d\d(?:\.\d+)?) (\d\d:\d\d)$", re.ASCII)  # web forms turn the + of an offset into a space
_DOTTED = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})(?:[T ]+(\d{1,2}):(\d\d(?::\d\d)?))?", re.ASCII)
_TRUE, _FALSE = ("1", "true", "yes"), ("0", "false", "no")


def parse(field: Field, value: Any, zone: str = "UTC") -> Any:
    """The value of a field.

    Parameters
    ----------
    field : what is expected.
    value : text, or a Python value of the right type. None stays None.
    zone : IANA name of the lab's time zone, for times written as text without an offset. A `datetime` without one is
        UTC, as in the tables.

    Raises
    ------
    ValueError
        It cannot be such a value.

    Examples
    --------
    >>> weight = Field("weight", "number", unit="g", low=0.1, high=2000)
    >>> parse(weight, "22.5"), parse(weight, "22,5"), parse(weight, "22.5 g")
    (22.5, 22.5, 22.5)
    >>> parse(weight, 25000)
    Traceback (most recent call last):
    ValueError: 25000 is not between 0.1 and 2000 g
    """
    if value is None:
        return None
    return _PARSERS[field.type](field, value.strip() if isinstance(value, str) else value, zone)


def is_blank(value: Any) -> bool:
    """Whether a field of a file says nothing."""
    return value is None or (isinstance(value, str) and not value.strip()) or value == []


def name(field: Field, value: Any, _: str = "") -> str:
    """A name (see `pipeline.alf.names`)."""
    checked = check(value, field.rule or "term", field.longest)
    return water_name(checked) if field.rule == "substance" else checked


def text(field: Field, value: Any, _: str = "") -> str:
    """A remark: line breaks stay, other control characters are refused."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is not text: write it in quotes")
    plain = unicodedata.normalize("NFC", str(value)).replace("\r\n", "\n").replace("\r", "\n").strip()
    if not plain.replace("\n", "").replace("\t", "").isprintable():
        raise ValueError("it has control characters: type it again")
    if field.longest and len(plain) > field.longest:
        raise ValueError(f"it has {len(plain)} characters, {field.longest} are possible: shorten it")
    return field.words.get(" ".join(plain.lower().split()), plain)


def number(field: Field, value: Any, _: str = "") -> float:
    """A finite number within the limits, in the unit of the field."""
    parsed = _float(field, value)
    _check_limits(field, parsed)
    return parsed


def integer(field: Field, value: Any, _: str = "") -> int:
    """A whole number within the limits."""
    parsed = _float(field, value)
    if parsed != int(parsed):
        raise ValueError(f"{shown(value)} is not a whole number")
    exact = int(value) if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value, re.ASCII) else parsed
    exact = value if isinstance(value, int) else exact
    _check_limits(field, exact)
    return int(exact)


def boolean(field: Field, value: Any, _: str = "") -> bool:
    """A yes or no."""
    word = str(value).strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError(f"{shown(value)} is neither yes nor no: write 1 or 0")
    return word in _TRUE


def date(field: Field, value: Any, _: str = "") -> datetime.date:
    """A day, written as YYYY-MM-DD; a time at midnight, as spreadsheets store days, is one too."""
    if isinstance(value, datetime.datetime):
        value = value.isoformat()
    if isinstance(value, datetime.date):
        day = value
    else:
        written = _dotted(value.strip()) if isinstance(value, str) else ""
        match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})(?:[T ]00:00(?::00(?:\.0+)?)?)?", written, re.ASCII)
        if match is None:
            raise ValueError(f"{shown(value)} is not a date: write it as 2023-07-01")
        try:
            day = datetime.date.fromisoformat(match[1])
        except ValueError:
            raise ValueError(f"{shown(value)} is not a day of the calendar: write it as 2023-07-01") from None
    if not EARLIEST <= day <= LATEST:
        raise ValueError(f"{day} is not between {EARLIEST} and {LATEST}")
    return day


def _dotted(written: str) -> str:
    """A day as 1.7.2023, with a time or without, in the order of ISO: dots stand between day and month only.

    >>> _dotted("1.7.2023 9:05"), _dotted("2023-07-01"), _dotted("1/7/2023")
    ('2023-07-01T09:05', '2023-07-01', '1/7/2023')
    """
    match = _DOTTED.fullmatch(written)
    if match is None:
        return written
    day, month, year, hour, rest = match.groups()
    return f"{year}-{month:0>2}-{day:0>2}" + (f"T{hour:0>2}:{rest}" if hour else "")


def time(field: Field, value: Any, zone: str = "UTC") -> datetime.datetime:
    """A time as UTC without an offset. Text without an offset is local time in `zone`."""
    if isinstance(value, datetime.datetime):
        when = value if value.tzinfo else value.replace(tzinfo=datetime.UTC)
    else:
        if not isinstance(value, str) or len(value) > 40:
            raise ValueError(f"{shown(value)} is not a time: write it as 2023-07-01T12:00:00")
        try:
            when = datetime.datetime.fromisoformat(_dotted(_LOST_PLUS.sub(r"\1+\2", value.strip())))
        except ValueError:
            raise ValueError(f"{shown(value)} is not a time: write it as 2023-07-01T12:00:00") from None
        if when.tzinfo is None:
            when = _localised(when, zone)
    try:
        utc = when.astimezone(datetime.UTC).replace(tzinfo=None)
    except (OverflowError, ValueError):
        raise ValueError(f"{shown(value)} is not between {EARLIEST} and {LATEST}") from None
    if not EARLIEST <= utc.date() <= LATEST:
        raise ValueError(f"{shown(value)} is not between {EARLIEST} and {LATEST}")
    return utc


def uuid(field: Field, value: Any, _: str = "") -> str:
    """A UUID in lower case; ONE accepts versions 3 and 4 only. The web address of a record names one too."""
    lower = str(value).strip().rstrip("/").rsplit("/", 1)[-1].lower()
    if not _UUID.fullmatch(lower):
        raise ValueError(f"{shown(value, 80)} is not a UUID: write it as 604e1da8-1e3d-41c4-a29e-21d573a0b84c")
    if lower[14] not in "34" or lower[19] not in "89ab":
        raise ValueError(f"{lower} is a UUID of a version that ONE does not accept: it must be version 3 or 4")
    return lower


def json_value(field: Field, value: Any, _: str = "") -> dict[str, Any] | list[Any]:
    """A JSON object or list, as text or as Python."""
    if isinstance(value, str):
        if len(value) > LONGEST_JSON:
            raise ValueError(f"the JSON is longer than {LONGEST_JSON} characters: store it in a file")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("it is not valid JSON") from None
    if not isinstance(value, dict | list):
        raise ValueError("the JSON is neither an object nor a list")
    try:
        written = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        raise ValueError("it is not valid JSON") from None
    if len(written) > LONGEST_JSON:
        raise ValueError(f"the JSON is longer than {LONGEST_JSON} characters: store it in a file")
    if "\\u0000" in written or "\0" in written or any("\ud800" <= sign <= "\udfff" for sign in written):
        raise ValueError("the JSON has characters that no database can hold: leave them out")
    return value


def choice(field: Field, value: Any, _: str = "") -> str:
    """One of the choices; case does not matter."""
    word = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if word in field.choices:
        return word
    lower = word.lower()
    option = field.words.get(lower) or next((item for item in field.choices if item.lower() == lower), None)
    if option is None:
        raise ValueError(f"{shown(value)} is none of {', '.join(field.choices)}")
    return option


def time_zone(field: Field, value: Any, _: str = "") -> str:
    """An IANA time zone."""
    return zone_of(str(value).strip()).key


def md5(field: Field, value: Any, _: str = "") -> str:
    """32 hexadecimal digits in lower case; hyphens are left out."""
    lower = str(value).strip().replace("-", "").lower()
    if not re.fullmatch(r"[0-9a-f]{32}", lower):
        raise ValueError(f"{shown(value)} is not an MD5 of 32 hexadecimal digits")
    return lower


def names(field: Field, value: Any) -> list[str]:
    """Names in a list, or in text separated by commas, each once, in their order.

    >>> names(Field("project", "name"), "a, b,a")
    ['a', 'b']
    """
    parts = value if isinstance(value, list | tuple) else str(value).split(",")
    return list(dict.fromkeys(name(field, part) for part in parts if not is_blank(part)))


def zone_of(name: str) -> zoneinfo.ZoneInfo:
    """The time zone of this name.

    Raises
    ------
    ValueError
        There is none.
    """
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{shown(name)} is no time zone: write it as Europe/London") from None


def zone_or_utc(name: str) -> zoneinfo.ZoneInfo:
    """The time zone in which times of a lab are shown; UTC where what is stored is none.

    >>> zone_or_utc("Mars/Phobos").key
    'UTC'
    """
    try:
        return zone_of(name)
    except ValueError:
        return zoneinfo.ZoneInfo("UTC")


def _float(field: Field, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{shown(value)} is not a number")
    if isinstance(value, str):
        value = _plain_number(field, value)
    try:
        parsed = float(value)
    except OverflowError:
        parsed = math.inf
    if not math.isfinite(parsed):
        raise ValueError(f"{shown(value)} is not a finite number")
    return parsed


def _plain_number(field: Field, written: str) -> float:
    """A number as text: with a decimal point or an unambiguous decimal comma, and with its unit or none."""
    plain = written.strip()
    number, unit = _split_unit(plain)
    if number.count(",") == 1 and "." not in number:
        whole, _, digits = number.partition(",")
        if len(digits) == 3 and whole.lstrip("+-") not in ("", "0"):
            raise ValueError(f"{shown(plain)} can be read in two ways: write {whole}.{digits} or {whole}{digits}")
        number = f"{whole}.{digits}"
    if len(plain) > 40 or not _NUMBER.fullmatch(number):
        raise ValueError(f"{shown(plain)} is not a number")
    if field.unit == "fraction" and unit == "%":
        return float(number) / 100
    if unit and unit not in (field.unit, {"um": "µm"}.get(field.unit)):
        expected = f"the unit is {field.unit}, write the number only" if field.unit else "it has no unit"
        raise ValueError(f"{shown(plain)} is not a number: {expected}")
    return float(number)


def _split_unit(written: str) -> tuple[str, str]:
    match = re.fullmatch(r"(\S*?[\d.,])\s*([A-Za-zµ%°][A-Za-zµ%/]*)", written)
    return (match[1], match[2]) if match and not _NUMBER.fullmatch(written) else (written, "")


def _check_limits(field: Field, value: float) -> None:
    low = -math.inf if field.low is None else field.low
    high = math.inf if field.high is None else field.high
    if not low <= value <= high:
        unit = f" {field.unit}" if field.unit and field.unit != "fraction" else ""
        hint = f": {field.hint}" if field.hint else ""
        raise ValueError(f"{value:g} is not between {low:g} and {high:g}{unit}{hint}")


def _localised(when: datetime.datetime, zone: str) -> datetime.datetime:
    """A local time with its offset, where exactly one moment had that time."""
    try:
        there = zone_of(zone)
    except ValueError:
        raise ValueError(
            f"the time zone {shown(zone)} of the lab is unknown: write the time with its offset "
            f"({when.isoformat()}+00:00), or correct the time zone of the lab"
        ) from None
    try:
        first, second = when.replace(tzinfo=there, fold=0), when.replace(tzinfo=there, fold=1)
        if first.utcoffset() == second.utcoffset():
            return first
        exists = first.astimezone(datetime.UTC).astimezone(there).replace(tzinfo=None, fold=0) == when
    except (OverflowError, ValueError):
        raise ValueError(f"{when} is not between {EARLIEST} and {LATEST}") from None
    if exists:
        offsets = " or ".join(item.isoformat()[-6:] for item in (first, second))
        raise ValueError(f"{when.isoformat()} occurred twice in {zone} (the clocks were put back): add {offsets}")
    raise ValueError(f"{when.isoformat()} did not occur in {zone} (the clocks were put forward): correct it")


_PARSERS: dict[str, Callable[[Field, Any, str], Any]] = {
    "name": name,
    "text": text,
    "number": number,
    "integer": integer,
    "boolean": boolean,
    "date": date,
    "time": time,
    "uuid": uuid,
    "json": json_value,
    "choice": choice,
    "time_zone": time_zone,
    "md5": md5,
}
