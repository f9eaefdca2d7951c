"""Checks of the times of trials: their unit, clock and resolution, and the order of what happened."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pipeline.analysis import reaction_times
from pipeline.analysis._trial_findings import FEWEST, Checked, Finding, passed
from pipeline.analysis.conventions import Trials, n_trials
from pipeline.analysis.protocols import OTHER

DAY = 86_400.0  # s, longer than any session
RESPONSE_WINDOW = 60.0  # s, in which the task waits for a response
LONGEST_TRIAL = 1800.0  # s
SLACK = 0.01  # s by which two events of a trial may be out of order
COARSE = (0.1, 0.125)  # s; times that are whole multiples of these tell no response times (float16 has the second)
MOSTLY = 0.8  # share of the values from which a column is so
SHORTEST_TRIAL = 0.3  # s from trial to trial, on average, that a task can have
_UNITS = {1e3: "ms", 1e6: "us", 1e9: "ns"}


def time_unit(trials: Trials, task_kind: str) -> Checked:
    """Times in ms, us or ns are read as such: no session lasts a day, no trial of the task waits for minutes.

    A column whose span is that of the others times a thousand is in ms alone.
    """
    names = [name for name in trials if name.endswith("_times") or name.startswith("intervals_")]
    spans = {name: _span(trials[name]) for name in names}
    spans = {name: span for name, span in spans.items() if span > 0}
    if not spans:
        return trials, None
    size, least = n_trials(trials), min(spans.values())
    other = {name: _scale(span / least) for name, span in spans.items()}
    alone = [name for name, scale in other.items() if scale > 1]
    if alone and len(alone) < len(spans) / 2:
        repaired = dict(trials) | {name: np.asarray(trials[name], dtype=float) / other[name] for name in alone}
        detail = f"{', '.join(alone)}: in {_UNITS[other[alone[0]]]} where the other times are in s; read as such"
        return repaired, Finding("time_unit", "WARNING", size, detail)
    length = max(spans.values())
    waited = reaction_times.response_time(trials)
    wait = float(np.median(waited[np.isfinite(waited)])) if waited is not None and np.isfinite(waited).any() else 0.0
    pace = length / max(size, 1)
    if size >= FEWEST and pace < SHORTEST_TRIAL:
        detail = f"{size} trials in {length:.3g} s: the times are not in seconds, perhaps in minutes"
        return trials, Finding("time_unit", "FAIL", size, detail)
    if length <= DAY and not (task_kind not in ("", OTHER) and wait > 1.5 * RESPONSE_WINDOW):
        return trials, passed("time_unit")
    for scale, unit in _UNITS.items():
        if size >= FEWEST and 0.5 <= pace / scale <= RESPONSE_WINDOW and length / scale < DAY / 2:
            repaired = dict(trials) | {name: np.asarray(trials[name], dtype=float) / scale for name in names}
            detail = f"times are in {unit}: a session does not last {length / 3600:.0f} hours; read as such"
            return repaired, Finding("time_unit", "WARNING", size, detail)
    detail = f"the times span {length / 3600:.0f} hours, {pace:.3g} s a trial: they are in no unit that is known here"
    return trials, Finding("time_unit", "FAIL", size, detail)


def _span(values: ArrayLike) -> float:
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(np.ptp(known)) if known.size > 1 else 0.0


def _scale(ratio: float) -> float:
    """The unit in which a column is whose span is so many times that of another; 1 for the same."""
    return next((scale for scale in _UNITS if 0.8 < ratio / scale < 1.25), 1.0)


def time_origin(trials: Trials, task_kind: str) -> Checked:
    """Times count from the start of the session; those of the computer's clock (s since 1970) do not."""
    if "intervals_0" not in trials:
        return trials, None
    start = np.asarray(trials["intervals_0"], dtype=float)
    start = start[np.isfinite(start)]
    if not start.size or abs(start[0]) < DAY:
        return trials, passed("time_origin") if start.size else None
    detail = f"the first trial begins {start[0]:.6g} s from the start of the session: times of another clock"
    return trials, Finding("time_origin", "WARNING", start.size, detail)


def overlap(trials: Trials, task_kind: str) -> Checked:
    """A trial begins after the one before has ended; one that is there twice does not."""
    if not {"intervals_0", "intervals_1"} <= trials.keys():
        return trials, None
    start, end = np.asarray(trials["intervals_0"], dtype=float), np.asarray(trials["intervals_1"], dtype=float)
    with np.errstate(invalid="ignore"):
        overlaps, twice = start[1:] < end[:-1] - SLACK, (start[1:] == start[:-1]) & (end[1:] == end[:-1])
    n_overlaps, n_twice = int(overlaps.sum()), int(twice.sum())
    if not n_overlaps and not n_twice:
        return trials, passed("overlap")
    said = [f"{n_twice} trials are there twice"] if n_twice else []
    said += [f"{n_overlaps} trials begin before the one before has ended"] if n_overlaps > n_twice else []
    outcome = "FAIL" if max(n_overlaps, n_twice) > 0.05 * start.size and start.size >= FEWEST else "WARNING"
    return trials, Finding("overlap", outcome, max(n_overlaps, n_twice), "; ".join(said))


def order_of_events(trials: Trials, task_kind: str) -> Checked:
    """Within a trial: start, stimulus, response, feedback, end."""
    order = ("intervals_0", "stim_on_times", "response_times", "feedback_times", "intervals_1")
    words = dict(zip(order, ("the start", "the stimulus", "the response", "the feedback", "the end"), strict=True))
    present = [name for name in order if name in trials]
    if len(present) < 2:
        return trials, None
    wrong = np.zeros(n_trials(trials), dtype=bool)
    said = []
    for i, earlier in enumerate(present):
        for later in present[i + 1 :]:
            with np.errstate(invalid="ignore"):
                bad = np.asarray(trials[later], dtype=float) < np.asarray(trials[earlier], dtype=float) - SLACK
            if bad.any():
                said.append(f"{words[later]} comes before {words[earlier]} in {int(bad.sum())} trials")
                wrong |= bad
    if not wrong.any():
        return trials, passed("order_of_events")
    share = wrong.mean()
    outcome = "FAIL" if share > 0.5 and wrong.size >= FEWEST else "WARNING"
    return trials, Finding("order_of_events", outcome, int(wrong.sum()), "; ".join(said))


def durations(trials: Trials, task_kind: str) -> Checked:
    if not {"intervals_0", "intervals_1"} <= trials.keys():
        return trials, None
    with np.errstate(invalid="ignore"):
        length = np.asarray(trials["intervals_1"], dtype=float) - np.asarray(trials["intervals_0"], dtype=float)
        long = length > LONGEST_TRIAL
    if not long.any():
        return trials, passed("durations")
    detail = f"{int(long.sum())} trials last longer than {LONGEST_TRIAL / 60:.0f} minutes"
    return trials, Finding("durations", "WARNING", int(long.sum()), detail)


def resolution(trials: Trials, task_kind: str) -> Checked:
    """Times of events are finer than a tenth of a second: not rounded, nor in a type that cannot hold them."""
    coarse, checked = [], False
    for name, values in trials.items():
        known = np.asarray(values, dtype=float) if name.endswith("_times") else np.empty(0)
        known = known[np.isfinite(known)]
        if known.size < FEWEST or np.ptp(known) < 1:
            continue
        checked = True
        is_multiple = [np.abs(known / step - np.round(known / step)) < 0.005 for step in COARSE]
        if np.logical_or.reduce(is_multiple).mean() >= MOSTLY:
            coarse.append(name)
    if not coarse:
        return trials, passed("resolution") if checked else None
    detail = f"{', '.join(coarse)}: known to {COARSE[0]:g} s at best, which is too coarse for times of responses"
    return trials, Finding("resolution", "WARNING", n_trials(trials), detail)
