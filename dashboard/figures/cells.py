"""One unit by itself: its waveform on the probe, autocorrelogram, amplitudes and rate over the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import HEIGHT, Trace, axis, figure, upright

REFRACTORY_MS = 2.0  # marked in the autocorrelogram


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
    lateral, axial : (n_channels,) um on the probe, from its left edge and from the tip. Where that is not known (NaN),
        the channels are drawn one above the other, and no axis is in um.
    sampling_rate : Hz.
    channels : names of the channels for those who point at one.
    """
    template = np.asarray(template, dtype=float)
    if not template.size or not np.isfinite(template).any():
        return figure([], {"height": height}, theme, "The files hold no waveform of this unit.")
    lateral, axial = np.asarray(lateral, dtype=float), np.asarray(axial, dtype=float)
    n_samples, n_channels = template.shape
    placed = bool(np.isfinite(lateral).all() and np.isfinite(axial).all())
    if not placed:
        lateral, axial = np.zeros(n_channels), np.arange(n_channels)[::-1].astype(float)
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
                "hovertemplate": f"channel {names[channel]}{f', {axial[channel]:.0f} um' if placed else ''}<br>"
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
        "xaxis": axis("Across the probe (um)" if placed else "", showgrid=False, visible=placed),
        "yaxis": axis("Depth (um from the tip)" if placed else "Channels (places not known)", showgrid=False,
                      showticklabels=placed),
    }  # fmt: skip
    return figure(traces, layout, theme)


def raw_samples(
    times: np.ndarray,
    microvolts: np.ndarray,
    channels: Sequence[int],
    spikes: np.ndarray,
    *,
    at: float = 0.0,
    theme: str = "light",
    height: int = 420,
) -> go.Figure:
    """Raw samples of some channels, one above the other, with lines where the unit spiked.

    Parameters
    ----------
    times : (n,) s from session start.
    microvolts : (n, n_channels) uV, the channel with the largest waveform first.
    channels : their names.
    spikes : times of the unit's spikes, s.
    at : the middle, s; the axis counts from it.
    """
    values = np.asarray(microvolts, dtype=float)
    if not values.size:
        return figure([], {"height": height}, theme, "The recording has no samples at this time.")
    step = max(20.0, 4.0 * float(np.median(np.abs(values))) + 0.5 * float(np.abs(values[:, 0]).max()))
    milliseconds = (np.asarray(times) - at) * 1000
    traces: list[Trace] = [
        {
            "type": "scatter",
            "mode": "lines",
            "name": f"channel {name}",
            "showlegend": False,
            "x": milliseconds.round(4),
            "y": (values[:, place] - step * place).round(2),
            "customdata": values[:, place].round(1),
            "line": {"color": style.BLUE if place == 0 else style.GREY, "width": 1.3 if place == 0 else 0.9},
            "hovertemplate": f"channel {name}<br>%{{x:.2f}} ms: %{{customdata:.0f}} uV<extra></extra>",
        }
        for place, name in enumerate(channels)
    ]
    ticks = {
        "tickvals": [-step * place for place in range(len(channels))],
        "ticktext": [str(channel) for channel in channels],
    }
    lines = [upright((value - at) * 1000, style.VERMILLION) for value in np.asarray(spikes).tolist()]
    layout = {
        "height": height,
        "hovermode": "closest",
        "shapes": lines,
        "xaxis": axis(f"Time from {at:,.4f} s (ms)"),
        "yaxis": axis(f"Channel ({step:.0f} uV apart)", showgrid=False, **ticks),
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
        "colorscale": style.GROWING,
        "showscale": False,
        "name": "spikes",
        "hovertemplate": "%{x:.0f} s, %{y:.0f} uV<extra></extra>",
        "hoverongaps": False,
    }
    layout = {
        "height": height,
        "hovermode": "closest",
        "xaxis": axis("Time from session start (s)", range=[first, last], showgrid=False),
        "yaxis": axis("Amplitude (uV)", showgrid=False),
    }
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
    trace: Trace = {
        "type": "scatter",
        "mode": "lines",
        "name": "rate",
        "showlegend": False,
        "x": (edges[1:] + edges[:-1]) / 2,
        "y": rate.round(3),
        "line": {"shape": "hvh", "width": 1.5, "color": style.BLUE},
        "hovertemplate": "%{x:.0f} s: %{y:.2f} Hz<extra></extra>",
    }
    layout = {
        "height": height,
        "hovermode": "closest",
        "xaxis": axis("Time from session start (s)", range=list(span)),
        "yaxis": axis("Rate (spikes/s)", rangemode="tozero"),
    }
    return figure([trace], layout, theme)


def _spacing(places: np.ndarray) -> float:
    """The usual distance between neighbouring places, um; 20 where there is but one."""
    apart = np.diff(np.unique(places[np.isfinite(places)]))
    return float(np.median(apart)) if apart.size else 20.0


def _band(low: float, high: float, color: str) -> dict[str, Any]:
    place = {"type": "rect", "xref": "x", "yref": "paper", "x0": low, "x1": high, "y0": 0, "y1": 1}
    return place | {"fillcolor": color, "line": {"width": 0}, "layer": "below"}


def _corner(words: str) -> dict[str, Any]:
    place = {"x": 1, "xref": "paper", "xanchor": "right", "y": 1, "yref": "paper", "yanchor": "bottom"}
    return place | {"text": words, "showarrow": False}
