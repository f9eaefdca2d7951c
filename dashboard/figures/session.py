"""One session: psychometric and chronometric curves, response times, choices and rewards, the wheel around trials."""

from __future__ import annotations

from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure, second_axis
from dashboard.figures.curves import chronometric, psychometric
from dashboard.figures.rows import Columns, Rows, columns
from pipeline.analysis import conventions, reaction_times

__all__ = ["choices_and_rewards", "chronometric", "psychometric", "response_time_over_trials", "wheel_traces"]

RUNNING_CHOICES = 20
"""Trials in the running fraction of choices to the right."""
MOST_SAMPLES = 500
"""Samples of one wheel trace that are drawn; of more, every so many."""


def response_time_over_trials(
    trials: Rows, *, window: int = reaction_times.RUNNING_WINDOW, theme: str = "light", height: int = 320
) -> go.Figure:
    """Response time of every trial (logarithmic) with the running median.

    Parameters
    ----------
    trials : rows of `TrialSet.Trial` in order. The response time is that from stimulus to response of
        `reaction_times.response_time`; trials without a response, or without a known start, have none.
    window : trials in the running median, the present one the last of them.
    """
    chosen = _trials(trials)
    times = reaction_times.response_time(chosen) if chosen.n else None
    traces: list[Trace] = []
    if times is not None and np.isfinite(times).any():
        number = np.arange(1, chosen.n + 1)
        shown = np.where(times > 0, times, np.nan)
        outcome = _outcome(chosen)
        contrast = conventions.trial_signed_contrast(chosen)
        contrast = np.full(chosen.n, np.nan) if contrast is None else contrast
        for words, color, symbol in _OUTCOMES:
            which = (outcome == words) & np.isfinite(shown)
            if not which.any():
                continue
            traces.append(
                {
                    "type": "scattergl" if chosen.n > 3000 else "scatter",
                    "mode": "markers",
                    "name": words,
                    "x": number[which],
                    "y": shown[which],
                    "customdata": contrast[which],
                    "marker": {"color": color, "symbol": symbol, "size": 4, "opacity": 0.85},
                    "hovertemplate": "trial %{x}: %{y:.3g} s<br>contrast %{customdata:g} %, "
                    f"{words}<extra></extra>",
                }  # fmt: skip
            )
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"median of {window} trials",
                "x": number,
                "y": reaction_times.running_median(shown, window),
                "line": {"color": style.BLUE, "width": 2},
                "hovertemplate": f"median of the last {window}: %{{y:.3g}} s<extra></extra>",
            }  # fmt: skip
        )
    layout = {
        "height": height, "hovermode": "closest",
        "xaxis": axis("Trial number", rangemode="tozero"),
        "yaxis": axis("Response time (s)", **_time_axis(times)),
    }  # fmt: skip
    return figure(traces, layout, theme, "There are no response times: no times of stimulus and response.")


def choices_and_rewards(trials: Rows, *, theme: str = "light", height: int = 320) -> go.Figure:
    """Each choice at its time, the running fraction to the right beside the prior of the blocks, and the water so far.

    Parameters
    ----------
    trials : rows of `TrialSet.Trial` in order. A choice stands at the time of its response (of the feedback, of the
        start of the trial where that is not known); without any time, at the number of its trial.
    """
    chosen = _trials(trials)
    traces: list[Trace] = []
    right = conventions.right_choice(chosen["choice"]) if "choice" in chosen else np.empty(0)
    x, title = _trial_times(chosen)
    if right.size and np.isfinite(right).any():
        outcome = _outcome(chosen)
        number = np.arange(1, chosen.n + 1)
        for words, color, symbol in _OUTCOMES:
            which = outcome == words
            away = 0.2 if words == "wrong" else 0.1
            if which.any():
                traces.append(
                    {
                        "type": "scatter",
                        "mode": "markers",
                        "name": words,
                        "x": x[which],
                        "y": np.where(right == 1, 1 + away, np.where(right == 0, -away, 0.5))[which],
                        "marker": {
                            "color": color,
                            "symbol": "line-ns-open" if symbol == "circle" else symbol,
                            "size": 7 if symbol == "circle" else 5,
                            "line": {"width": 1, "color": color},
                        },
                        "customdata": number[which].tolist(),  # a list, so that a click says it
                        "hovertemplate": f"trial %{{customdata}}, {words}<extra></extra>",
                    }  # fmt: skip
                )
        prior = conventions.block_prior(chosen)
        if prior is not None:
            steps = np.flatnonzero(np.append(True, prior[1:] != prior[:-1]) | (number == chosen.n))
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "name": "P(stimulus right)",
                    "x": x[steps],
                    "y": 1 - prior[steps],
                    "line": {"color": style.GREY, "width": 2, "dash": "dash", "shape": "hv"},
                    "hovertemplate": "prior %{y:.2f} on the right<extra></extra>",
                }  # fmt: skip
            )
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"P(choice right), last {RUNNING_CHOICES}",
                "x": x,
                "y": running_mean(right, RUNNING_CHOICES),
                "line": {"color": style.BLUE, "width": 2},
                "hovertemplate": "%{y:.2f} to the right<extra></extra>",
            }  # fmt: skip
        )
    volume = chosen.numbers("reward_volume")
    layout: dict[str, Any] = {
        "height": height, "hovermode": "closest", "margin": {"r": 60},
        "xaxis": axis(title),
        "yaxis": axis("P(right)", range=[-0.26, 1.26], tickvals=[-0.15, 0, 0.5, 1, 1.15],
                      ticktext=["left", "0", "0.5", "1", "right"]),
    }  # fmt: skip
    if traces and np.nansum(volume) > 0:
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": "reward so far",
                "x": x,
                "yaxis": "y2",
                "y": np.cumsum(np.nan_to_num(volume)) / 1000,
                "line": {"color": style.TEAL, "width": 1.5},
                "hovertemplate": "%{y:.2f} mL<extra></extra>",
            }  # fmt: skip
        )
        layout["yaxis2"] = second_axis("Reward so far (mL)", style.TEAL, rangemode="tozero")
    return figure(traces, layout, theme, "There are no choices in this session.")


def wheel_traces(
    trials: Rows,
    times: np.ndarray,
    position: np.ndarray,
    chosen: list[int] | None = None,
    *,
    before: float = 0.5,
    after: float = 2.0,
    theme: str = "light",
    height: int = 320,
) -> go.Figure:
    """The wheel around some trials, each trace from 0 at the onset of its stimulus.

    Parameters
    ----------
    trials : rows of `TrialSet.Trial`.
    times, position : (n_samples,) s from session start, ascending, and rad, counter-clockwise positive; as in the file.
    chosen : `trial_id` of the trials; all that are given when not said. With more than 8 the traces are coloured by the
        choice, else by trial.
    before, after : s around the onset of the stimulus (the go cue, where that is missing).
    """
    taken = _trials(trials)
    ids = taken.numbers("trial_id").astype(int) if "trial_id" in taken else np.arange(taken.n)
    onset = reaction_times.onset_times(taken) if taken.n else None
    onset = np.full(taken.n, np.nan) if onset is None else onset
    rows = [row for row in range(taken.n) if chosen is None or ids[row] in set(chosen)]
    right = conventions.right_choice(taken["choice"]) if "choice" in taken else np.full(taken.n, np.nan)
    outcome, many = _outcome(taken), len(rows) > 8
    contrast = conventions.trial_signed_contrast(taken) if taken.n else None
    traces: list[Trace] = []
    seen: set[str] = set()
    marked: dict[str, list[tuple[float, float]]] = {}
    for number, row in enumerate(rows):
        if not np.isfinite(onset[row]) or len(times) < 2:
            continue
        start, stop = np.searchsorted(times, [onset[row] - before, onset[row] + after])
        start, stop = max(start - 1, 0), min(stop + 1, len(times))
        if stop - start < 2 or onset[row] > times[-1]:
            continue
        samples = np.unique(np.linspace(start, stop - 1, min(stop - start, MOST_SAMPLES)).astype(int))
        at = np.asarray(times)[samples] - onset[row]
        turned = np.degrees(np.asarray(position)[samples] - np.interp(onset[row], times, position))
        side = _SIDES[right[row]] if np.isfinite(right[row]) else _NO_SIDE
        label = side[0] if many else f"trial {ids[row] + 1}"
        shown = "" if contrast is None else f", {contrast[row]:g} %"
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "x": at,
                "y": turned,
                "name": label,
                "legendgroup": label,
                "showlegend": label not in seen,
                "line": {"color": side[1], "dash": side[2], "width": 1.2}
                if many
                else {"color": style.nth(number).color, "dash": style.DASHES[number % 4], "width": 1.8},
                "hovertemplate": f"trial {ids[row] + 1}{shown}, {side[0]}, {outcome[row]}<br>%{{x:.3f}} s: %{{y:.1f}}°"
                "<extra></extra>",
            }  # fmt: skip
        )
        seen.add(label)
        for name in _WHEEL_EVENTS:
            event = taken.numbers(name)[row] - onset[row]
            if np.isfinite(event) and -before <= event <= after:
                marked.setdefault(name, []).append((event, float(np.interp(event, at, turned))))
    for name, points in marked.items():
        words, symbol = _WHEEL_EVENTS[name]
        event, height_ = np.array(points).T
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": words,
                "x": event,
                "y": height_,
                "marker": {"symbol": symbol, "size": 8, "color": style.GREY, "line": {"width": 1.5}},
                "hovertemplate": f"{words}, %{{x:.3f}} s<extra></extra>",
            }  # fmt: skip
        )
    layout = {
        "height": height, "hovermode": "closest",
        "xaxis": axis("Time from stimulus onset (s)", range=[-before, after], zeroline=True),
        "yaxis": axis("Wheel (degrees, CCW positive)", zeroline=True),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no wheel around these trials.")


def running_mean(values: np.ndarray, window: int) -> np.ndarray:
    """Mean of each value and the `window - 1` before it (fewer at the start), NaN left out.

    >>> running_mean(np.array([1.0, 0.0, np.nan, 1.0]), 2)
    array([1. , 0.5, 0. , 1. ])
    """
    known = np.isfinite(values)
    total = np.cumsum(np.append(0.0, np.where(known, values, 0.0)))
    count = np.cumsum(np.append(0, known))
    first = np.maximum(np.arange(values.size) + 1 - window, 0)
    last = np.arange(values.size) + 1
    with np.errstate(invalid="ignore"):
        return np.where(count[last] > count[first], (total[last] - total[first]) / (count[last] - count[first]), np.nan)


_OUTCOMES = (
    ("correct", style.CORRECT, "circle"),
    ("wrong", style.WRONG, "x"),
    ("no response", style.NO_RESPONSE, "circle-open"),
    ("outcome unknown", style.GREY, "diamond"),
)
_SIDES = {1.0: ("choice right", style.RIGHT, "solid"), 0.0: ("choice left", style.LEFT, "dash")}
_NO_SIDE = ("no choice", style.GREY, "dot")
_WHEEL_EVENTS = {
    "first_movement_times": ("first movement", "circle-open"),
    "response_times": ("response", "x-open"),
}


def _trials(trials: Rows) -> Columns:
    """Numbers only, in order; columns without a single value are left out, as the analyses want it."""
    given = columns(trials)
    if "trial_id" in given:
        given = given.ordered("trial_id")
    table = Columns()
    for name in given:
        try:
            values = given.numbers(name)
        except (TypeError, ValueError):
            continue
        if np.isfinite(values).any():
            table[name] = values
    return table


def _time_axis(times: np.ndarray | None) -> dict[str, Any]:
    """A logarithmic axis that holds all times, and at least those from 0.1 to 3 s."""
    known = times[np.isfinite(times) & (times > 0)] if times is not None else np.empty(0)
    low, high = np.log10([known.min(initial=0.1), known.max(initial=3)])
    ticks = [first * 10.0**power for power in range(-3, 3) for first in (1, 3)] + [1000.0]
    span = [max(low, -3) - 0.08, min(high, 3) + 0.08]
    return {"type": "log", "range": span, "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _outcome(trials: Columns) -> np.ndarray:
    """One of the words of `_OUTCOMES` for every trial."""
    correct = conventions.trial_correct(trials) if trials.n else None
    words = np.full(trials.n, "outcome unknown", dtype=object)
    if correct is not None:
        words[correct == 1], words[correct == 0] = "correct", "wrong"
    if "choice" in trials:
        words[trials["choice"] == conventions.CHOICE_NONE] = "no response"
    return words


def _trial_times(trials: Columns) -> tuple[np.ndarray, str]:
    """Minutes from the start of the session for every trial, or its number where no time is known."""
    times = np.full(trials.n, np.nan)
    for name in ("response_times", "feedback_times", "intervals_0", "intervals_1"):
        times = np.where(np.isnan(times), trials.numbers(name), times)
    if np.isnan(times).all():
        return np.arange(1, trials.n + 1).astype(float), "Trial number"
    return times / 60, "Time in the session (min)"
