"""Water restriction: what an animal weighs against what it should weigh, and what it drank against what it needs.

The rules are those of Alyx 3.6 where it is right: weights are compared without the implant; an animal needs 4 % of its
body weight in water a day, and 5 % when it is too light. Where Alyx contradicts itself (two limits that together exceed
the whole weight, an animal without birth date) `limits_of` and `water_days` say what holds here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis.arrays import AnyArray, Booleans, Dates, Floats, Integers, group_sums

WATER_PER_WEIGHT = 0.04
"""mL of water a day per g of body weight."""
WATER_PER_WEIGHT_UNDERWEIGHT = 0.05
"""The same for an animal that is lighter than its minimum weight."""
CRITICAL_WEIGHT_PCT = 0.75
"""Fraction of the expected weight below which an animal must be taken off restriction."""
NOON = np.timedelta64(12, "h")


@dataclass(frozen=True)
class Growth:
    """Weights of healthy animals of one sex and strain by age, for z-scores."""

    age_weeks: ArrayLike  # ascending
    mean: ArrayLike  # g
    sd: ArrayLike  # g
    stepped: bool = False  # by whole weeks, as Alyx does, instead of interpolated between them

    def at(self, age_weeks: ArrayLike) -> tuple[Floats, Floats]:
        """Mean and standard deviation at these ages (g); the ends hold beyond them."""
        ages, known = np.asarray(age_weeks, dtype=float), np.asarray(self.age_weeks, dtype=float)
        mean, sd = np.asarray(self.mean, dtype=float), np.asarray(self.sd, dtype=float)
        if self.stepped:
            week = np.clip(np.searchsorted(known, np.floor(ages), side="right") - 1, 0, known.size - 1)
            return mean[week], sd[week]
        return np.interp(ages, known, mean), np.interp(ages, known, sd)


def growth_of(
    age_weeks: ArrayLike, weights: ArrayLike, animals: ArrayLike, *, least_animals: int = 5
) -> tuple[Integers, Floats, Floats, Integers]:
    """A growth curve from weighings of healthy animals that drink freely.

    In each whole week of age every animal counts once, with the mean of its weighings; weeks with fewer animals than
    `least_animals` are left out, since their standard deviation says nothing.

    Parameters
    ----------
    age_weeks : (n,) array_like
        Age at each weighing, weeks.
    weights : (n,) array_like
        g, without implant.
    animals : (n,) array_like
        Which animal it was.
    least_animals : int
        Fewest animals of a week; at least 2.

    Returns
    -------
    weeks : (k,) ndarray
        Whole weeks, ascending.
    mean, sd : (k,) ndarray
        Of the animals of that week, g; the sd is that of a sample.
    count : (k,) ndarray
        How many animals.

    Examples
    --------
    >>> weeks, mean, sd, count = growth_of([8.1, 8.9, 8.5, 9.0], [20.0, 22.0, 25.0, 30.0], ["a", "a", "b", "a"],
    ...                                    least_animals=2)
    >>> weeks, mean, sd.round(3), count
    (array([8]), array([23.]), array([2.828]), array([2]))
    """
    if least_animals < 2:
        raise ValueError("a standard deviation needs at least 2 animals")
    weeks = np.floor(np.asarray(age_weeks, dtype=float)).astype(int)
    _, animal = np.unique(np.asarray(animals), return_inverse=True)
    pairs, which = np.unique(np.stack((weeks, animal)), axis=1, return_inverse=True)
    which = which.reshape(-1)
    means = np.bincount(which, np.asarray(weights, dtype=float)) / np.bincount(which)
    unique_weeks, week = np.unique(pairs[0], return_inverse=True)
    count = np.bincount(week)
    mean = np.bincount(week, means) / count
    squares = np.bincount(week, (means - mean[week]) ** 2)
    enough = count >= least_animals
    sd = np.sqrt(squares[enough] / (count[enough] - 1))
    return unique_weeks[enough], mean[enough], sd, count[enough]


@dataclass(frozen=True)
class Limits:
    """What a lab's two numbers mean: the least weight as a fraction of the expected weight, and what that is made of.

    Attributes
    ----------
    limit : least weight over expected weight, both without implant.
    zscore_share : share of the z-score weight in the expected weight, 0-1; the rest is the reference weight.
    """

    limit: float
    zscore_share: float


def limits_of(reference_weight_pct: float, zscore_weight_pct: float) -> Limits:
    """The limit and the share behind the two fractions that Alyx stores.

    Labs fill them in two ways. Parts of one limit (.45 and .40) add up to it: 85 %. Two limits, each meant by itself
    (.85 and .80, together more than 1), cannot be added: nothing weighs 165 % of what it should. Then the stricter one
    is the limit. Either way the share is that of the z-score in their sum.

    Raises
    ------
    ValueError
        One of them is not between 0 and 1.

    Examples
    --------
    >>> limits_of(0.85, 0.0)
    Limits(limit=0.85, zscore_share=0.0)
    >>> limits_of(0.25, 0.5)
    Limits(limit=0.75, zscore_share=0.6666666666666666)
    >>> limits_of(0.85, 0.85)
    Limits(limit=0.85, zscore_share=0.5)
    """
    if not (0 <= reference_weight_pct <= 1 and 0 <= zscore_weight_pct <= 1):
        raise ValueError(f"weight fractions must be between 0 and 1: {reference_weight_pct}, {zscore_weight_pct}")
    total = reference_weight_pct + zscore_weight_pct
    if total == 0:
        return Limits(0.0, float("nan"))
    limit = total if total <= 1 + 1e-9 else max(reference_weight_pct, zscore_weight_pct)
    return Limits(limit, zscore_weight_pct / total)


def needed_water(weight: float, implant: float, expected_weight: float, limit: float) -> float:
    """mL of water that an animal of this weight needs in a day.

    Parameters
    ----------
    weight, expected_weight : float
        g, with implant.
    implant : float
        g.
    limit : float
        Least weight as a fraction of the expected weight, both without implant.

    Examples
    --------
    >>> needed_water(25.0, 0.0, 25.0, 0.85), needed_water(20.0, 0.0, 25.0, 0.85)
    (1.0, 1.0)
    """
    light = weight - implant < limit * (expected_weight - implant)
    return (WATER_PER_WEIGHT_UNDERWEIGHT if light else WATER_PER_WEIGHT) * (weight - implant)


@dataclass(frozen=True, eq=False)
class WaterDays:
    """One entry per date, ascending; weights in g with implant, volumes in mL; NaN where unknown."""

    dates: Dates  # of the lab
    restricted: Booleans  # water was restricted on that day
    weighed: Booleans  # there was a weighing on that day
    weight: Floats  # last weighing of the day
    reference_weight: Floats  # at the start of the restriction
    expected_weight: Floats
    weight_pct: Floats  # weight over expected weight, both without the implant, percent
    water_reward: Floats  # given in sessions
    water_supplement: Floats  # given outside sessions
    adlib: Booleans  # free access to water
    expected_water: Floats  # needed on that day, from the last known weight
    remaining_water: Floats  # still due: expected less given, never below 0
    underweight: Booleans  # below the minimum weight of the lab
    critical: Booleans  # below the critical weight


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
    reference_times: ArrayLike | None = None,
    adlib_ends: ArrayLike | None = None,
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
        weight and the weight of the same z-score at the present age; `limits_of` says what the minimum is
    critical_weight_pct : fraction of the expected weight
    birth_date, growth : for the z-score; without either the reference weight stands in for the weight by z-score, so
        that the minimum does not fall (in Alyx it does)
    reference_times : (k,) times of the lab at which the reference weights were true, by default noon of the start. Days
        and the birth count from noon, so that a stepped curve gives the weeks that Alyx gives
    adlib_ends : (m,) dates of the lab on which free access ended (NaT: on the day on which it began)

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
    if adlib_ends is None:
        adlib_ends = np.full(np.size(water_dates), "NaT", "datetime64[D]")
    given_on, volumes, in_session, adlib, free_until = _pairs(
        "waters", water_dates, volumes, in_session, adlib, np.asarray(adlib_ends, dtype="datetime64[D]")
    )
    in_session, adlib = in_session.astype(bool), adlib.astype(bool)
    free_until = free_until.astype("datetime64[D]")
    periods = [
        np.arange(begin, np.fmax(begin, end) + 1) for begin, end in zip(given_on[adlib], free_until[adlib], strict=True)
    ]
    restriction_starts = np.asarray(restriction_starts, dtype="datetime64[D]").reshape(-1)
    if reference_times is None:
        reference_times = restriction_starts + NOON
    starts, ends, references, reference_days = _pairs(
        "restrictions", restriction_starts, restriction_ends, reference_weights, _days_since_noon(reference_times)
    )
    ends = ends.astype("datetime64[D]")
    if np.any(weights <= 0):
        raise ValueError(f"a weight must be positive, not {weights[weights <= 0][0]} g")
    entries = np.concatenate((weighed_on, given_on, starts))
    if entries.size == 0:
        return _no_days()
    last = max(entries.max(), until) if until is not None else entries.max()
    ends = np.where(np.isnat(ends), last, ends)
    spans = [np.arange(start, end + 1) for start, end in zip(starts, ends, strict=True)]
    dates = np.unique(np.concatenate((entries, *spans, *periods)))

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
    zscore = _zscore_weight(bare_reference, np.append(reference_days, np.nan)[restriction], dates, birth_date, growth)
    lab_limits = limits_of(reference_weight_pct, zscore_weight_pct)
    total_pct, share = lab_limits.limit, lab_limits.zscore_share
    bare_expected = (1 - share) * bare_reference + share * np.where(np.isfinite(zscore), zscore, bare_reference)

    pct = 100 * (weight - implant) / bare_expected
    known_pct = 100 * (known_weight - implant) / bare_expected
    light = known_pct < 100 * total_pct
    expected_water = np.where(light, WATER_PER_WEIGHT_UNDERWEIGHT, WATER_PER_WEIGHT) * (known_weight - implant)
    expected_water = np.where(restricted, expected_water, np.nan)
    day = np.searchsorted(dates, given_on)
    measured = np.nan_to_num(volumes)
    reward = group_sums(day, measured * in_session, dates.size)
    supplement = group_sums(day, measured * ~in_session, dates.size)
    free = np.isin(dates, np.concatenate([entries[:0], *periods]))
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


def _pairs(name: str, dates: ArrayLike, *columns: ArrayLike) -> tuple[AnyArray, ...]:
    """The columns in order of date; entries of one date keep their order."""
    dates = np.asarray(dates, dtype="datetime64[D]").reshape(-1)
    arrays = [np.asarray(column).reshape(-1) for column in columns]
    arrays = [array.astype("datetime64[D]") if array.dtype.kind in "UMO" else array for array in arrays]
    if any(array.size != dates.size for array in arrays):
        raise ValueError(f"{name}: columns of unequal length: {[dates.size, *(array.size for array in arrays)]}")
    order = np.argsort(dates, kind="stable")
    return dates[order], *(array[order] if array.size else array.astype(float) for array in arrays)


def _last_known(values: Floats) -> Floats:
    """Each NaN replaced by the last value before it that is none."""
    index = np.maximum.accumulate(np.where(np.isfinite(values), np.arange(values.size), -1))
    return np.where(index >= 0, values[index], np.nan)


def _since(dates: Dates, since: Dates, values: Floats) -> Floats:
    """At each date the value that began last; 0 before the first."""
    return np.append(values, 0.0)[np.searchsorted(since, dates, side="right") - 1]


def _reference(start: np.datetime64, given: float, weighed_on: Dates, weights: Floats) -> float:
    """The reference weight that was given, else the last weighing up to the start, else the first after it."""
    if np.isfinite(given) and given > 0:
        return float(given)
    if not weights.size:
        return float("nan")
    before = int(np.searchsorted(weighed_on, start, side="right")) - 1
    return float(weights[max(before, 0)])


def _days_since_noon(times: ArrayLike) -> Floats:
    """Days, with fraction, since noon of 1970-01-01; NaN where there is no time."""
    times = np.asarray(times, dtype="datetime64[s]").reshape(-1)
    days = (times - np.datetime64("1970-01-01T12:00:00")).astype("timedelta64[s]").astype(float) / 86400
    return np.where(np.isnat(times), np.nan, days)


def _zscore_weight(
    bare_reference: Floats,
    reference_days: Floats,
    dates: Dates,
    birth_date: np.datetime64 | None,
    growth: Growth | None,
) -> Floats:
    """The weight without implant that has, at the present age, the z-score of the reference weight at its time."""
    expected = np.full(dates.size, np.nan)
    known = np.isfinite(bare_reference) & np.isfinite(reference_days)
    if birth_date is None or growth is None or not known.any():
        return expected
    born = birth_date.astype("datetime64[D]")
    then = (reference_days[known] - born.astype(float)) / 7
    now = (dates[known] - born).astype(float) / 7
    (mean_then, sd_then), (mean_now, sd_now) = growth.at(then), growth.at(now)
    expected[known] = mean_now + sd_now * (bare_reference[known] - mean_then) / sd_then
    return expected


def _no_days() -> WaterDays:
    number, flag = np.empty(0), np.empty(0, dtype=bool)
    return WaterDays(
        np.empty(0, dtype="datetime64[D]"), flag, flag, number, number, number, number, number, number, flag,
        number, number, flag, flag,
    )  # fmt: skip
