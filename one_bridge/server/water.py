"""`water-requirement` and `water-restricted-subjects`: what animals weigh, drank and need, by day, in Alyx's words."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Field, NotFound, table
from one_bridge.server.endpoints.animals import SUBJECTS, restricted_now
from one_bridge.server.query import identifiers
from pipeline.analysis import water
from pipeline.entry.parse import zone_or_utc
from pipeline.errors import is_connection_error
from pipeline.schemas.inputs import water_history
from pipeline.web.threads import Database

logger = logging.getLogger(__name__)

MOST_DAYS = 4000


def requirement(database: Database, nickname: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The days of one animal from `start_date` (by default its birth, else the first entry) to `end_date` (today).

    As in Alyx, weights are g with implant, water is mL, and 0 stands for what is not known. `weight` is the last one
    known, `weighing_at` that of the very day.

    Raises
    ------
    NotFound : no such animal.
    BadInput : several labs have an animal of this name, or the dates cannot be used.
    """
    rows = database.select(table("subject.Subject") & identifiers.by_id(SUBJECTS, nickname, database), limit=2)
    if len(rows) > 1:
        raise BadInput("nickname", "Several labs have a subject of this name: use its id.")
    if not rows:
        raise NotFound("No Subject matches the given query.")
    key = {name: rows[0][name] for name in ("lab", "subject")}
    given, errors = _usable(water_history.water_arguments(key))
    entries = [given[name] for name in ("weighing_dates", "water_dates", "restriction_starts")]
    first = min((entry.min() for entry in entries if len(entry)), default=None)
    begin = _day(parameters, "start_date") or rows[0]["birth_date"] or (first and first.item())
    end = _day(parameters, "end_date") or _today(key["lab"])
    if begin is not None and (end - begin).days > MOST_DAYS:
        raise BadInput("start_date", f"At most {MOST_DAYS} days can be asked for.")
    dates = np.arange(np.datetime64(begin or end), np.datetime64(end + datetime.timedelta(1)))
    records = _records(given, dates) if first is not None else []
    return {
        "subject": rows[0]["subject"],
        "implant_weight": _at(dates[-1:], given["implant_dates"], given["implant_weights"])[0] if len(dates) else 0.0,
        "reference_weight_pct": given["reference_weight_pct"],
        "zscore_weight_pct": given["zscore_weight_pct"],
        "records": records,
        "errors": errors,
    }


def restricted_subjects(database: Database) -> list[dict[str, Any]]:
    """The living animals whose water is restricted today, and what each still needs.

    Stored values that cannot be are left out of the animal's numbers and named in its `errors`; what cannot be worked
    out at all is null. Neither costs the other animals anything.
    """
    lines = []
    living = table("subject.Subject") & restricted_now()
    for row in database.select(living, ["lab", "subject", "subject_uuid"]):
        line: dict[str, Any] = {"nickname": row["subject"], "lab": row["lab"]}
        try:
            today = str(_today(row["lab"]))
            answer = requirement(database, row["subject_uuid"], {"start_date": today, "end_date": today})
            (day,) = answer["records"]
            line |= {
                "expected_water": day["expected_water"],
                "remaining_water": max(-day["excess_water"], 0.0),
                "percentage_weight": day["percentage_weight"],
                "errors": answer["errors"],
            }
        except Exception as error:
            if is_connection_error(error):
                raise
            logger.exception("the water of %s/%s cannot be worked out", row["lab"], row["subject"])
            nothing = dict.fromkeys(("expected_water", "remaining_water", "percentage_weight"))
            line |= nothing | {"errors": [f"its water cannot be worked out ({type(error).__name__})"]}
        lines.append(line)
    return sorted(lines, key=lambda one: (one["lab"], one["nickname"]))


def _usable(given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The entries without values that no animal has, and what was left out: old rows may hold them."""
    usable, errors = dict(given), []
    for what, date, value, others, unit in (
        ("weight", "weighing_dates", "weights", (), "g"),
        ("water", "water_dates", "volumes", ("in_session", "adlib", "adlib_ends"), "mL"),
    ):
        measured = np.asarray(usable[value], float)
        wrong = ~(measured > 0) if what == "weight" else measured < 0  # no volume is that of free access
        errors += [
            f"{what} of {day}: {number:g} {unit} cannot be and is left out"
            for day, number in zip(usable[date][wrong], measured[wrong], strict=True)
        ]
        usable |= {name: np.asarray(usable[name])[~wrong] for name in (date, value, *others)}
    return usable, errors


def _records(given: dict[str, Any], dates: np.ndarray) -> list[dict[str, Any]]:
    days = water.water_days(**given | {"until": dates[-1] if len(dates) else None})
    row = np.searchsorted(days.dates, dates)
    there = np.isin(dates, days.dates)
    row[~there] = 0

    def of_day(column: np.ndarray) -> np.ndarray:
        return np.where(there, np.nan_to_num(column)[row], 0.0).round(6)

    weighed = np.isfinite(days.weight)
    implant = _at(dates, given["implant_dates"], given["implant_weights"])
    expected = of_day(days.expected_weight)
    total_pct = water.limits_of(given["reference_weight_pct"], given["zscore_weight_pct"]).limit
    at = of_day(days.weight)
    reward, supplement = of_day(days.water_reward), of_day(days.water_supplement)
    needed = of_day(days.expected_water)
    weight = _at(dates, days.dates[weighed], days.weight[weighed])
    comparable = (weight > 0) & (expected > implant)
    columns = {
        "date": dates.astype(str),
        "weight": weight,
        "weighing_at": np.where(at > 0, at.astype(object), np.array(None)),
        "reference_weight": of_day(days.reference_weight),
        "expected_weight": expected,
        "min_weight": np.where(expected > 0, (expected - implant) * total_pct + implant, 0.0).round(6),
        "percentage_weight": 100 * (weight - implant) / np.where(comparable, expected - implant, np.inf),
        "given_water_reward": reward,
        "given_water_supplement": supplement,
        "given_water_total": reward + supplement,
        "expected_water": needed,
        "excess_water": reward + supplement - needed,
        "is_water_restricted": np.where(there, days.restricted[row], False),
        "implant_weight": implant,
    }
    lists = (column.tolist() for column in columns.values())
    return [dict(zip(columns, item, strict=True)) for item in zip(*lists, strict=True)]


def _at(dates: np.ndarray, since: np.ndarray, known: np.ndarray) -> np.ndarray:
    """At each date the value that began last, 0 before the first."""
    return np.append(known, 0.0)[np.searchsorted(since, dates, side="right") - 1]


def _day(parameters: Mapping[str, str], name: str) -> datetime.date | None:
    text = parameters.get(name)
    day = values.parse(Field(name, kind="date"), text) if text else None
    if day and not 1900 <= day.year <= 2200:
        raise BadInput(name, "It is out of range.")
    return day


def _today(lab: str) -> datetime.date:
    zone = (table("lab.Lab") & {"lab": lab}).fetch1("time_zone")
    return datetime.datetime.now(zone_or_utc(zone)).date()
