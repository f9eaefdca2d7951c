"""The page of a mouse: its figures over days, which zoom together, and the curves of chosen days."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import mouse as figures
from dashboard.figures import style
from dashboard.pages._mouse_history import name_of, session_link
from dashboard.pages._mouse_tasks import has_own_task
from dashboard.queries import mouse as queries
from dashboard.site import Component, Site, Viewer
from pipeline.schemas.inputs.water_history import local_dates

COMPARED = 3
"""How many of the last sessions are compared to begin with."""
MOST_COMPARED = 12
_ROOM = {"l": 64, "r": 64, "t": 40, "b": 38}  # px around each figure over days
_HEIGHT = 264  # px, at least
_PERIODS = (("All", 0), ("90 d", 90), ("30 d", 30), ("14 d", 14))


def days(mouse: queries.Mouse, viewer: Viewer) -> Component:
    """Figures over the days of the mouse, which zoom together."""
    rules, row = mouse.rules, mouse.subject
    rig = next((item["session_date"] for item in mouse.sessions.to_pylist() if "ephys" in item["rig"].lower()), None)
    marks = figures.marks(
        mouse.training.get("first_dates"), birth_date=row["birth_date"], first_rig_date=rig,
        first_ephys_date=mouse.first_ephys_date, public=viewer.public,
    )  # fmt: skip
    zone = mouse.lab["time_zone"]
    waters = {
        "water_date": local_dates(mouse.waters["administration_time"], zone),
        "water_type": mouse.waters["water_type"].to_pylist(),
        "water_volume": mouse.waters["water_volume"].to_numpy(),
    }
    least = mouse.lab["reference_weight_pct"] + mouse.lab["zscore_weight_pct"]
    made = [
        ("water", "Water and weight", "bands: water restricted", mouse.water.num_rows,
         lambda: figures.water_and_weight(mouse.water, waters, implants=mouse.implants, least=least, marks=marks)),
        ("performance", "Performance and response time", "", mouse.days.num_rows,
         lambda: figures.performance_and_response_time(mouse.days, rules=rules, marks=marks)),
        ("trials", "Trials and session duration", "", mouse.days.num_rows,
         lambda: figures.trial_counts_and_duration(mouse.days, marks=marks)),
        ("heatmap", "Choices by contrast", "all blocks", mouse.performance.num_rows,
         lambda: figures.contrast_heatmap(mouse.performance, marks=marks)),
        ("fits", "Psychometric parameters", "open: the data do not determine the curve", mouse.blocks.num_rows,
         lambda: figures.fit_parameters(mouse.blocks, rules=rules, windows=mouse.statuses, marks=marks)),
    ]  # fmt: skip
    if not has_own_task(mouse):  # contrasts left and right are those of the program's own task
        made = [item for item in made if item[0] not in ("heatmap", "fits")]
    drawings = [(name, title, hint, shell.drawn(draw(), name)) for name, title, hint, n, draw in made if n]
    _align([drawing["layout"] for *_, drawing in drawings])
    cards = [shell.figure(name, drawing, title, hint, axis="days") for name, title, hint, drawing in drawings]
    missing = [title.lower() for _, title, _, n, _ in made if not n]
    periods = [
        html.Button(label, className="nj-tool", type="button", **{"data-period": str(n), "data-axis": "days"})
        for label, n in _PERIODS
    ]
    hint = "click a day to compare it below; drag to zoom all, double-click to see all; lines: first day of a status"
    if missing:
        cards.append(shell.sentence(f"There is nothing yet for: {', '.join(missing)}."))
    head = html.Div([html.H2("Days", className="nj-section-title"), html.Span(hint, className="nj-hint"),
                     html.Span(periods, className="nj-tools")], className="nj-section-head")  # fmt: skip
    return html.Section([head, html.Div(cards, className="nj-stack nj-tight")])


def _align(layouts: Sequence[dict[str, Any]]) -> None:
    """Give all the same span of dates and the same room around, so that one date stands above the other."""
    spans = [layout["xaxis"]["range"] for layout in layouts if "range" in layout.get("xaxis", {})]
    for layout in layouts:
        layout["margin"] = layout.get("margin", {}) | _ROOM
        layout["height"] = max(layout.get("height", 0), _HEIGHT)
        axis = {name: value for name, value in layout.get("xaxis", {}).items() if name != "title"}
        if spans and "range" in axis:
            axis["range"] = [min(span[0] for span in spans), max(span[1] for span in spans)]
        layout["xaxis"] = axis | {"automargin": False, "tickformat": "%-d %b\n%Y"}
        for name in (name for name in layout if name.startswith("yaxis")):
            free = {"tickmode": "auto"} if "overlaying" in layout[name] and "tickvals" not in layout[name] else {}
            layout[name] = layout[name] | {"automargin": False} | free


def comparison(site: Site, viewer: Viewer, mouse: queries.Mouse, query: Mapping[str, str]) -> Component:
    """Curves of chosen days."""
    options = sessions_to_choose(mouse)
    if not options:
        return dmc.MultiSelect(id="mouse-days", data=[], style={"display": "none"})
    known = [option["value"] for option in options]
    wanted = [part for part in query.get("days", "").split(",") if part in known][:MOST_COMPARED]
    chosen = wanted or known[:COMPARED]
    pair = curves(mouse, chosen)
    pick = dmc.MultiSelect(
        id="mouse-days", data=options, value=chosen, searchable=True, clearable=True, size="xs",
        maxValues=MOST_COMPARED,
        placeholder="add a day", label="Sessions to compare", comboboxProps={"shadow": "md"}, className="nj-grow",
    )  # fmt: skip
    return shell.section(
        "Days compared",
        html.Div(
            [
                shell.card(
                    pick, html.Div(links_to(site, viewer, mouse, chosen), id="mouse-chosen", className="nj-links")
                ),
                shell.columns(
                    shell.figure("psychometric", pair[0], "Psychometric curves"),
                    shell.figure("chronometric", pair[1], "Response time by contrast", "bars: 68 % of the median"),
                    least=420,
                ),
            ],
            className="nj-stack nj-tight",
        ),
    )


def curves(mouse: queries.Mouse, chosen: Sequence[str]) -> tuple[Any, Any]:
    """Psychometric and chronometric curves of sessions as the choice names them."""
    pairs = []
    for item in chosen[:MOST_COMPARED]:
        day, _, number = item.partition(".")
        try:
            key = links.session_key({"date": day, "number": number})
        except links.BadAddress:
            continue
        pairs.append((key["session_date"], key["session_number"]))
    blocks = queries.chosen_blocks(mouse, pairs)
    made = figures.psychometric_by_date(blocks), figures.chronometric_by_date(blocks)
    return _with_short_legend(made[0]), _with_short_legend(made[1])


def _with_short_legend(made: Any) -> dict[str, Any]:
    """One entry for each session and one for each block, instead of one for each block of each session."""
    drawing = made.to_plotly_json()
    nothing = {"type": "scatter", "x": [None], "y": [None], "hoverinfo": "skip"}
    days: dict[str, dict[str, Any]] = {}
    blocks: dict[str, dict[str, Any]] = {}
    for data in drawing["data"]:
        data["showlegend"] = False
        look, day = data.get("marker"), data["legendgroup"]
        if look:
            days.setdefault(day, nothing | {"mode": "lines", "name": day, "legendgroup": day,
                                            "line": {"color": look["color"], "width": 4}})  # fmt: skip
            name = data["name"].removeprefix(f"{day}, ")
            grey = {"symbol": look["symbol"], "color": style.GREY, "size": 8}
            blocks.setdefault(name, nothing | {"mode": "markers", "name": name, "marker": grey})
    drawing["data"] += [*days.values(), *(blocks.values() if len(blocks) > 1 else ())]
    drawing["layout"]["height"] = 320 + 20 * (len(days) // 4)  # px; the names of many days need room
    return drawing


def sessions_to_choose(mouse: queries.Mouse) -> list[dict[str, str]]:
    """The sessions with fits, the latest first."""
    dates, numbers = (mouse.blocks[name].to_pylist() for name in ("session_date", "session_number"))
    pairs = sorted(set(zip(dates, numbers, strict=True)), reverse=True)
    return [{"value": f"{day}.{number}", "label": name_of(day, number)} for day, number in pairs]


def links_to(site: Site, viewer: Viewer, mouse: queries.Mouse, chosen: Sequence[str]) -> list[Component]:
    """Links to the chosen sessions."""
    wanted = set(chosen)
    return [
        session_link(site, viewer, mouse.subject, row)
        for row in mouse.sessions.to_pylist()
        if f"{row['session_date']}.{row['session_number']}" in wanted
    ]
