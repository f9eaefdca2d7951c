"""Trials and wheel of real rigs equal the published extractor's, and are right where that fails or is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from pipeline.analysis import bpod
from pipeline.analysis.wheel import first_movements, movements

RIG = Path(__file__).parents[3] / "shared/realdata/raw_rig"


@pytest.fixture
def rig():
    if not RIG.is_dir():
        pytest.skip(f"no real recordings at {RIG}")
    return RIG


def records(folder: Path) -> list[dict]:
    text = (folder / "raw_behavior_data/_iblrig_taskData.raw.jsonable").read_text()
    return [json.loads(line) for line in text.splitlines()]


def the_wheel(folder: Path, result: bpod.Trials, read: list[dict]) -> bpod.Wheel:
    names = ("Positions", "Events")
    files = [(folder / f"raw_behavior_data/_iblrig_encoder{name}.raw.ssv").read_text() for name in names]
    begin = result.table["intervals_0"]
    closed = begin + [item["behavior_data"]["States timestamps"]["closed_loop"][0][0] for item in read]
    return bpod.wheel(*map(bpod.read_encoder, files), closed)


@pytest.mark.parametrize(("name", "version"), [("session_training_ge5", 5), ("session_training_lt5", 4)])
def test_real_sessions_give_the_published_extractor_s_arrays(rig, name, version):
    expected = np.load(rig / name / "expected_ibllib_4.1.0.npz")
    read = records(rig / name)
    trials_read = bpod.trials(read, version)
    for column, values in trials_read.table.items():
        np.testing.assert_allclose(values, expected[f"table.{column}"], atol=1e-9, err_msg=column)
    same = {"goCueTrigger_times", "stimOnTrigger_times", "itiIn_times", "errorCueTrigger_times", "repNum"}
    if version >= 5:  # the published one takes the first flicker of a trial for the end of its stimulus in older rigs
        same |= {"stimOff_times", "stimOffTrigger_times", "stimFreeze_times"}
    for column in same:
        np.testing.assert_allclose(trials_read.more[column], expected[column], atol=1e-9, err_msg=column)
    np.testing.assert_allclose(trials_read.more["quiescencePeriod"], expected["quiescence"])


def test_the_wheel_of_a_real_session_equals_the_published_one(rig):
    folder = rig / "session_training_ge5"
    expected = np.load(folder / "expected_ibllib_4.1.0.npz")
    read = records(folder)
    trials_read = bpod.trials(read)
    turned = the_wheel(folder, trials_read, read)
    np.testing.assert_allclose(turned.times, expected["wheel_timestamps"], atol=1e-9)
    # The published one takes every step onto zero for a reset of the counter, also that from 1 by way of 0 to -1.
    theirs, ours = np.diff(expected["wheel_position"]), np.diff(turned.position)
    differ = np.flatnonzero(np.abs(theirs - ours) > 1e-9)
    assert differ.tolist() == [897]
    np.testing.assert_allclose(turned.position[:898], expected["wheel_position"][:898], atol=1e-9)
    moves = movements(expected["wheel_position"], expected["wheel_timestamps"])
    np.testing.assert_allclose(np.c_[moves.onsets, moves.offsets], expected["wheelMoves_intervals"], atol=1e-6)
    np.testing.assert_allclose(moves.peak_amplitude, expected["wheelMoves_peakAmplitude"], atol=1e-6)
    cues = np.fmin(trials_read.table["goCue_times"], trials_read.table["stimOn_times"])
    first = first_movements(moves, cues, trials_read.table["feedback_times"])
    np.testing.assert_allclose(first.times, expected["table.firstMovement_times"], atol=1e-6)


def test_the_wheel_of_an_older_rig_equals_the_published_one_but_for_where_it_begins(rig):
    folder = rig / "session_training_lt5"
    expected = np.load(folder / "expected_ibllib_4.1.0.npz")
    read = records(folder)
    turned = the_wheel(folder, bpod.trials(read, 4), read)
    np.testing.assert_allclose(np.diff(turned.position), np.diff(expected["wheel_position"]), atol=1e-9)
    np.testing.assert_allclose(turned.times, expected["wheel_timestamps"], atol=0.003)  # 30 min beyond the last event


@pytest.mark.parametrize(("name", "version", "count"), [("session_biased_ge5", 5, 8), ("session_biased_lt5", 4, 4)])
def test_biased_sessions_are_read_also_where_the_published_extractor_fails(rig, name, version, count):
    trials_read = bpod.trials(records(rig / name), version)
    assert len(trials_read.table["choice"]) == count
    assert set(trials_read.table["probabilityLeft"]) <= {0.2, 0.5, 0.8}
    assert np.all(np.isnan(trials_read.table["contrastLeft"]) != np.isnan(trials_read.table["contrastRight"]))
    assert np.all(trials_read.table["feedback_times"] >= trials_read.table["response_times"] - 1e-9)


def test_damaged_encoder_files_lose_the_damaged_lines_only(rig):
    for path in sorted((rig / "wheel_lt5").glob("*.ssv")) + sorted((rig / "wheel_ge5").glob("*.ssv")):
        encoder = bpod.read_encoder(path.read_text())
        lines = sum(bool(line.strip()) for line in path.read_text().splitlines())
        assert encoder.times.size + encoder.n_dropped == lines and encoder.n_dropped <= max(0.05 * lines, 3), path.name
        assert np.all(np.diff(encoder.times) >= 0)


def record(begin: float, **more) -> dict:
    states = {"stim_on": [[0.5, 0.6]], "play_tone": [[0.6, 0.7]], "closed_loop": [[0.7, 1.5]], "reward": [[1.5, 1.6]],
              "error": [[np.nan, np.nan]], "no_go": [[np.nan, np.nan]], "exit_state": [[2.0, 2.5]]}  # fmt: skip
    return {
        "position": 35, "signed_contrast": 0.25, "trial_correct": True, "reward_amount": 3,
        "stim_probability_left": 0.5, "quiescent_period": 0.4,
        "behavior_data": {"Bpod start timestamp": 1.0, "Trial start timestamp": 1.0 + begin,
                          "Trial end timestamp": 3.5 + begin, "States timestamps": states,
                          "Events timestamps": {"BNC1High": [0.55, 2.1], "BNC2High": [0.61]}},
    } | more  # fmt: skip


def test_a_right_stimulus_is_answered_by_turning_counter_clockwise():
    result = bpod.trials([record(0), record(10, position=-35), record(20, trial_correct=False)]).table
    assert result["choice"].tolist() == [-1, 1, 1] and result["feedbackType"].tolist() == [1, 1, -1]
    assert result["stimOn_times"].tolist() == [0.55, 10.55, 20.55]


@pytest.mark.parametrize(
    ("change", "words"),
    [({"behavior_data": None}, "trial 2 has no times"), ({"position": 0}, "trial 2 shows its stimulus in the middle"),
     ({"signed_contrast": 25}, "trial 2 has no contrast"), ({"reward_amount": "3"}, "trial 2 has no reward_amount")],
)  # fmt: skip
def test_a_trial_that_cannot_be_read_is_named(change, words):
    with pytest.raises(bpod.BadTrials, match=words):
        bpod.trials([record(0), record(10, **change)])
    with pytest.raises(bpod.BadTrials, match="no trials"):
        bpod.trials([])
    with pytest.raises(bpod.BadTrials, match="trial 2 begins before"):
        bpod.trials([record(10), record(5)])


def _record(number: int = 0, **states) -> dict:
    times = {"stim_on": [[0.1, 0.2]], "play_tone": [[0.2, 0.3]], "closed_loop": [[0.3, 0.9]], "reward": [[0.9, 1.0]],
             "error": [[np.nan, np.nan]], "no_go": [[np.nan, np.nan]], "exit_state": [[1.5, 1.6]]} | states  # fmt: skip
    return {
        "position": -35, "contrast": 0.5, "trial_correct": True, "reward_amount": 3.0, "stim_probability_left": 0.5,
        "quiescent_period": 0.4,
        "behavior_data": {"Bpod start timestamp": 1.0, "Trial start timestamp": 1.0 + 3 * number,
                          "Trial end timestamp": 3.0 + 3 * number, "States timestamps": times,
                          "Events timestamps": {"BNC2High": [0.25], "BNC1High": [0.15]}},
    }  # fmt: skip


WRONG = {"reward": [[np.nan, np.nan]], "error": [[0.9, 1.0]]}


def test_a_trial_without_an_outcome_has_that_of_its_states():
    """Never counted as wrong for want of a field."""
    records = [_record(0), _record(1, **WRONG)]
    for item in records:
        del item["trial_correct"]
    assert bpod.trials(records).table["feedbackType"].tolist() == [1, -1]
    records[1]["trial_correct"] = None
    assert bpod.trials(records).table["feedbackType"].tolist() == [1, -1]
    records[1]["trial_correct"] = True
    assert "1 trials state another outcome" in " ".join(bpod.trials(records).notes)
    records[1] = _record(1, reward=[[np.nan, np.nan]])
    del records[1]["trial_correct"]
    with pytest.raises(bpod.BadTrials, match="trial 2 has no trial_correct"):
        bpod.trials(records)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"position": float("nan")}, "has no position"),
        ({"reward_amount": float("inf")}, "has no reward_amount"),
        ({"stim_probability_left": None}, "has no stim_probability_left"),
        ({"behavior_data": 3}, "has no times of its states"),
        (("States timestamps", None), "trial 2 cannot be read"),
        (("States timestamps", {"closed_loop": 5}), "trial 2 cannot be read"),
        (("Trial start timestamp", None), "trial 2 cannot be read"),
        (("Trial start timestamp", float("nan")), "has no start"),
        (("Events timestamps", {"BNC2High": [None, "x"]}), "trial 2 cannot be read"),
    ],
)
def test_a_damaged_record_is_named_and_nothing_is_guessed(change, words):
    records = [_record(0), _record(1), _record(2)]
    if isinstance(change, tuple):
        records[1]["behavior_data"][change[0]] = change[1]
    else:
        records[1] |= change
    with pytest.raises(bpod.BadTrials, match=words) as caught:
        bpod.trials(records)
    assert "trial 2" in str(caught.value)


def test_inputs_that_saw_nothing_are_empty_also_where_they_are_null():
    record = _record()
    record["behavior_data"]["Events timestamps"] = {"BNC2High": None}
    table = bpod.trials([record]).table
    assert np.isnan(table["goCue_times"][0]) and np.isnan(table["stimOn_times"][0])


@pytest.mark.parametrize("span", [1 << 16, bpod.TICKS_PER_TURN])
def test_a_count_that_starts_over_does_not_turn_the_wheel(span):
    true = np.cumsum(np.r_[0, np.random.default_rng(2).integers(-2, 9, 3000)])
    wrapped = (true + span // 2) % span - span // 2
    steps, n_wraps = bpod._unwrapped(np.diff(wrapped))
    assert np.array_equal(steps, np.diff(true))
    assert n_wraps == (np.abs(np.diff(wrapped)) > span // 2).sum()
    if span < 1 << 16:
        assert n_wraps > 5
