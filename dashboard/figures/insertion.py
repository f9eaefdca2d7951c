"""One probe insertion along its depth: drift map, units, activity around an event, spectrum and strength of the signal.

Depths are um from the tip, growing upwards; `track.with_regions` puts the regions of the channels beside a figure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import Trace, axis, figure, upright
from dashboard.figures.rows import Rows, columns
from dashboard.figures.track import DEPTH, TALL

CHANNEL = "Channel (its depth is not known)"
"""Title of that axis where there is no map of the channels."""
SCALE = "Cividis"
"""Of quantities that only grow; it reads the same with and without colour vision deficiency."""
_MOST_TIMES, _MOST_DEPTHS = 450, 200  # cells of a picture; finer ones are averaged


def drift_map(
    times: np.ndarray,
    depths: np.ndarray,
    rates: np.ndarray,
    amps: np.ndarray | None = None,
    *,
    value: str = "rate",
    marks: Sequence[tuple[float, str]] = (),
    theme: str = "light",
    height: int = TALL,
) -> go.Figure:
    """How much is spiking, or how large the spikes are, at each depth over the session.

    Parameters
    ----------
    times, depths : (t,), (d,) centres of the bins, s from session start, um from the tip; evenly spaced.
    rates : (d, t) Hz.
    amps : (d, t) mean amplitude, uV, NaN without spikes.
    value : `rate` or `amp`.
    marks : time and name of vertical lines, e.g. the first and the last trial; those outside of `times` are left out.
    """
    if not np.size(rates):
        return figure(
            [], {"height": height}, theme, "There is no drift map: not computed yet, or spikes without depths."
        )
    weights = np.asarray(rates, dtype=float)
    if value == "amp" and amps is not None:
        picture, label, unit, digits = _mean_amp(np.asarray(amps, dtype=float), weights), "Mean amplitude", "uV", 0
    else:
        picture, label, unit, digits = _blocks(weights), "Rate", "Hz", 1
    x, y = _shortened(times, _steps(times, _MOST_TIMES)), _shortened(depths, _steps(depths, _MOST_DEPTHS))
    half = (float(times[1]) - float(times[0])) / 2 if len(times) > 1 else 0.5
    span = [float(times[0]) - half, float(times[-1]) + half]
    known = picture[np.isfinite(picture)]
    low, high = (0.0, float(np.percentile(known, 99))) if known.size else (0.0, 1.0)
    if value == "amp" and known.size:
        low = float(np.percentile(known, 2))
    trace: Trace = {
        "type": "heatmap", "x": x, "y": y, "z": np.round(picture, digits).astype(np.float32), "zmin": low,
        "zmax": max(high, low + 1e-9), "colorscale": SCALE, "name": label,
        "colorbar": _scale_bar(f"{label} ({unit})"),
        "hovertemplate": f"%{{x:.0f}} s, %{{y:.0f}} um<br>{label} %{{z:.{digits}f}} {unit}<extra></extra>",
    }  # fmt: skip
    layout = {
        "height": height, "hovermode": "closest",
        "xaxis": axis("Time from session start (s)", range=span, showgrid=False),
        "yaxis": axis(DEPTH, showgrid=False), **_vertical([mark for mark in marks if span[0] <= mark[0] <= span[1]]),
    }  # fmt: skip
    return figure([trace], layout, theme)


def units_by_depth(
    units: Rows, *, x: str = "cluster_amp", chosen: int | None = None, theme: str = "light", height: int = TALL
) -> go.Figure:
    """Each unit at its depth; size and colour are its firing rate, a filled disc has passed the criteria.

    Parameters
    ----------
    units : rows with cluster_id, cluster_depth (um), cluster_amp (uV), cluster_firing_rate (Hz), and where known
        selected (bool: passes the criteria) and acronym.
    x : `cluster_amp` or `cluster_firing_rate`.
    chosen : cluster_id that is marked.

    `customdata` of each point is its cluster_id.
    """
    table = columns(units)
    depth, rate = table.numbers("cluster_depth"), table.numbers("cluster_firing_rate")
    across = table.numbers(x)
    kept = np.isfinite(depth) & np.isfinite(across) & ((across > 0) | (x != "cluster_firing_rate"))
    if not kept.any():
        return figure([], {"height": height}, theme, "The files do not say at which depths the units are.")
    good = table.numbers("selected")[kept]
    ids, depth, rate, across = table.numbers("cluster_id")[kept], depth[kept], rate[kept], across[kept]
    regions = table.texts("acronym")[kept]
    log_rate = np.log10(np.maximum(rate, 0.01))
    limits = (-1.0, max(1.5, float(np.nanmax(log_rate, initial=0.0))))
    size = 5 + 9 * np.clip((log_rate - limits[0]) / (limits[1] - limits[0]), 0, 1)
    traces: list[Trace] = []
    for passed, name in ((0, "do not pass"), (1, "pass the criteria")):
        own = np.nan_to_num(good, nan=1) == passed
        if not own.any():
            continue
        symbol = "circle" if passed else "circle-open"
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": f"{name} ({own.sum()})" if np.isfinite(good).any() else "units",
                "x": across[own],
                "y": depth[own],
                "customdata": np.stack([ids[own], rate[own]], axis=1).tolist(),
                "text": regions[own],
                "marker": {
                    "size": size[own],
                    "symbol": symbol,
                    "color": log_rate[own],
                    "cmin": limits[0],
                    "cmax": limits[1],
                    "colorscale": style.GROWING,
                    "showscale": bool(passed) or len(traces) == 0 and bool((good == 0).all()),
                    "opacity": 0.9,
                    "line": {"width": 1.4 if symbol == "circle-open" else 0},
                    "colorbar": _scale_bar(
                        "Firing rate (Hz)", tickvals=[-1, 0, 1, 2], ticktext=["0.1", "1", "10", "100"]
                    ),
                },
                "hovertemplate": "unit %{customdata[0]} %{text}<br>%{y:.0f} um, %{x:.3g}<br>%{customdata[1]:.2f} Hz"
                "<extra></extra>",
            }
        )
    if chosen is not None and (here := ids == chosen).any():
        traces.append({
            "type": "scatter", "mode": "markers", "x": across[here], "y": depth[here], "name": f"unit {chosen}",
            "showlegend": False, "hoverinfo": "skip",
            "marker": {"size": 20, "symbol": "circle-open", "color": style.VERMILLION, "line": {"width": 2.5}},
        })  # fmt: skip
    is_log = x == "cluster_firing_rate"
    titles = {"cluster_amp": "Amplitude (uV)", "cluster_firing_rate": "Firing rate (Hz)"}
    layout = {
        "height": height, "hovermode": "closest", "clickmode": "event",
        "xaxis": axis(titles[x], **({"type": "log"} if is_log else {"rangemode": "tozero"})),
        "yaxis": axis(DEPTH, showgrid=False),
    }  # fmt: skip
    return figure(traces, layout, theme)


def spectrum(
    frequencies: np.ndarray, power: np.ndarray, axial: np.ndarray | None, *, highest: float = 300.0,
    theme: str = "light", height: int = TALL,
) -> go.Figure:  # fmt: skip
    """Power of the signal of each channel by frequency.

    Parameters
    ----------
    frequencies : (f,) Hz.
    power : (channels, f) uV^2/Hz.
    axial : (channels,) um from the tip; channels at one depth are averaged. None: not known, channels by their number.
    highest : Hz that are shown.
    """
    if not np.size(power):
        return figure([], {"height": height}, theme, "There is no spectrum: no recording of the local field.")
    taken = (frequencies > 0) & (frequencies <= highest)
    place = np.arange(len(power), dtype=float) if axial is None else np.asarray(axial, float)
    depths, mean = _by_depth(place, np.asarray(power, float)[:, taken])
    decibel = 10 * np.log10(np.maximum(mean, 1e-12))
    low, high = np.percentile(decibel, [2, 98]) if decibel.size else (0, 1)
    trace: Trace = {
        "type": "heatmap",
        "x": np.asarray(frequencies)[taken],
        "y": depths,
        "z": np.round(decibel, 1).astype(np.float32),
        "zmin": float(low),
        "zmax": float(max(high, low + 1e-9)),
        "colorscale": SCALE,
        "name": "Power",
        "colorbar": _scale_bar("Power (dB re 1 uV²/Hz)"),
        "hovertemplate": f"%{{x:.1f}} Hz, {_at(axial)}<br>%{{z:.1f}} dB<extra></extra>",
    }
    layout = {
        "height": height, "hovermode": "closest", "xaxis": axis("Frequency (Hz)"),
        "yaxis": axis(DEPTH if axial is not None else CHANNEL, showgrid=False),
    }  # fmt: skip
    return figure([trace], layout, theme)


def rms(
    bands: Mapping[str, tuple[np.ndarray, np.ndarray | None]], *, theme: str = "light", height: int = TALL
) -> go.Figure:
    """Strength of the signal of each channel.

    Parameters
    ----------
    bands : name, e.g. `ap`, -> strength (channels,) uV and depth (channels,) um from the tip. Where the depth of one is
        None, it is not known, and all are drawn by the number of the channel.
    """
    traces: list[Trace] = []
    placed = all(axial is not None for _, axial in bands.values())
    for number, (name, (strength, axial)) in enumerate(bands.items()):
        look = style.nth(number)
        traces.append({
            "type": "scatter", "mode": "markers", "name": name, "x": np.asarray(strength, float),
            "y": np.asarray(axial, float) if placed else np.arange(len(strength)),
            "marker": {"color": look.color, "symbol": look.symbol, "size": 5},
            "hovertemplate": f"{name} %{{x:.1f}} uV, {_at(placed or None)}<extra></extra>",
        })  # fmt: skip
    layout = {
        "height": height, "hovermode": "closest", "xaxis": axis("RMS (uV)", rangemode="tozero"),
        "yaxis": axis(DEPTH if placed else CHANNEL, showgrid=False),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no raw recording.")


def depth_peth(
    times: np.ndarray, depths: np.ndarray, response: np.ndarray, *, event: str = "the event", theme: str = "light",
    height: int = TALL,
) -> go.Figure:  # fmt: skip
    """The activity along the probe around an event, as change from the baseline before the stimulus.

    Parameters
    ----------
    times, depths : (t,), (d,) centres, s from the event, um from the tip.
    response : (d, t) (rate - baseline) / (baseline + 1 Hz).
    """
    if not np.size(response):
        return figure([], {"height": height}, theme, "There is no such picture: no events, or spikes without depths.")
    values = np.asarray(response, dtype=float)
    known = np.abs(values[np.isfinite(values)])
    limit = max(1e-6, float(np.percentile(known, 98))) if known.size else 1.0
    trace: Trace = {
        "type": "heatmap",
        "x": times,
        "y": depths,
        "z": np.round(values, 2).astype(np.float32),
        "coloraxis": "coloraxis",
        "name": "change",
        "hovertemplate": "%{x:.2f} s, %{y:.0f} um<br>%{z:.2f}<extra></extra>",
    }
    bar = _scale_bar("(rate - baseline) / (baseline + 1 Hz)")
    layout = {
        "height": height, "hovermode": "closest", "coloraxis": {"cmin": -limit, "cmax": limit, "colorbar": bar},
        "xaxis": axis(f"Time from {event} (s)"), "yaxis": axis(DEPTH, showgrid=False),
        **_vertical([(0.0, "")]),
    }  # fmt: skip
    return figure([trace], layout, theme)


def _at(axial: Any) -> str:
    """What is said of the place of a point: its depth, or where that is not known the number of the channel."""
    return "channel %{y:.0f}" if axial is None else "%{y:.0f} um"


def _vertical(marks: Sequence[tuple[float, str]]) -> dict[str, Any]:
    lines = [upright(at, style.VERMILLION) for at, _ in marks]
    notes = [{"text": name, "x": at, "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "center",
              "font": {"color": style.VERMILLION, "size": 11}} for at, name in marks if name]  # fmt: skip
    return {"shapes": lines, "annotations": notes}


def _scale_bar(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title, "side": "right"}, "thickness": 10, "outlinewidth": 0} | more


def _steps(values: np.ndarray, most: int) -> int:
    return max(1, -(-len(values) // most))


def _shortened(values: np.ndarray, step: int) -> np.ndarray:
    """Means of `step` neighbours; what is left over at the end is the mean of the rest."""
    values = np.asarray(values, dtype=float)
    return np.add.reduceat(values, np.arange(0, values.size, step)) / _sizes(values.size, step)


def _sizes(n: int, step: int) -> np.ndarray:
    starts = np.arange(0, n, step)
    return np.minimum(starts + step, n) - starts


def _blocks(values: np.ndarray) -> np.ndarray:
    """A picture of depths and times, neighbours averaged until it is small enough."""
    down, along = _steps(values, _MOST_DEPTHS), _steps(values.T, _MOST_TIMES)
    n_down, n_along = values.shape
    if down > 1:
        values = np.add.reduceat(values, np.arange(0, n_down, down), axis=0) / _sizes(n_down, down)[:, None]
    if along > 1:
        values = np.add.reduceat(values, np.arange(0, n_along, along), axis=1) / _sizes(n_along, along)
    return values


def _mean_amp(amps: np.ndarray, rates: np.ndarray) -> np.ndarray:
    """Mean amplitudes of the blocks, each cell counting as often as it has spikes; NaN without any."""
    weights = np.where(np.isfinite(amps), rates, 0.0)
    total, n = _blocks(np.nan_to_num(amps) * weights), _blocks(weights)
    return np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)


def _by_depth(axial: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distinct depths, and the mean of the rows at each."""
    known = np.isfinite(axial)
    depths, place = np.unique(axial[known], return_inverse=True)
    total = np.zeros((depths.size, values.shape[1]))
    np.add.at(total, place, values[known])
    return depths, total / np.bincount(place, minlength=depths.size)[:, None]
