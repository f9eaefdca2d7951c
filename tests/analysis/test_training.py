"""Training status: the published rules on a real mouse and on made ones, without the published code's defects."""

import dataclasses
import datetime
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import psychometrics
from pipeline.analysis.criteria import IBL_PIPELINE_2021, IBLLIB_4, Criterion, Level, RuleSet
from pipeline.analysis.records import session_record
from pipeline.analysis.training import SessionRecord, evaluate
from tests.analysis import real_sessions

BOTH = pytest.mark.parametrize("rules", [IBL_PIPELINE_2021, IBLLIB_4], ids=lambda rules: rules.name)
FIRST = datetime.date(2026, 1, 5)
CONTRASTS = np.array([-100, -50, -25, -12.5, -6.25, 0, 6.25, 12.5, 25, 50, 100])


def session(
    day,
    protocol="trainingChoiceWorld",
    *,
    number=1,
    curve=(0.0, 12.0, 0.04, 0.04),
    shift=None,
    blocks=None,
    contrasts=CONTRASTS,
    n_trials=500,
    easy=0.95,
    rt=1.0,
    ephys_rig=False,
    delay=0.0,
):
    """A session with the counts that a mouse with this curve is expected to give; biased ones shift by block."""
    shift = shift if shift is not None else 8.0
    blocks = blocks or ((0.5,) if protocol.startswith("training") else (0.2, 0.5, 0.8))
    bias, threshold, low, high = curve
    probability = np.repeat(blocks, contrasts.size)
    shown = np.tile(contrasts, len(blocks))
    offset = np.where(probability == 0.8, shift / 2, np.where(probability == 0.2, -shift / 2, 0.0))
    n = np.full(shown.size, 400)
    expected = psychometrics.curve(shown - offset, bias, threshold, low, high)
    times = np.full(40, rt) if rt is not None else []
    return SessionRecord(
        FIRST + datetime.timedelta(day), number, protocol, ephys_rig, delay, n_trials, easy,
        probability, shown, n, np.rint(n * expected), times,
    )  # fmt: skip


def biased(day, **kwargs):
    return session(day, "biasedChoiceWorld", **kwargs)


def ephys(day, **kwargs):
    return session(day, "ephysChoiceWorld", **kwargs)


POOR = {"n_trials": 150, "easy": 0.6, "curve": (0.0, 60.0, 0.3, 0.3)}


def course(records, rules):
    """Statuses in order of the sessions."""
    return [status.status for status in evaluate(records, rules).sessions]


# A real mouse


@real_sessions.needs_real_data
@BOTH
def test_real_mouse_is_trained_on_the_day_the_production_database_says(rules):
    """KS014: trained_1a first on 2019-08-22, its 14th day, with the published pooled fit; no times, so no 1b."""
    records = [
        session_record(
            real_sessions.trials(real_sessions.KS014, date),
            datetime.date.fromisoformat(date),
            1,
            "_iblrig_tasks_trainingChoiceWorld",
        )
        for date in real_sessions.days(real_sessions.KS014)
    ]
    assert len(records) == 15
    training = evaluate(records, rules)
    milestone = training.reached("trained_1a")
    assert milestone.session_date == datetime.date(2019, 8, 22)
    assert (milestone.status, milestone.training_day, milestone.n_sessions) == ("trained_1a", 14, 14)
    assert [status.status for status in training.sessions] == ["in_training"] * 13 + ["trained_1a"] * 2
    result = training.sessions[13].pooled_fit
    assert (result.n_sessions, result.probability_left) == (3, None)
    assert (result.bias, result.threshold) == pytest.approx((-2.78, 10.46), abs=0.01)
    assert (result.lapse_low, result.lapse_high) == pytest.approx((0.131, 0.095), abs=0.001)
    assert training.next_status == "trained_1b"
    unknown = [item for item in training.missing if item.criterion.measure == "zero_contrast_rt"]
    assert len(unknown) == 1
    assert np.isnan(unknown[0].measured)
    assert "median reaction time at 0 % contrast unknown, needs < 2 s" in training.missing_words


# The levels, criterion by criterion


@BOTH
def test_three_good_training_sessions_make_trained_1b_and_two_do_not(rules):
    """The window must be full; a mouse can skip trained_1a, whose milestone is then that of 1b."""
    assert course([session(0), session(1)], rules) == ["in_training"] * 2
    training = evaluate([session(0), session(1), session(2)], rules)
    assert training.status == "trained_1b"
    assert training.reached("trained_1a") == training.reached("trained_1b")
    assert training.reached("trained_1b").training_day == 3
    assert training.reached("ready4ephysrig") is None


@BOTH
@pytest.mark.parametrize(
    ("status", "spoilt"),
    [
        ("trained_1a", {"n_trials": 400}),
        ("trained_1a", {"easy": 0.9}),
        ("trained_1a", {"rt": 2.0}),
        ("trained_1a", {"rt": None}),
        ("trained_1a", {"curve": (12.0, 12.0, 0.04, 0.04)}),
        ("trained_1a", {"curve": (-12.0, 12.0, 0.04, 0.04)}),
        ("trained_1a", {"curve": (0.0, 12.0, 0.13, 0.04)}),
        ("trained_1a", {"curve": (0.0, 12.0, 0.04, 0.13)}),
        ("trained_1b", {"curve": (0.0, 19.5, 0.04, 0.04)}),
        ("in_training", {"curve": (0.0, 25.0, 0.04, 0.04)}),
        ("in_training", {"curve": (20.0, 12.0, 0.04, 0.04)}),
        ("in_training", {"curve": (0.0, 12.0, 0.25, 0.04)}),
        ("in_training", {"curve": (0.0, 12.0, 0.04, 0.25)}),
        ("in_training", {"n_trials": 200}),
        ("in_training", {"easy": 0.8}),
        ("in_training", {"easy": float("nan")}),
        ("in_training", {"easy": 0.0}),
        ("in_training", {"contrasts": CONTRASTS[CONTRASTS != 0]}),
    ],
)
def test_each_training_criterion_counts_and_is_strict(rules, status, spoilt):
    """One thing wrong with all three sessions costs what the table of criteria says, thresholds themselves included."""
    assert evaluate([session(day, **spoilt) for day in range(3)], rules).status == status


@BOTH
def test_every_session_of_the_window_must_be_good(rules):
    """Trials and easy performance are of each session, not of the mean."""
    for spoilt in ({"n_trials": 150}, {"easy": 0.5}):
        records = [session(0, n_trials=2000, easy=1.0), session(1, **spoilt), session(2, n_trials=2000, easy=1.0)]
        assert evaluate(records, rules).status == "in_training"


def test_where_zero_contrast_must_have_been_shown():
    """In the current session for the 2021 pipeline, with a low contrast; anywhere in the window for ibllib."""
    without_zero = session(2, contrasts=CONTRASTS[CONTRASTS != 0])
    records = [session(0), session(1), without_zero]
    assert evaluate(records, IBL_PIPELINE_2021).status == "in_training"
    assert evaluate(records, IBLLIB_4).status == "trained_1b"
    without_low = session(2, contrasts=CONTRASTS[np.abs(CONTRASTS) != 6.25])
    records = [session(0), session(1), without_low]
    assert evaluate(records, IBL_PIPELINE_2021).status == "in_training"
    assert evaluate(records, IBLLIB_4).status == "trained_1b"


@BOTH
def test_three_biased_sessions_make_ready4ephysrig(rules):
    """The bias shift and the lapses in both blocks decide."""
    trained = [session(day) for day in range(3)]
    good = evaluate([*trained, *(biased(day) for day in (3, 4, 5))], rules)
    assert good.status == "ready4ephysrig"
    fits = {fit.probability_left: fit for fit in good.sessions[-1].fits if "ready4ephysrig" in fit.statuses}
    assert fits[0.8].bias - fits[0.2].bias == pytest.approx(8.0, abs=0.3)
    for spoilt in ({"shift": 4.0}, {"shift": -8.0}, {"curve": (0, 12, 0.13, 0.04)}, {"rt": 2.5}, {"n_trials": 400}):
        assert evaluate([*trained, *(biased(day, **spoilt) for day in (3, 4, 5))], rules).status == "trained_1b"
    assert evaluate([*trained, biased(3), biased(4)], rules).status == "trained_1b"


def test_an_unbiased_block_is_needed_by_the_pipeline_only():
    """Without 0.5 the pipeline gives no level; without 0.2 or 0.8 it gives trained_1b."""
    no_half = [biased(day, blocks=(0.2, 0.8)) for day in range(3)]
    assert [s.level for s in evaluate(no_half, IBLLIB_4).sessions][-1] == "ready4ephysrig"
    # Pooled over its blocks the curve of these sessions passes 1b, as in the published code.
    assert [s.level for s in evaluate(no_half, IBL_PIPELINE_2021).sessions][-1] == "trained_1b"
    slow = [biased(day, blocks=(0.2, 0.8), rt=3.0, curve=(0, 12, 0.3, 0.04)) for day in range(3)]
    assert evaluate(slow, IBL_PIPELINE_2021).sessions[-1].level == "in_training"
    one_side = [biased(day, blocks=(0.2, 0.5), rt=3.0, curve=(0, 12, 0.3, 0.04)) for day in range(3)]
    assert evaluate(one_side, IBL_PIPELINE_2021).sessions[-1].level == "trained_1b"


def test_biased_sessions_count_for_the_first_levels_in_the_pipeline_only():
    """The pipeline's windows of 1a take any protocol; ibllib gives a mixed window trained_1b outright."""
    weak = {"curve": (12.0, 12.0, 0.04, 0.04)}
    mixed = [session(0, **weak), biased(1, shift=0.0, **weak), session(2, **weak)]
    assert evaluate(mixed, IBL_PIPELINE_2021).status == "trained_1a"
    assert course(mixed, IBLLIB_4) == ["in_training", "trained_1b", "trained_1b"]
    assert evaluate(mixed, IBLLIB_4).sessions[-1].level == "trained_1b"


def test_ready4delay_needs_an_earlier_ready4ephysrig_in_the_pipeline_only():
    """And "earlier" does not mean the same session."""
    lone = [session(0), biased(1, ephys_rig=True), biased(2), biased(3, shift=0.0)]
    assert "ready4delay" not in course(lone, IBL_PIPELINE_2021)
    assert course(lone, IBLLIB_4)[-1] == "ready4delay"
    on_rig = [*(biased(day) for day in range(2)), biased(2, ephys_rig=True), biased(3, ephys_rig=True)]
    assert course(on_rig, IBL_PIPELINE_2021)[-2:] == ["ready4ephysrig", "ready4delay"]
    off_rig = [*(biased(day) for day in range(3)), biased(3, ephys_rig=False)]
    assert course(off_rig, IBL_PIPELINE_2021)[-1] == "ready4ephysrig"
    easy_elsewhere = [biased(0), biased(1, ephys_rig=True, easy=0.5), biased(2, shift=0.0)]
    assert course(easy_elsewhere, IBLLIB_4)[-1] == "trained_1b"


@BOTH
def test_ready4recording_needs_three_sessions_on_the_ephys_rig_and_one_late_start(rules):
    """900 s is late enough, 899 s is not, an unknown delay is not; ephys sessions count as biased ones do."""
    rig = {"ephys_rig": True}
    for delays, reached in [((0, 900, 0), True), ((0, 899, 0), False), ((np.nan, np.nan, np.nan), False)]:
        records = [ephys(day, delay=delay, **rig) for day, delay in enumerate(delays)]
        assert (evaluate(records, rules).status == "ready4recording") == reached
    mixed = [biased(0, **rig), ephys(1, delay=1000, **rig), biased(2, **rig)]
    assert evaluate(mixed, rules).status == "ready4recording"
    assert evaluate(mixed, rules).next_status is None
    assert evaluate(mixed, rules).missing == ()
    off_rig = [biased(0), ephys(1, delay=1000, **rig), biased(2, **rig)]
    assert evaluate(off_rig, rules).status != "ready4recording"


def test_ephys_sessions_make_ready4ephysrig_in_ibllib_only():
    """In the pipeline they count for ready4recording alone."""
    records = [ephys(0), ephys(1), ephys(2)]
    assert evaluate(records, IBLLIB_4).status == "ready4ephysrig"
    assert "ready4ephysrig" not in course(records, IBL_PIPELINE_2021)


# Order, latch, dates


@BOTH
def test_a_status_once_reached_is_kept_while_the_level_falls(rules):
    """The latch, and beside it what the window met by itself."""
    records = [session(day) for day in range(3)] + [session(day, **POOR) for day in range(3, 6)]
    training = evaluate(records, rules)
    assert [status.status for status in training.sessions][2:] == ["trained_1b"] * 4
    assert [status.level for status in training.sessions][2:] == ["trained_1b"] + ["in_training"] * 3
    assert training.next_status == "ready4ephysrig"


def test_sessions_of_one_date_are_merged_by_ibllib_only():
    """Three sessions on two dates are a window of the pipeline, not of ibllib; merged trials and performance add up."""
    records = [session(0), session(1, number=1), session(1, number=2)]
    assert evaluate(records, IBL_PIPELINE_2021).status == "trained_1b"
    assert evaluate(records, IBLLIB_4).status == "in_training"
    halves = [
        session(day, number=number, n_trials=210, easy=easy)
        for day in range(3)
        for number, easy in ((1, 0.94), (2, 0.92))
    ]
    assert evaluate(halves, IBL_PIPELINE_2021).status == "trained_1a"
    merged = evaluate(halves, IBLLIB_4)
    assert merged.status == "trained_1b"
    assert len(merged.sessions) == 6
    assert [status.training_day for status in merged.sessions] == [1, 1, 2, 2, 3, 3]
    measured = {o.criterion.measure: o.measured for o in merged.sessions[-1].outcomes if o.status == "trained_1b"}
    assert measured["n_trials"] == 420
    assert measured["performance_easy"] == pytest.approx(0.93)


def life(seed, length):
    """Sessions of a made mouse of changing skill, several a day now and then."""
    rng = np.random.default_rng(seed)
    records, day, number = [], 0, 0
    for i in range(length):
        again = number > 0 and rng.random() < 0.2
        day, number = (day, number + 1) if again else (day + int(rng.integers(1, 4)), 1)
        protocol = ["habituationChoiceWorld", "trainingChoiceWorld", "biasedChoiceWorld", "ephysChoiceWorld"][
            int(np.clip(rng.normal(3.5 * i / length, 0.6), 0, 3))
        ]
        records.append(
            session(
                day,
                protocol,
                number=number,
                curve=(rng.normal(0, 6), rng.uniform(5, 25), *rng.uniform(0, 0.15, 2)),
                n_trials=int(rng.integers(150, 900)),
                easy=rng.uniform(0.75, 1.0),
                rt=rng.choice([0.5, 3.0, None]),
                ephys_rig=bool(rng.random() < 0.4),
                delay=rng.choice([0.0, 1200.0, np.nan]),
                shift=rng.uniform(0, 15),
            )  # fmt: skip
        )
    return records


def told(training):
    """All that a training says, in a form that can be compared."""
    return repr((training.sessions, training.milestones, training.status, training.next_status, training.missing))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 30), st.sampled_from([IBL_PIPELINE_2021, IBLLIB_4]))
def test_the_order_in_which_records_come_does_not_matter(seed, length, rules):
    """They are sorted by date and number; a session that arrives late is judged in its place."""
    records = life(seed, length)
    shuffled = records.copy()
    random.Random(seed).shuffle(shuffled)
    assert told(evaluate(shuffled, rules)) == told(evaluate(records, rules))


@pytest.mark.slow
@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10**6), st.integers(2, 30), st.data(), st.sampled_from([IBL_PIPELINE_2021, IBLLIB_4]))
def test_later_sessions_never_change_earlier_ones(seed, length, data, rules):
    """Statuses, levels, fits and milestones of a date stand once the date is over, and never fall."""
    records = life(seed, length)
    cut = data.draw(st.sampled_from(sorted({record.session_date for record in records})))
    before = evaluate([record for record in records if record.session_date <= cut], rules)
    after = evaluate(records, rules)
    n = len(before.sessions)
    assert repr(after.sessions[:n]) == repr(before.sessions)
    assert after.milestones[: len(before.milestones)] == before.milestones
    ranks = {status: rank for rank, status in enumerate(rules.statuses)}
    latched = [ranks[status.status] for status in after.sessions if status.status in ranks]
    assert latched == sorted(latched)


@pytest.mark.slow
@settings(deadline=None, max_examples=15)
@given(st.integers(0, 10**6), st.integers(3, 25))
def test_windows_hold_the_last_three_sessions(seed, length):
    """What is pooled, against the definition written out for one session after the other."""
    records = life(seed, length)
    counted = [record for record in records if not record.task_protocol.startswith("habituation")]
    statuses = [status for status in evaluate(records, IBL_PIPELINE_2021).sessions if status.level is not None]
    assert len(statuses) == len(counted)
    for i, status in enumerate(statuses):
        window = counted[max(i - 2, 0) : i + 1]
        measured = {o.criterion.measure: o.measured for o in status.outcomes if o.status == "trained_1a"}
        assert measured["n_trials"] == min(record.n_trials for record in window)
        assert measured["performance_easy"] == pytest.approx(min(record.performance_easy for record in window))
        joined = [np.concatenate([getattr(r, name) for r in window]) for name in ("signed_contrast", "n", "n_right")]
        alone = psychometrics.fit(*joined)
        assert measured["lapse_low"] == pytest.approx(alone.lapse_low, abs=1e-6)
        assert measured["threshold"] == pytest.approx(alone.threshold, abs=1e-5)
        assert status.pooled_fit.n_trials == joined[1].sum()


# Failures


def untrained(n, first=0):
    return [session(day, **POOR) for day in range(first, first + n)]


def test_untrainable_from_the_40th_session_in_the_pipeline_and_still_trainable():
    """Every untrained session from the 40th on; good sessions then train the mouse all the same."""
    records = untrained(42) + [session(day) for day in range(42, 45)]
    statuses = course(records, IBL_PIPELINE_2021)
    assert statuses[38:] == ["in_training"] + ["untrainable"] * 5 + ["trained_1b"]


def test_untrainable_is_the_40th_session_alone_in_ibllib():
    """And only sessions in training are counted."""
    statuses = course(untrained(42), IBLLIB_4)
    assert statuses[38:] == ["in_training", "untrainable", "in_training", "in_training"]
    assert "untrainable" not in course(untrained(39), IBLLIB_4)


@BOTH
def test_unbiasable_is_stored(rules):
    """The published pipeline computed it and then wrote another status over it."""
    records = [session(day) for day in range(3)] + [biased(day, shift=0.0) for day in range(3, 45)]
    training = evaluate(records, rules)
    statuses = [status.status for status in training.sessions]
    assert statuses[41] == "trained_1b"
    assert statuses[42] == "unbiasable"
    assert statuses[43] == ("trained_1b" if rules is IBLLIB_4 else "unbiasable")
    assert training.reached("unbiasable").n_sessions == 43
    assert training.reached("untrainable") is None
    assert training.next_status == "ready4ephysrig"
    biasable = records[:30] + [biased(day) for day in range(30, 33)] + records[33:]
    assert "unbiasable" not in course(biasable, rules)


# What does not count, what is missing, what cannot be


@BOTH
def test_habituation_and_passive_sessions_do_not_count(rules):
    """Not as days, not in windows, not towards untrainable."""
    aside = [session(day, "habituationChoiceWorld") for day in range(3)]
    training = evaluate([*aside, session(3), session(4), session(5, "passiveChoiceWorld"), session(6)], rules)
    statuses = [status.status for status in training.sessions]
    assert statuses == ["habituation"] * 3 + ["in_training"] * 2 + ["not_computed", "trained_1b"]
    assert [status.training_day for status in training.sessions] == [None] * 3 + [1, 2, None, 3]
    assert evaluate(aside, rules).status == "habituation"
    assert evaluate([], rules).status == "not_computed"
    assert evaluate([], rules).missing_words == "3 more sessions"


@BOTH
def test_what_is_missing_is_data_and_words(rules):
    """Sessions still to come and each criterion that is not met, measured as far as it can be."""
    training = evaluate([session(0, curve=(0.0, 12.0, 0.04, 0.24))], rules)
    assert training.next_status == "trained_1a"
    assert [item.criterion.measure for item in training.missing] == ["n_sessions", "lapse_high"]
    assert training.missing[0].measured == 1
    assert training.missing[1].measured == pytest.approx(0.24, abs=0.005)
    assert training.missing[1].criterion.threshold == 0.2
    assert training.missing_words == "2 more sessions; lapse_high 0.24, needs < 0.2"


def test_a_trained_mouse_is_told_to_start_biased_sessions():
    """The window of the next level is of another protocol."""
    words = evaluate([session(day) for day in range(3)], IBL_PIPELINE_2021).missing_words
    assert words == "3 more biased sessions"
    words = evaluate([*(session(day) for day in range(3)), biased(3)], IBL_PIPELINE_2021).missing_words
    assert words == "2 more biased sessions"


@BOTH
def test_a_performance_of_zero_is_a_value(rules):
    """Not "unknown", as it was stored by the published code."""
    training = evaluate([session(day, easy=0.0) for day in range(3)], rules)
    measured = {item.criterion.measure: item.measured for item in training.missing}
    assert measured["performance_easy"] == 0.0


@BOTH
def test_biased_sessions_without_zero_contrast_are_judged(rules):
    """Where the published code ran into an IndexError: no reaction time, so the criterion is not met."""
    records = [biased(day, contrasts=CONTRASTS[CONTRASTS != 0], rt=None) for day in range(3)]
    training = evaluate(records, rules)
    times = [o for o in training.sessions[-1].outcomes if o.criterion.measure == "zero_contrast_rt"]
    assert times
    assert all(np.isnan(outcome.measured) and not outcome.met for outcome in times)


@BOTH
def test_sessions_without_any_counts_are_judged(rules):
    """A session whose trials lack contrasts has no counts; nothing of it is met and nothing breaks."""
    empty = SessionRecord(FIRST, 1, "trainingChoiceWorld", False, float("nan"), 300, float("nan"), [], [], [], [])
    training = evaluate([empty], rules)
    assert training.status == "in_training"
    assert training.sessions[0].fits == ()
    assert "performance on easy trials unknown" in training.missing_words


def test_a_laboratory_writes_its_own_rules():
    """Other statuses, another window, no latch: data only."""
    own = RuleSet(
        name="ours",
        version=2,
        description="two sessions in a row with good easy trials",
        statuses=("novice", "expert"),
        levels=(Level("expert", (Criterion("performance_easy", ">=", 0.85, "each"),), window=2),),
        latch=False,
    )
    own = RuleSet.from_json(own.to_json())
    records = [session(0), session(1, easy=0.85), session(2, easy=0.5), session(3, "someTask"), session(4)]
    assert course(records, own) == ["novice", "expert", "novice", "novice", "expert"]
    with pytest.raises(ValueError, match="no status 'trained_1a'"):
        evaluate(records, own).reached("trained_1a")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n": [1, 2]}, "2026-01-05 1: counts must be 1-D and alike"),
        ({"n_right": np.full(CONTRASTS.size, 401)}, "n_right must lie between 0 and n"),
        ({"n_right": np.full(CONTRASTS.size, np.nan)}, "must be finite"),
    ],
)
def test_impossible_records_are_refused(change, message):
    """The message names the session."""
    with pytest.raises(ValueError, match=message):
        evaluate([dataclasses.replace(session(0), **change)], IBLLIB_4)
    with pytest.raises(ValueError, match="2026-01-05 1 is there twice"):
        evaluate([session(0), session(0)], IBLLIB_4)
