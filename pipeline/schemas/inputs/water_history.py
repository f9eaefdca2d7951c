"""Weighings, water and restrictions of an animal in the dates of its lab, as the water analysis takes them."""

from __future__ import annotations

import datetime
import hashlib
import zoneinfo
from collections.abc import Sequence
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datajoint.condition import make_condition

from pipeline.analysis import water
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.errors import UserError
from pipeline.provenance import fingerprints
from pipeline.schemas.inputs.growth import OwnCurves
from pipeline.settings import settings

acquisition = registry.tables_of("acquisition")
action = registry.tables_of("action")
lab = registry.tables_of("lab")
subject = registry.tables_of("subject")

ANY_LINE = "any"
"""In `GrowthCurveUse`: the line of all animals whose own line has no curve."""
FOLLOWED_DAYS = 14
"""A restriction that goes on is followed to today while the last entry of its animal is not older than this."""


def water_arguments(key: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `pipeline.analysis.water.water_days` for one animal; times become dates of its lab."""
    return arguments_of(key["lab"], [key["subject"]])[key["subject"]]


def arguments_of(lab_name: str, subjects: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The same for several animals of a lab, each table read once."""
    if not subjects:
        return {}
    here = {"lab": lab_name}
    rules = (lab.Lab & here).fetch1()
    zone, critical, day_of_session = rules["time_zone"], critical_weight_pct(here), settings().session_water_day
    listed = [here | {"subject": name} for name in subjects]
    only = make_condition(subject.Subject(), listed, set())  # once: making it takes longer than a query
    if _zone_or_none(zone) is None:
        raise _unknown_zone(zone)

    def read(table: Any, *names: str) -> dict[str, pa.Table]:
        rows = fetch_columns(table & only, "subject", *names, order_by=f"subject, {names[0]}")
        for name in names:  # for all animals at once: 200 times it takes longer than the queries
            if pa.types.is_timestamp(rows.schema.field(name).type):
                rows = rows.append_column(f"{name}_local", pa.array(local_times(rows[name], zone), pa.timestamp("us")))
        return _by_subject(rows)

    weighings = read(action.Weighing, "weighing_time", "weight")
    waters = read(action.WaterAdministration, "administration_time", "water_volume", "adlib", "adlib_end")
    of_sessions = read(acquisition.SessionWater, "administration_time", "session_date")
    restrictions = read(action.WaterRestriction, "restriction_start", "restriction_end", "reference_weight")
    implants = read(subject.Implant, "implant_date", "implant_weight")
    animals = {row["subject"]: row for row in (subject.Subject.proj("sex", "birth_date", "line") & only).to_dicts()}
    growth = _Curves(here, rules["zscore_weight_pct"])
    followed = _followed(here | ({"subject": subjects[0]} if len(subjects) == 1 else {}))
    return {
        name: _arguments(
            weighings.get(name, _EMPTY["weighing"]), waters.get(name, _EMPTY["water"]),
            of_sessions.get(name, _EMPTY["session"]), restrictions.get(name, _EMPTY["restriction"]),
            implants.get(name, _EMPTY["implant"]), day_of_session,
        ) | {
            "reference_weight_pct": rules["reference_weight_pct"],
            "zscore_weight_pct": rules["zscore_weight_pct"],
            "critical_weight_pct": critical,
            "birth_date": None if (born := animal["birth_date"]) is None else np.datetime64(born, "D"),
            "growth": growth.of(animal["sex"], animal["line"]),
            "until": followed.get((lab_name, name)),
        }
        for name, animal in animals.items()
    }  # fmt: skip


def _arguments(
    weighings: pa.Table, waters: pa.Table, of_sessions: pa.Table, restrictions: pa.Table, implants: pa.Table,
    day_of_session: str,
) -> dict[str, Any]:  # fmt: skip
    def times(table: pa.Table, name: str) -> np.ndarray:
        return table[f"{name}_local"].to_numpy().astype("datetime64[D]")

    in_session = of_sessions["administration_time"].combine_chunks()
    water_dates = times(waters, "administration_time")
    if day_of_session == "session":
        place = pc.index_in(waters["administration_time"], in_session)
        days = pc.take(of_sessions["session_date"], place).to_numpy().astype("datetime64[D]")
        water_dates = np.where(np.isnat(days), water_dates, days)
    return {
        "weighing_dates": times(weighings, "weighing_time"),
        "weights": weighings["weight"].to_numpy(),
        "water_dates": water_dates,
        "volumes": waters["water_volume"].to_numpy(),
        "in_session": pc.is_in(waters["administration_time"], in_session).to_numpy(),
        "adlib": waters["adlib"].to_numpy(),
        "adlib_ends": times(waters, "adlib_end"),
        "restriction_starts": times(restrictions, "restriction_start"),
        "restriction_ends": times(restrictions, "restriction_end"),
        "reference_weights": restrictions["reference_weight"].to_numpy(),
        "implant_dates": implants["implant_date"].to_numpy(),
        "implant_weights": implants["implant_weight"].to_numpy(),
        "reference_times": _reference_times(
            restrictions["restriction_start_local"].to_numpy(),
            restrictions["reference_weight"].to_numpy(),
            weighings["weighing_time_local"].to_numpy(),
        ),
    }


_TIME = pa.timestamp("us")
_EMPTY = {
    name: pa.table({column: pa.array([], kind) for column, kind in columns.items()})
    for name, columns in {
        "weighing": {"weighing_time": _TIME, "weighing_time_local": _TIME, "weight": pa.float64()},
        "water": {
            "administration_time": _TIME, "administration_time_local": _TIME, "water_volume": pa.float64(),
            "adlib": pa.bool_(), "adlib_end": _TIME, "adlib_end_local": _TIME,
        },
        "session": {"administration_time": _TIME, "session_date": pa.date32()},
        "restriction": {
            "restriction_start": _TIME, "restriction_start_local": _TIME, "restriction_end": _TIME,
            "restriction_end_local": _TIME, "reference_weight": pa.float64(),
        },
        "implant": {"implant_date": pa.date32(), "implant_weight": pa.float64()},
    }.items()
}  # fmt: skip
"""The tables of an animal of which there is nothing."""


def _by_subject(rows: pa.Table) -> dict[str, pa.Table]:
    """The rows of each animal; they come in the order of animals."""
    if not rows.num_rows:
        return {}
    names = np.asarray(rows["subject"].to_pylist())
    starts = np.flatnonzero(np.append(True, names[1:] != names[:-1]))
    ends = np.append(starts[1:], names.size)
    rest = rows.drop_columns(["subject"]).combine_chunks()
    return {str(names[a]): rest.slice(a, b - a) for a, b in zip(starts, ends, strict=True)}


class _Curves:
    """The growth curves that a lab uses, each read once."""

    def __init__(self, here: dict[str, Any], zscore_weight_pct: float) -> None:
        uses = (subject.GrowthCurveUse & here).to_dicts() if zscore_weight_pct else []
        self.uses = {row["growth_line"]: row["growth_curve"] for row in uses}
        self.read: dict[tuple[str, str], water.Growth | None] = {}
        self.own = OwnCurves(here["lab"], now().date()) if zscore_weight_pct and ANY_LINE not in self.uses else None

    def of(self, sex: str, line: str | None) -> water.Growth | None:
        """The curve for an animal: that of its line, else that of any line, else that of the lab's own weighings.

        An animal whose sex is unknown counts as female, which is the lighter: as in Alyx.
        """
        name = self.uses.get(line or ANY_LINE, self.uses.get(ANY_LINE))
        if name is None:
            return self.own.of("M" if sex == "M" else "F", line) if self.own else None
        chosen = (name, "M" if sex == "M" else "F")
        if chosen not in self.read:
            self.read[chosen] = _curve(*chosen)
        return self.read[chosen]


def _curve(name: str, sex: str) -> water.Growth | None:
    weeks = fetch_columns(
        subject.GrowthCurve.Week & {"growth_curve": name, "curve_sex": sex},
        "age_weeks", "growth_mean", "growth_sd", order_by="age_weeks",
    )  # fmt: skip
    if not weeks.num_rows:
        return None
    rule = (subject.GrowthCurve & {"growth_curve": name}).fetch1("growth_rule")
    ages, mean, sd = (weeks[column].to_numpy() for column in ("age_weeks", "growth_mean", "growth_sd"))
    return water.Growth(ages, mean, sd, stepped=rule == "step")


def critical_weight_pct(key: dict[str, Any]) -> float:
    """The fraction of the expected weight below which a restriction must end, by the lab of the animal."""
    rows = (lab.HusbandryRules & {"lab": key["lab"]}).to_dicts()
    return rows[0]["critical_weight_pct"] if rows else water.CRITICAL_WEIGHT_PCT


def _reference_times(starts: np.ndarray, references: np.ndarray, weighed: np.ndarray) -> np.ndarray:
    """When each reference weight was true: at the start, or at the last weighing up to that day if none was given."""
    given = np.nan_to_num(np.asarray(references, dtype=float)) > 0
    if not weighed.size:
        return starts
    days = weighed.astype("datetime64[D]")
    before = np.searchsorted(days, starts.astype("datetime64[D]"), side="right") - 1
    return np.where(given, starts, weighed[np.maximum(before, 0)])


def fingerprints_of_water(key: dict[str, Any]) -> pa.Table:
    """Animal and fingerprint of all that its water history is made from, for every animal (of `key`) that has one."""
    rules = lab.Lab.proj("time_zone", "reference_weight_pct", "zscore_weight_pct")
    animals = subject.Subject.proj() * rules & key & action.WaterHistory().key_source
    sources: list[dj.expression.QueryExpression] = [
        animals,
        action.Weighing.proj("weight"),
        action.WaterAdministration.proj("water_volume", "adlib", "adlib_end"),
        action.WaterRestriction.proj("restriction_end", "reference_weight"),
        acquisition.SessionWater.proj("session_date"),
        subject.Implant.proj("implant_weight"),
    ]
    rows = []
    for number, source in enumerate(sources):
        table = fetch_columns(source & key)
        values = zip(*(table[name].to_pylist() for name in table.column_names[2:]), strict=True)
        rows.append(
            table.select(["lab", "subject"])
            .append_column("source", pa.array([number] * table.num_rows, pa.int8()))
            .append_column("values", pa.array([repr(value) for value in values], pa.string()))
        )
    day = settings().session_water_day
    extra = _rules_told(key)
    told = [(*animal, repr(date)) for animal, date in _followed(key).items()]
    told += [(row["lab"], row["subject"], day) for row in animals.to_dicts() if day != "session"]
    if extra:
        born = fetch_columns(subject.Subject.proj("birth_date", "sex", "line") & animals.proj() & key).to_pylist()
        told += [
            (row["lab"], row["subject"], repr((extra[row["lab"]], row["birth_date"], row["sex"], row["line"])))
            for row in born
            if row["lab"] in extra
        ]
    if told:
        names, subjects, dates = zip(*told, strict=True)
        columns = [pa.array(names), pa.array(subjects), pa.array([99] * len(told), pa.int8()), pa.array(dates)]
        rows.append(pa.table(columns, names=rows[0].column_names).cast(rows[0].schema))
    return fingerprints.combine(pa.concat_tables(rows), ["lab", "subject"], ["source", "values"])


def _rules_told(key: dict[str, Any]) -> dict[str, str]:
    """Lab -> all its rules and growth curves that decide weights beyond the two fractions, where it has any."""
    restriction = {"lab": key["lab"]} if "lab" in key else {}
    told: dict[str, list] = {}
    for row in (lab.HusbandryRules & restriction).to_dicts():
        if row["critical_weight_pct"] != water.CRITICAL_WEIGHT_PCT:
            told.setdefault(row["lab"], []).append(row["critical_weight_pct"])
    by_zscore = {row["lab"] for row in (lab.Lab & restriction & "zscore_weight_pct > 0").to_dicts()}
    uses = (subject.GrowthCurveUse & restriction).to_dicts(order_by="lab, growth_line")
    for name in by_zscore - {row["lab"] for row in uses if row["growth_line"] == ANY_LINE}:
        if figures := OwnCurves(name, now().date()).figures():
            told.setdefault(name, []).append(figures)
    for row in uses:
        if row["lab"] in by_zscore:
            curve = {"growth_curve": row["growth_curve"]}
            weeks = (subject.GrowthCurve.Week & curve).to_dicts(order_by="curve_sex, age_weeks")
            rule = (subject.GrowthCurve & curve).fetch1("growth_rule")
            figures = [(week["curve_sex"], week["age_weeks"], week["growth_mean"], week["growth_sd"]) for week in weeks]
            told.setdefault(row["lab"], []).append((row["growth_line"], rule, figures))
    return {name: hashlib.md5(repr(rules).encode(), usedforsecurity=False).hexdigest() for name, rules in told.items()}


def now() -> datetime.datetime:
    """The time, UTC."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _followed(key: dict[str, Any]) -> dict[tuple[str, str], np.datetime64]:
    """The animals (of `key`) that are under restriction today, and which date that is in their lab.

    An animal that got nothing yet today has a row for today too. One without any entry for `FOLLOWED_DAYS`, or that is
    dead, is not followed any more.
    """
    today = now()
    since = today - datetime.timedelta(days=FOLLOWED_DAYS)
    alive = subject.Subject.proj("death_date") * lab.Lab.proj("time_zone") & key & "death_date IS NULL"
    under = alive & (action.WaterRestriction & "restriction_end IS NULL").proj()
    recent = [
        (action.Weighing & f"weighing_time >= '{since}'").proj(),
        (action.WaterAdministration & f"administration_time >= '{since}'").proj(),
        (action.WaterRestriction & f"restriction_start >= '{since}'").proj(),
    ]
    animals = fetch_columns(under & recent, "lab", "subject", "time_zone").to_pylist()
    utc = today.replace(tzinfo=datetime.UTC)
    zones = {name: _zone_or_none(name) for name in {row["time_zone"] for row in animals}}
    return {
        (row["lab"], row["subject"]): np.datetime64(utc.astimezone(zone).date())
        for row in animals
        if (zone := zones[row["time_zone"]]) is not None  # else it is the error of the animals whose times need it
    }


def _zone_or_none(name: str) -> zoneinfo.ZoneInfo | None:
    """The time zone of this name; asking for all names there are takes 30 ms."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return None


def local_dates(times: pa.ChunkedArray, time_zone: str) -> np.ndarray:
    """The dates at which UTC times fall in a time zone.

    >>> import datetime
    >>> times = pa.chunked_array([[datetime.datetime(2026, 1, 5, 23, 30), None]], pa.timestamp("us"))
    >>> local_dates(times, "Europe/Paris")
    array(['2026-01-06',        'NaT'], dtype='datetime64[D]')
    """
    if _zone_or_none(time_zone) is None:
        raise _unknown_zone(time_zone)
    return local_times(times, time_zone).astype("datetime64[D]")


def _unknown_zone(name: str) -> UserError:
    return UserError(f"the time zone {name!r} of the lab is unknown", "write it as Europe/London")


def local_times(times: pa.ChunkedArray, time_zone: str) -> np.ndarray:
    """What clocks in a time zone show at UTC times."""
    there = pc.assume_timezone(times, "UTC").cast(pa.timestamp("us", time_zone))
    return pc.local_timestamp(there).to_numpy()
