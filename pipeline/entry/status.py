"""What an animal weighs and drank today against what it should, from the rows as they are at this moment."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.analysis import water
from pipeline.entry.parse import zone_or_utc
from pipeline.schemas import lab as lab_schema
from pipeline.schemas import subject as subject_schema
from pipeline.schemas.inputs import water_history

NEAR = 2.0  # percentage points


@dataclass(frozen=True)
class Today:
    """One animal on one day of its lab; None where it is not known.

    Attributes
    ----------
    weight : last one known, g with implant.
    weighed : whether there is a weighing of this day.
    yesterday : the last weight before this day, g.
    yesterday_date : when that was.
    expected, least, reference : g with implant.
    weight_pct, limit_pct : percent of the expected weight, without implant.
    near : percentage points above the limit at which people are told.
    needed, given, due : mL.
    adlib : free access to water.
    growth_missing : the lab compares z-scores, but has no growth curve or birth date for this animal.
    """

    lab: str
    subject: str
    date: datetime.date
    responsible: str | None
    restricted: bool
    weight: float | None
    weighed: bool
    yesterday: float | None
    yesterday_date: datetime.date | None
    expected: float | None
    least: float | None
    reference: float | None
    implant: float
    weight_pct: float | None
    limit_pct: float | None
    near: float
    needed: float | None
    in_task: float
    supplement: float
    due: float | None
    adlib: bool
    growth_missing: bool


def today(key: Mapping[str, Any], day: datetime.date | None = None) -> Today | None:
    """The state of an animal on a day of its lab, by default today; None where there is no such animal."""
    animal = {name: key[name] for name in ("lab", "subject")}
    rows = (subject_schema.Subject.proj("responsible_user") * lab_schema.Lab.proj("time_zone") & animal).to_dicts()
    if not rows:
        return None
    zone = zone_or_utc(rows[0]["time_zone"])
    day = day or datetime.datetime.now(zone).date()
    given = water_history.water_arguments(animal)
    rules = (lab_schema.HusbandryRules & {"lab": animal["lab"]}).to_dicts()
    return of_arguments(animal, rows[0]["responsible_user"], day, given, rules[0] if rules else {})


def of_lab(lab_name: str, subjects: Mapping[str, str | None], day: datetime.date) -> list[Today]:
    """The state of several animals of a lab (name -> responsible person) on a day, each table read once."""
    rules = (lab_schema.HusbandryRules & {"lab": lab_name}).to_dicts()
    given = water_history.arguments_of(lab_name, list(subjects))
    return [
        of_arguments({"lab": lab_name, "subject": name}, subjects[name], day, given[name], rules[0] if rules else {})
        for name in subjects
        if name in given
    ]


def of_arguments(
    animal: Mapping[str, str], responsible: str | None, day: datetime.date, given: dict[str, Any],
    rules: Mapping[str, Any],
) -> Today:  # fmt: skip
    """The same from what `water_history.water_arguments` returns."""
    at = np.datetime64(day, "D")
    dates = np.asarray(given["weighing_dates"]).astype("datetime64[D]")
    weights = np.asarray(given["weights"], dtype=float)
    earlier, until = dates < at, dates <= at
    entries = [np.asarray(given[name]).size for name in ("weighing_dates", "water_dates", "restriction_starts")]
    days = water.water_days(**given | {"until": at}) if any(entries) else None
    place = None
    if days is not None and days.dates.size and at in days.dates:
        place = int(np.searchsorted(days.dates, at))
    limit = water.limits_of(given["reference_weight_pct"], given["zscore_weight_pct"])
    implants = np.asarray(given["implant_dates"]).astype("datetime64[D]")
    since = int(np.searchsorted(implants, at, side="right")) - 1
    implant = float(np.asarray(given["implant_weights"], dtype=float)[since]) if since >= 0 else 0.0
    weight = float(weights[until][-1]) if until.any() else None
    restricted = bool(days.restricted[place]) if days is not None and place is not None else False
    expected = _value(days.expected_weight, place) if days is not None else None
    pct = None
    if weight is not None and expected is not None and expected > implant:
        pct = 100 * (weight - implant) / (expected - implant)
    return Today(
        lab=animal["lab"],
        subject=animal["subject"],
        date=day,
        responsible=responsible,
        restricted=restricted,
        weight=weight,
        weighed=bool((dates == at).any()),
        yesterday=float(weights[earlier][-1]) if earlier.any() else None,
        yesterday_date=dates[earlier][-1].item() if earlier.any() else None,
        expected=expected,
        least=None if expected is None else limit.limit * (expected - implant) + implant,
        reference=_value(days.reference_weight, place) if days is not None else None,
        implant=implant,
        weight_pct=pct,
        limit_pct=100 * limit.limit,
        near=float(rules.get("near_limit_points", NEAR)),
        needed=_value(days.expected_water, place) if days is not None else None,
        in_task=(_value(days.water_reward, place) if days is not None else None) or 0.0,
        supplement=(_value(days.water_supplement, place) if days is not None else None) or 0.0,
        due=_value(days.remaining_water, place) if days is not None else None,
        adlib=bool(days.adlib[place]) if days is not None and place is not None else False,
        growth_missing=restricted
        and given["zscore_weight_pct"] > 0
        and (given["growth"] is None or given["birth_date"] is None),
    )


def _value(column: np.ndarray, place: int | None) -> float | None:
    if place is None or not np.isfinite(column[place]):
        return None
    return float(column[place])
