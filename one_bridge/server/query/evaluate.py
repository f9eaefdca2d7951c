"""How values compare in Python: what SQL would say differently on each backend (JSON, parts of times, short lists)."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from one_bridge.server.endpoint_model import BadInput

TEXT_LOOKUPS = ("iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith", "regex",
                "iregex")  # fmt: skip
ORDER_LOOKUPS: Mapping[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "gt": (">", lambda a, b: a > b), "gte": (">=", lambda a, b: a >= b),
    "lt": ("<", lambda a, b: a < b), "lte": ("<=", lambda a, b: a <= b),
}  # fmt: skip
LOOKUPS = ("exact", *TEXT_LOOKUPS, *ORDER_LOOKUPS, "in", "range", "isnull")
"""Of every field."""
JSON_LOOKUPS = ("contained_by", "has_key", "has_keys", "has_any_keys")
"""Of JSON besides; `contains` of a dictionary or list is containment there."""
DATE_PARTS = ("year", "iso_year", "month", "day", "week", "week_day", "iso_week_day", "quarter")
TIME_PARTS = ("date", "time", *DATE_PARTS, "hour", "minute", "second")
LONGEST_MATCHED = 10_000  # characters that a regular expression is tried on
_ABSENT = object()


def matches(value: Any, lookup: str, wanted: Sequence[Any]) -> bool:
    """Whether a value that is not null compares with what is wanted; of several values one must (but for `range`).

    Parameters
    ----------
    value : object
        Of a column.
    lookup : str
        One of `LOOKUPS` but for `isnull`.
    wanted : sequence
        Of the type of the value; text for lookups of text.
    """
    if lookup in ("exact", "in"):
        return value in wanted
    if lookup == "range":
        return len(wanted) == 2 and wanted[0] <= value <= wanted[1]
    if lookup in ORDER_LOOKUPS:
        return any(ORDER_LOOKUPS[lookup][1](value, item) for item in wanted)
    return any(text_matches(str(value), lookup, str(item)) for item in wanted)


def text_matches(text: str, lookup: str, wanted: str) -> bool:
    """Whether text compares with other text.

    >>> text_matches("KS014", "istartswith", "ks"), text_matches("KS014", "regex", "[0-9]{3}$")
    (True, True)
    """
    if lookup.endswith("regex"):
        return _expression_matches(text[:LONGEST_MATCHED], wanted, lookup == "iregex")
    if lookup.startswith("i"):
        text, wanted, lookup = text.lower(), wanted.lower(), lookup[1:]
    return {"exact": text == wanted, "contains": wanted in text, "startswith": text.startswith(wanted),
            "endswith": text.endswith(wanted)}[lookup]  # fmt: skip


def _expression_matches(text: str, pattern: str, ignore_case: bool) -> bool:
    """Whether a regular expression is found, by RE2: its time grows with the text and never exponentially.

    Raises
    ------
    BadInput
        RE2 has no such expression (it has no references to groups and no looking ahead).
    """
    try:
        return pc.match_substring_regex(pa.scalar(text), pattern, ignore_case=ignore_case).as_py()
    except pa.ArrowInvalid as error:
        raise BadInput("django", f"{pattern[:80]!r} cannot be used here: {error}.") from None


def part_of(when: datetime.datetime | datetime.date, part: str) -> Any:
    """A part of a local time or day, as Django numbers them: weeks as ISO, `week_day` 1 = Sunday.

    >>> sunday = datetime.date(2020, 1, 5)
    >>> part_of(sunday, "week_day"), part_of(sunday, "iso_week_day")
    (1, 7)
    """
    iso = when.isocalendar()
    if part == "":
        return when
    if part == "date":
        return when.date() if isinstance(when, datetime.datetime) else when
    if part == "time":
        return when.time() if isinstance(when, datetime.datetime) else datetime.time()
    made = {"iso_year": iso.year, "week": iso.week, "iso_week_day": iso.weekday, "week_day": iso.weekday % 7 + 1,
            "quarter": (when.month + 2) // 3}  # fmt: skip
    return made[part] if part in made else getattr(when, part)


def json_matches(content: Any, path: Sequence[str], lookup: str, wanted: Any) -> bool:
    """Whether the value at a path in JSON compares with what is wanted.

    As in Django `isnull` asks whether the key is absent, and `key,None` finds a JSON null. Numbers and texts are
    compared as what they are in the JSON: the query string has text only.

    >>> json_matches({"a": {"b": 3}}, ["a", "b"], "gt", "2"), json_matches({"a": 1}, ["b"], "isnull", True)
    (True, True)
    """
    value = _at(content, path)
    if lookup == "isnull":
        return (value is _ABSENT) == _is_true(wanted)
    if value is _ABSENT:
        return False
    if lookup in ("has_key", "has_keys", "has_any_keys"):
        names = [str(item) for item in (wanted if isinstance(wanted, list) else [wanted])]
        there = [name in value if isinstance(value, dict | list) else False for name in names]
        return any(there) if lookup == "has_any_keys" else all(there)
    if lookup == "contained_by":
        return _contains(wanted, value)
    if lookup == "contains" and (isinstance(wanted, dict | list) or not isinstance(value, str)):
        return _contains(value, wanted)
    if lookup in ("in", "range"):
        choices = wanted if isinstance(wanted, list) else [wanted]
        if lookup == "in":
            return any(_equal(value, choice) for choice in choices)
        return len(choices) == 2 and _ordered(value, "gte", choices[0]) and _ordered(value, "lte", choices[1])
    if lookup in ORDER_LOOKUPS:
        return _ordered(value, lookup, wanted)
    if lookup == "exact" or (lookup == "iexact" and not isinstance(value, str)):
        return _equal(value, wanted)
    text = value if isinstance(value, str) else _shown(value)
    return not isinstance(wanted, dict | list) and text_matches(text, lookup, str(wanted))


def _at(content: Any, path: Sequence[str]) -> Any:
    for name in path:
        if isinstance(content, dict) and name in content:
            content = content[name]
        elif isinstance(content, list) and name.isdecimal() and len(name) < 5 and int(name) < len(content):
            content = content[int(name)]
        else:
            return _ABSENT
    return content


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, dict | list) or isinstance(wanted, dict | list):
        return value == wanted
    if value is None or isinstance(value, bool):
        return _shown(value) == _shown(wanted).lower()
    if isinstance(value, int | float):
        number = _number(wanted)
        return number is not None and value == number
    return value == str(wanted)


def _ordered(value: Any, lookup: str, wanted: Any) -> bool:
    compare = ORDER_LOOKUPS[lookup][1]
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = _number(wanted)
        return number is not None and compare(value, number)
    return isinstance(value, str) and not isinstance(wanted, dict | list) and compare(value, str(wanted))


def _contains(whole: Any, part: Any) -> bool:
    """Containment of JSON: a dictionary has these keys with such values, a list has such elements."""
    if isinstance(whole, dict):
        return isinstance(part, dict) and all(k in whole and _contains(whole[k], v) for k, v in part.items())
    if isinstance(whole, list):
        return all(
            any(_contains(item, other) for item in whole) for other in (part if isinstance(part, list) else [part])
        )
    return not isinstance(part, dict | list) and _equal(whole, part)


def _number(value: Any) -> float | None:
    try:
        return None if isinstance(value, bool | None) else float(value)
    except (TypeError, ValueError):
        return None


def _shown(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _is_true(value: Any) -> bool:
    return str(value).lower() in ("true", "1", "yes")
