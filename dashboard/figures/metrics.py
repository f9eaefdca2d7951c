"""Quality metrics of units: how they are distributed, and how many units pass the criteria."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import HEIGHT, Trace, axis, figure, upright
from pipeline.analysis.unit_criteria import OPERATORS

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
SIGNS = {">=": "≥", "<=": "≤"}
"""Operators of criteria as people read them; others stand for themselves."""
MOST_BINS = 40


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
    limits = [rule for rule in rules if rule["metric"] == metric]
    shown = np.log10 if is_log else np.asarray
    edges = _edges(shown(known), [float(shown(rule["value"])) for rule in limits])
    passes = _passing(known, limits)
    centres = (edges[1:] + edges[:-1]) / 2
    traces: list[Trace] = []
    for own, color, name in ((passes, style.BLUE, "pass"), (~passes, style.GREY, "do not pass")):
        if own.any():
            traces.append({
                "type": "bar", "x": centres, "y": np.histogram(shown(known[own]), edges)[0],
                "width": 0.94 * float(edges[1] - edges[0]), "name": name, "marker": {"color": color},
                "customdata": 10**centres if is_log else centres, "showlegend": False,
                "hovertemplate": f"%{{customdata:.3g}}: %{{y}} units {name if limits else ''}<extra></extra>",
            })  # fmt: skip
    lines, notes = [], []
    for rule in limits:
        at = float(shown(rule["value"]))
        lines.append(upright(at, style.CRITERION.color, style.CRITERION.dash))
        n = int(_passing(values[np.isfinite(values)], [rule]).sum())
        notes.append({
            "text": f"{SIGNS.get(rule['op'], rule['op'])} {rule['value']:g}: {n} of {values.size}", "x": at,
            "xref": "x", "y": 1, "yref": "paper", "yanchor": "bottom", "showarrow": False,
            "xanchor": "right" if at > centres.mean() else "left",
            "font": {"color": style.CRITERION.color, "size": 11},
        })  # fmt: skip
    ticks = {}
    if is_log:
        powers = np.arange(np.floor(edges[0]), np.ceil(edges[-1]) + 1)
        ticks = {"tickvals": powers, "ticktext": [f"{10.0**power:g}" for power in powers]}
    layout = {
        "height": height, "hovermode": "closest", "barmode": "stack", "bargap": 0, "shapes": lines,
        "annotations": notes, "margin": {"t": 24},
        "xaxis": axis(title, **ticks), "yaxis": axis("Units", rangemode="tozero", tickformat=",d", nticks=5),
    }  # fmt: skip
    return figure(traces, layout, theme)


def _edges(values: np.ndarray, limits: Sequence[float]) -> np.ndarray:
    """Edges of bins over all values; one of them is the first limit where that is near, so that bins do not mix."""
    low, high = float(values.min()), float(values.max())
    if high <= low:
        low, high = low - max(0.05 * abs(low), 0.05), high + max(0.05 * abs(high), 0.05)
    n = int(np.clip(2 * np.sqrt(values.size), 8, MOST_BINS))
    step = (high - low) / n
    if not limits or abs(limits[0] - low) > 10 * (high - low):
        return np.linspace(low, high, n + 1)
    first = int(np.floor((low - limits[0]) / step))
    return limits[0] + step * np.arange(first, first + n + 2)


def _passing(values: np.ndarray, rules: Sequence[Mapping[str, Any]]) -> np.ndarray:
    passing = np.ones(values.shape, dtype=bool)
    for rule in rules:
        passing &= OPERATORS[rule["op"]](values, rule["value"])
    return passing
