"""Water status by the rules of Alyx: weights without the implant, and days without weighing are shown."""

from __future__ import annotations

import json
import zoneinfo
from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis.water import Growth, growth_of, limits_of, water_days


def status(weighings: dict[str, float], waters: list[tuple] = (), restrictions: list[tuple] = (), **rules):
    """`water_days` from lists: waters are (date, mL, in session, free access), restrictions (start, end, weight)."""
    dates, volumes, in_session, adlib = zip(*waters, strict=True) if waters else ((), (), (), ())
    starts, ends, references = zip(*restrictions, strict=True) if restrictions else ((), (), ())
    return water_days(
        list(weighings), list(weighings.values()), dates, volumes, in_session, adlib, starts, ends, references, **rules
    )


START = ("2026-01-05", "NaT", 25.0)
IMPLANT = {"implant_dates": ["2025-12-01"], "implant_weights": [3.0]}


def test_percentage_and_expected_weight_are_taken_without_the_implant():
    """25 g with a 3 g implant: 85 % of 22 g is 18.7 g, with the implant 21.7 g."""
    days = status({"2026-01-05": 25.0, "2026-01-06": 21.7}, restrictions=[START], **IMPLANT)
    assert days.weight_pct == pytest.approx([100, 85])
    assert days.expected_weight == pytest.approx([25, 25])
    assert days.underweight.tolist() == [False, False]
    lighter = status({"2026-01-06": 21.6}, restrictions=[START], **IMPLANT)
    assert lighter.underweight.tolist()[-1]


@pytest.mark.parametrize(("weight", "per_gram"), [(25.0, 0.04), (21.25, 0.04), (21.2, 0.05)])
def test_a_light_animal_needs_more_water(weight, per_gram):
    days = status({"2026-01-05": weight}, restrictions=[START])
    assert days.expected_water[0] == pytest.approx(per_gram * weight)


def test_water_in_sessions_and_outside_are_told_apart_and_what_is_due_is_never_negative():
    waters = [("2026-01-05", 0.4, True, False), ("2026-01-05", 0.3, False, False), ("2026-01-06", 2.0, False, False)]
    days = status({"2026-01-05": 25.0}, waters, [START])
    assert days.water_reward == pytest.approx([0.4, 0])
    assert days.water_supplement == pytest.approx([0.3, 2.0])
    assert days.remaining_water == pytest.approx([0.3, 0])


def test_nothing_is_due_with_free_access():
    days = status({"2026-01-05": 25.0}, [("2026-01-05", np.nan, False, True)], [START])
    assert days.adlib.tolist() == [True]
    assert days.remaining_water.tolist() == [0]


def test_days_without_weighing_are_there_and_flagged():
    """A missing weighing is an alert, not a gap; the last weight decides what is due."""
    days = status({"2026-01-05": 25.0, "2026-01-08": 24.0}, restrictions=[START])
    assert days.dates.astype(str).tolist() == ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08"]
    assert days.weighed.tolist() == [True, False, False, True]
    assert np.isnan(days.weight_pct[1:3]).all()
    assert days.expected_water == pytest.approx([1.0, 1.0, 1.0, 0.96])


def test_outside_a_restriction_no_water_is_due():
    days = status(
        {"2026-01-03": 24.0, "2026-01-05": 25.0, "2026-01-09": 26.0}, restrictions=[("2026-01-05", "2026-01-06", 25.0)]
    )
    assert dict(zip(days.dates.astype(str), days.restricted, strict=True)) == {
        "2026-01-03": False, "2026-01-05": True, "2026-01-06": True, "2026-01-09": False,
    }  # fmt: skip
    assert np.isnan(days.expected_water[[0, 3]]).all()


def test_without_a_stated_reference_it_is_the_last_weighing_up_to_the_start():
    for given in (np.nan, 0.0):
        days = status(
            {"2026-01-03": 24.0, "2026-01-04": 26.0, "2026-01-07": 20.0}, restrictions=[("2026-01-05", "NaT", given)]
        )
        assert days.reference_weight[-1] == 26.0


def test_a_second_restriction_has_a_reference_of_its_own():
    restrictions = [("2026-01-05", "2026-01-06", 25.0), ("2026-01-10", "NaT", 30.0)]
    days = status({"2026-01-06": 25.0, "2026-01-10": 30.0}, restrictions=restrictions)
    assert days.reference_weight.tolist() == [25.0, 25.0, 30.0]


def test_an_ongoing_restriction_goes_on_until_the_day_asked_for():
    days = status({"2026-01-05": 25.0}, restrictions=[START], until=np.datetime64("2026-01-07"))
    assert days.dates.size == 3
    assert days.remaining_water == pytest.approx([1.0, 1.0, 1.0])


def test_the_zscore_weight_follows_the_growth_of_a_healthy_animal():
    """One standard deviation above the mean at the start is expected to stay so: 22 g at 10 weeks, 26.4 g at 12."""
    growth = Growth([10, 12], [20.0, 24.0], [2.0, 2.4])
    days = status(
        {"2026-03-12": 22.0, "2026-03-26": 26.4}, restrictions=[("2026-03-12", "NaT", 22.0)], growth=growth,
        birth_date=np.datetime64("2026-01-01"), reference_weight_pct=0.0, zscore_weight_pct=0.8,
    )  # fmt: skip
    assert days.expected_weight[[0, -1]] == pytest.approx([22.0, 26.4])
    assert days.weight_pct[[0, -1]] == pytest.approx([100, 100])


@pytest.mark.parametrize(("reference", "zscore"), [(0.85, 0.0), (0.4, 0.45), (0.0, 0.85)])
def test_an_unknown_birth_date_does_not_lower_the_minimum_weight(reference, zscore):
    """Without a z-score the reference weight stands in for it; an animal at 84 % stays underweight."""
    days = status(
        {"2026-01-05": 25.0, "2026-01-06": 21.0},
        restrictions=[START],
        reference_weight_pct=reference,
        zscore_weight_pct=zscore,
    )
    assert days.weight_pct == pytest.approx([100, 84])
    assert days.underweight.tolist() == [False, True]
    assert days.expected_water[1] == pytest.approx(0.05 * 21.0)


def test_a_lab_without_percentages_has_no_expected_weight():
    """Unknown, not zero, and no warning of numpy."""
    with np.errstate(all="raise"):
        days = status({"2026-01-05": 25.0}, restrictions=[START], reference_weight_pct=0.0)
    assert np.isnan(days.expected_weight).all()
    assert days.underweight.tolist() == [False]


def test_critical_is_below_the_second_threshold():
    days = status({"2026-01-05": 18.7}, restrictions=[START])
    assert days.critical.tolist() == [True]
    assert status({"2026-01-05": 18.8}, restrictions=[START]).critical.tolist() == [False]


def test_entries_in_any_order_give_the_same():
    weighings = {"2026-01-08": 24.0, "2026-01-05": 25.0, "2026-01-06": 23.0}
    days = status(weighings, restrictions=[START])
    ordered = status(dict(sorted(weighings.items())), restrictions=[START])
    np.testing.assert_array_equal(days.weight, ordered.weight)


@pytest.mark.parametrize("weight", [0.0, -1.0])
def test_an_impossible_weight_is_refused(weight):
    with pytest.raises(ValueError, match="must be positive"):
        status({"2026-01-05": weight})


def test_no_entry_is_no_day():
    assert status({}).dates.size == 0


def test_an_implant_counts_from_its_day_on():
    """20 g before, 23 g with 3 g of implant after: the animal itself has not changed."""
    weighings = {"2026-01-05": 20.0, "2026-01-07": 23.0}
    implant = {"implant_dates": ["2026-01-06"], "implant_weights": [3.0]}
    days = status(weighings, restrictions=[("2026-01-05", "NaT", 20.0)], **implant)
    assert days.weight_pct[[0, -1]] == pytest.approx([100, 100])
    assert days.expected_weight[[0, -1]] == pytest.approx([20, 23])


def test_of_several_weighings_on_one_day_the_last_counts():
    days = water_days(["2026-01-05"] * 2, [25.0, 24.5], [], [], [], [], [], [], [])
    assert days.weight.tolist() == [24.5]


CASES = json.loads(Path(__file__).with_name("cases_water_days.json").read_text())
# Weeks 10 to 14 of a curve of males; the cases below were computed with one that agrees with it.
MALES = Growth([9, 10, 11, 12, 13, 14], [21.0, 22.0, 23.1, 24.0, 24.382353, 25.082353], [1.7] * 6, stepped=True)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_days_of_a_restriction_are_those_of_alyx(case):
    """Reference weight, z-score by whole weeks, both with a missing reference, two implants: as Alyx 3.6.1 computed."""
    zone = zoneinfo.ZoneInfo(case["lab"]["time_zone"])
    weighings, waters, restrictions, surgeries = (
        case[name] for name in ("weighings", "waters", "restrictions", "surgeries")
    )
    assert zone.key == "Europe/London"  # no offset in these weeks: the times are local and UTC
    given = [restriction["reference_weight"] for restriction in restrictions]
    first = [
        restriction["start"] if restriction["reference_weight"] else
        max(w["time"] for w in weighings if w["time"][:10] <= restriction["start"][:10])
        for restriction in restrictions
    ]  # fmt: skip
    days = water_days(
        [weighing["time"][:10] for weighing in weighings],
        [weighing["weight"] for weighing in weighings],
        [water["time"][:10] for water in waters],
        [water["volume"] for water in waters],
        [water["in_session"] for water in waters],
        [water["adlib"] for water in waters],
        [restriction["start"][:10] for restriction in restrictions],
        [(restriction["end"] or "NaT")[:10] for restriction in restrictions],
        [np.nan if value is None else value for value in given],
        until=np.datetime64(case["days"][-1]["date"]),
        implant_dates=[surgery["start"][:10] for surgery in surgeries],
        implant_weights=[surgery["implant_weight"] for surgery in surgeries],
        reference_weight_pct=case["lab"]["reference_weight_pct"],
        zscore_weight_pct=case["lab"]["zscore_weight_pct"],
        birth_date=np.datetime64(case["birth_date"]),
        growth=MALES,
        reference_times=first,
    )
    limit = limits_of(case["lab"]["reference_weight_pct"], case["lab"]["zscore_weight_pct"]).limit
    for day in case["days"]:
        at = int(np.searchsorted(days.dates, np.datetime64(day["date"])))
        implant = day["implant_weight"]
        assert days.restricted[at]
        assert days.weight[at] == pytest.approx(day["weight"])
        assert days.expected_weight[at] == pytest.approx(day["expected_weight"], abs=2e-6)
        assert days.weight_pct[at] == pytest.approx(day["percentage_weight"], abs=1e-5)
        assert limit * (days.expected_weight[at] - implant) + implant == pytest.approx(day["min_weight"], abs=2e-6)
        assert days.water_reward[at] == pytest.approx(day["given_water_reward"])
        assert days.water_supplement[at] == pytest.approx(day["given_water_supplement"])
        assert days.expected_water[at] == pytest.approx(day["expected_water"], abs=1e-6)
        assert days.remaining_water[at] == pytest.approx(max(-day["excess_water"], 0), abs=1e-6)


def test_two_limits_that_exceed_the_whole_weight_are_not_added():
    """.85 and .80 filled in as limits: the least weight of a 25 g mouse is 21.25 g, not 41 g."""
    days = status(
        {"2026-01-05": 25.0, "2026-01-06": 21.3, "2026-01-07": 21.2},
        restrictions=[START], reference_weight_pct=0.85, zscore_weight_pct=0.8,
    )  # fmt: skip
    assert days.underweight.tolist() == [False, False, True]
    with pytest.raises(ValueError, match="between 0 and 1"):
        limits_of(85, 0)


def test_a_stepped_curve_holds_through_the_week_and_beyond_its_ends():
    curve = Growth([4, 5, 8], [10.0, 12.0, 18.0], [1.0, 1.5, 2.0], stepped=True)
    mean, sd = curve.at([1.0, 4.0, 4.99, 5.0, 7.9, 8.0, 99.0])
    assert mean.tolist() == [10, 10, 10, 12, 12, 18, 18]
    assert sd.tolist() == [1, 1, 1, 1.5, 1.5, 2, 2]
    between, _ = Growth([4, 5, 8], [10.0, 12.0, 18.0], [1.0, 1.5, 2.0]).at([4.5, 6.5])
    assert between.tolist() == [11, 15]


def test_a_curve_counts_each_animal_once_a_week():
    """Forty weighings of one animal must not outvote four animals weighed once."""
    ages = [8.1] * 40 + [8.5] * 4
    weights = [30.0] * 40 + [20.0, 20.0, 20.0, 20.0]
    weeks, mean, sd, count = growth_of(ages, weights, ["a"] * 40 + list("bcde"))
    assert (weeks.tolist(), mean.tolist(), count.tolist()) == ([8], [22.0], [5])
    assert sd == pytest.approx([np.std([30, 20, 20, 20, 20], ddof=1)])
    assert growth_of([8.0] * 4, [20.0] * 4, list("abcd"))[0].size == 0


def test_free_access_lasts_until_its_end_also_on_days_without_entries():
    waters = [
        ("2026-01-06", np.nan, False, True),
        ("2026-01-06", 0.5, False, False),
        ("2026-01-12", np.nan, False, True),
    ]
    days = status({"2026-01-05": 25.0}, waters, adlib_ends=["2026-01-08", "NaT", "NaT"])
    values = days.dates[days.adlib].astype(str).tolist()
    assert values == ["2026-01-06", "2026-01-07", "2026-01-08", "2026-01-12"]
    assert days.dates.astype(str).tolist() == ["2026-01-05", *values]
