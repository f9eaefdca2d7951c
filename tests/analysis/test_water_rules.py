"""Drawn animals: what `water_days` computes at once is what the rules say of each day by itself, written plainly here.

The rules are those that Alyx documents and computes (weights without implant, 4 or 5 % of the body weight in water,
z-scores by whole weeks); every day is worked out with numbers, not arrays.
"""

from __future__ import annotations

import datetime
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis.water import Growth, water_days

pytestmark = pytest.mark.slow

DAY = datetime.timedelta(days=1)
BORN = datetime.date(2025, 10, 1)
FIRST = datetime.date(2026, 1, 5)
LENGTH = 70  # days, over the change of the clocks in March
WEEKS, MEANS, SDS = [8, 10, 11, 12, 14, 20], [18.0, 20.0, 21.5, 22.0, 24.0, 27.0], [1.0, 1.2, 1.5, 1.5, 2.0, 2.5]
SHARES = [(0.85, 0.0), (0.45, 0.40), (0.0, 0.8), (0.85, 0.8), (0.3, 0.5)]
days_from_first = st.integers(0, LENGTH - 1)
grams = st.floats(14, 34).map(lambda weight: round(weight, 1))


@st.composite
def animals(draw):
    """Weighings, water, implants and restrictions one after another; each with or without a stated reference."""
    weighings = sorted(draw(st.dictionaries(days_from_first, grams, min_size=1, max_size=25)).items())
    waters = draw(st.lists(st.tuples(days_from_first, st.floats(0.1, 2).map(lambda ml: round(ml, 2)), st.booleans()),
                           max_size=25))  # fmt: skip
    marks = sorted(draw(st.sets(days_from_first, max_size=6)))
    restrictions = [(start, end, draw(st.one_of(st.just(0.0), grams)))
                    for start, end in zip(marks[::2], [*marks[1::2], None], strict=False)]  # fmt: skip
    implants = sorted(draw(st.dictionaries(st.integers(-20, LENGTH), st.sampled_from([0.5, 1.5, 3.0]),
                                           max_size=3)).items())  # fmt: skip
    return weighings, waters, restrictions, implants, draw(st.sampled_from(SHARES)), draw(st.booleans())


def growth_at(day: int) -> tuple[float, float]:
    """Mean and sd in the whole week of that day; the ends hold beyond them."""
    week = (FIRST + day * DAY - BORN).days // 7
    place = max([i for i, known in enumerate(WEEKS) if known <= week], default=0)
    return MEANS[place], SDS[place]


def implant_on(day: int, implants) -> float:
    return ([0.0] + [weight for when, weight in implants if when <= day])[-1]


def reference_of(restriction, weighings) -> float:
    """As stated; else the last weighing up to the start, else the first after it. With what was implanted then."""
    start, _, stated = restriction
    if stated:
        return stated
    before = [weight for when, weight in weighings if when <= start]
    return before[-1] if before else weighings[0][1]


def day_of(day: int, weighings, waters, restrictions, implants, shares, has_birth) -> dict[str, float | None]:
    """What holds on one day; empty where no water is restricted."""
    now = [one for one in restrictions if one[0] <= day and (one[1] is None or day <= one[1])]
    if not now:
        return {}
    start, reference = now[-1][0], reference_of(now[-1], weighings) - implant_on(now[-1][0], implants)
    r, z = shares
    by_growth = reference
    if has_birth:
        mean, sd = growth_at(start)
        mean_now, sd_now = growth_at(day)
        by_growth = mean_now + (reference - mean) / sd * sd_now
    implant = implant_on(day, implants)
    expected = (r * reference + z * by_growth) / (r + z)
    limit = r + z if r + z <= 1 else max(r, z)
    known = [weight for when, weight in weighings if when <= day]
    told = {"expected": expected + implant, "pct": None, "needed": None, "due": None}
    if day in dict(weighings):
        told["pct"] = 100 * (dict(weighings)[day] - implant) / expected
    if known:
        bare = known[-1] - implant
        told["needed"] = (0.05 if bare < limit * expected else 0.04) * bare
        told["due"] = max(0.0, told["needed"] - sum(volume for when, volume, _ in waters if when == day))
    return told


def date(day: int | None) -> np.datetime64:
    return np.datetime64("NaT", "D") if day is None else np.datetime64(FIRST + day * DAY)


@pytest.mark.slow
@given(animals())
@settings(deadline=None)
def test_each_day_is_as_the_rules_say(animal):
    weighings, waters, restrictions, implants, (r, z), has_birth = animal
    result = water_days(
        [date(day) for day, _ in weighings], [weight for _, weight in weighings],
        [date(day) for day, _, _ in waters], [volume for _, volume, _ in waters], [task for _, _, task in waters],
        [False] * len(waters),
        [date(start) for start, _, _ in restrictions], [date(end) for _, end, _ in restrictions],
        [stated or np.nan for _, _, stated in restrictions],
        until=date(LENGTH), implant_dates=[date(day) for day, _ in implants],
        implant_weights=[weight for _, weight in implants], reference_weight_pct=r, zscore_weight_pct=z,
        birth_date=np.datetime64(BORN) if has_birth else None,
        growth=Growth(WEEKS, MEANS, SDS, stepped=True),
    )  # fmt: skip
    for day in range(LENGTH):
        told = day_of(day, *animal[:4], (r, z), has_birth)
        at = int(np.searchsorted(result.dates, date(day)))
        is_there = at < result.dates.size and result.dates[at] == date(day)
        assert (is_there and bool(result.restricted[at])) == bool(told)
        if not told:
            continue
        columns = {"expected": result.expected_weight, "pct": result.weight_pct, "needed": result.expected_water,
                   "due": result.remaining_water}  # fmt: skip
        for name, column in columns.items():
            wanted = math.nan if told[name] is None else told[name]
            assert column[at] == pytest.approx(wanted, abs=1e-9, nan_ok=True), (name, day)
        assert result.water_reward[at] == pytest.approx(sum(v for when, v, task in waters if when == day and task))
