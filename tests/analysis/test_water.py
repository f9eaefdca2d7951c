"""Water status by the rules of Alyx: weights without the implant, and days without weighing are shown."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analysis.water import Growth, water_days


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
