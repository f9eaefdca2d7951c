"""The family of an animal as geneticists draw it: squares are males, circles females, diamonds of unknown sex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from dashboard.figures import build, style

Place = tuple[float, float]

SYMBOLS = {"M": "square", "F": "circle", "U": "diamond"}
WORDS = {"M": "male", "F": "female", "U": "sex unknown"}
ROW = 110  # px between generations
WIDTH = 1.0  # of the widest generation


def pedigree(animals: Sequence[Mapping[str, Any]], subject: str, theme: str = "light") -> go.Figure:
    """Ancestors above, offspring below; an animal that has died is crossed out.

    Parameters
    ----------
    animals
        One mapping an animal: `subject`, `sex` ("M", "F" or "U"), `generation` (0: the animal itself, 1: its parents,
        -1: its offspring), `parents` (names), `died` (bool) and `label` (what stands below its name). An animal that
        is an ancestor twice is there once.
    subject
        Name of the animal whose family it is.
    theme
        "light" or "dark".

    Returns
    -------
    plotly.graph_objects.Figure
    """
    known = {row["subject"]: row for row in animals}
    if len(known) < 2:
        return build.figure([], {"height": 160}, theme, "Neither parents nor offspring are known.")
    places = _places(known, subject)
    traces: list[Any] = [_lines(known, places)]
    for sex, symbol in SYMBOLS.items():
        own = [row for row in known.values() if (row["sex"] or "U") == sex]
        if not own:
            continue
        traces.append({
            "type": "scatter", "mode": "markers+text", "name": WORDS[sex],
            "x": [places[row["subject"]][0] for row in own], "y": [places[row["subject"]][1] for row in own],
            "text": [f"{'<b>' if row['subject'] == subject else ''}{row['subject']}"
                     f"{'</b>' if row['subject'] == subject else ''}<br>{row['label']}" for row in own],
            "textposition": "bottom center", "textfont": {"size": 11}, "hoverinfo": "text", "cliponaxis": False,
            "hovertext": [f"{row['subject']}, {WORDS[sex]}{', died' if row['died'] else ''}" for row in own],
            "marker": {"symbol": symbol, "size": 20, "color": [
                style.BLUE if row["subject"] == subject else "rgba(127, 135, 144, 0.25)" for row in own],
                "line": {"width": 2, "color": style.GREY}},
        })  # fmt: skip
    dead = [row["subject"] for row in known.values() if row["died"]]
    if dead:
        traces.append({
            "type": "scatter", "mode": "markers", "name": "died", "hoverinfo": "skip",
            "x": [places[name][0] for name in dead], "y": [places[name][1] for name in dead],
            "marker": {"symbol": "line-ne-open", "size": 30, "color": style.GREY, "line": {"width": 2}},
        })  # fmt: skip
    rows = {y for _, y in places.values()}
    hidden = {"visible": False, "fixedrange": True}
    layout = {
        "height": int(90 + ROW * len(rows)), "margin": {"l": 20, "r": 20, "t": 20, "b": 30},
        "xaxis": hidden | {"range": [-0.04, 1.04]}, "yaxis": hidden | {"range": [min(rows) - 0.6, max(rows) + 0.4]},
        "showlegend": True, "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    }  # fmt: skip
    return build.figure(traces, layout, theme)


def _places(known: Mapping[str, Mapping[str, Any]], subject: str) -> dict[str, Place]:
    """Each animal's place: parents share the width of their child, so that families stand above each other.

    >>> rows = {"a": {"parents": ["f", "m"], "generation": 0}, "f": {"parents": [], "generation": 1},
    ...         "m": {"parents": [], "generation": 1}}
    >>> _places(rows, "a")
    {'a': (0.5, 0.0), 'f': (0.25, 1.0), 'm': (0.75, 1.0)}
    """
    places: dict[str, Place] = {}

    def put(name: str, left: float, right: float) -> None:
        if name in places:
            return
        places[name] = ((left + right) / 2, float(known[name]["generation"]))
        parents = [item for item in known[name]["parents"] if item in known]
        for number, parent in enumerate(parents):
            step = (right - left) / len(parents)
            put(parent, left + number * step, left + (number + 1) * step)

    put(subject, 0.0, WIDTH)
    others = sorted(name for name in known if name not in places)
    for number, name in enumerate(others):
        places[name] = ((number + 0.5) / len(others), float(known[name]["generation"]))
    return places


def _lines(known: Mapping[str, Mapping[str, Any]], places: Mapping[str, Place]) -> dict[str, Any]:
    """From parents to their children, with corners half way."""
    x: list[float | None] = []
    y: list[float | None] = []
    for name, row in known.items():
        for parent in row["parents"]:
            if parent in places:
                (to_x, to_y), (from_x, from_y) = places[name], places[parent]
                half = to_y + 0.38
                x += [from_x, from_x, to_x, to_x, None]
                y += [from_y, half, half, to_y, None]
    return {"type": "scatter", "mode": "lines", "x": x, "y": y, "hoverinfo": "skip", "showlegend": False,
            "name": "descent", "line": {"width": 1.5, "color": style.GREY}}  # fmt: skip
