"""One unit: its waveform on the probe, autocorrelogram, spikes around an event by trial, mean rates, amplitudes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import HEIGHT, Trace, axis, figure

SCALE = "Cividis"
REFRACTORY_MS = 2.0  # marked in the autocorrelogram
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
    found = style.nth(number)
    return style.Look(label, colors.get(label, found.color), style.DASHES[number % len(style.DASHES)], found.symbol)


def waveform(
    template: np.ndarray,
    lateral: np.ndarray,
    axial: np.ndarray,
    *,
    sampling_rate: float = 30_000.0,
    channels: Sequence[int] | None = None,
    theme: str = "light",
    height: int = 340,
) -> go.Figure:
    """The mean waveform on the channels around its peak, each at its place on the probe, with bars of 1 ms and 100 uV.

    Parameters
    ----------
    template : (n_samples, n_channels) uV.
    lateral, axial : (n_channels,) um on the probe, from its left edge and from the tip.
    sampling_rate : Hz.
    channels : names of the channels for those who point at one.
    """
    template = np.asarray(template, dtype=float)
    if not template.size or not np.isfinite(template).any():
        return figure([], {"height": height}, theme, "The files hold no waveform of this unit.")
    lateral, axial = np.asarray(lateral, dtype=float), np.asarray(axial, dtype=float)
    n_samples, n_channels = template.shape
    names = list(range(n_channels)) if channels is None else list(channels)
    across, up = _spacing(lateral), _spacing(axial)
    milliseconds = np.arange(n_samples) / sampling_rate * 1000
    per_ms = 0.85 * across / milliseconds[-1]
    largest = float(np.nanmax(np.abs(template)))
    per_uv = 3.0 * up / max(2 * largest, 1e-9)
    peak = int(np.nanargmax(np.ptp(np.nan_to_num(template), axis=0)))
    traces: list[Trace] = []
    for channel in range(n_channels):
        is_peak = channel == peak
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"channel {names[channel]}",
                "showlegend": False,
                "x": lateral[channel] + (milliseconds - milliseconds[-1] / 2) * per_ms,
                "y": axial[channel] + template[:, channel] * per_uv,
                "customdata": np.column_stack((milliseconds, template[:, channel])).round(3),
                "line": {"color": style.BLUE if is_peak else style.GREY, "width": 2 if is_peak else 1.1},
                "hovertemplate": f"channel {names[channel]}, {axial[channel]:.0f} um<br>"
                "%{customdata[0]:.2f} ms: %{customdata[1]:.0f} uV<extra></extra>",
            }
        )
    left, low = float(lateral.min() - 0.5 * across), float(axial.min() - 1.6 * up)
    bar_uv = 100.0 if largest > 40 else 10.0
    traces.append(
        {
            "type": "scatter",
            "mode": "lines+text",
            "name": "scale",
            "showlegend": False,
            "hoverinfo": "skip",
            "x": [left, left, left + per_ms],
            "y": [low + bar_uv * per_uv, low, low],
            "text": [f"{bar_uv:g} uV", "", "1 ms"],
            "textposition": ["top right", "middle center", "middle right"],
            "line": {"color": style.AMBER, "width": 2},
            "cliponaxis": False,
        }
    )
    layout = {
        "height": height,
        "hovermode": "closest",
        "xaxis": axis("Across the probe (um)", showgrid=False),
        "yaxis": axis("Depth (um from the tip)", showgrid=False),
    }
    return figure(traces, layout, theme)


def autocorrelogram(
    lags: np.ndarray,
    counts: np.ndarray,
    *,
    contamination: float | None = None,
    theme: str = "light",
    height: int = HEIGHT,
) -> go.Figure:
    """How often another spike of the same unit comes at each lag.

    Parameters
    ----------
    lags : (n,) centres of the bins, s; if all are positive the other side, which is the same, is drawn too.
    counts : (n,) pairs of spikes.
    contamination : fraction, said in the figure.
    """
    lags, counts = np.asarray(lags, dtype=float), np.asarray(counts, dtype=float)
    if not counts.sum():
        return figure([], {"height": height}, theme, "There are too few spikes for an autocorrelogram.")
    if lags.min() >= 0:
        mirrored = lags > 0
        lags, counts = (
            np.concatenate((-lags[mirrored][::-1], lags)),
            np.concatenate((counts[mirrored][::-1], counts)),
        )
    width = float(np.median(np.diff(lags))) * 1000
    trace: Trace = {
        "type": "bar",
        "x": lags * 1000,
        "y": counts,
        "width": width,
        "marker": {"color": style.BLUE, "line": {"width": 0}},
        "name": "pairs",
        "showlegend": False,
        "hovertemplate": "%{x:.2f} ms: %{y:.0f} pairs<extra></extra>",
    }
    notes = []
    if contamination is not None and np.isfinite(contamination):
        notes = [_corner(f"contamination {contamination:.2f} (Hill)")]
    layout = {
        "height": height,
        "bargap": 0,
        "hovermode": "closest",
        "annotations": notes,
        "shapes": [_band(-REFRACTORY_MS, REFRACTORY_MS, style.faint(style.VERMILLION, 0.16))],
        "xaxis": axis(f"Lag (ms), shaded: {REFRACTORY_MS:g} ms"),
        "yaxis": axis("Pairs of spikes", rangemode="tozero"),
    }
    return figure([trace], layout, theme)


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
            "colorscale": _steps([one.color for one in looks]),
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
        "shapes": [*shapes, _event_line()],
        "legend": {"itemsizing": "constant"},
        "xaxis": axis(f"Time from {event} (s)", range=list(window), showgrid=False),
        "yaxis": axis("Trial, in groups", range=[-0.5, order.size - 0.5], showgrid=False),
    }
    return figure(traces, layout, theme)


def peth(
    times: np.ndarray,
    mean: np.ndarray,
    sem: np.ndarray | None = None,
    conditions: Mapping[str, tuple[np.ndarray, int]] | None = None,
    *,
    event: str = "the event",
    words: str = "",
    theme: str = "light",
    height: int = HEIGHT,
) -> go.Figure:
    """Mean rate around an event: all trials with their standard error, or each condition.

    Parameters
    ----------
    times : (n_bins,) centres, s from the event.
    mean, sem : (n_bins,) Hz, over all trials.
    conditions : name -> (n_bins,) mean rate, Hz, and the number of trials; then these are drawn instead.
    words : said in the corner, e.g. whether the unit responds.
    """
    times = np.asarray(times, dtype=float)
    if not times.size or not np.isfinite(mean).any():
        return figure([], {"height": height}, theme, "There are no trials with this event.")
    traces: list[Trace] = []
    if conditions:
        for place, (name, (rate, n)) in enumerate(conditions.items()):
            found = look(name, place)
            traces.append(_curve(times, rate, f"{found.label} ({n})", found.color, found.dash))
    else:
        if sem is not None:
            traces.append(_spread(times, np.asarray(mean), np.asarray(sem)))
        traces.append(_curve(times, mean, "all trials", style.BLUE, "solid"))
    layout = {
        "height": height,
        "hovermode": "x unified",
        "shapes": [_event_line()],
        "annotations": [_corner(words) | {"yanchor": "top"}] if words else [],
        "xaxis": axis(f"Time from {event} (s)", range=[float(times[0]), float(times[-1])]),
        "yaxis": axis("Rate (spikes/s)", rangemode="tozero"),
    }
    return figure(traces, layout, theme)


def amplitudes(
    times: np.ndarray,
    amps: np.ndarray,
    *,
    n_times: int = 180,
    n_amps: int = 60,
    span: tuple[float, float] | None = None,
    theme: str = "light",
    height: int = HEIGHT,
) -> go.Figure:
    """How many spikes of which amplitude there are over the session; a gap is a time without the unit.

    Parameters
    ----------
    times, amps : (n,) s from session start, uV.
    n_times, n_amps : cells of the picture.
    span : of the recording, s; by default from the first to the last spike.
    """
    times, amps = np.asarray(times, dtype=float), np.asarray(amps, dtype=float)
    kept = np.isfinite(amps)
    times, amps = times[kept], amps[kept]
    if not times.size:
        return figure([], {"height": height}, theme, "The files do not say how large the spikes are.")
    low, high = np.percentile(amps, [0.1, 99.9])
    pad = max(1e-6, 0.08 * (high - low))
    first, last = span or (float(times.min()), float(times.max()))
    last = max(last, first + 1e-6)
    counts, edges, levels = np.histogram2d(times, amps, (n_times, n_amps), ((first, last), (low - pad, high + pad)))
    shown = np.where(counts > 0, counts, np.nan).T
    trace: Trace = {
        "type": "heatmap",
        "x": (edges[1:] + edges[:-1]) / 2,
        "y": ((levels[1:] + levels[:-1]) / 2).round(2),
        "z": np.sqrt(shown).round(2).astype(np.float32),
        "colorscale": SCALE,
        "showscale": False,
        "name": "spikes",
        "customdata": None,
        "hovertemplate": "%{x:.0f} s, %{y:.0f} uV<extra></extra>",
        "hoverongaps": False,
    }
    layout = {
        "height": height,
        "hovermode": "closest",
        "xaxis": axis("Time from session start (s)", range=[first, last], showgrid=False),
        "yaxis": axis("Amplitude (uV)", showgrid=False),
    }
    trace.pop("customdata")
    return figure([trace], layout, theme)


def rate_over_time(
    times: np.ndarray,
    *,
    span: tuple[float, float],
    width: float = 20.0,
    theme: str = "light",
    height: int = 180,
) -> go.Figure:
    """The rate of a unit over the session.

    Parameters
    ----------
    times : (n,) s from session start.
    span : of the recording, s.
    width : of a bin, s; the last one may be shorter.
    """
    edges = np.append(np.arange(span[0], span[1], width), span[1])
    if edges.size < 2:
        return figure([], {"height": height}, theme, "The recording is too short.")
    counts, _ = np.histogram(times, edges)
    rate = counts / np.diff(edges)
    trace = _curve((edges[1:] + edges[:-1]) / 2, rate, "rate", style.BLUE, "solid") | {
        "line": {"shape": "hvh", "width": 1.5}
    }
    trace |= {"showlegend": False, "hovertemplate": "%{x:.0f} s: %{y:.2f} Hz<extra></extra>"}
    layout = {
        "height": height,
        "hovermode": "closest",
        "xaxis": axis("Time from session start (s)", range=list(span)),
        "yaxis": axis("Rate (spikes/s)", rangemode="tozero"),
    }
    return figure([trace], layout, theme)


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


def _spacing(places: np.ndarray) -> float:
    """The usual distance between neighbouring places, um; 20 where there is but one."""
    apart = np.diff(np.unique(places[np.isfinite(places)]))
    return float(np.median(apart)) if apart.size else 20.0


def _event_line() -> dict[str, Any]:
    line = {"color": style.GREY, "width": 1.4, "dash": "dash"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": 0, "x1": 0, "y0": 0, "y1": 1, "line": line}


def _band(low: float, high: float, color: str) -> dict[str, Any]:
    place = {"type": "rect", "xref": "x", "yref": "paper", "x0": low, "x1": high, "y0": 0, "y1": 1}
    return place | {"fillcolor": color, "line": {"width": 0}, "layer": "below"}


def _rows(low: float, high: float, color: str) -> dict[str, Any]:
    place = {"type": "rect", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": low, "y1": high}
    return place | {"fillcolor": color, "line": {"width": 0}, "layer": "below"}


def _corner(words: str) -> dict[str, Any]:
    place = {"x": 1, "xref": "paper", "xanchor": "right", "y": 1, "yref": "paper", "yanchor": "bottom"}
    return place | {"text": words, "showarrow": False}
