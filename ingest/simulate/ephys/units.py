"""What generates the spikes of one simulated unit: rate, responses to the events of trials, waveform and faults."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .track import N_SITES, local_coordinates

EVENTS = {
    "stim_on": "stim_on_times",
    "go_cue": "go_cue_times",
    "first_movement": "first_movement_times",
    "response": "response_times",
    "feedback": "feedback_times",
}
"""Name of an event -> column of trials."""

SELECTIVE = ("", "side", "contrast", "choice", "feedback", "block")


@dataclass(frozen=True)
class Response:
    """A change of the rate in a window after an event of the trials.

    The rate in the window is `1 + gain * weight` times the unit's rate; overlapping windows add. The weight of a trial
    is 1; where `by` names a condition, 1 on trials of the `preferred` one and 0 on others (for `contrast`: the contrast
    as a fraction, on either side).
    """

    event: str  # one of EVENTS
    latency: float  # s, from the event to the window
    duration: float  # s
    gain: float  # change over the unit's rate; -1 silences it
    by: str = ""  # one of SELECTIVE
    preferred: float = 0.0  # side: -1 left, 1 right; choice: -1 right, 1 left; feedback: -1, 1; block: 0.2, 0.8

    def __post_init__(self) -> None:
        if self.event not in EVENTS or self.by not in SELECTIVE:
            raise ValueError(f"event {self.event!r} must be of {', '.join(EVENTS)}, by {self.by!r} of {SELECTIVE}")

    def weights(self, trials: dict[str, np.ndarray]) -> np.ndarray:
        """Weight of each trial, 0 to 1."""
        left = ~np.isnan(trials["contrast_left"])
        if self.by == "side":
            return (np.where(left, -1, 1) == self.preferred).astype(float)
        if self.by == "contrast":
            return np.where(left, trials["contrast_left"], trials["contrast_right"])
        if self.by:
            column = {"choice": "choice", "feedback": "feedback_type", "block": "probability_left"}[self.by]
            return (trials[column] == self.preferred).astype(float)
        return np.ones(len(left))


@dataclass(frozen=True)
class Unit:
    """One unit as it truly is."""

    depth: float  # um from the tip, in the middle of the session
    lateral: float = 35.0  # um
    rate: float = 5.0  # Hz, outside responses and gaps, of the spikes that were detected
    refractory: float = 0.003  # s; none of its own spikes come closer
    contamination: float = 0.0  # fraction of its spikes that are of other neurons, at random times, 0-1
    gaps: tuple[tuple[float, float], ...] = ()  # s, when it is silent
    responses: tuple[Response, ...] = ()
    amplitude: float = 120.0  # uV, trough to peak on the best site, of all spikes
    amplitude_sd: float = 0.1  # of the amplitudes of single spikes, as a fraction of the mean
    amplitude_drift: float = 0.0  # change of the amplitude, fraction per hour
    missed: float = 0.0  # fraction of its spikes that were too small to be detected, 0-1
    width: float = 0.5  # ms, about, from trough to peak
    label: str = "good"  # as a sorter would say: good or mua


def draw_units(
    n_units: int, rng: np.random.Generator, duration: float, depths: tuple[float, float] | None = None
) -> list[Unit]:
    """A population as a probe meets it: half of the units respond, three of ten are contaminated, some come and go.

    Parameters
    ----------
    n_units, rng, duration : how many, from which generator, for a session of how many s.
    depths : lowest and highest place (um from the tip); by default all along the sites.
    """
    low, high = depths or (40.0, float(local_coordinates(N_SITES)[-1, 1]) - 40.0)
    return [_draw_unit(rng, duration, depth) for depth in np.sort(rng.uniform(low, high, n_units))]


def _draw_unit(rng: np.random.Generator, duration: float, depth: float) -> Unit:
    mua = rng.random() < 0.3
    gaps: tuple[tuple[float, float], ...] = ()
    if rng.random() < 0.15:
        begin = rng.uniform(0.1, 0.7) * duration
        gaps = ((round(begin, 1), round(begin + rng.uniform(0.1, 0.3) * duration, 1)),)
    return Unit(
        depth=round(float(depth), 1),
        lateral=round(rng.uniform(11, 59), 1),
        rate=round(float(np.clip(rng.lognormal(1.1, 0.8), 0.4, 40)), 3),
        contamination=round(rng.uniform(0.15, 0.5), 3) if mua else round(rng.uniform(0, 0.02), 3),
        gaps=gaps,
        responses=_draw_responses(rng) if rng.random() < 0.5 else (),
        amplitude=round(float(60 + rng.gamma(2.0, 40)), 1),
        amplitude_sd=round(rng.uniform(0.06, 0.14), 3),
        amplitude_drift=round(rng.normal(0, 0.05), 3),
        missed=round(rng.uniform(0.1, 0.3), 3) if rng.random() < 0.1 else 0.0,
        width=round(rng.uniform(0.5, 0.75) if rng.random() < 0.75 else rng.uniform(0.2, 0.35), 3),
        label="mua" if mua else "good",
    )


def _draw_responses(rng: np.random.Generator) -> tuple[Response, ...]:
    """One or two responses to different events."""
    kinds = [
        ("stim_on", rng.uniform(0.04, 0.1), 0.15, rng.choice(["side", "contrast", ""])),
        ("first_movement", rng.uniform(-0.1, 0.0), 0.2, rng.choice(["choice", ""])),
        ("feedback", rng.uniform(0.03, 0.1), 0.3, rng.choice(["feedback", ""])),
        ("stim_on", -0.4, 0.4, "block"),
    ]
    chosen = rng.choice(len(kinds), size=1 + int(rng.random() < 0.3), replace=False, p=[0.35, 0.3, 0.3, 0.05])
    responses = []
    for number in sorted(chosen.tolist()):
        event, latency, length, by = kinds[number]
        preferred = {"side": (-1, 1), "choice": (-1, 1), "feedback": (-1, 1), "block": (0.2, 0.8)}.get(by, (0, 0))
        gain = -rng.uniform(0.6, 0.9) if rng.random() < 0.2 else rng.uniform(1.0, 4.0)
        side = float(preferred[int(rng.random() < 0.5)])
        responses.append(Response(event, round(float(latency), 3), length, round(float(gain), 2), str(by), side))
    return tuple(responses)
