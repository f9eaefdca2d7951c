"""One probe insertion along its depth: regions, drift map, units, spectrum of the signal; and metrics against criteria.

Depths are um from the tip, growing upwards, in every figure; `with_regions` puts the regions of the channels beside it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import HEIGHT, Trace, axis, figure
from dashboard.figures.rows import Rows, columns
from pipeline.analysis.units import OPERATORS

DEPTH = "Depth (um from the tip)"
SCALE = "Cividis"
"""Of quantities that only grow; it reads the same with and without colour vision deficiency."""
TALL = 460
"""Pixels of a figure along the probe."""
METRICS: dict[str, tuple[str, bool]] = {
    "firing_rate": ("Firing rate (Hz)", True),
    "presence_ratio": ("Presence ratio", False),
    "isi_violations_hill": ("Contamination, Hill", False),
    "isi_violations_llobet": ("Contamination, Llobet", False),
    "refractory_confidence": ("Refractory confidence (%)", False),
    "refractory_contamination": ("Refractory contamination (%)", False),
    "amplitude_cutoff": ("Amplitude cutoff", False),
    "noise_cutoff": ("Noise cutoff (SD)", False),
    "missed_spikes": ("Missed spikes", False),
    "amp_median": ("Median amplitude (uV)", False),
    "amp_std_db": ("Spread of amplitudes (dB)", False),
    "drift": ("Drift (um/h)", True),
    "drift_ptp": ("Range of depths (um)", False),
    "spike_width": ("Trough to peak (ms)", False),
    "ibl_label": ("IBL label", False),
}
"""Column of UnitMetrics.Unit -> axis title with its unit, and whether the axis is logarithmic."""
_REGION_SHARE = 0.075  # of the width, for the regions
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
    marks : time and name of vertical lines, e.g. the first and the last trial.
    """
    if not np.size(rates):
        return figure([], {"height": height}, theme, "There is no drift map: the spikes have no depths.")
    weights = np.asarray(rates, dtype=float)
    if value == "amp" and amps is not None:
        picture, label, unit, digits = _mean_amp(np.asarray(amps, dtype=float), weights), "Mean amplitude", "uV", 0
    else:
        picture, label, unit, digits = _blocks(weights), "Rate", "Hz", 1
    x, y = _shortened(times, _steps(times, _MOST_TIMES)), _shortened(depths, _steps(depths, _MOST_DEPTHS))
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
        "height": height, "hovermode": "closest", "xaxis": axis("Time from session start (s)"),
        "yaxis": axis(DEPTH, showgrid=False), **_vertical(marks),
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
    found = columns(units)
    depth, rate = found.numbers("cluster_depth"), found.numbers("cluster_firing_rate")
    across = found.numbers(x)
    kept = np.isfinite(depth) & np.isfinite(across) & ((across > 0) | (x != "cluster_firing_rate"))
    if not kept.any():
        return figure([], {"height": height}, theme, "The files do not say at which depths the units are.")
    good = found.numbers("selected")[kept]
    ids, depth, rate, across = found.numbers("cluster_id")[kept], depth[kept], rate[kept], across[kept]
    regions = found.texts("acronym")[kept]
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
                "customdata": np.stack([ids[own], rate[own]], axis=1),
                "text": regions[own],
                "marker": {
                    "size": size[own],
                    "symbol": symbol,
                    "color": log_rate[own],
                    "cmin": limits[0],
                    "cmax": limits[1],
                    "colorscale": SCALE,
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
    frequencies: np.ndarray, power: np.ndarray, axial: np.ndarray, *, highest: float = 300.0, theme: str = "light",
    height: int = TALL,
) -> go.Figure:  # fmt: skip
    """Power of the signal of each channel by frequency.

    Parameters
    ----------
    frequencies : (f,) Hz.
    power : (channels, f) uV^2/Hz.
    axial : (channels,) um from the tip; channels at one depth are averaged.
    highest : Hz that are shown.
    """
    if not np.size(power):
        return figure([], {"height": height}, theme, "There is no spectrum: no recording of the local field.")
    taken = (frequencies > 0) & (frequencies <= highest)
    depths, mean = _by_depth(np.asarray(axial, float), np.asarray(power, float)[:, taken])
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
        "hovertemplate": "%{x:.1f} Hz, %{y:.0f} um<br>%{z:.1f} dB<extra></extra>",
    }
    layout = {
        "height": height, "hovermode": "closest", "xaxis": axis("Frequency (Hz)"), "yaxis": axis(DEPTH, showgrid=False),
    }  # fmt: skip
    return figure([trace], layout, theme)


def rms(bands: Mapping[str, tuple[np.ndarray, np.ndarray]], *, theme: str = "light", height: int = TALL) -> go.Figure:
    """Strength of the signal of each channel.

    Parameters
    ----------
    bands : name, e.g. `ap`, -> strength (channels,) uV and depth (channels,) um from the tip.
    """
    traces: list[Trace] = []
    for number, (name, (strength, axial)) in enumerate(bands.items()):
        look = style.nth(number)
        traces.append({
            "type": "scatter", "mode": "markers", "name": name, "x": np.asarray(strength, float),
            "y": np.asarray(axial, float), "marker": {"color": look.color, "symbol": look.symbol, "size": 5},
            "hovertemplate": f"{name} %{{x:.1f}} uV at %{{y:.0f}} um<extra></extra>",
        })  # fmt: skip
    layout = {
        "height": height, "hovermode": "closest", "xaxis": axis("RMS (uV)", rangemode="tozero"),
        "yaxis": axis(DEPTH, showgrid=False),
    }  # fmt: skip
    return figure(traces, layout, theme, "There is no raw recording.")


def regions(channels: Rows, *, theme: str = "light", height: int = TALL) -> go.Figure:
    """The regions along the probe, in the colours of the atlas, each named once.

    Parameters
    ----------
    channels : rows with channel_axial (um), acronym, region_color and where known region_name.
    """
    traces = _region_bars(channels, theme)
    layout = {
        "height": height, "barmode": "stack", "hovermode": "closest", "bargap": 0, "showlegend": False,
        "xaxis": axis("", visible=False), "yaxis": axis(DEPTH, showgrid=False),
    }  # fmt: skip
    return figure(traces, layout, theme, "The regions along this probe are not known.")


def with_regions(made: go.Figure, channels: Rows, theme: str = "light") -> go.Figure:
    """A figure along the probe with the regions on its left; the same figure where they are not known."""
    bars = _region_bars(channels, theme)
    if not bars or not made.data:
        return made
    plain = copy.deepcopy({"data": made.to_plotly_json()["data"], "layout": made.to_plotly_json()["layout"]})
    for bar in bars:
        bar |= {"xaxis": "x2", "yaxis": "y", "showlegend": False}
    layout = plain["layout"]
    own = layout.get("xaxis", {})
    layout["xaxis"] = own | {"domain": [_REGION_SHARE + 0.01, 1]}
    layout["xaxis2"] = {"domain": [0, _REGION_SHARE], "visible": False, "anchor": "y", "fixedrange": True}
    layout["yaxis"] = layout.get("yaxis", {}) | {"anchor": "x2"}
    layout |= {"barmode": "stack", "bargap": 0}
    for item in layout.get("shapes", []):
        if item.get("xref") == "paper":
            item["x0"], item["x1"] = (
                _REGION_SHARE + 0.01 + one * (0.99 - _REGION_SHARE) for one in (item["x0"], item["x1"])
            )
    return figure([*plain["data"], *bars], {key: value for key, value in layout.items() if key != "template"}, theme)


def metric_histogram(
    values: np.ndarray,
    metric: str,
    rules: Iterable[Mapping[str, Any]] = (),
    *,
    theme: str = "light",
    height: int = HEIGHT,
) -> go.Figure:
    """The units by one metric, with the limits of the criteria and how many units pass them.

    Parameters
    ----------
    values : (k,) of the metric; NaN where it is not known.
    metric : a key of `METRICS`.
    rules : of UnitCriteria; those for other metrics are left out.
    """
    title, is_log = METRICS.get(metric, (metric.replace("_", " "), False))
    values = np.asarray(values, dtype=float)
    known = values[np.isfinite(values) & ((values > 0) | (not is_log))]
    if not known.size:
        return figure([], {"height": height}, theme, "This metric is not known for any unit here.")
    edges = _edges(np.log10(known) if is_log else known)
    counts, _ = np.histogram(np.log10(known) if is_log else known, edges)
    centres = (edges[1:] + edges[:-1]) / 2
    limits = [rule for rule in rules if rule["metric"] == metric]
    passed = _passing(10**centres if is_log else centres, limits)
    traces: list[Trace] = []
    for own, color, name in ((passed, style.BLUE, "pass"), (~passed, style.GREY, "do not pass")):
        if not own.any():
            continue
        shown = 10 ** centres[own] if is_log else centres[own]
        traces.append({
            "type": "bar", "x": centres[own], "y": counts[own], "width": 0.94 * float(edges[1] - edges[0]),
            "name": name, "marker": {"color": color}, "customdata": shown, "showlegend": False,
            "hovertemplate": "%{customdata:.3g}: %{y} units<extra></extra>",
        })  # fmt: skip
    lines, notes = [], []
    for rule in limits:
        at = float(np.log10(rule["value"])) if is_log else float(rule["value"])
        lines.append(_line(at, style.CRITERION.color, style.CRITERION.dash))
        n = int(_passing(values[np.isfinite(values)], [rule]).sum())
        notes.append(
            {
                "text": f"{rule['op']} {rule['value']:g}: {n} of {values.size}",
                "x": at,
                "xref": "x",
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "xanchor": "center",
                "font": {"color": style.CRITERION.color, "size": 11},
            }
        )
    ticks = {}
    if is_log:
        powers = np.arange(np.floor(edges[0]), np.ceil(edges[-1]) + 1)
        ticks = {"tickvals": powers, "ticktext": [f"{10.0**power:g}" for power in powers]}
    layout = {
        "height": height, "hovermode": "closest", "bargap": 0, "shapes": lines, "annotations": notes,
        "xaxis": axis(title, **ticks), "yaxis": axis("Units", rangemode="tozero"), "margin": {"t": 24},
    }  # fmt: skip
    return figure(traces, layout, theme)


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


def _region_bars(channels: Rows, theme: str) -> list[Trace]:
    """One bar for each run of channels in one region; it ends half way to the next channel."""
    found = columns(channels)
    if "channel_axial" not in found or "acronym" not in found:
        return []
    axial, names = found.numbers("channel_axial"), found.texts("acronym")
    kept = np.flatnonzero(np.isfinite(axial))
    if not kept.size or not names[kept].any():
        return []
    order = kept[np.argsort(axial[kept], kind="stable")]
    axial, names = axial[order], names[order]
    colors, words = found.texts("region_color")[order], found.texts("region_name")[order]
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


def _vertical(marks: Sequence[tuple[float, str]]) -> dict[str, Any]:
    lines = [_line(at, style.VERMILLION, "dash") for at, _ in marks]
    notes = [{"text": name, "x": at, "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "xanchor": "center",
              "font": {"color": style.VERMILLION, "size": 11}} for at, name in marks if name]  # fmt: skip
    return {"shapes": lines, "annotations": notes}


def _line(at: float, color: str, dash: str) -> dict[str, Any]:
    """A vertical line over the whole height."""
    line = {"color": color, "dash": dash, "width": 1.4}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}


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


def _edges(values: np.ndarray, most: int = 40) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - 0.5, high + 0.5
    n = int(np.clip(2 * np.sqrt(values.size), 8, most))
    return np.linspace(low, high, n + 1)


def _passing(values: np.ndarray, rules: Sequence[Mapping[str, Any]]) -> np.ndarray:
    found = np.ones(values.shape, dtype=bool)
    for rule in rules:
        found &= OPERATORS[rule["op"]](values, rule["value"])
    return found
