"""One simulated session of the choice task: generating parameters in, trials with consistent event times out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

TRAINING_CONTRASTS = (
    (1.0, 0.5),
    (1.0, 0.5, 0.25),
    (1.0, 0.5, 0.25, 0.125),
    (1.0, 0.5, 0.25, 0.125, 0.0625),
    (1.0, 0.5, 0.25, 0.125, 0.0625, 0.0),
    (1.0, 0.25, 0.125, 0.0625, 0.0),
)
"""Contrasts (fractions) shown in each training phase, 0 to 5."""

BIASED_CONTRASTS = TRAINING_CONTRASTS[5]
RESPONSE_WINDOW = 60.0  # s
SHORTEST_REACTION = 0.1  # s


@dataclass(frozen=True)
class Psychometric:
    """P(right) = lapse_low + (1 - lapse_low - lapse_high) * (erf((c - bias) / threshold) + 1) / 2, c in percent.

    Examples
    --------
    >>> Psychometric(bias=0.0, threshold=20.0, lapse_low=0.1, lapse_high=0.1).p_right(0.0)
    0.5
    """

    bias: float = 0.0  # percent, negative: more right choices
    threshold: float = 15.0  # percent
    lapse_low: float = 0.05  # P(right) far on the left, 0-1
    lapse_high: float = 0.05  # P(left) far on the right, 0-1

    def p_right(self, contrast: float) -> float:
        """Probability of a right choice at one signed `contrast` (percent, right positive)."""
        climb = (math.erf((contrast - self.bias) / self.threshold) + 1) / 2
        return self.lapse_low + (1 - self.lapse_low - self.lapse_high) * climb


@dataclass(frozen=True)
class SessionParams:
    """What generates one session.

    `blocks` maps probability_left to the psychometric function in blocks of that probability: 0.5 alone for the
    training task; 0.5, 0.2 and 0.8 for the biased and ephys tasks, where trials come in blocks.
    """

    n_trials: int = 600
    blocks: Mapping[float, Psychometric] = field(default_factory=lambda: {0.5: Psychometric()})
    contrasts: tuple[float, ...] = BIASED_CONTRASTS  # fractions, each shown on both sides
    debias: bool = False  # repeat the contrast after an error at 50 % or more, as the training task does
    no_go_rate: float = 0.01  # fraction of trials without a response
    rt_easy: float = 0.3  # s, median reaction time at 100 % contrast
    rt_zero: float = 0.8  # s, median reaction time at 0 % contrast
    rt_sigma: float = 0.5  # SD of the logarithm of the reaction time
    reward_volume: float = 2.0  # uL per correct trial
    stim_on_missing: float = 0.01  # fraction of trials whose stimulus onset was not detected (NaN)

    def rt_median(self, contrast: float | np.ndarray) -> float | np.ndarray:
        """Median reaction time (s, stimulus to response) of responded trials at an absolute `contrast` (fraction)."""
        fall = (1 - np.exp(-np.asarray(contrast) / 0.15)) / (1 - math.exp(-1 / 0.15))
        median = self.rt_zero + (self.rt_easy - self.rt_zero) * fall
        return float(median) if median.ndim == 0 else median


def simulate_trials(params: SessionParams, seed: int | np.random.Generator = 0) -> dict[str, np.ndarray]:
    """Trials of one session: column name -> array of shape (n_trials,), names as in the table `behavior.Trial`.

    Within a trial: intervals_0 < stim_on <= go_cue <= first_movement < response <= feedback < stim_off <= intervals_1,
    and each trial starts after the one before has ended. Times have the Bpod's resolution, 0.1 ms. A trial without a
    response ends 60 s after the stimulus, with feedback -1 and no first movement. `rep_num` is absent where the task
    does not repeat trials.

    Examples
    --------
    >>> trials = simulate_trials(SessionParams(n_trials=300), seed=1)
    >>> sorted(set(trials["choice"].tolist()))
    [-1, 0, 1]
    >>> bool((trials["feedback_times"] > trials["stim_on_times"])[~np.isnan(trials["stim_on_times"])].all())
    True
    """
    rng = np.random.default_rng(seed)
    if len(params.blocks) > 1:
        contrast, right, probability_left, choice = _draw_blocks(params, rng)
        repeats = {}
    else:
        contrast, right, choice, rep_num = _draw_training(params, rng)
        probability_left = np.full(params.n_trials, next(iter(params.blocks)))
        repeats = {"rep_num": rep_num}
    correct = choice == np.where(right, -1, 1)
    return {
        **_event_times(params, contrast, choice, correct, rng),
        "choice": choice,
        "feedback_type": np.where(correct, 1, -1),
        "contrast_left": np.where(right, np.nan, contrast),
        "contrast_right": np.where(right, contrast, np.nan),
        "probability_left": probability_left,
        "reward_volume": np.where(correct, params.reward_volume, 0.0),
        "included": np.ones(params.n_trials, dtype=bool),
        **repeats,
    }


def signed_contrast(trials: Mapping[str, np.ndarray]) -> np.ndarray:
    """Signed contrast of each trial, percent, right positive.

    Examples
    --------
    >>> signed_contrast({"contrast_left": np.array([0.25, np.nan]), "contrast_right": np.array([np.nan, 1.0])})
    array([-25., 100.])
    """
    return 100 * (np.nan_to_num(trials["contrast_right"]) - np.nan_to_num(trials["contrast_left"]))


def _draw_blocks(params: SessionParams, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Stimuli and choices of the biased task: 90 trials at 0.5, then 0.2 and 0.8 in turn, 20 to 100 trials each."""
    n = params.n_trials
    probability_left = np.full(n, 0.5)
    begin, probability = 90, rng.choice([0.2, 0.8])
    while begin < n:
        length = 0
        while not 20 <= length <= 100:
            length = int(rng.exponential(60))
        probability_left[begin : begin + length] = probability
        begin, probability = begin + length, 0.8 if probability == 0.2 else 0.2
    contrasts = np.asarray(params.contrasts)
    weight = np.where(contrasts == 0, 0.5, 1.0)
    contrast = rng.choice(contrasts, size=n, p=weight / weight.sum())
    right = rng.random(n) >= probability_left
    p_right = np.empty(n)
    for block, curve in params.blocks.items():
        for c in params.contrasts:
            for side in (False, True):
                where = (probability_left == block) & (contrast == c) & (right == side)
                p_right[where] = curve.p_right(100 * c * (1 if side else -1))
    choice = np.where(rng.random(n) < p_right, -1, 1)
    choice[rng.random(n) < params.no_go_rate] = 0
    return contrast, right, probability_left, choice


def _draw_training(params: SessionParams, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Stimuli and choices of the training task, which may repeat an easy contrast until the answer is right.

    The side of a repeated trial is drawn against the side that the last ten answers favour.
    """
    n, curve = params.n_trials, next(iter(params.blocks.values()))
    shown = [(c, side) for c in params.contrasts for side in ((True, False) if c else (None,))]
    p_right = {c * s: curve.p_right(100 * c * s) for c in params.contrasts for s in (1, -1)}
    drawn = rng.integers(len(shown), size=n).tolist()
    coin, answer, lean, no_go = rng.random(n).tolist(), rng.random(n).tolist(), rng.normal(0, 0.5, n), rng.random(n)
    lean, no_go = lean.tolist(), (no_go < params.no_go_rate).tolist()
    contrasts, rights, choices, rep_nums = [], [], [], []
    recent: list[bool] = []  # were the last answers right?
    repeat, rep_num, c = False, 1, 0.0
    for i in range(n):
        if repeat:
            rep_num += 1
            right = (sum(recent) / len(recent) if recent else 0.5) + lean[i] < 0.5
        else:
            rep_num = 1
            c, right = shown[drawn[i]]
            if right is None:
                right = coin[i] < 0.5
        went_right = answer[i] < p_right[c if right else -c]
        choice = 0 if no_go[i] else (-1 if went_right else 1)
        if choice:
            recent = [*recent[-9:], went_right]
        repeat = params.debias and c >= 0.5 and choice != (-1 if right else 1)
        contrasts.append(c)
        rights.append(right)
        choices.append(choice)
        rep_nums.append(rep_num)
    return np.array(contrasts), np.array(rights), np.array(choices), np.array(rep_nums)


def _event_times(
    params: SessionParams, contrast: np.ndarray, choice: np.ndarray, correct: np.ndarray, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Event times (s from session start) from durations, so that the order of events holds by construction."""
    n = len(contrast)
    reaction = params.rt_median(contrast) * np.exp(params.rt_sigma * rng.standard_normal(n))
    reaction = np.where(choice == 0, RESPONSE_WINDOW, reaction.clip(SHORTEST_REACTION, RESPONSE_WINDOW - 0.1))
    moving = np.minimum(reaction * rng.uniform(0.4, 0.7, n), rng.uniform(0.15, 0.35, n))  # movement until response
    quiescence = 0.4 + rng.exponential(0.35, n).clip(max=0.3)  # as the task draws it: 0.4 to 0.7 s
    before = quiescence + rng.uniform(0.1, 0.2, n)  # trial start to stimulus
    after = np.where(correct, 1.0, 2.0)  # feedback to stimulus off
    gap = rng.uniform(0.05, 0.35, n)  # trial end to next start
    start = 1.0 + np.concatenate([[0.0], np.cumsum(before + reaction + after + 0.1 + gap)[:-1]])
    stim_on = start + before
    response = stim_on + reaction
    feedback = response + rng.uniform(0.0001, 0.001, n)
    stim_off = feedback + after
    times = {
        "intervals_0": start,
        "intervals_1": stim_off + 0.08,
        "stim_on_times": np.where(rng.random(n) < params.stim_on_missing, np.nan, stim_on),
        "stim_off_times": stim_off,
        "stim_on_trigger_times": stim_on - rng.uniform(0.02, 0.05, n),
        "stim_off_trigger_times": stim_off - 0.03,
        "go_cue_times": stim_on + rng.uniform(0.0001, 0.002, n),
        "go_cue_trigger_times": stim_on - 0.0002,
        "response_times": response,
        "feedback_times": feedback,
        "first_movement_times": np.where(choice == 0, np.nan, response - moving),
        "quiescence_period": quiescence,
    }
    return {name: np.round(values, 4) for name, values in times.items()}
