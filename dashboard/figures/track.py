"""The brain regions along a probe, in the colours of the atlas: alone, or beside another figure along its depth."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure
from dashboard.figures.rows import Rows, columns

DEPTH = "Depth (um from the tip)"
"""Title of the axis of every figure along a probe; it grows upwards."""
TALL = 460
"""Pixels of such a figure."""
_SHARE = 0.11  # of the width, for the regions
_TEXT = {"minsize": 8, "mode": "hide"}  # px; names that would be smaller are left out


def regions(channels: Rows, *, theme: str = "light", height: int = TALL) -> go.Figure:
    """The regions along the probe, in the colours of the atlas, each named once.

    Parameters
    ----------
    channels : rows with channel_axial (um), acronym, region_color and where known region_name.
    """
    traces = _region_bars(channels, theme)
    layout = {
        "height": height, "barmode": "stack", "hovermode": "closest", "bargap": 0, "showlegend": False,
        "uniformtext": _TEXT,
        "xaxis": axis("", visible=False), "yaxis": axis(DEPTH, showgrid=False),
    }  # fmt: skip
    return figure(traces, layout, theme, "The regions along this probe are not known.")


def with_regions(made: go.Figure, channels: Rows, theme: str = "light") -> go.Figure:
    """A figure along the probe with the regions on its left; the same figure where they are not known."""
    bars = _region_bars(channels, theme)
    if not bars or not made.data:
        return made
    plain = made.to_plotly_json()  # a copy
    for bar in bars:
        bar |= {"xaxis": "x2", "yaxis": "y", "showlegend": False}
    layout = plain["layout"]
    own = layout.get("xaxis", {})
    layout["xaxis"] = own | {"domain": [_SHARE + 0.01, 1]}
    layout["xaxis2"] = {"domain": [0, _SHARE], "visible": False, "anchor": "y", "fixedrange": True}
    layout["yaxis"] = layout.get("yaxis", {}) | {"anchor": "x2"}
    layout |= {"barmode": "stack", "bargap": 0, "uniformtext": _TEXT}
    for item in layout.get("shapes", []):
        if item.get("xref") == "paper":
            item["x0"], item["x1"] = (_SHARE + 0.01 + entry * (0.99 - _SHARE) for entry in (item["x0"], item["x1"]))
    return figure([*plain["data"], *bars], {key: value for key, value in layout.items() if key != "template"}, theme)


def _region_bars(channels: Rows, theme: str) -> list[Trace]:
    """One bar for each run of channels in one region; it ends half way to the next channel."""
    table = columns(channels)
    if "channel_axial" not in table or "acronym" not in table:
        return []
    axial, names = table.numbers("channel_axial"), table.texts("acronym")
    kept = np.flatnonzero(np.isfinite(axial))
    if not kept.size or not names[kept].any():
        return []
    order = kept[np.argsort(axial[kept], kind="stable")]
    axial, names = axial[order], names[order]
    colors, words = table.texts("region_color")[order], table.texts("region_name")[order]
    changes = np.flatnonzero(names[1:] != names[:-1]) + 1
    starts, ends = np.append(0, changes), np.append(changes, names.size)
    step = float(np.median(np.diff(np.unique(axial)))) if np.unique(axial).size > 1 else 20.0
    between = (axial[changes - 1] + axial[changes]) / 2
    bottoms, tops = np.append(axial[0] - step / 2, between), np.append(between, axial[-1] + step / 2)
    whole = float(axial[-1] - axial[0]) + step
    bars: list[Trace] = []
    for first, _, bottom, top in zip(starts, ends, bottoms, tops, strict=True):
        if top <= bottom:
            continue
        name = names[first]
        bars.append({
            "type": "bar", "x": [0], "base": [float(bottom)], "y": [float(top - bottom)], "width": [1],
            "name": name or "not known", "showlegend": False,
            "marker": {"color": colors[first] or style.GREY, "line": {"width": 0.5, "color": style.PAPER[theme]}},
            "text": [name if (top - bottom) / whole > 0.03 else ""], "textposition": "inside", "textangle": 0,
            "insidetextanchor": "middle", "textfont": {"color": _ink_on(colors[first]), "size": 10},
            "constraintext": "inside",
            "hovertemplate": f"{name or 'not known'} {words[first]}<br>{bottom:.0f} to {top:.0f} um<extra></extra>",
        })  # fmt: skip
    return bars


def _ink_on(color: str) -> str:
    """Black or white, whichever reads better on a colour of the form #rrggbb.

    >>> _ink_on("#70ff71"), _ink_on("#1f2328")
    ('#000000', '#ffffff')
    """
    if not color.startswith("#") or len(color) != 7:
        return "#ffffff"
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return "#000000" if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else "#ffffff"
