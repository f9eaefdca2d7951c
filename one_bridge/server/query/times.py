"""Times in comparisons: intervals of the local time of each lab as SQL over columns in UTC, and what records show."""

from __future__ import annotations

import datetime
import zoneinfo
from collections.abc import Mapping
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import Field
from one_bridge.server.query.evaluate import ORDER_LOOKUPS
from one_bridge.server.query.resolve import Comparison
from pipeline.entry.parse import zone_or_utc

NONE, ALL = "1=0", "1=1"
Bound = datetime.datetime | None


def intervals(comparison: Comparison) -> list[tuple[Any, Any]] | None:
    """The half-open intervals of local time that a comparison means; None where it means none."""
    unit = {"": _next_instant, "date": _next_day, "year": _next_year}.get(comparison.part)
    lookup = comparison.lookup
    if unit is None or lookup not in ("exact", "in", "range", *ORDER_LOOKUPS):
        return None
    starts = [_start(value) for value in comparison.values if value is not None]
    if lookup == "range":
        return [(starts[0], unit(starts[1]))]
    made = {
        "exact": lambda at: (at, unit(at)), "in": lambda at: (at, unit(at)), "gt": lambda at: (unit(at), None),
        "gte": lambda at: (at, None), "lt": lambda at: (None, at), "lte": lambda at: (None, unit(at)),
    }  # fmt: skip
    return [made[lookup](at) for at in starts]


def _start(value: Any) -> datetime.datetime:
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, datetime.time())
    return datetime.datetime(min(max(int(value), 2), 9997), 1, 1)


def _next_instant(at: datetime.datetime) -> datetime.datetime:
    return at + datetime.timedelta(microseconds=1)


def _next_day(at: datetime.datetime) -> datetime.datetime:
    return at + datetime.timedelta(days=1)


def _next_year(at: datetime.datetime) -> datetime.datetime:
    return at.replace(year=at.year + 1)


def known_zone(name: str) -> str:
    """A zone that Python knows; times of others are shown as UTC."""
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return "UTC"
    return name


def local(at: Bound, zone: str) -> Bound:
    return at if at is None or at.tzinfo is None else at.astimezone(zone_or_utc(zone)).replace(tzinfo=None)


def utc(at: datetime.datetime, zone: str) -> str:
    return str(at.replace(tzinfo=zone_or_utc(zone)).astimezone(datetime.UTC).replace(tzinfo=None))


def between(column: str, day: str, interval: tuple[Bound, Bound], zone: str, backend: str) -> str:
    """Whether a time lies in a half-open interval of the local time of one zone.

    Where the day of a time stands in a column of its own, that counts, and a time that is null is its midnight.
    """
    low, high = interval
    parts = []
    midnight = datetime.time()
    if low is not None:
        after = f"{column} >= '{utc(low, zone)}'"
        if day:
            of_day = ALL if low.time() == midnight else after
            after = f"({day} > '{low.date()}' OR ({day} = '{low.date()}' AND {of_day}))"
        parts.append(after)
    if high is not None:
        before = f"{column} < '{utc(high, zone)}'"
        if day:
            of_day = NONE if high.time() == midnight else f"({column} IS NULL OR {before})"
            before = f"({day} < '{high.date()}' OR ({day} = '{high.date()}' AND {of_day}))"
        parts.append(before)
    return " AND ".join(parts) or ALL


def shown_time(row: Mapping[str, Any], target: Field, column: str, zone: str) -> datetime.datetime | None:
    """The local time that a record says."""
    text = values.local_time(row[column], zone)
    local = datetime.datetime.fromisoformat(text) if text else None
    if not target.day or (local is not None and local.date() == row[target.day]):
        return local
    return datetime.datetime.combine(row[target.day], datetime.time())


def part_of_day(column: str, part: str, backend: str) -> str:
    """A part of a day, as `evaluate.part_of` numbers them."""
    if backend == "postgresql":
        names = {"week_day": "DOW", "iso_week_day": "ISODOW", "iso_year": "ISOYEAR"}
        sql = f"CAST(EXTRACT({names.get(part, part.upper())} FROM {column}) AS INTEGER)"
        return f"({sql} + 1)" if part == "week_day" else sql
    made = {
        "week": f"WEEK({column}, 3)", "iso_year": f"FLOOR(YEARWEEK({column}, 3) / 100)",
        "week_day": f"DAYOFWEEK({column})", "iso_week_day": f"(WEEKDAY({column}) + 1)",
    }  # fmt: skip
    return made.get(part, f"{part.upper()}({column})")
