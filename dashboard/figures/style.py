"""The one place of colours, dashes, symbols and templates of all figures.

Every colour of a line or a marker has a contrast of at least 3 to 1 against the paper of the light and the dark theme
(WCAG's limit for graphics), so that a figure changes its theme by its template alone. The hues are those of Okabe and
Ito, a shade darker where theirs fade on white; whatever colour says, a symbol, a dash or a word says too.
"""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import Any

BLUE = "#1b7fc4"
VERMILLION = "#d55e00"
GREEN = "#009e73"
PURPLE = "#9467bd"
PINK = "#c8699f"
AMBER = "#b87700"
TEAL = "#1a93ab"
RED = "#c2453c"
GREY = "#7f8790"

PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, AMBER, PINK, TEAL, GREY)
"""For groups without a colour of their own, in this order."""
FONT = "Inter, system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"
DASHES = ("solid", "dash", "dot", "dashdot")
SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x", "triangle-down", "star")

PAPER = {"light": "#ffffff", "dark": "#242424"}
"""Background of each theme."""
INK = {"light": "#24292e", "dark": "#dcdfe4"}
"""Text of each theme."""
_SOFT = {"light": "#e7e9ec", "dark": "#383b40"}  # grid
_LINE = {"light": "#9aa0a6", "dark": "#6b7077"}  # axes


@dataclass(frozen=True)
class Look:
    """How one thing is drawn, and what it is called."""

    label: str
    color: str
    dash: str = "solid"
    symbol: str = "circle"
    short: str = ""


BLOCKS = {
    20: Look("P(left) = 0.2", VERMILLION, "dash", "square"),
    50: Look("P(left) = 0.5", GREY, "solid", "circle"),
    80: Look("P(left) = 0.8", BLUE, "dot", "diamond"),
}
"""By the prior that the stimulus is on the left, in percent.

The published three are rust (195, 85, 58), near black (34, 34, 34) and slate blue (63, 127, 147). Near black is lost on
a dark page, and rust and slate are close to each other for people with red-green blindness; here the order of hues is
kept (warm, neutral, blue) with an orange and a blue that everyone tells apart, and grey for the neutral prior."""

STATUSES = {
    "untrainable": Look("untrainable", RED, "solid", short="untrainable"),
    "unbiasable": Look("unbiasable", PINK, "solid", short="unbiasable"),
    "not_computed": Look("not computed", GREY, "dot", short="not computed"),
    "habituation": Look("habituation", GREY, "dot", short="habituation"),
    "in_training": Look("in training", GREY, "solid", short="in training"),
    "trained_1a": Look("trained 1a", VERMILLION, "dash", short="1a"),
    "trained_1b": Look("trained 1b", AMBER, "dash", short="1b"),
    "ready4ephysrig": Look("ready for the ephys rig", BLUE, "dash", short="rig"),
    "ready4delay": Look("ready for the delay", TEAL, "dash", short="delay"),
    "ready4recording": Look("ready for recording", GREEN, "dash", short="recording"),
}
"""By training status, in the order of training."""

EVENTS = {
    "ephys_rig": Look("first day on an ephys rig", PURPLE, "dot", short="on rig"),
    "first_ephys": Look("first ephys session", PURPLE, "dashdot", short="ephys"),
    "seven_months": Look("seven months old", GREY, "dot", short="7 months"),
    "trained": Look("trained", VERMILLION, "dash", short="trained"),
}
"""Days of an animal's life that are marked beside its statuses."""

WATERS = {
    "Water": BLUE,
    "Water 1% Citric Acid": PINK,
    "Water 2% Citric Acid": RED,
    "Water 3% Citric Acid": "#a86b5a",
    "Water 10% Sucrose": PURPLE,
    "Water 15% Sucrose": GREEN,
    "Hydrogel": AMBER,
    "Hydrogel 5% Citric Acid": TEAL,
}
"""By water type; see `water_color` for others."""

CORRECT, WRONG, NO_RESPONSE = GREEN, VERMILLION, GREY
"""Outcome of a trial."""
LEFT, RIGHT = BLUE, VERMILLION
"""Side of a choice or a stimulus."""
MAIN, SECOND = BLUE, VERMILLION
"""The measure of the left axis and that of the right one."""
WEIGHT, LEAST, CRITICAL, RESTRICTED = GREY, AMBER, RED, "rgba(127, 135, 144, 0.13)"
"""Weight, the least weight that the lab allows, the weight that must not be reached, and days under restriction."""
GROWING = [[0, BLUE], [0.5, PURPLE], [1, VERMILLION]]
"""The colour scale of markers for quantities that only grow; all of it is seen on the light and on the dark theme."""
CRITERION = Look("criterion", GREEN, "dashdot")

_DIVERGING = {  # PuOr of ColorBrewer; the middle is near the paper, so that no preference is no colour
    "light": ["#7f3b08", "#b35806", "#e08214", "#fdb863", "#f1eff3", "#b2abd2", "#8073ac", "#542788", "#2d004b"],
    "dark": ["#fdb863", "#f29a38", "#d97a17", "#8a531f", "#3a3a3d", "#5b5287", "#8073ac", "#a99fd0", "#d8daeb"],
}


def status(name: str) -> Look:
    """The look of a training status; of one that is not known here, grey and its own name.

    >>> status("trained_1a").short, status("my_status").label
    ('1a', 'my status')
    """
    words = name.replace("_", " ")
    return STATUSES.get(name) or Look(words, GREY, "dash", short=words)


def block(prior: float) -> Look:
    """The look of a block, by the prior that the stimulus is on the left, in percent.

    >>> block(20).label, block(35).label
    ('P(left) = 0.2', 'P(left) = 0.35')
    """
    if not math.isfinite(prior):
        return Look("P(left) unknown", GREY, "dot", "cross")
    number = round(float(prior))
    return BLOCKS.get(number) or Look(f"P(left) = {number / 100:g}", nth(number).color, "solid", "triangle-up")


def water_color(water_type: str) -> str:
    """The colour of a water type, the same every time; types that are not in `WATERS` take one by their name.

    >>> water_color("Water"), water_color("Lemonade") == water_color("Lemonade")
    ('#1b7fc4', True)
    """
    return WATERS.get(water_type) or PALETTE[zlib.crc32(water_type.encode()) % len(PALETTE)]


def nth(number: int) -> Look:
    """The look of the nth group, from 0: colour and symbol change together, the dash with every round of colours."""
    return Look(
        "",
        PALETTE[number % len(PALETTE)],
        DASHES[number // len(PALETTE) % len(DASHES)],
        SYMBOLS[number % len(SYMBOLS)],
    )


def faint(color: str, opacity: float = 0.18) -> str:
    """A colour of the form #rrggbb, see-through.

    >>> faint("#1b7fc4")
    'rgba(27, 127, 196, 0.18)'
    """
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def diverging(theme: str = "light") -> list[list[Any]]:
    """The colour scale of 0-1 quantities with a neutral middle: orange low, purple high."""
    colors = _DIVERGING[theme]
    return [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]


def template(theme: str = "light") -> dict[str, Any]:
    """The plotly template of a theme, `light` or `dark`.

    Raises
    ------
    ValueError : no such theme.
    """
    if theme not in _TEMPLATES:
        raise ValueError(f"a figure is light or dark, not {theme!r}")
    return _TEMPLATES[theme]


def _template(theme: str) -> dict[str, Any]:
    ink, soft, line, paper = INK[theme], _SOFT[theme], _LINE[theme], PAPER[theme]
    axis = {
        "gridcolor": soft, "linecolor": line, "tickcolor": line, "zerolinecolor": line, "showline": True,
        "ticks": "outside", "ticklen": 4, "zeroline": False, "automargin": True,
        "title": {"standoff": 8, "font": {"size": 12}},
    }  # fmt: skip
    return {
        "layout": {
            "font": {"family": FONT, "size": 12, "color": ink},
            "paper_bgcolor": paper,
            "plot_bgcolor": paper,
            "colorway": list(PALETTE),
            "xaxis": axis | {"showgrid": False},
            "yaxis": axis,
            "coloraxis": {"colorscale": diverging(theme)},
            "hoverlabel": {"bgcolor": paper, "bordercolor": line, "font": {"color": ink, "size": 12}},
            "legend": {
                "orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
                "font": {"size": 11}, "bgcolor": "rgba(0, 0, 0, 0)",
            },
            "modebar": {"bgcolor": "rgba(0, 0, 0, 0)", "color": line, "activecolor": ink},
            "annotationdefaults": {"font": {"color": ink, "size": 11}, "showarrow": False},
            "margin": {"l": 56, "r": 16, "t": 34, "b": 42},
        }
    }  # fmt: skip


_TEMPLATES = {theme: _template(theme) for theme in PAPER}
