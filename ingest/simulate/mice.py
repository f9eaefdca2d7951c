"""Simulated mice: how each kind of mouse changes from day to day, when it moves to the next task, what it weighs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np

from .session import BIASED_CONTRASTS, TRAINING_CONTRASTS, Psychometric, SessionParams, signed_contrast

PROTOCOLS = {
    "training": "_iblrig_tasks_trainingChoiceWorld",
    "biased": "_iblrig_tasks_biasedChoiceWorld",
    "biased_ephys_rig": "_iblrig_tasks_biasedChoiceWorld",
    "ephys": "_iblrig_tasks_ephysChoiceWorld",
}
"""Task protocol at each stage; a mouse passes through the stages in this order."""


@dataclass(frozen=True)
class Mouse:
    """What generates one mouse. A pair is (naive, expert): skill, 0 to 1 over the days, leads from one to the other."""

    subject: str
    kind: str
    sex: str
    birth_date: date
    reference_weight: float  # g, at the start of water restriction
    halfway: float = 9.0  # training days until skill is 0.5
    slope: float = 2.0  # training days, time scale of learning
    lapse: tuple[float, float] = (0.42, 0.03)  # both lapses
    threshold: tuple[float, float] = (80.0, 11.0)  # percent
    bias: tuple[float, float] = (0.0, 0.0)  # percent
    block_shift: float = 14.0  # percent, bias in 0.8 blocks minus bias in 0.2 blocks
    rt_easy: tuple[float, float] = (1.5, 0.25)  # s, median at 100 % contrast
    rt_zero: tuple[float, float] = (2.5, 0.7)  # s, median at 0 %
    rt_sigma: float = 0.5
    no_go_rate: tuple[float, float] = (0.03, 0.003)
    n_trials: tuple[float, float] = (280.0, 820.0)
    weight_held: float = 0.86  # fraction of the reference weight kept under restriction
    second_session_every: int = 11  # training days; that day has two sessions

    def skill(self, day: int) -> float:
        """Skill on a training day (counted from 0), 0-1."""
        return 1 / (1 + math.exp(-(day - self.halfway) / self.slope))

    def psychometric(self, day: int) -> Psychometric:
        """Psychometric function of the day in unbiased blocks."""
        s = self.skill(day)
        lapse = _between(self.lapse, s)
        return Psychometric(_between(self.bias, s), _between(self.threshold, s), lapse, lapse)

    def session_params(self, day: int, career: Career, rng: np.random.Generator, share: float = 1.0) -> SessionParams:
        """What generates a session on a training day; `share` scales the number of trials."""
        training = career.stage == "training"
        s, curve = self.skill(day), self.psychometric(day)
        blocks = {0.5: curve}
        if not training:
            for probability_left, sign in ((0.2, -1), (0.8, 1)):
                shifted = curve.bias + sign * self.block_shift / 2
                blocks[probability_left] = Psychometric(shifted, curve.threshold, curve.lapse_low, curve.lapse_high)
        return SessionParams(
            n_trials=max(40, round(_between(self.n_trials, s) * share * math.exp(0.08 * rng.standard_normal()))),
            blocks=blocks,
            contrasts=TRAINING_CONTRASTS[career.phase] if training else BIASED_CONTRASTS,
            debias=training and career.phase < 5,
            no_go_rate=_between(self.no_go_rate, s),
            rt_easy=_between(self.rt_easy, s),
            rt_zero=_between(self.rt_zero, s),
            rt_sigma=self.rt_sigma,
            reward_volume=career.reward_volume,
        )


KINDS: dict[str, dict[str, Any]] = {
    "fast": {"halfway": 4.0, "slope": 1.4, "second_session_every": 9},
    "slow": {"halfway": 15.0, "slope": 3.0, "rt_zero": (3.5, 1.0)},
    "never": {"halfway": 400.0, "slope": 1.0, "no_go_rate": (0.04, 0.0), "weight_held": 0.8},
    "side_biased": {"halfway": 7.0, "slope": 1.5, "bias": (-60.0, -60.0), "threshold": (80.0, 30.0)},
    "average": {"halfway": 7.0, "slope": 1.5},
}
"""What is special of each kind of mouse. A lab of four or more mice has the first four; the others are average."""


def make_mouse(index: int, start: date, rng: np.random.Generator) -> Mouse:
    """The mouse number `index` (from 0) of a lab whose training starts on `start`."""
    kind = list(KINDS)[min(index, len(KINDS) - 1)]
    sex = "MF"[index % 2]
    special: dict[str, Any] = dict(KINDS[kind])
    if kind == "average":
        special["halfway"] += rng.uniform(-2, 4)
        special["bias"] = (rng.uniform(-12, 12), rng.uniform(-4, 4))
        special["block_shift"] = rng.uniform(8, 20)
    return Mouse(
        subject=f"{kind}_{index + 1:03d}",
        kind=kind,
        sex=sex,
        birth_date=start - timedelta(days=int(rng.integers(80, 120))),
        reference_weight=round(float(rng.normal(25.5 if sex == "M" else 20.5, 1.0)), 1),
        **special,
    )


@dataclass
class Career:
    """Where a mouse stands: task stage, contrast phase, reward, and what moves it on."""

    stage: str = "training"
    phase: int = 0
    reward_volume: float = 3.0  # uL
    recent: list[dict[str, np.ndarray]] = field(default_factory=list)  # trials of the last sessions at this stage

    def after(self, params: SessionParams, trials: dict[str, np.ndarray], weight: float) -> None:
        """Move on after a session of a mouse of `weight` g, as the rig and the trainer do.

        Training phases (at the end of a session rather than within it): 0 to 1 when each side of 50 and 100 % has more
        than 80 % correct in its last 50 trials, 1 to 2 the same for 25 %, then one phase every 200 trials. Reward:
        up 0.1 uL if the session gave less than 1 mL per 25 g, else down 0.1 uL after more than 200 trials; 1.5 to 3 uL.
        To the biased task after 3 sessions at 0 % contrast with > 400 trials, > 0.9 correct at easy contrasts and a
        generating function within |bias| < 10, threshold < 20, lapses < 0.1. To the ephys rig after 3 such biased
        sessions; to the ephys task after one session there.
        """
        water = trials["reward_volume"].sum() / 1000
        step = 0.1 if water < weight / 25 else (-0.1 if params.n_trials > 200 else 0.0)
        self.reward_volume = round(min(3.0, max(1.5, self.reward_volume + step)), 1)
        self.recent = [*self.recent[-2:], trials]
        if self.stage == "biased_ephys_rig":
            self.stage, self.recent = "ephys", []
        elif self.stage != "ephys" and len(self.recent) == 3 and self._mastered(params):
            self.stage, self.recent = ("biased" if self.stage == "training" else "biased_ephys_rig"), []
        elif self.stage == "training" and self.phase < 5:
            self._next_phase(trials)

    def _mastered(self, params: SessionParams) -> bool:
        curve = params.blocks[0.5]
        if abs(curve.bias) >= 10 or curve.threshold >= 20 or max(curve.lapse_low, curve.lapse_high) >= 0.1:
            return False
        for trials in self.recent:
            signed = signed_contrast(trials)
            easy = np.abs(signed) >= 50
            if len(signed) <= 400 or not (signed == 0).any() or np.mean(trials["feedback_type"][easy] == 1) <= 0.9:
                return False
        return True

    def _next_phase(self, trials: dict[str, np.ndarray]) -> None:
        signed, correct = signed_contrast(trials), trials["feedback_type"] == 1
        if self.phase >= 2:
            self.phase = min(5, self.phase + max(1, len(signed) // 200))
            return
        wanted = (50, 100) if self.phase == 0 else (25,)
        lasts = [correct[signed == side * c][-50:] for c in wanted for side in (-1, 1)]
        if all(len(last) >= 20 and last.mean() > 0.8 for last in lasts):
            self.phase += 1


def next_weight(mouse: Mouse, weight: float, ad_libitum: bool, rng: np.random.Generator) -> float:
    """Weight (g) one day later: drifts to the weight held under restriction; ad libitum, half of the way back."""
    held = mouse.reference_weight * ((1 + mouse.weight_held) / 2 if ad_libitum else mouse.weight_held)
    return weight + (held - weight) / 3 + 0.12 * float(rng.standard_normal())


def _between(pair: tuple[float, float], skill: float) -> float:
    return pair[0] + (pair[1] - pair[0]) * skill
