"""Rule sets are data: they go through JSON unchanged, and what is wrong with one is said in words."""

import dataclasses
import datetime
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import criteria
from pipeline.analysis.criteria import MEASURES, RULE_SETS, Criterion, Failure, Level, RuleSet
from pipeline.analysis.training import SessionRecord, evaluate

NAMES = st.text(min_size=1, max_size=12)
NUMBERS = st.floats(-1e6, 1e6) | st.integers(-1000, 1000)


@st.composite
def criterion_of_any_kind(draw, statuses=("low", "middle", "high")):
    """A valid criterion of any measure."""
    measure = draw(st.sampled_from(sorted(MEASURES)))
    scope = draw(st.sampled_from(MEASURES[measure].scopes))
    low = draw(st.floats(0, 100))
    return Criterion(
        measure,
        draw(st.sampled_from(("<", "<=", ">", ">="))),
        draw(NUMBERS),
        scope,
        probability_left=draw(st.sampled_from((0.2, 0.5, 0.8) if measure == "block_trials" else (None, 0.2, 0.8))),
        contrasts=(low, low + draw(st.floats(0, 10))) if measure == "contrast_trials" else None,
        protocols=("biased", "ephys") if measure == "sessions_of" else (),
        ephys_rig_only=draw(st.booleans()),
        status=draw(st.sampled_from(statuses)) if measure == "reached" else None,
    )


@st.composite
def rule_sets(draw):
    """A valid rule set of a laboratory's own."""
    level = st.builds(
        Level,
        status=st.sampled_from(("middle", "high")),
        criteria=st.lists(criterion_of_any_kind(), max_size=5).map(tuple),
        window=st.integers(1, 5),
        protocols=st.sampled_from(((), ("biased",), ("training", "other"))),
        complete=st.booleans(),
    )
    failure = st.builds(
        Failure,
        status=st.just("hopeless"),
        after=st.integers(1, 50),
        below=st.sampled_from(("middle", "high")),
        protocols=st.sampled_from(((), ("biased",))),
        while_status=st.sampled_from((None, "low")),
        once=st.booleans(),
    )
    return RuleSet(
        draw(NAMES),
        draw(st.integers(1, 9)),
        draw(st.text()),
        ("low", "middle", "high"),
        draw(st.lists(level, max_size=4).map(tuple)),
        draw(st.lists(failure, max_size=2).map(tuple)),
        unit=draw(st.sampled_from(("session", "date"))),
        latch=draw(st.booleans()),
        ignored=draw(st.sampled_from(((), ("habituation", "other")))),
    )


@pytest.mark.slow
@settings(deadline=None)
@given(rule_sets())
def test_any_rule_set_goes_through_json_unchanged(rules):
    """Equal after the round trip, and written the same way again."""
    text = rules.to_json()
    again = RuleSet.from_json(text)
    assert again == rules
    assert again.to_json() == text
    assert RuleSet.from_json(json.dumps(json.loads(text), indent=2)) == rules


@pytest.mark.slow
@settings(deadline=None)
@given(rule_sets())
def test_any_valid_rule_set_can_be_evaluated(rules):
    """The code that walks the data knows every measure in every scope; nothing is only writable."""
    contrasts = [-100.0, -6.25, 0.0, 6.25, 100.0] * 2
    record = SessionRecord(
        datetime.date(2026, 1, 1), 1, "biasedChoiceWorld", True, 10.0, 500, 0.9,
        [0.2] * 5 + [0.8] * 5, contrasts, [50] * 10, [2, 15, 28, 40, 49, 1, 12, 22, 35, 48], [0.5],
    )  # fmt: skip
    later = dataclasses.replace(record, session_number=2, on_ephys_rig=False)
    course = evaluate([record, later], rules)
    written = sum(len(level.criteria) for level in rules.levels)
    assert all(len(session.outcomes) >= written for session in course.sessions)
    assert all(item.words for item in course.missing)


@pytest.mark.parametrize("rules", RULE_SETS.values(), ids=RULE_SETS)
def test_published_rule_sets_go_through_json_unchanged(rules):
    """They are stored as JSON in a lookup table and read back."""
    assert RuleSet.from_json(rules.to_json()) == rules


def test_published_thresholds():
    """The table of the published criteria, strict inequalities all."""
    for rules in RULE_SETS.values():
        first = {}
        for level in rules.levels:
            first.setdefault(level.status, level)
        fits = {
            status: {c.measure: c.threshold for c in first[status].criteria if c.measure in criteria.FITTED}
            for status in first
        }
        assert fits["trained_1a"] == {"bias_size": 16, "threshold": 19, "lapse_low": 0.2, "lapse_high": 0.2}
        assert fits["trained_1b"] == {"bias_size": 10, "threshold": 20, "lapse_low": 0.1, "lapse_high": 0.1}
        assert fits["ready4ephysrig"] == {"lapse_low": 0.1, "lapse_high": 0.1, "bias_shift": 5}
        assert fits["ready4recording"] == fits["ready4ephysrig"]
        for status, n_trials, easy in (
            ("trained_1a", 200, 0.8), ("trained_1b", 400, 0.9), ("ready4ephysrig", 400, 0.9),
            ("ready4delay", 400, 0.9), ("ready4recording", 400, 0.9),
        ):  # fmt: skip
            per_session = {c.measure: (c.comparison, c.threshold) for c in first[status].criteria}
            assert per_session["n_trials"] == (">", n_trials)
            assert per_session["performance_easy"] == (">", easy)
        for status in ("trained_1b", "ready4ephysrig", "ready4recording"):
            assert Criterion("zero_contrast_rt", "<", 2.0) in first[status].criteria
        assert [failure.after for failure in rules.failures] == [40, 40]


def test_a_rule_set_from_json_is_checked():
    """What cannot be meant is refused, and the message names it."""
    good = json.loads(criteria.IBLLIB_4.to_json())

    def broken(**changes):
        return json.dumps(good | changes)

    level = good["levels"][0]
    bad_measure = {**level, "criteria": [{"measure": "charm", "comparison": "<", "threshold": 1}]}
    for text, message in [
        ("{", "Expecting"),
        ("[]", "RuleSet must be an object, not list"),
        ("{}", "missing"),
        (broken(colour="red"), "RuleSet has no colour"),
        (broken(levels=3), "levels of RuleSet must be a list"),
        (broken(levels=[bad_measure]), "unknown measure 'charm'"),
        (broken(levels=[level | {"status": "wizard"}]), "'wizard' is not among the statuses"),
        (broken(levels=[level | {"window": 0}]), "at least 1"),
        (broken(unit="week"), "unit must be session or date"),
        (broken(name=""), "needs a name"),
        (broken(statuses=[]), "statuses"),
        (broken(failures=[good["failures"][0] | {"below": "wizard"}]), "unknown 'wizard'"),
        (broken(failures=[good["failures"][0] | {"status": "trained_1a"}]), "both a failure and a status"),
    ]:
        with pytest.raises(ValueError, match=message):
            RuleSet.from_json(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("n_trials", "=>", 1, "each"), "unknown comparison"),
        (("n_trials", ">", 1, "pooled"), "measured each or any or current"),
        (("n_trials", "==", 1, "each"), "cannot be compared with =="),
        (("lapse_low", "<", float("nan")), "not a number"),
        (("lapse_low", "<", "0.1"), "not a number"),
        (("contrast_trials", ">", 0), "needs contrasts"),
        (("sessions_of", ">", 0), "needs protocols"),
        (("block_trials", ">", 0), "needs probability_left"),
        (("reached", ">=", 1, "current"), "needs status"),
    ],
)
def test_a_criterion_is_checked(arguments, message):
    """A criterion that could never be judged cannot be written."""
    with pytest.raises(ValueError, match=message):
        Criterion(*arguments)


def test_kinds_of_protocol():
    """The first word that fits decides, so that habituation on an ephys rig is habituation."""
    kind = criteria.IBL_PIPELINE_2021.kind
    assert kind("_iblrig_tasks_trainingChoiceWorld6.4.2") == "training"
    assert kind("_iblrig_tasks_biasedChoiceWorld") == "biased"
    assert kind("_iblrig_tasks_ephysChoiceWorld") == "ephys"
    assert kind("_iblrig_tasks_ephysPassiveChoiceWorld") == "passive"
    assert kind("ephys_HabituationChoiceWorld") == "habituation"
    assert kind("") == "other"


@pytest.mark.parametrize(
    ("criterion", "measured", "words"),
    [
        (Criterion("n_sessions", ">=", 3), 1, "2 more sessions"),
        (Criterion("n_sessions", ">=", 3, protocols=("biased",)), 2, "1 more biased session"),
        (Criterion("reached", ">=", 1, "current", status="ready4ephysrig"), 0, "ready4ephysrig must be reached first"),
        (Criterion("sessions_of", ">=", 1, "current", protocols=("biased",)), 0, "the latest session must be biased"),
        (
            Criterion("contrast_trials", ">", 0, contrasts=(0.0, 0.0)),
            0,
            "trials at 0 % 0, needs > 0",
        ),
        (
            Criterion("lapse_low", "<", 0.1, probability_left=0.2),
            0.15,
            "lapse_low (probability left 0.2) 0.15, needs < 0.1",
        ),
        (
            Criterion("start_delay", ">=", 900, "any"),
            60.0,
            "delay before the first trial 60 (highest of the sessions), needs >= 900 s",
        ),
        (Criterion("bias_size", "<", 16), 20.5, "size of the bias 20.5, needs < 16 %"),
    ],
)  # fmt: skip
def test_what_is_missing_is_said_in_words(criterion, measured, words):
    """The sentence a trainer reads."""
    assert criterion.describe(measured) == words
