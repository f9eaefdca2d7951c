"""One unit around an event of the trials: its spikes trial by trial, and mean rates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import HEIGHT, Trace, axis, figure, upright

CONDITIONS: dict[str, tuple[str, int]] = {
    "side_left": ("stimulus left", 0),
    "side_right": ("stimulus right", 1),
    "choice_left": ("choice left", 0),
    "choice_right": ("choice right", 1),
    "feedback_correct": ("reward", 2),
    "feedback_error": ("error", 1),
    "block_left": ("block left", 0),
    "block_right": ("block right", 1),
}
"""Name of a condition of `Peth` -> what people read, and which of the palette is its colour."""
_BAND = 0.2  # opacity of mean +/- standard error
_MOMENTS, _MOST_ROWS = 500, 500  # cells of a raster across and up; more trials share a row


def look(condition: str, place: int = 0) -> style.Look:
    """Label, colour, dash and symbol of a condition; those that are not known take the place they have.

    >>> look("side_left").label, look("side_left").color == style.LEFT
    ('stimulus left', True)
    """
    label, number = CONDITIONS.get(condition, (condition.replace("_", " "), place))
    colors = {"reward": style.CORRECT, "error": style.WRONG}
    default = style.nth(number)
    return style.Look(label, colors.get(label, default.color), style.DASHES[number % len(style.DASHES)], default.symbol)


def raster(
    trials: np.ndarray,
    times: np.ndarray,
    groups: Sequence[tuple[str, np.ndarray]],
    *,
    window: tuple[float, float] = (-0.5, 1.0),
    event: str = "the event",
    marks: Mapping[str, np.ndarray] | None = None,
    theme: str = "light",
    height: int = 420,
) -> go.Figure:
    """Spikes around an event, one row a trial, the trials in groups one above the other; all in one picture.

    Parameters
    ----------
    trials, times : (n,) which trial each spike belongs to, and when it was, s from the event.
    groups : condition and its trials in the order of the rows, from the bottom; trials in no group are left out.
    window : s from the event.
    marks : name -> (n_trials,) another event of each trial, s from the event.
    """
    order = np.concatenate([np.asarray(own, dtype=int) for _, own in groups] or [np.empty(0, dtype=int)])
    if not order.size:
        return figure([], {"height": height}, theme, "There are no trials with this event.")
    row_of = np.full(int(max(order.max(), np.max(trials, initial=0))) + 1, -1)
    row_of[order] = np.arange(order.size)
    rows, times = row_of[np.asarray(trials, dtype=int)], np.asarray(times, dtype=float)
    together = -(-order.size // _MOST_ROWS)
    code = np.concatenate([np.full(len(own), place + 1) for place, (_, own) in enumerate(groups)])
    width = (window[1] - window[0]) / _MOMENTS
    columns = np.floor((times - window[0]) / width).astype(int)
    kept = (rows >= 0) & (columns >= 0) & (columns < _MOMENTS)
    picture = np.zeros((-(-order.size // together), _MOMENTS), dtype=np.uint8)
    picture[rows[kept] // together, columns[kept]] = code[rows[kept]]
    looks = [look(condition, place) for place, (condition, _) in enumerate(groups)]
    traces: list[Trace] = [
        {
            "type": "heatmap",
            "name": "spikes",
            "x0": window[0] + width / 2,
            "dx": width,
            "y0": (together - 1) / 2,
            "dy": together,
            "z": picture,
            "zmin": 0,
            "zmax": len(groups),
            "colorscale": _steps([look_.color for look_ in looks]),
            "showscale": False,
            "hoverinfo": "skip",
        }
    ]
    shapes, start = [], 0
    for one, (_, own) in zip(looks, groups, strict=True):
        shapes.append(_rows(start - 0.5, start + len(own) - 0.5, style.faint(one.color, 0.08)))
        start += len(own)
        square = {"symbol": "square", "size": 10, "color": one.color}
        label = {"type": "scatter", "mode": "markers", "name": f"{one.label} ({len(own)})", "x": [None], "y": [None]}
        traces.append(label | {"marker": square, "hoverinfo": "skip"})
    for number, (name, moments) in enumerate((marks or {}).items()):
        shown = np.asarray(moments, dtype=float)[order]
        inside = (shown >= window[0]) & (shown <= window[1])
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": shown[inside].astype(np.float32),
                "y": np.flatnonzero(inside).astype(np.int32),
                "marker": {"symbol": style.SYMBOLS[number + 2], "size": 3.5, "color": style.PURPLE, "opacity": 0.75},
                "hovertemplate": f"{name} %{{x:.3f}} s<extra></extra>",
            }
        )
    layout = {
        "height": height,
        "hovermode": "closest",
        "shapes": [*shapes, upright(0.0, style.GREY)],
        "legend": {"itemsizing": "constant"},
        "xaxis": axis(f"Time from {event} (s)", range=list(window), showgrid=False),
        "yaxis": axis("Trial, in groups", range=[-0.5, order.size - 0.5], showgrid=False),
    }
    return figure(traces, layout, theme)


def signal_raster(
    times: np.ndarray,
    values: np.ndarray,
    groups: Sequence[tuple[str, np.ndarray]],
    *,
    name: str = "signal",
    event: str = "the event",
    theme: str = "light",
    height: int = 420,
) -> go.Figure:
    """A signal around an event, one row a trial, in the same rows as `raster`; the colour is its value.

    Parameters
    ----------
    times : (n_times,) s from the event.
    values : (n_trials, n_times) in the unit of the signal; NaN where it is not known.
    groups : as in `raster`.
    name : what the colour stands for.
    """
    values = np.asarray(values, dtype=float)
    order = np.concatenate([np.asarray(own, dtype=int) for _, own in groups] or [np.empty(0, dtype=int)])
    if not order.size or not np.isfinite(values[order]).any():
        return figure([], {"height": height}, theme, "The signal is not known around this event.")
    together = -(-order.size // _MOST_ROWS)
    rows = values[order]
    if together > 1:
        rows = np.concatenate([rows, np.full((-order.size % together, rows.shape[1]), np.nan)])
        rows = rows.reshape(-1, together, rows.shape[1])
        known = np.isfinite(rows).sum(axis=1)
        rows = np.where(known, np.nansum(rows, axis=1) / np.maximum(known, 1), np.nan)
    low, high = np.nanpercentile(rows, [1, 99])
    picture: Trace = {
        "type": "heatmap",
        "name": name,
        "x": np.asarray(times).round(4),
        "y0": (together - 1) / 2,
        "dy": together,
        "z": rows.astype(np.float32),
        "zmin": float(low),
        "zmax": float(high) if high > low else float(low) + 1,
        "colorscale": style.GROWING,
        "colorbar": {"title": {"text": name, "side": "right"}, "thickness": 10},
        "hoverongaps": False,
        "hovertemplate": "%{x:.3f} s: %{z:.4g}<extra></extra>",
    }
    edges = np.cumsum([len(own) for _, own in groups])[:-1] - 0.5
    between = [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": edge, "y1": edge,
                "line": {"color": style.GREY, "width": 1}} for edge in edges.tolist()]  # fmt: skip
    layout = {
        "height": height,
        "hovermode": "closest",
        "shapes": [*between, upright(0.0, style.GREY)],
        "xaxis": axis(f"Time from {event} (s)", range=[float(times[0]), float(times[-1])], showgrid=False),
        "yaxis": axis("Trial, in groups", range=[-0.5, order.size - 0.5], showgrid=False),
    }
    return figure([picture], layout, theme)


def peth(
    times: np.ndarray,
    mean: np.ndarray,
    sem: np.ndarray | None = None,
    conditions: Mapping[str, tuple[np.ndarray, int]] | None = None,
    *,
    event: str = "the event",
    theme: str = "light",
    height: int = HEIGHT,
) -> go.Figure:
    """Mean rate around an event: all trials with their standard error, or each condition.

    Parameters
    ----------
    times : (n_bins,) centres, s from the event.
    mean, sem : (n_bins,) Hz, over all trials.
    conditions : name -> (n_bins,) mean rate, Hz, and the number of trials; then these are drawn instead.
    """
    times = np.asarray(times, dtype=float)
    if not times.size or not np.isfinite(mean).any():
        return figure([], {"height": height}, theme, "There are no trials with this event.")
    traces: list[Trace] = []
    if conditions:
        for place, (name, (rate, n)) in enumerate(conditions.items()):
            appearance = look(name, place)
            traces.append(_curve(times, rate, f"{appearance.label} ({n})", appearance.color, appearance.dash))
    else:
        if sem is not None:
            traces.append(_spread(times, np.asarray(mean), np.asarray(sem)))
        traces.append(
            _curve(
                times, mean, "all trials" + (", shaded: standard error" if sem is not None else ""), style.BLUE, "solid"
            )
        )
    layout = {
        "height": height,
        "hovermode": "x unified",
        "shapes": [upright(0.0, style.GREY)],
        "xaxis": axis(f"Time from {event} (s)", range=[float(times[0]), float(times[-1])]),
        "yaxis": axis("Rate (spikes/s)", rangemode="tozero"),
    }
    return figure(traces, layout, theme)


def _curve(times: np.ndarray, rate: np.ndarray, name: str, color: str, dash: str) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": times,
        "y": np.asarray(rate, dtype=float).round(3),
        "line": {"color": color, "dash": dash, "width": 2},
        "hovertemplate": "%{y:.1f} Hz",
    }


def _spread(times: np.ndarray, mean: np.ndarray, sem: np.ndarray) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "standard error",
        "showlegend": False,
        "hoverinfo": "skip",
        "x": np.concatenate((times, times[::-1])),
        "y": np.concatenate((mean + sem, (mean - sem)[::-1])).round(3),
        "fill": "toself",
        "fillcolor": style.faint(style.BLUE, _BAND),
        "line": {"width": 0, "color": style.BLUE},
    }


def _steps(colors: Sequence[str]) -> list[list[Any]]:
    """A colour scale of whole numbers: 0 is see-through, then one colour each."""
    n = len(colors)
    scale: list[list[Any]] = [[0, "rgba(0, 0, 0, 0)"], [0.5 / n, "rgba(0, 0, 0, 0)"]]
    for place, color in enumerate(colors):
        scale += [[(place + 0.5) / n, color], [min(1.0, (place + 1.5) / n), color]]
    return scale


def _rows(low: float, high: float, color: str) -> dict[str, Any]:
    place = {"type": "rect", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": low, "y1": high}
    return place | {"fillcolor": color, "line": {"width": 0}, "layer": "below"}
