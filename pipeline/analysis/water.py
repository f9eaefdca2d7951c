"""Water restriction: what an animal weighs against what it should weigh, and what it drank against what it needs.

All rules are those of Alyx 3.6 (``actions/water_control.py``): weights are compared without the implant; an animal
needs 4 % of its body weight in water a day, and 5 % when it is too light.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

WATER_PER_WEIGHT = 0.04
"""mL of water a day per g of body weight."""
WATER_PER_WEIGHT_UNDERWEIGHT = 0.05
"""The same for an animal that is lighter than its minimum weight."""
CRITICAL_WEIGHT_PCT = 0.75
"""Fraction of the expected weight below which an animal must be taken off restriction."""


@dataclass(frozen=True)
class Growth:
    """Weights of healthy animals of one sex and strain by age, for z-scores."""

    age_weeks: ArrayLike  # ascending
    mean: ArrayLike  # g
    sd: ArrayLike  # g

    def at(self, age_weeks: ArrayLike) -> tuple[NDArray, NDArray]:
        """Mean and standard deviation at these ages (g), interpolated; the ends hold beyond them."""
        ages, known = np.asarray(age_weeks, dtype=float), np.asarray(self.age_weeks, dtype=float)
        return np.interp(ages, known, np.asarray(self.mean)), np.interp(ages, known, np.asarray(self.sd))


@dataclass(frozen=True, eq=False)
class WaterDays:
    """One entry per date, ascending; weights in g with implant, volumes in mL; NaN where unknown."""

    dates: NDArray  # datetime64[D], of the lab
    restricted: NDArray  # bool: water was restricted on that day
    weighed: NDArray  # bool: there was a weighing on that day
    weight: NDArray  # last weighing of the day
    reference_weight: NDArray  # at the start of the restriction
    expected_weight: NDArray
    weight_pct: NDArray  # weight over expected weight, both without the implant, percent
    water_reward: NDArray  # given in sessions
    water_supplement: NDArray  # given outside sessions
    adlib: NDArray  # bool: free access to water
    expected_water: NDArray  # needed on that day, from the last known weight
    remaining_water: NDArray  # still due: expected less given, never below 0
    underweight: NDArray  # bool: below the minimum weight of the lab
    critical: NDArray  # bool: below the critical weight


def water_days(
    weighing_dates: ArrayLike,
    weights: ArrayLike,
    water_dates: ArrayLike,
    volumes: ArrayLike,
    in_session: ArrayLike,
    adlib: ArrayLike,
    restriction_starts: ArrayLike,
    restriction_ends: ArrayLike,
    reference_weights: ArrayLike,
    *,
    until: np.datetime64 | None = None,
    implant_dates: ArrayLike = (),
    implant_weights: ArrayLike = (),
    reference_weight_pct: float = 0.85,
    zscore_weight_pct: float = 0.0,
    critical_weight_pct: float = CRITICAL_WEIGHT_PCT,
    birth_date: np.datetime64 | None = None,
    growth: Growth | None = None,
) -> WaterDays:
    """The water status of one animal on every day with an entry and on every day of a restriction.

    Days of a restriction without a weighing are there too, with `weighed` false; the last known weight then decides
    what water is due. Entries of one day keep their order.

    Parameters
    ----------
    weighing_dates, weights : (n,) dates of the lab, g with implant
    water_dates, volumes, in_session, adlib : (m,) dates of the lab, mL (NaN where not measured), bool, bool
    restriction_starts, restriction_ends, reference_weights : (k,) dates of the lab (NaT: still going on), g with
        implant (NaN or 0: the last weighing up to the start)
    until : last day of a restriction that still goes on; by default the last day with an entry
    implant_dates, implant_weights : (i,) dates of the lab, g that the animal carries from that date on
    reference_weight_pct, zscore_weight_pct : of the lab: the expected weight is their weighted mean of the reference
        weight and the weight of the same z-score at the present age; their sum is the minimum as a fraction of it
    critical_weight_pct : fraction of the expected weight
    birth_date, growth : for the z-score; without either the reference weight stands in for the weight by z-score, so
        that the minimum does not fall (in Alyx it does)

    Raises
    ------
    ValueError
        If arrays that belong together differ in length, or a weight is not positive.

    Examples
    --------
    >>> days = water_days(["2026-01-05", "2026-01-07"], [25.0, 20.0], ["2026-01-07"], [0.6], [True], [False],
    ...                   ["2026-01-05"], ["NaT"], [np.nan])
    >>> days.weight_pct.round(1), days.weighed
    (array([100.,  nan,  80.]), array([ True, False,  True]))
    >>> days.expected_water, days.remaining_water.round(2), days.underweight
    (array([1., 1., 1.]), array([1. , 1. , 0.4]), array([False, False,  True]))
    """
    weighed_on, weights = _pairs("weighings", weighing_dates, weights)
    given_on, volumes, in_session, adlib = _pairs("waters", water_dates, volumes, in_session, adlib)
    starts, ends, references = _pairs("restrictions", restriction_starts, restriction_ends, reference_weights)
    ends = ends.astype("datetime64[D]")
    if np.any(weights <= 0):
        raise ValueError(f"a weight must be positive, not {weights[weights <= 0][0]} g")
    entries = np.concatenate((weighed_on, given_on, starts))
    if entries.size == 0:
        return _no_days()
    last = max(entries.max(), until) if until is not None else entries.max()
    ends = np.where(np.isnat(ends), last, ends)
    spans = [np.arange(start, end + 1) for start, end in zip(starts, ends, strict=True)]
    dates = np.unique(np.concatenate((entries, *spans)))

    weight = np.full(dates.size, np.nan)
    weight[np.searchsorted(dates, weighed_on)] = weights  # of several on one day the last
    known_weight = _last_known(weight)
    implants = _pairs("implants", implant_dates, implant_weights)
    implant, implant_then = (_since(when, *implants) for when in (dates, starts))

    restriction = np.searchsorted(starts, dates, side="right") - 1
    restricted = (restriction >= 0) & (dates <= np.append(ends, dates[:1])[restriction])
    references = np.array([_reference(s, r, weighed_on, weights) for s, r in zip(starts, references, strict=True)])
    reference = np.where(restricted, np.append(references, np.nan)[restriction], np.nan)
    bare_reference = reference - np.append(implant_then, np.nan)[restriction]
    zscore = _zscore_weight(bare_reference, np.append(starts, dates[:1])[restriction], dates, birth_date, growth)
    total_pct = reference_weight_pct + zscore_weight_pct
    share = zscore_weight_pct / total_pct if total_pct > 0 else np.nan
    bare_expected = (1 - share) * bare_reference + share * np.where(np.isfinite(zscore), zscore, bare_reference)

    pct = 100 * (weight - implant) / bare_expected
    known_pct = 100 * (known_weight - implant) / bare_expected
    light = known_pct < 100 * total_pct
    expected_water = np.where(light, WATER_PER_WEIGHT_UNDERWEIGHT, WATER_PER_WEIGHT) * (known_weight - implant)
    expected_water = np.where(restricted, expected_water, np.nan)
    day = np.searchsorted(dates, given_on)
    measured, in_session, adlib = np.nan_to_num(volumes), in_session.astype(bool), adlib.astype(bool)
    reward = np.bincount(day, measured * in_session, dates.size)
    supplement = np.bincount(day, measured * ~in_session, dates.size)
    free = np.bincount(day, adlib, dates.size) > 0
    return WaterDays(
        dates=dates,
        restricted=restricted,
        weighed=np.isfinite(weight),
        weight=weight,
        reference_weight=reference,
        expected_weight=bare_expected + implant,
        weight_pct=pct,
        water_reward=reward,
        water_supplement=supplement,
        adlib=free,
        expected_water=expected_water,
        remaining_water=np.where(free, 0.0, np.maximum(expected_water - reward - supplement, 0)),
        underweight=restricted & (pct < 100 * total_pct),
        critical=restricted & (pct < 100 * critical_weight_pct),
    )


def _pairs(name: str, dates: ArrayLike, *columns: ArrayLike) -> tuple[NDArray, ...]:
    """The columns in order of date; entries of one date keep their order."""
    dates = np.asarray(dates, dtype="datetime64[D]").reshape(-1)
    arrays = [np.asarray(column).reshape(-1) for column in columns]
    arrays = [array.astype("datetime64[D]") if array.dtype.kind in "UMO" else array for array in arrays]
    if any(array.size != dates.size for array in arrays):
        raise ValueError(f"{name}: columns of unequal length: {[dates.size, *(array.size for array in arrays)]}")
    order = np.argsort(dates, kind="stable")
    return dates[order], *(array[order] if array.size else array.astype(float) for array in arrays)


def _last_known(values: NDArray) -> NDArray:
    """Each NaN replaced by the last value before it that is none."""
    index = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(values.size), -1))
    return np.where(index >= 0, values[index], np.nan)


def _since(dates: NDArray, since: NDArray, values: NDArray) -> NDArray:
    """At each date the value that began last; 0 before the first."""
    return np.append(values, 0.0)[np.searchsorted(since, dates, side="right") - 1]


def _reference(start: np.datetime64, given: float, weighed_on: NDArray, weights: NDArray) -> float:
    """The reference weight that was given, else the last weighing up to the start, else the first after it."""
    if np.isfinite(given) and given > 0:
        return float(given)
    if not weights.size:
        return float("nan")
    before = int(np.searchsorted(weighed_on, start, side="right")) - 1
    return float(weights[max(before, 0)])


def _zscore_weight(
    bare_reference: NDArray,
    starts: NDArray,
    dates: NDArray,
    birth_date: np.datetime64 | None,
    growth: Growth | None,
) -> NDArray:
    """The weight without implant that has, at the present age, the z-score of the reference weight at the start."""
    if birth_date is None or growth is None:
        return np.full(dates.size, np.nan)
    born = birth_date.astype("datetime64[D]")
    weeks = [(when - born).astype(float) / 7 for when in (starts, dates)]
    (mean_then, sd_then), (mean_now, sd_now) = (growth.at(age) for age in weeks)
    return mean_now + sd_now * (bare_reference - mean_then) / sd_then


def _no_days() -> WaterDays:
    number, flag = np.empty(0), np.empty(0, dtype=bool)
    return WaterDays(
        np.empty(0, dtype="datetime64[D]"), flag, flag, number, number, number, number, number, number, flag,
        number, number, flag, flag,
    )  # fmt: skip
