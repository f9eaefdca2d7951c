"""What a table asks for while a person scrolls, sorts and filters: the same done on rows in memory."""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from pipeline.web.error_words import InvalidRequest

MOST_TERMS = 64
"""Columns that are filtered or sorted by at once: more than any table here has."""
MOST_CONDITIONS = 8
"""Conditions on one column; the grid itself offers two."""

Row = Mapping[str, Any]


def chosen(rows: Sequence[Row], filters: Mapping[str, Any] | None, order: Sequence[Mapping] | None) -> list[Row]:
    """The rows that pass AG Grid's filter model, in the order of its sort model.

    Rows without a value stand last whatever the direction. What cannot be read of a model is left out.

    Raises
    ------
    InvalidRequest : more terms or conditions than a table of the site can ask for; their cost grows with the rows.

    >>> rows = [{"n": 3}, {"n": None}, {"n": 1}]
    >>> chosen(rows, {"n": {"filterType": "number", "type": "lessThan", "filter": 3}}, None)
    [{'n': 1}]
    >>> chosen(rows, None, [{"colId": "n", "sort": "desc"}])
    [{'n': 3}, {'n': 1}, {'n': None}]
    """
    selected = list(rows)
    if len(filters or ()) > MOST_TERMS or len(order or ()) > MOST_TERMS:
        raise _too_much()
    for name, model in (filters or {}).items():
        passes = _filter(model) if isinstance(model, Mapping) else None
        if passes is not None:
            selected = [row for row in selected if passes(row.get(name))]
    for term in reversed(list(order or ())):
        name = term.get("colId")
        if not isinstance(name, str):
            continue
        known = [row for row in selected if not _is_blank(row.get(name))]
        blank = [row for row in selected if _is_blank(row.get(name))]
        with contextlib.suppress(TypeError):
            known.sort(key=partial(_sort_key, name), reverse=term.get("sort") == "desc")
        selected = known + blank
    return selected


def _sort_key(name: Any, row: Row) -> Any:
    return _sortable(row[name])


def _filter(model: Mapping[str, Any], depth: int = 0) -> Callable[[Any], bool] | None:
    conditions = model.get("conditions")
    if isinstance(conditions, list):
        if depth or len(conditions) > MOST_CONDITIONS:
            raise _too_much()
        readable = [_filter(part, depth + 1) for part in conditions if isinstance(part, Mapping)]
        parts = [part for part in readable if part is not None]
        if not parts:
            return None
        every = all if model.get("operator") == "AND" else any
        return lambda value: every(part(value) for part in parts)
    kind = model.get("type")
    if kind == "blank":
        return _is_blank
    if kind == "notBlank":
        return lambda value: not _is_blank(value)
    makers = {"text": _text, "number": _number, "date": _date}
    maker = makers.get(str(model.get("filterType")))
    return maker(str(kind), model) if maker else None


def _too_much() -> InvalidRequest:
    return InvalidRequest("the filter has too many conditions", f"use at most {MOST_CONDITIONS} for a column")


def _text(kind: str, model: Mapping[str, Any]) -> Callable[[Any], bool] | None:
    wanted = str(model.get("filter", "")).casefold()
    tests: dict[str, Callable[[str], bool]] = {
        "contains": lambda text: wanted in text,
        "notContains": lambda text: wanted not in text,
        "equals": lambda text: text == wanted,
        "notEqual": lambda text: text != wanted,
        "startsWith": lambda text: text.startswith(wanted),
        "endsWith": lambda text: text.endswith(wanted),
    }
    test = tests.get(kind)
    return None if test is None else lambda value: test("" if value is None else str(value).casefold())


def _number(kind: str, model: Mapping[str, Any]) -> Callable[[Any], bool] | None:
    try:
        low = float(model["filter"])
        high = float(model.get("filterTo") or math.inf)
    except (KeyError, TypeError, ValueError):
        return None
    return _compared(kind, low, high, lambda value: value)


def _date(kind: str, model: Mapping[str, Any]) -> Callable[[Any], bool] | None:
    try:
        low = datetime.date.fromisoformat(str(model["dateFrom"])[:10])
        high = datetime.date.fromisoformat(str(model["dateTo"])[:10]) if model.get("dateTo") else datetime.date.max
    except (KeyError, ValueError):
        return None

    def as_date(value: Any) -> Any:
        return datetime.date.fromisoformat(value[:10]) if isinstance(value, str) else value

    return _compared(kind, low, high, as_date)


def _compared(kind: str, low: Any, high: Any, read: Callable[[Any], Any]) -> Callable[[Any], bool] | None:
    tests: dict[str, Callable[[Any], bool]] = {
        "equals": lambda value: value == low,
        "notEqual": lambda value: value != low,
        "lessThan": lambda value: value < low,
        "lessThanOrEqual": lambda value: value <= low,
        "greaterThan": lambda value: value > low,
        "greaterThanOrEqual": lambda value: value >= low,
        "inRange": lambda value: low <= value <= high,
    }
    test = tests.get(kind)
    return None if test is None else lambda value: not _is_blank(value) and test(read(value))


def _is_blank(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _sortable(value: Any) -> Any:
    if isinstance(value, str):
        return value.casefold()
    return (len(value), str(value)) if isinstance(value, list) else value
