"""A lab that compares z-scores and states no growth curve gets one of its own unrestricted weighings."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from pipeline import entry
from pipeline.entry import status
from pipeline.schemas import subject
from pipeline.schemas.inputs import water_history
from tests.entry.lab_of_mice import BY, LAB, NOW, do

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]
BORN = datetime.datetime(2025, 12, 1, 9)
WEEK = datetime.timedelta(weeks=1)
OFFSETS = (-2, -1, 0, 1, 2)  # g, of five animals of a line


def grown(line: str, slope: float) -> None:
    """Five males of a line, weighed freely at 5 to 12 weeks: they gain `slope` g in a week."""
    names = [f"{line}_{number}" for number in range(len(OFFSETS))]
    about = {"lab": LAB, "sex": "M", "birth_date": BORN.date(), "line": line, "responsible_user": "mia"}
    entry.write("subject.Subject", [about | {"subject": name} for name in names], **BY)
    entry.write("action.Weighing", [
        {"lab": LAB, "subject": name, "weighing_time": BORN + age * WEEK, "weight": 10 + slope * age + offset}
        for name, offset in zip(names, OFFSETS, strict=True) for age in range(5, 13)
    ], **BY)  # fmt: skip


@pytest.fixture
def lab(lab_in_transaction):
    entry.write("lab.Lab", [{"lab": LAB, "reference_weight_pct": 0.0, "zscore_weight_pct": 0.8}], **BY)
    entry.write("subject.Line", [{"line": "B6"}], **BY)
    grown("Ai32", 1.0)
    grown("B6", 0.5)
    return lab_in_transaction


def curve_of(name: str):
    return water_history.water_arguments({"lab": LAB, "subject": name})["growth"]


def test_the_curve_is_that_of_line_and_sex(lab):
    curve = curve_of("m1")
    assert list(curve.age_weeks) == list(range(5, 13)) and curve.stepped
    assert np.allclose(curve.mean, 10 + np.arange(5, 13)) and np.allclose(curve.sd, np.std(OFFSETS, ddof=1))
    assert np.allclose(curve_of("B6_0").mean, 10 + 0.5 * np.arange(5, 13))
    assert curve_of("m2") is None, "there is no female that was weighed"
    entry.write("subject.Line", [{"line": "new"}], **BY)
    do("edit_animal", subject="m1", line="new")
    assert np.allclose(curve_of("m1").mean, 10 + 0.75 * np.arange(5, 13)), "that of all lines"


def test_what_is_expected_grows_with_the_animal(lab):
    do("start_restriction", subject="m1", reference_weight="16", start=(BORN + 6.5 * WEEK).isoformat())
    day = status.today({"lab": LAB, "subject": "m1"}, (BORN + 10.5 * WEEK).date())
    assert day.expected == pytest.approx(20.0) and not day.growth_missing
    assert day.least == pytest.approx(0.8 * 20.0)


def test_only_free_weighings_of_past_months_count_and_a_stated_curve_wins(lab):
    do("start_restriction", subject="m1", reference_weight="22", now=NOW)
    before = list(curve_of("m1").mean)
    today = water_history.now()
    entry.write("action.Weighing", [{"lab": LAB, "subject": "m1", "weighing_time": NOW + WEEK, "weight": 90},
                                    {"lab": LAB, "subject": "Ai32_1", "weighing_time": today, "weight": 90}],
                **BY)  # fmt: skip
    assert list(curve_of("m1").mean) == before
    prints = water_history.fingerprints_of_water({"lab": LAB})
    entry.write("action.Weighing", [{"lab": LAB, "subject": "Ai32_1", "weighing_time": BORN + 5.5 * WEEK,
                                     "weight": 17}], **BY)  # fmt: skip
    assert curve_of("m1").mean[0] > before[0]
    again = water_history.fingerprints_of_water({"lab": LAB})
    of = [{row["subject"]: row["fingerprint"] for row in item.to_pylist()} for item in (prints, again)]
    assert of[0]["m1"] != of[1]["m1"], "its history is to be made again"
    do("make_growth_curve", "lars", growth_curve="ours", least_animals="3")
    assert subject.GrowthCurveUse.fetch1("growth_line") == "any"
    assert curve_of("m1") is not None and len(subject.GrowthCurve.Week()) > 0
