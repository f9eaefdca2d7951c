"""From traces and axes as plain dicts to a plotly figure, without plotly's checks; and several figures in one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style

HEIGHT = 260
"""Pixels of one plot."""

ON_RIGHT = {"yaxis": "y2"}
"""Of a trace that belongs to the axis on the right."""
ROOM_FOR_TWO = {"r": 60}
"""Pixels beside a figure with an axis on the right."""

Trace = dict[str, Any]


def figure(traces: Sequence[Trace], layout: dict[str, Any], theme: str = "light", empty: str = "") -> go.Figure:
    """A figure.

    Parameters
    ----------
    traces : as plotly has them; each with `type`.
    layout : the same; the template is that of the theme.
    empty : the sentence that stands in the figure where there are no traces.
    """
    whole: dict[str, Any] = {"height": HEIGHT, "template": style.template(theme)} | layout
    if not traces:
        whole |= _sentence(empty or "There is nothing to show.", whole["height"])
    return go.Figure({"data": list(traces), "layout": whole}, _validate=False)


def axis(title: str, **more: Any) -> dict[str, Any]:
    """An axis with a title, which names the unit."""
    return {"title": {"text": title}} | more


def second_axis(title: str, color: str, **more: Any) -> dict[str, Any]:
    """An axis on the right for another measure, in its colour, with ticks of its own (plotly would take the left's)."""
    made = colored_axis(title, color, overlaying="y", side="right", showgrid=False, **more)
    return made if "tickvals" in more else made | {"tickmode": "auto"}


def colored_axis(title: str, color: str, **more: Any) -> dict[str, Any]:
    """An axis in the colour of the one measure that it is for."""
    return {"title": {"text": title, "font": {"color": color}}, "tickfont": {"color": color}} | more


def upright(at: float, color: str, dash: str = "dash") -> dict[str, Any]:
    """A vertical line over the whole height."""
    line = {"color": color, "dash": dash, "width": 1.4}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}


def line_trace(
    x: list[str], y: np.ndarray, name: str, color: str, words: str, *, dash: str = "solid", width: float = 1.8,
    symbol: str = "", shape: str = "linear",
) -> Trace:  # fmt: skip
    """A line, with markers if it has a symbol; `words` are what is said of a point."""
    made = {
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y, "hovertemplate": words + "<extra></extra>",
        "line": {"color": color, "dash": dash, "width": width, "shape": shape},
    }  # fmt: skip
    return made | {"mode": "lines+markers", "marker": {"color": color, "symbol": symbol, "size": 5}} if symbol else made


def log_ticks(low: int, high: int) -> dict[str, Any]:
    """A logarithmic axis from 10**low to 10**high whose ticks are plain numbers."""
    values = [10.0**power for power in range(low, high + 1)]
    return {"type": "log", "range": [low, high], "tickvals": values, "ticktext": [f"{value:g}" for value in values]}


def themed(made: go.Figure, theme: str) -> go.Figure:
    """The same figure in another theme."""
    layout = made.layout.to_plotly_json() | {"template": style.template(theme)}
    return go.Figure({"data": [trace.to_plotly_json() for trace in made.data], "layout": layout}, _validate=False)


def stack(figures: Sequence[go.Figure], theme: str = "light", gap: int = 34) -> go.Figure:
    """Figures over dates one above the other, with one date axis that zooms them all.

    What spans the whole height of a figure (`yref` paper) spans the height of its part; where all have the same marks,
    their labels stand at the top only.

    Parameters
    ----------
    figures : from `dashboard.figures.mouse`; those without traces are left out.
    gap : pixels between two of them.
    """
    parts = [made for made in figures if made.data]
    if not parts:
        return figure([], {}, theme, "There is nothing to show.")
    heights = [_inside(made) for made in parts]
    total = sum(heights) + gap * (len(parts) - 1)
    layout: dict[str, Any] = {"shapes": [], "annotations": [], "barmode": "stack", "hovermode": "x"}
    traces: list[Trace] = []
    top, n_axes = 1.0, 0
    for part, (made, height) in enumerate(zip(parts, heights, strict=True)):
        bottom = top - height / total
        own = made.layout.to_plotly_json()
        names = {}
        for name in (name for name in own if name.startswith("yaxis")):
            n_axes += 1
            names["y" + name[5:]] = f"y{n_axes if n_axes > 1 else ''}"
        for name, new in names.items():
            axis_ = copy.deepcopy(own["yaxis" + name[1:]])
            low, high = axis_.pop("domain", (0, 1))
            axis_["domain"] = [max(0.0, bottom + low * (top - bottom)), min(1.0, bottom + high * (top - bottom))]
            if "overlaying" in axis_:
                axis_["overlaying"] = names[axis_["overlaying"]]
            layout["yaxis" + new[1:]] = axis_
        layout.setdefault("xaxis", {}).update(own.get("xaxis", {}))
        for trace in (trace.to_plotly_json() for trace in made.data):
            trace["yaxis"] = names.get(trace.get("yaxis", "y"), "y")
            trace["legend"] = f"legend{part + 1 if part else ''}"
            traces.append(trace)
        legend = {"y": top, "yanchor": "bottom", "x": 0, "orientation": "h"} | own.get("legend", {})
        layout[f"legend{part + 1 if part else ''}"] = legend | {"y": top}
        if "coloraxis" in own:
            layout["coloraxis"] = copy.deepcopy(own["coloraxis"])
            bar = layout["coloraxis"].get("colorbar", {})
            layout["coloraxis"]["colorbar"] = bar | {"y": (top + bottom) / 2, "len": (top - bottom)}
        layout["shapes"] += [_moved(shape, names, bottom, top) for shape in own.get("shapes", [])]
        notes = [note for note in own.get("annotations", []) if not (part and note.get("name") == "mark")]
        layout["annotations"] += [_moved(note, names, bottom, top) for note in notes]
        top = bottom - gap / total
    lowest = min(range(1, n_axes + 1), key=lambda k: layout[f"yaxis{k if k > 1 else ''}"]["domain"][0])
    layout["xaxis"] |= {"anchor": f"y{lowest if lowest > 1 else ''}"}
    for name in layout:
        if name.startswith("yaxis"):
            layout[name]["anchor"] = "x"
    return figure(traces, layout | {"height": total + _MARGINS, "margin": {"r": 64, "t": 58}}, theme)


_MARGINS = 100


def _inside(made: go.Figure) -> int:
    return int(made.layout.height or HEIGHT) - 60


def _moved(item: dict[str, Any], names: dict[str, str], bottom: float, top: float) -> dict[str, Any]:
    """A shape or annotation of one figure at its place among several."""
    item = dict(item)
    if item.get("yref") == "paper":
        for end in {"y", "y0", "y1"} & item.keys():
            item[end] = bottom + item[end] * (top - bottom)
    elif item.get("yref", "y").split()[0] in names:
        item["yref"] = item.get("yref", "y").replace(
            item.get("yref", "y").split()[0], names[item.get("yref", "y").split()[0]]
        )
    return item


def _sentence(words: str, height: int) -> dict[str, Any]:
    hidden = {"visible": False}
    note = {"text": words, "x": 0.5, "y": 0.5, "xref": "paper", "yref": "paper", "font": {"size": 13}, "opacity": 0.75}
    return {
        "xaxis": hidden, "yaxis": hidden, "annotations": [note], "shapes": [], "height": min(height, 160),
        "showlegend": False,
    }  # fmt: skip
