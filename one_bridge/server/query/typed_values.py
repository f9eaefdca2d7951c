"""The values of comparisons in the type of the field, or an error of the client that says what can be written."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

from one_bridge.matching import InvalidQuery, truth
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Field

BOOLEANS = {True: 1, False: 0}


def listed_values(target: Field) -> Mapping[Any, Any] | None:
    """Value in the column -> what is compared, of a field that has few: a number where they are in an order."""
    if target.kind == "bool":
        return BOOLEANS
    if target.ranks:
        return target.ranks
    return {shown: shown for shown in target.spoken.values()} if target.words else None


def spelled(target: Field, known: Mapping[Any, Any], value: Any) -> Any:
    """A value of a field with few values as what is compared: its rank."""
    if value is None:
        return None
    if target.kind == "bool":
        return BOOLEANS[truth_of(value)]
    text = str(value).strip()
    stored = (target.words or {}).get(text, text)
    text = target.spoken.get(stored, text) if not target.ranks else stored
    compared = next((rank for name, rank in known.items() if str(name).casefold() == text.casefold()), None)
    if compared is None and target.words and not target.ranks:
        return text  # no record has it
    if compared is None:
        try:
            compared = float(text)
        except ValueError:
            names = target.spoken.values() if target.words else known
            raise ValueError(f"{text[:80]!r} is none of {', '.join(map(str, names))}.") from None
    return compared


def typed(name: str, kind: Any, value: Any, lookup: str) -> Any:
    if value is None:
        if lookup not in ("exact", "in"):
            raise ValueError("a value is required.")
        return None
    if kind == "clock":
        try:
            return datetime.time.fromisoformat(str(value))
        except ValueError:
            raise ValueError(f"{str(value)[:80]!r} is no time of day: write it as HH:MM or HH:MM:SS.") from None
    if kind == "time":
        return _moment(value)
    if kind == "token":
        if lookup not in ("exact", "in"):
            raise ValueError(f"identifiers can be asked for by exact and in, not by {lookup}.")
        return str(value)
    value = str(value) if kind == "text" else value
    try:
        return values.parse(Field(name, kind=kind), value)
    except BadInput as error:
        raise ValueError(next(iter(error.problems.values()))[0]) from None


def _moment(value: Any) -> datetime.datetime:
    """A time with or without an offset; a day is its first moment."""
    try:
        moment = datetime.datetime.fromisoformat(str(value).strip().replace(" 00:00", "+00:00"))
    except ValueError:
        raise ValueError(f"{str(value)[:80]!r} is no time: write it as YYYY-MM-DDThh:mm:ss.") from None
    if not 2 < moment.year < 9998:
        raise ValueError("the time is out of range.")
    return moment


def text_of(value: Any) -> str:
    if value is None or isinstance(value, dict):
        raise ValueError("text is required.")
    return values.printable(str(value))


def check_expressions(wanted: Sequence[Any]) -> None:
    for value in wanted:
        try:
            re.compile(str(value))
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"no regular expression ({error}).") from None


def days(text: str) -> tuple[datetime.date, datetime.date]:
    """The first and the last day of `date_range`, both included."""
    given = [part.strip() for part in text.split(",")]
    if len(given) == 1:
        given *= 2
    if len(given) != 2:
        raise BadInput("date_range", "Give one day or two: 2020-01-01,2020-01-31.")
    low, high = (values.parse(Field("date_range", kind="date"), day) for day in given)
    if not datetime.date(2, 1, 1) < low <= high <= datetime.date(9990, 1, 1):
        raise BadInput("date_range", "The first day comes after the second, or is out of range.")
    return low, high


def truth_of(value: Any) -> bool:
    try:
        return truth(value)
    except InvalidQuery as error:
        raise BadInput("django", error.message) from None
