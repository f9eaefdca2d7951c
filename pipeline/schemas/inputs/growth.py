"""Growth curves from a lab's own weighings, for labs that compare z-scores and state no curve."""

from __future__ import annotations

import datetime

import numpy as np

from pipeline.analysis import water
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns

action = registry.tables_of("action")
subject = registry.tables_of("subject")

LEAST_ANIMALS = 5  # of a week
LEAST_WEEKS = 4  # of a curve that nobody asked for
Weeks = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""Weeks of age, mean and standard deviation (g), number of animals."""


def free_weighings(lab: str, before: datetime.date | None = None) -> list[dict]:
    """The weighings of a lab's animals with a known birth, before any restriction and any implant of the animal.

    Parameters
    ----------
    before : only those of earlier days (UTC).
    """
    here = {"lab": lab}
    animals = subject.Subject.proj("sex", "birth_date", "line") & here & "birth_date IS NOT NULL"
    rows = fetch_columns(action.Weighing.proj("weight") * animals).to_pylist()
    ends: dict[str, datetime.datetime] = {}
    for row in (action.WaterRestriction & here).to_dicts():
        ends[row["subject"]] = min(ends.get(row["subject"], row["restriction_start"]), row["restriction_start"])
    for row in (subject.Implant & here).to_dicts():
        day = datetime.datetime.combine(row["implant_date"], datetime.time())
        ends[row["subject"]] = min(ends.get(row["subject"], day), day)
    last = datetime.datetime.max if before is None else datetime.datetime.combine(before, datetime.time())
    return [row for row in rows if row["weighing_time"] < min(last, ends.get(row["subject"], last))]


def weeks_of(rows: list[dict], least_animals: int = LEAST_ANIMALS) -> dict[str, Weeks]:
    """Sex -> the weights of some weighings by week of age, where they differ.

    A week in which all animals weigh the same says nothing of how much weights differ.
    """
    weeks: dict[str, Weeks] = {}
    for sex in ("M", "F"):
        own = [row for row in rows if row["sex"] == sex]
        ages = [(row["weighing_time"].date() - row["birth_date"]).days / 7 for row in own]
        part = water.growth_of(ages, [row["weight"] for row in own], [row["subject"] for row in own],
                               least_animals=least_animals) if own else (np.empty(0),) * 4  # fmt: skip
        age, mean, sd, count = (values[part[2] > 0] for values in part)
        weeks[sex] = age, mean, sd, count
    return weeks


class OwnCurves:
    """The curves of a lab's weighings up to the end of last month, so that no entry of today changes yesterday's limit.

    A line has a curve of its own where it has `LEAST_WEEKS` weeks with `LEAST_ANIMALS` animals; else that of all lines
    stands in, and where there is none of that either, none.
    """

    def __init__(self, lab: str, today: datetime.date) -> None:
        self._rows = free_weighings(lab, today.replace(day=1))
        self._made: dict[str | None, dict[str, water.Growth | None]] = {}

    def of(self, sex: str, line: str | None) -> water.Growth | None:
        """The curve for animals of a sex and line."""
        curve = self._of_line(line)[sex] if line else None
        return curve or self._of_line(None)[sex]

    def figures(self) -> list:
        """All that the curves say, to notice that they have changed."""
        lines = [None, *sorted({row["line"] for row in self._rows if row["line"]})]
        curves = [(line, sex, self._of_line(line)[sex]) for line in lines for sex in ("M", "F")]
        return [
            (line, sex, [np.asarray(part).tolist() for part in (curve.age_weeks, curve.mean, curve.sd)])
            for line, sex, curve in curves
            if curve is not None
        ]

    def _of_line(self, line: str | None) -> dict[str, water.Growth | None]:
        if line not in self._made:
            weeks = weeks_of([row for row in self._rows if line is None or row["line"] == line])
            self._made[line] = {sex: _curve(*part[:3]) for sex, part in weeks.items()}
        return self._made[line]


def _curve(ages: np.ndarray, mean: np.ndarray, sd: np.ndarray) -> water.Growth | None:
    if len(ages) < LEAST_WEEKS:
        return None
    return water.Growth(ages, mean, sd, stepped=True)
