"""Brain regions: how many units there are in each, and how many of them respond to the events of the task."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure
from dashboard.figures.rows import Rows, columns
from pipeline.analysis.psychometrics import wilson_interval


def counts(
    regions: Rows, *, value: str = "n_units", most: int = 30, theme: str = "light", height: int = 0
) -> go.Figure:
    """Regions with the most units, in the colours of the atlas.

    Parameters
    ----------
    regions : rows with acronym, region_color, `value`, and where known region_name and n_selected (units that pass the
        criteria), which is drawn as the filled part.
    value : n_units or n_insertions.
    most : how many regions.
    """
    table = columns(regions)
    numbers = table.numbers(value)
    order = np.argsort(-np.nan_to_num(numbers), kind="stable")[:most][::-1]
    order = order[np.nan_to_num(numbers[order]) > 0]
    if not order.size:
        return figure([], {"height": 160}, theme, "There are no units here.")
    names, colors = table.texts("acronym")[order], table.texts("region_color")[order]
    words, total = table.texts("region_name")[order], numbers[order]
    good = table.numbers("n_selected")[order] if value == "n_units" else np.full(order.size, np.nan)
    has_good = bool(np.isfinite(good).any())
    filled = np.nan_to_num(good) if has_good else total
    hover = [
        f"{name} {word}<br>{all_:.0f} units" + (f", {one:.0f} pass" if has_good else "")
        for name, word, all_, one in zip(names, words, total, filled, strict=True)
    ]
    if value != "n_units":
        hover = [
            f"{name} {word}<br>{all_:.0f} insertions" for name, word, all_ in zip(names, words, total, strict=True)
        ]
    own = [color or style.GREY for color in colors]
    bar = {"type": "bar", "orientation": "h", "y": names, "text": hover, "textposition": "none"}
    hovering = {"hovertemplate": "%{text}<extra></extra>", "showlegend": False}
    traces: list[Trace] = [bar | hovering | {"name": "pass the criteria" if has_good else value, "x": filled,
                                             "marker": {"color": own, "line": {"width": 0}}}]  # fmt: skip
    if has_good:
        rest = {
            "color": [style.faint(color, 0.35) if len(color) == 7 else color for color in own],
            "line": {"width": 0},
        }
        traces.append(bar | hovering | {"name": "do not pass", "x": total - filled, "marker": rest})
    title = "Units (full colour: pass the criteria)" if has_good else "Units" if value == "n_units" else "Insertions"
    layout = {
        "height": height or 90 + 20 * order.size, "barmode": "stack", "bargap": 0.25, "hovermode": "closest",
        "xaxis": axis(title, rangemode="tozero"), "yaxis": axis("", type="category", showgrid=False),
    }  # fmt: skip
    return figure(traces, layout, theme)


def responsive(rows: Rows, *, level: float = 0.95, theme: str = "light", height: int = 300) -> go.Figure:
    """The share of units that respond to each event, with its Wilson interval.

    Parameters
    ----------
    rows : event, n_units (tested), n_responsive; and where known acronym, one curve each.
    """
    table = columns(rows)
    if not table.n or not table.numbers("n_units").sum():
        return figure([], {"height": 160}, theme, "No unit here was recorded together with trials.")
    groups = table.texts("acronym")
    traces: list[Trace] = []
    for number, name in enumerate(dict.fromkeys(groups)):
        own = table.where(groups == name)
        n, k, look = own.numbers("n_units"), own.numbers("n_responsive"), style.nth(number)
        share = np.divide(k, n, out=np.full(n.size, np.nan), where=n > 0)
        lower, upper = wilson_interval(k, n, level)
        traces.append({
            "type": "scatter", "mode": "markers", "name": name or "units", "showlegend": bool(name),
            "x": [text.replace("_", " ") for text in own.texts("event")], "y": share,
            "marker": {"color": look.color, "symbol": look.symbol, "size": 9}, "customdata": np.column_stack((k, n)),
            "error_y": {"type": "data", "symmetric": False, "array": upper - share, "arrayminus": share - lower,
                        "color": look.color, "thickness": 1.4, "width": 0},
            "hovertemplate": "%{x}: %{y:.2f}<br>%{customdata[0]} of %{customdata[1]} units<extra></extra>",
        })  # fmt: skip
    layout = {
        "height": height, "hovermode": "closest",
        "xaxis": axis("Event of the trial", type="category"),
        "yaxis": axis(f"Share of units (bars: {100 * level:g} % interval)", range=[-0.02, 1.02]),
    }  # fmt: skip
    return figure(traces, layout, theme)
