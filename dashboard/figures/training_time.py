"""The four panels of the prediction of training time: times, confusion, scores, importance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from dashboard.figures import style
from dashboard.figures.build import axis, figure, upright
from pipeline.analysis.early_training import FEATURES
from pipeline.analysis.training_time import N_CLASSES, Judgement, quartile_edges

_QUARTILES = [str(number) for number in range(1, N_CLASSES + 1)]


def histogram(training_time: Sequence[float] | np.ndarray, *, bins: int = 9, theme: str = "light") -> go.Figure:
    """How long the mice took, with the limits of the quartiles.

    Parameters
    ----------
    training_time : (n,) days of training before each mouse was trained.
    """
    days = np.asarray(training_time, float)
    if not days.size:
        return figure([], {}, theme, "No mouse is trained yet.")
    counts, edges = np.histogram(days, bins)
    bars = {
        "type": "bar", "x": (edges[:-1] + edges[1:]) / 2, "y": counts, "width": np.diff(edges),
        "marker": {"color": style.BLUE, "line": {"width": 0.5}},
        "hovertemplate": "%{y} mice at %{x:.0f} days<extra></extra>",
    }  # fmt: skip
    lines = [upright(float(edge), style.VERMILLION) for edge in quartile_edges(days)]
    layout = {"xaxis": axis("Days of training until trained (days)"), "yaxis": axis("Mice (count)"), "shapes": lines}
    return figure([bars], layout, theme)


def confusion(judged: Judgement, *, theme: str = "light") -> go.Figure:
    """What was told of the mice of each quartile, as fractions of a row, with the numbers of mice."""
    counts = judged.confusion
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    heat = {
        "type": "heatmap", "z": share, "x": _QUARTILES, "y": _QUARTILES, "zmin": 0, "zmax": 1, "colorscale": "Blues",
        "text": counts, "texttemplate": "%{text}", "colorbar": {"title": {"text": "Fraction"}},
        "hovertemplate": "true %{y}, told %{x}: %{text} mice (%{z:.2f})<extra></extra>",
    }  # fmt: skip
    layout = {
        "xaxis": axis("Predicted quartile", type="category"),
        "yaxis": axis("True quartile", type="category", autorange="reversed"),
    }
    return figure([heat], layout, theme)


def scores(judged: Mapping[str, Judgement], *, theme: str = "light") -> go.Figure:
    """F1 of models, beside what permuted quartiles give.

    Parameters
    ----------
    judged : what a model is called -> how it did.
    """
    traces = []
    for number, (name, one) in enumerate(judged.items()):
        color = style.PALETTE[number % len(style.PALETTE)]
        chance = f"{name}, permuted"
        traces.append({"type": "box", "y": one.shuffled_f1, "name": chance, "marker": {"color": style.GREY}})
        traces.append({
            "type": "scatter", "mode": "markers", "x": [chance], "y": [one.f1], "name": name,
            "marker": {"color": color, "size": 11, "symbol": style.SYMBOLS[2]},
            "hovertemplate": f"{name}: %{{y:.3f}}<extra></extra>",
        })  # fmt: skip
    shown = {"xaxis": axis("Model"), "yaxis": axis("F1 (fraction right)", rangemode="tozero")}
    return figure(traces, shown, theme)


def importance(judged: Judgement, *, theme: str = "light") -> go.Figure:
    """By how much F1 falls when a feature is permuted among the mice."""
    order = np.argsort(judged.importance.mean(axis=1), kind="stable")
    traces = [
        {
            "type": "box", "x": judged.importance[index], "orientation": "h", "marker": {"color": style.BLUE},
            "name": FEATURES.get(judged.names[index], judged.names[index]), "showlegend": False,
        }
        for index in order
    ]  # fmt: skip
    layout = {"xaxis": axis("Decrease of F1 (fraction)"), "yaxis": axis("Feature"), "height": 120 + 22 * len(traces)}
    return figure(traces, layout, theme)
