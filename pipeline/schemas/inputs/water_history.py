"""Weighings, water and restrictions of an animal in the dates of its lab, as the water analysis takes them."""

from __future__ import annotations

import datetime
import hashlib
import zoneinfo
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.analysis import water
from pipeline.database.bulk import fetch_columns
from pipeline.errors import UserError
from pipeline.provenance import fingerprints
from pipeline.settings import settings

ANY_LINE = "any"
"""In `GrowthCurveUse`: the line of all animals whose own line has no curve."""
FOLLOWED_DAYS = 14
"""A restriction that goes on is followed to today while the last entry of its animal is not older than this."""


def water_arguments(key: dict[str, Any]) -> dict[str, Any]:
    """The arguments of `pipeline.analysis.water.water_days` for one animal; times become dates of its lab."""
    from pipeline.schemas import acquisition, action, lab, subject

    rules = (lab.Lab & key).fetch1()
    weighings = fetch_columns(action.Weighing & key, "weighing_time", "weight", order_by="weighing_time")
    waters = fetch_columns(
        action.WaterAdministration & key, "administration_time", "water_volume", "adlib", order_by="administration_time"
    )
    of_sessions = fetch_columns(acquisition.SessionWater & key, "administration_time", "session_date")
    in_session = of_sessions["administration_time"]
    restrictions = fetch_columns(
        action.WaterRestriction & key,
        "restriction_start", "restriction_end", "reference_weight", order_by="restriction_start",
    )  # fmt: skip
    implants = fetch_columns(subject.Implant & key, "implant_date", "implant_weight", order_by="implant_date")

    growth, born = growth_for(key, rules)

    def dates(table: pa.Table, name: str) -> np.ndarray:
        return local_dates(table[name], rules["time_zone"])

    water_dates = dates(waters, "administration_time")
    if settings().session_water_day == "session":
        place = pc.index_in(waters["administration_time"], in_session.combine_chunks())
        days = pc.take(of_sessions["session_date"], place).to_numpy().astype("datetime64[D]")
        water_dates = np.where(np.isnat(days), water_dates, days)
    return {
        "weighing_dates": dates(weighings, "weighing_time"),
        "weights": weighings["weight"].to_numpy(),
        "water_dates": water_dates,
        "volumes": waters["water_volume"].to_numpy(),
        "in_session": pc.is_in(waters["administration_time"], in_session.combine_chunks()).to_numpy(),
        "adlib": waters["adlib"].to_numpy(),
        "restriction_starts": dates(restrictions, "restriction_start"),
        "restriction_ends": dates(restrictions, "restriction_end"),
        "reference_weights": restrictions["reference_weight"].to_numpy(),
        "implant_dates": implants["implant_date"].to_numpy(),
        "implant_weights": implants["implant_weight"].to_numpy(),
        "reference_weight_pct": rules["reference_weight_pct"],
        "zscore_weight_pct": rules["zscore_weight_pct"],
        "critical_weight_pct": critical_weight_pct(key),
        "birth_date": None if born is None else np.datetime64(born, "D"),
        "growth": growth,
        "reference_times": _reference_times(
            local_times(restrictions["restriction_start"], rules["time_zone"]),
            restrictions["reference_weight"].to_numpy(),
            local_times(weighings["weighing_time"], rules["time_zone"]),
        ),
        "until": _followed(key).get((key["lab"], key["subject"])),
    }


def growth_for(key: dict[str, Any], rules: dict[str, Any]) -> tuple[water.Growth | None, datetime.date | None]:
    """The growth curve that holds for an animal, and when it was born.

    The curve that its lab uses for its line, else for any line; None where there is none, or where the lab does not
    compare z-scores. An animal whose sex is unknown counts as female, which is the lighter: as in Alyx.
    """
    from pipeline.schemas import subject

    animal = (subject.Subject & key).proj("sex", "birth_date", "line").fetch1()
    if not rules["zscore_weight_pct"]:
        return None, animal["birth_date"]
    uses = {
        row["growth_line"]: row["growth_curve"] for row in (subject.GrowthCurveUse & {"lab": key["lab"]}).to_dicts()
    }
    name = uses.get(animal["line"] or ANY_LINE, uses.get(ANY_LINE))
    if name is None:
        return None, animal["birth_date"]
    sex = "M" if animal["sex"] == "M" else "F"
    weeks = fetch_columns(
        subject.GrowthCurve.Week & {"growth_curve": name, "curve_sex": sex},
        "age_weeks", "growth_mean", "growth_sd", order_by="age_weeks",
    )  # fmt: skip
    if not weeks.num_rows:
        return None, animal["birth_date"]
    rule = (subject.GrowthCurve & {"growth_curve": name}).fetch1("growth_rule")
    ages, mean, sd = (weeks[column].to_numpy() for column in ("age_weeks", "growth_mean", "growth_sd"))
    return water.Growth(ages, mean, sd, stepped=rule == "step"), animal["birth_date"]


def critical_weight_pct(key: dict[str, Any]) -> float:
    """The fraction of the expected weight below which a restriction must end, by the lab of the animal."""
    from pipeline.schemas import lab

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
    from pipeline.schemas import acquisition, action, lab, subject

    rules = lab.Lab.proj("time_zone", "reference_weight_pct", "zscore_weight_pct")
    animals = subject.Subject.proj() * rules & key & action.WaterHistory().key_source
    sources: list[dj.expression.QueryExpression] = [
        animals,
        action.Weighing.proj("weight"),
        action.WaterAdministration.proj("water_volume", "adlib"),
        action.WaterRestriction.proj("restriction_end", "reference_weight"),
        acquisition.SessionWater.proj("session_date"),
        subject.Implant.proj("implant_weight"),
    ]
    rows = []
    for number, source in enumerate(sources):
        found = fetch_columns(source & key)
        values = zip(*(found[name].to_pylist() for name in found.column_names[2:]), strict=True)
        rows.append(
            found.select(["lab", "subject"])
            .append_column("source", pa.array([number] * found.num_rows, pa.int8()))
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
    from pipeline.schemas import lab, subject

    restriction = {"lab": key["lab"]} if "lab" in key else {}
    told: dict[str, list] = {}
    for row in (lab.HusbandryRules & restriction).to_dicts():
        if row["critical_weight_pct"] != water.CRITICAL_WEIGHT_PCT:
            told.setdefault(row["lab"], []).append(row["critical_weight_pct"])
    by_zscore = {row["lab"] for row in (lab.Lab & restriction & "zscore_weight_pct > 0").to_dicts()}
    for row in (subject.GrowthCurveUse & restriction).to_dicts(order_by="lab, growth_line"):
        if row["lab"] in by_zscore:
            curve = {"growth_curve": row["growth_curve"]}
            weeks = (subject.GrowthCurve.Week & curve).to_dicts(order_by="curve_sex, age_weeks")
            rule = (subject.GrowthCurve & curve).fetch1("growth_rule")
            figures = [(one["curve_sex"], one["age_weeks"], one["growth_mean"], one["growth_sd"]) for one in weeks]
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
    from pipeline.schemas import action, lab, subject

    today = now()
    since = today - datetime.timedelta(days=FOLLOWED_DAYS)
    alive = subject.Subject.proj("death_date") * lab.Lab.proj("time_zone") & key & "death_date IS NULL"
    under = alive & (action.WaterRestriction & "restriction_end IS NULL").proj()
    recent = [
        (action.Weighing & f"weighing_time >= '{since}'").proj(),
        (action.WaterAdministration & f"administration_time >= '{since}'").proj(),
        (action.WaterRestriction & f"restriction_start >= '{since}'").proj(),
    ]
    found = fetch_columns(under & recent, "lab", "subject", "time_zone").to_pylist()
    known = zoneinfo.available_timezones()  # an unknown one is the error of the animals whose times need it
    utc = today.replace(tzinfo=datetime.UTC)
    return {
        (row["lab"], row["subject"]): np.datetime64(utc.astimezone(zoneinfo.ZoneInfo(row["time_zone"])).date())
        for row in found
        if row["time_zone"] in known
    }


def local_dates(times: pa.ChunkedArray, time_zone: str) -> np.ndarray:
    """The dates at which UTC times fall in a time zone.

    >>> import datetime
    >>> times = pa.chunked_array([[datetime.datetime(2026, 1, 5, 23, 30), None]], pa.timestamp("us"))
    >>> local_dates(times, "Europe/Paris")
    array(['2026-01-06',        'NaT'], dtype='datetime64[D]')
    """
    try:
        zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise UserError(f"the time zone {time_zone!r} of the lab is unknown", "write it as Europe/London") from None
    return local_times(times, time_zone).astype("datetime64[D]")


def local_times(times: pa.ChunkedArray, time_zone: str) -> np.ndarray:
    """What clocks in a time zone show at UTC times."""
    there = pc.assume_timezone(times, "UTC").cast(pa.timestamp("us", time_zone))
    return pc.local_timestamp(there).to_numpy()
