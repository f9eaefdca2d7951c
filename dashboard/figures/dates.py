"""What all figures over dates share: the date axis with its Mondays, and the days on which something began."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, NamedTuple

import numpy as np

from dashboard.figures import style
from dashboard.figures.rows import iso

_WEEK = 7 * 86_400_000  # ms, as plotly counts on date axes
_A_MONDAY = "2024-01-01"
_SEVEN_MONTHS = 210  # days, as the published plots count them


class Mark(NamedTuple):
    """A day that is marked in every figure of an animal."""

    day: str  # ISO
    look: style.Look


def marks(
    first_dates: Mapping[str, Any] | str | None = None,
    *,
    birth_date: date | str | None = None,
    first_rig_date: date | str | None = None,
    first_ephys_date: date | str | None = None,
    public: bool = False,
) -> list[Mark]:
    """The days to mark, in order of time.

    Parameters
    ----------
    first_dates : status -> its first date, as in `SubjectTraining`.
    birth_date : for the day on which the animal is seven months old (210 days).
    first_rig_date, first_ephys_date : first day on an ephys rig, first ephys session.
    public : say only when it was trained (1a, or a later status where it skipped that).

    Examples
    --------
    >>> [(mark.day, mark.look.short) for mark in marks({"in_training": "2026-01-05", "trained_1a": "2026-02-01"})]
    [('2026-02-01', '1a')]
    """
    first_days = json.loads(first_dates) if isinstance(first_dates, str) else dict(first_dates or {})
    reached = {name: str(day)[:10] for name, day in first_days.items() if name not in _NOT_MARKED}
    if public:
        trained = [day for name, day in reached.items() if name.startswith(("trained", "ready"))]
        return [Mark(min(trained), style.EVENTS["trained"])] if trained else []
    chosen = [Mark(day, style.status(name)) for name, day in reached.items()]
    if birth_date:
        chosen.append(Mark(str(np.datetime64(birth_date, "D") + _SEVEN_MONTHS), style.EVENTS["seven_months"]))
    for name, day in (("ephys_rig", first_rig_date), ("first_ephys", first_ephys_date)):
        if day:
            chosen.append(Mark(str(day)[:10], style.EVENTS[name]))
    return sorted(chosen, key=lambda mark: mark.day)


def axis(days: np.ndarray, marked: Sequence[Mark] = ()) -> dict[str, Any]:
    """The date axis of some days: Mondays as dotted lines, half a day of room at the ends."""
    layout = {
        "title": {"text": "Date"},
        "type": "date",
        "hoverformat": "%a %d %b %Y",
        "minor": {"dtick": _WEEK, "tick0": _A_MONDAY, "showgrid": True, "griddash": "dot"},
    }
    known = days[~np.isnat(days)]
    if known.size:
        first, last = known.min(), known.max()
        inside = [np.datetime64(mark.day) for mark in marked if np.datetime64(mark.day) <= last + 2]
        if inside and max(inside) > last:
            last = max(inside)
        layout["range"] = [f"{first - 1}T08:00", f"{last + 1}T16:00"]
    return layout


def lines(marked: Sequence[Mark], days: np.ndarray) -> dict[str, Any]:
    """The marks as vertical lines with their short names above, as `shapes` and `annotations` of a layout.

    Names of days that are close to each other stand at different heights. Days outside the span are left out.
    """
    known = days[~np.isnat(days)]
    if not known.size or not marked:
        return {}
    first, last = known.min() - 1, known.max() + 2
    inside = [mark for mark in marked if first <= np.datetime64(mark.day) <= last]
    span = max(1, (last - first).astype(int))
    shapes, notes = [], []
    ends: list[Any] = []
    for mark in inside:
        place = (np.datetime64(mark.day) - first).astype(int) / span
        row = next((i for i, end in enumerate(ends) if place > end), len(ends))
        ends[row : row + 1] = [place + 0.013 * len(mark.look.short) + 0.01]
        line = {"color": mark.look.color, "dash": mark.look.dash, "width": 1.5}
        shapes.append(
            {"type": "line", "x0": mark.day, "x1": mark.day, "y0": 0, "y1": 1, "yref": "paper", "line": line}
            | {"name": mark.look.label}
        )
        notes.append(
            {
                "name": "mark",
                "x": mark.day,
                "y": 1,
                "yref": "paper",
                "yanchor": "top",
                "xanchor": "left",
                "yshift": -12 * row,
                "text": mark.look.short,
                "hovertext": f"{mark.look.label}, {mark.day}",
                "font": {"size": 10, "color": mark.look.color},
                "showarrow": False,
                "borderpad": 1,
            }  # fmt: skip
        )
    return {"shapes": shapes, "annotations": notes}


def complete(days: np.ndarray) -> np.ndarray:
    """Every day from the first to the last."""
    known = days[~np.isnat(days)]
    return np.arange(known.min(), known.max() + 1) if known.size else known


def runs(days: np.ndarray, which: np.ndarray) -> list[tuple[str, str]]:
    """First and last day of every run of consecutive days for which something holds.

    >>> days = np.array(["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-07"], "datetime64[D]")
    >>> runs(days, np.array([False, True, True, True]))
    [('2026-01-02', '2026-01-03'), ('2026-01-07', '2026-01-07')]
    """
    chosen = np.unique(days[which])
    if not chosen.size:
        return []
    breaks = np.flatnonzero(np.diff(chosen).astype(int) > 1)
    starts, ends = chosen[np.append(0, breaks + 1)], chosen[np.append(breaks, chosen.size - 1)]
    return list(zip(iso(starts), iso(ends), strict=True))


_NOT_MARKED = {"in_training", "habituation", "not_computed"}
