"""Comparisons in Python mean what Django's lookups mean: text, parts of times, JSON and its missing keys."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_bridge.server.endpoint_model import BadInput
from one_bridge.server.query import times
from one_bridge.server.query.evaluate import json_matches, matches, part_of, text_matches

CONTENT = {"a": {"b": 3, "c": None, "d": True}, "list": [1, {"x": "y"}], "text": "KS014", "number": "7"}


@pytest.mark.parametrize(
    ("path", "lookup", "wanted", "expected"),
    [
        ("a.b", "exact", "3", True), ("a.b", "exact", "3.0", True), ("a.b", "exact", "three", False),
        ("a.b", "gt", "2", True), ("a.b", "lte", "2", False), ("a.b", "range", ["1", "3"], True),
        ("a.b", "in", ["1", "3"], True), ("a.b", "in", "4", False), ("a.b", "contains", 3, True),
        ("a.c", "exact", None, True), ("a.c", "isnull", True, False), ("a.z", "isnull", "true", True),
        ("a.z", "exact", "3", False), ("a.z", "gt", "3", False),
        ("a.d", "exact", "True", True), ("a.d", "gt", "0", False), ("a.d", "iexact", "TRUE", True),
        ("a", "has_key", "b", True), ("a", "has_keys", ["b", "z"], False), ("a", "has_any_keys", ["b", "z"], True),
        ("text", "has_key", "K", False),
        ("a", "contains", {"b": 3}, True), ("a", "contains", {"b": 4}, False),
        ("a", "contained_by", {"b": 3, "c": None, "d": True, "e": 1}, True), ("a", "contained_by", {"b": 3}, False),
        ("list", "contains", 1, True), ("list", "contains", [{"x": "y"}], True), ("list", "contains", [2], False),
        ("list.1.x", "startswith", "y", True), ("list.9", "isnull", True, True), ("list.x", "isnull", True, True),
        ("text", "icontains", "s01", True), ("text", "contains", "s01", False), ("text", "iregex", "^ks", True),
        ("text", "gte", "KS", True), ("text", "contains", {"a": 1}, False), ("text", "iexact", "ks014", True),
        ("number", "exact", 7, True), ("a", "exact", {"b": 3, "c": None, "d": True}, True),
        ("a", "startswith", {"b": 3}, False),
    ],
)  # fmt: skip
def test_json(path, lookup, wanted, expected):
    assert json_matches(CONTENT, path.split("."), lookup, wanted) is expected


def test_text_and_values():
    assert matches(3, "range", [1, 3]) and not matches(3, "range", [1])
    assert matches(3, "gt", [5, 2]) and matches("a", "in", ["a", "b"]) and not matches("a", "exact", ["b"])
    assert matches("KS014", "istartswith", ["x", "ks"])
    assert text_matches("KS014", "iendswith", "014") and not text_matches("KS014", "endswith", "X")


def test_a_regular_expression_that_would_never_end_is_quick_and_an_impossible_one_is_refused():
    assert not text_matches("a" * 5000 + "b", "regex", "^(a+)+$")
    with pytest.raises(BadInput, match="cannot be used"):
        text_matches("a", "regex", r"(?=a)\1")


@given(st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1)))
def test_parts_of_times(when):
    assert part_of(when, "") == when and part_of(when, "date") == when.date() and part_of(when, "time") == when.time()
    assert part_of(when.date(), "time") == datetime.time() and part_of(when.date(), "date") == when.date()
    year, week, day = when.isocalendar()
    assert [part_of(when, part) for part in ("iso_year", "week", "iso_week_day")] == [year, week, day]
    assert part_of(when, "week_day") == (1 if day == 7 else day + 1)
    assert part_of(when, "quarter") == (when.month - 1) // 3 + 1 and part_of(when, "hour") == when.hour


def test_intervals_of_local_time_are_sql_in_utc():
    summer = datetime.datetime(2023, 7, 1)
    day = (summer, summer + datetime.timedelta(days=1))
    assert times.between("t", "", day, "Europe/London", "postgresql") == (
        "t >= '2023-06-30 23:00:00' AND t < '2023-07-01 23:00:00'"
    )
    assert times.between("t", "", (None, None), "UTC", "mysql") == times.ALL
    assert "d > '2023-07-01'" in times.between("t", "d", (summer, None), "UTC", "mysql")
    assert times.known_zone("Mars/Phobos") == "UTC" and times.known_zone("Europe/London") == "Europe/London"
    assert times.local(None, "UTC") is None


@pytest.mark.parametrize("part", ["year", "iso_year", "month", "day", "week", "week_day", "iso_week_day", "quarter"])
def test_each_part_of_a_day_has_sql_on_both_databases(part):
    assert "d" in times.part_of_day("d", part, "postgresql") and "d" in times.part_of_day("d", part, "mysql")
