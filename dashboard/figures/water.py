"""Water and weight of one animal over its days."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import dates, style
from dashboard.figures.build import ON_RIGHT, ROOM_FOR_TWO, Trace, axis, figure, line_trace, second_axis
from dashboard.figures.dates import Mark
from dashboard.figures.rows import Columns, Rows, columns, iso


def water_and_weight(
    days: Rows,
    waters: Rows = None,
    *,
    implants: Rows = None,
    least: float = 0.85,
    critical: float = 0.75,
    marks: Sequence[Mark] = (),
    theme: str = "light",
) -> go.Figure:
    """Water given (bars by type, left) and weight (right) against the date, with the weights that are allowed.

    Parameters
    ----------
    days : rows of `action.WaterStatus`.
    waters : `water_date` (of the lab), `water_type`, `water_volume` (mL), one row for each administration or each sum;
        without them the bars are `water_reward` and `water_supplement`.
    implants : `implant_date`, `implant_weight` (g), each from its date on; the fractions hold for the animal without.
    least : least weight that the lab allows, fraction of the expected weight (`reference_weight_pct +
        zscore_weight_pct` of `lab.Lab`).
    critical : weight below which an animal is taken off restriction, the same.
    """
    chosen = columns(days).ordered("session_date")
    when = chosen.dates("session_date")
    x = iso(when)
    traces = _water_bars(chosen, columns(waters), x)
    expected_water = chosen.numbers("expected_water")
    if np.isfinite(expected_water).any():
        traces.append(
            line_trace(
                x, expected_water, "needed", style.BLUE, "%{y:.2f} mL needed", dash="dot", shape="hvh", width=1.2
            )
        )
    if "day_adlib" in chosen and (free := chosen.numbers("day_adlib") == 1).any():
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "free access",
                "x": iso(when[free]),
                "y": np.zeros(int(free.sum())),
                "cliponaxis": False,
                "marker": {"color": style.BLUE, "symbol": "triangle-up", "size": 7},
                "hovertemplate": "free access to water<extra></extra>",
            }  # fmt: skip
        )
    weight, expected = chosen.numbers("day_weight"), chosen.numbers("expected_weight")
    carried = _carried(when, columns(implants))
    limits = []
    for part, name, color in ((least, "least", style.LEAST), (critical, "critical", style.CRITICAL)):
        limit = carried + part * (expected - carried)
        limits.append(limit)
        if np.isfinite(limit).any():
            words = f"{name} weight, {100 * part:g} %"
            traces.append(
                line_trace(x, limit, words, color, f"{words}: %{{y:.1f}} g", dash="dashdot", width=1.5) | ON_RIGHT
            )
    if np.isfinite(weight).any():
        percent = chosen.numbers("weight_pct")
        line = line_trace(x, weight, "weight", style.WEIGHT, "%{y:.1f} g, %{customdata:.0f} % of expected", width=2.2)
        traces.append(line | ON_RIGHT | {"customdata": percent, "connectgaps": True, "mode": "lines+markers"})
    shown = np.concatenate([weight, *limits])
    shown = shown[np.isfinite(shown)]
    low, high = (shown.min(), shown.max()) if shown.size else (0, 1)
    given = _stacked_height(traces)
    marked = dates.lines(marks, when)
    restricted = [
        {
            "type": "rect", "x0": f"{first}T00:00", "x1": f"{last}T23:59", "y0": 0, "y1": 1, "yref": "paper",
            "fillcolor": style.RESTRICTED, "line": {"width": 0}, "layer": "below", "name": "restriction",
        }
        for first, last in dates.runs(when, chosen.numbers("restricted") == 1)
    ]  # fmt: skip
    layout = {
        "barmode": "stack", "bargap": 0.25, "hovermode": "x unified",
        "xaxis": dates.axis(when, marks),
        "yaxis": axis("Water (mL a day)", range=[0, 2 * max(given, 0.5)], showgrid=False),
        "yaxis2": second_axis("Weight (g)", style.WEIGHT, range=[low - 1.1 * max(high - low, 1), high + 0.12 * max(
            high - low, 1)]),
        "shapes": [*restricted, *marked.get("shapes", [])],
        "annotations": marked.get("annotations", []),
        "margin": ROOM_FOR_TWO,
    }  # fmt: skip
    return figure(traces, layout, theme, "There are no weighings and no water yet.")


def _water_bars(days: Columns, waters: Columns, x: list[str]) -> list[Trace]:
    """One trace for each water type, in the order of the lookup, volumes of one day and type added."""
    if not waters.n:
        parts = (("water_reward", "in sessions", style.BLUE), ("water_supplement", "outside sessions", style.TEAL))
        return [
            _bar(x, days.numbers(column), name, color)
            for column, name, color in parts
            if np.nansum(days.numbers(column)) > 0
        ]
    when, volumes, types = waters.dates("water_date"), waters.numbers("water_volume"), waters.texts("water_type")
    order = list(style.WATERS)
    names = sorted(set(types), key=lambda name: (order.index(name) if name in order else len(order), name))
    traces = []
    for name in names:
        which = (types == name) & np.isfinite(volumes)
        if which.any():
            on, day = np.unique(when[which], return_inverse=True)
            traces.append(_bar(iso(on), np.bincount(day, volumes[which]), name, style.water_color(name)))
    return traces


def _bar(x: list[str], y: np.ndarray, name: str, color: str) -> Trace:
    return {
        "type": "bar", "x": x, "y": y, "name": name, "marker": {"color": color, "line": {"width": 0}},
        "hovertemplate": f"%{{y:.2f}} mL {name}<extra></extra>",
    }  # fmt: skip


def _stacked_height(traces: list[Trace]) -> float:
    """The highest of the stacked bars (and of the water that is needed)."""
    total: dict[str, float] = {}
    for trace in traces:
        if trace["type"] == "bar":
            for day, volume in zip(trace["x"], np.nan_to_num(trace["y"]), strict=True):
                total[day] = total.get(day, 0.0) + volume
    needed = [np.nanmax(trace["y"]) for trace in traces if trace["name"] == "needed"]
    return max([*total.values(), *needed], default=0.0)


def _carried(when: np.ndarray, implants: Columns) -> np.ndarray:
    """Weight of the implants on each day, g; of several the latest."""
    since, weights = implants.dates("implant_date"), implants.numbers("implant_weight")
    order = np.argsort(since)
    place = np.searchsorted(since[order], when, side="right")
    return np.append(0.0, weights[order])[place]
