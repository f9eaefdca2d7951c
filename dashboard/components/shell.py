"""What pages are built from: titles, figures with their exports, tables, chips, facts, sentences for what is not there,
and links that keys follow.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dash_ag_grid as dag
import dash_mantine_components as dmc
from dash import dcc, html

from dashboard.components import theme
from dashboard.components.icons import icon
from dashboard.figures import style
from dashboard.site import Component

DASH = "–"
"""Stands where there is no value."""


def page(title: Component, *children: Component, subtitle: Component = None, actions: Component = None) -> html.Div:
    """A page: its heading, what may be done (on the right), and the rest below."""
    words = [html.H1(title, className="nj-title"), html.Div(subtitle, className="nj-subtitle") if subtitle else None]
    head = html.Div([html.Div(words), html.Div(actions, className="nj-actions")], className="nj-head")
    return html.Div([head, *children], className="nj-page")


def section(title: Component, *children: Component, hint: str = "", id: str | None = None) -> html.Section:
    """A part of a page with a heading of its own."""
    words = [html.H2(title, className="nj-section-title"), html.Span(hint, className="nj-hint") if hint else None]
    return html.Section([html.Div(words, className="nj-section-head"), *children], **({"id": id} if id else {}))


def columns(*children: Component, least: int = 340) -> html.Div:
    """Children side by side, at least `least` pixels wide each; below one another where there is no room."""
    style = {"gridTemplateColumns": f"repeat(auto-fit, minmax(min(100%, {least}px), 1fr))"}
    return html.Div(list(children), className="nj-columns", style=style)


def card(*children: Component, title: Component = None, actions: Component = None, **options: Any) -> html.Div:
    """A framed part."""
    head = None
    if title is not None or actions is not None:
        head = html.Div([html.H3(title), html.Div(actions, className="nj-actions")], className="nj-card-head")
    return html.Div([head, *children], className="nj-card", **options)


def sentence(text: Component, hint: Component = None, link: Component = None, kind: str = "empty") -> html.Div:
    """What stands where there is nothing to show, in words.

    Parameters
    ----------
    hint : what could be done.
    link : a link that helps.
    kind : empty, problem.
    """
    return html.Div(
        [
            icon("alert" if kind == "problem" else "eye", 20),
            html.Div([html.P(text), html.P(hint, className="nj-hint") if hint else None, link]),
        ],
        className=f"nj-sentence nj-{kind}",
        role="status",
    )


def figure(
    name: str,
    fig: Any,
    title: Component = None,
    hint: str = "",
    height: int = 320,
    axis: str = "",
    actions: Component = None,
) -> html.Div:
    """A figure with its exports (PNG, SVG, data as CSV), in the colours of the present scheme.

    Parameters
    ----------
    name : unique on the page; also the name of exported files.
    fig : a plotly figure, or its dict. Its template is left out: the browser knows both.
    hint : one line under the title, e.g. what the lines mean.
    height : px; where the figure's layout has none.
    axis : figures of the same `axis` on a page share their x axis when one is zoomed.

    A callback that changes the figure writes `shell.drawn(fig)` to `shell.figure_data(name, axis)`, property `data`.
    """
    graph = {"type": "figure", "name": name, "axis": axis}
    drawing = drawn(fig, name)
    words = [html.H3(title) if title else html.Span(), html.Span(hint, className="nj-hint") if hint else None]
    tools = [
        html.Button(label, className="nj-tool", type="button", title=f"Save {what}", **{"data-export": form})
        for form, label, what in (
            ("png", "PNG", "this figure as PNG"),
            ("svg", "SVG", "this figure as SVG"),
            ("csv", "CSV", "what is drawn as a table (CSV)"),
        )
    ]
    return html.Div(
        [
            html.Div([html.Div(words), html.Div([actions, *tools], className="nj-tools")], className="nj-card-head"),
            dcc.Graph(
                id=graph,
                figure={"data": [], "layout": {"height": height, "paper_bgcolor": theme.CLEAR}},
                config={"displaylogo": False, "displayModeBar": False, "responsive": True, "doubleClick": "reset"},
                style={"minHeight": drawing["layout"].setdefault("height", height)},
            ),
            dcc.Store(id=figure_data(name, axis), data=drawing),
        ],
        className="nj-card nj-figure",
        **{"data-figure": name},
    )


def figure_data(name: str, axis: str = "") -> dict[str, str]:
    """The id of the store from which a figure is drawn."""
    return {"type": "figure-data", "name": name, "axis": axis}


def drawn(fig: Any, name: str = "") -> dict[str, Any]:
    """A figure as the browser takes it: without template, keeping its zoom while data are added."""
    content = dict(fig if isinstance(fig, Mapping) else fig.to_plotly_json())
    layout = {key: value for key, value in content.get("layout", {}).items() if key != "template"}
    layout.setdefault("uirevision", name)
    scale = layout.get("coloraxis", {}).get("colorscale")
    if scale == style.diverging("light"):  # the template of each scheme has its own
        layout["coloraxis"] = {key: value for key, value in layout["coloraxis"].items() if key != "colorscale"}
    return {"data": content.get("data", []), "layout": layout}


def grid(id: str, column_defs: Sequence[dict], rows: Sequence[dict] | None = None, **options: Any) -> dag.AgGrid:
    """A table with the site's look. `options` are those of AgGrid; `dashGridOptions` are merged.

    Columns of numbers: `"type": "rightAligned"`. A column with `"cellRenderer": "Link"` shows its value as a link to
    what the row has under `<field>_href`; `"Chip"` shows a status; `"Sparkline"` draws a list of fractions.
    """
    given = {
        "theme": {"function": "njTheme(themeQuartz)"},
        "rowHeight": 30,
        "headerHeight": 32,
        "animateRows": False,
        "suppressCellFocus": False,
        "enableCellTextSelection": True,
        "ensureDomOrder": True,
        "tooltipShowDelay": 300,
        "suppressDragLeaveHidesColumns": True,
    } | options.pop("dashGridOptions", {})
    default = {"sortable": True, "resizable": True, "suppressHeaderMenuButton": True} | options.pop("defaultColDef", {})
    if rows is not None:
        options["rowData"] = list(rows)
        given.setdefault("domLayout", "autoHeight" if len(rows) <= 12 else "normal")
        if given["domLayout"] == "autoHeight":
            options.setdefault("style", {"height": None})
    return dag.AgGrid(
        id=id,
        columnDefs=list(column_defs),
        defaultColDef=default,
        dashGridOptions=given,
        className="nj-grid",
        **options,
    )


def table(
    heads: Sequence[Component], rows: Iterable[Sequence[Component]], numbers: Iterable[int] = (), caption: str = ""
) -> html.Div:
    """A small plain table; columns whose place is in `numbers` are right-aligned."""
    right = set(numbers)

    def cell(make: Any, place: int, value: Component) -> Any:
        return make(DASH if value is None else value, className="nj-number" if place in right else "")

    body = [html.Tr([cell(html.Td, i, value) for i, value in enumerate(row)]) for row in rows]
    head = html.Thead(html.Tr([cell(html.Th, i, value) for i, value in enumerate(heads)]))
    parts = [html.Caption(caption)] if caption else []
    made = html.Table([*parts, head, html.Tbody(body)], className="nj-table")
    return html.Div(made, className="nj-scroll", tabIndex=0)


def facts(pairs: Iterable[tuple[Component, Component]]) -> html.Dl:
    """Names and values; those without a value are left out."""
    named_values = [(name, value) for name, value in pairs if value not in (None, "", [])]
    return html.Dl([html.Div([html.Dt(name), html.Dd(value)]) for name, value in named_values], className="nj-facts")


def status(name: str | None) -> Component:
    """A training status as a chip with its text, in the colour that figures give it."""
    if not name:
        return html.Span(DASH, className="nj-hint")
    look = style.STATUSES.get(name)
    return chip(look.label, look.color) if look else chip(name.replace("_", " "))


def chip(text: str, colour: str = "gray", title: str = "") -> html.Span:
    """A coloured label: gray, red, orange, yellow, green, teal, blue, indigo, grape, or a colour as #rrggbb."""
    if colour.startswith("#"):
        return html.Span(text, className="nj-chip", style={"--nj-chip": colour}, title=title or None)
    return html.Span(text, className=f"nj-chip nj-{colour}", title=title or None)


def link(text: Component, href: str, **options: Any) -> html.A:
    """A link inside the site, followed without loading everything again."""
    return html.A(text, href=href, **options)


def button_link(
    text: Component, href: str | None, keys: str = "", icon_name: str = "", title: str = "", leaves: bool = False
) -> Component:
    """A link that looks like a button; `keys` follow it too, e.g. `j ArrowRight`; without `href` it is disabled.

    With `leaves` it leads to something that is no page of the site, such as a file.
    """
    inside = [icon(icon_name) if icon_name else None, html.Span(text)]
    if href is None:
        return html.Span(inside, className="nj-button nj-off", **{"aria-disabled": "true"})
    named = ({"data-keys": keys} if keys else {}) | ({"data-leave": "1"} if leaves else {})
    hint = f"{title or text} (key {keys.split()[0]})" if keys else title or None
    return html.A(inside, href=href, className="nj-button", title=hint, **named)


def neighbours(pairs: Sequence[tuple[str, str] | None], kind: str) -> html.Div:
    """Links to the previous and the next of a kind (label and address), for keys too: k or ←, j or →."""
    previous, following = pairs
    return html.Div(
        [
            button_link(previous[0] if previous else "first", previous and previous[1], "k ArrowLeft", "left",
                        f"Previous {kind}"),
            button_link(following[0] if following else "last", following and following[1], "j ArrowRight", "right",
                        f"Next {kind}"),
        ],
        className="nj-neighbours",
    )  # fmt: skip


def number(value: float | None, digits: int = 0, unit: str = "") -> str:
    """A number for people: thousands apart, `digits` behind the point, its unit; a dash where there is none.

    >>> number(12345.678, 1, "g"), number(None, 1, "g"), number(float("nan"))
    ('12,345.7 g', '–', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return DASH
    return f"{value:,.{digits}f}" + (f" {unit}" if unit else "")


def percent(fraction: float | None, digits: int = 0) -> str:
    """A fraction as percent.

    >>> percent(0.874)
    '87 %'
    """
    return number(None if fraction is None else 100 * fraction, digits, "%")


def date(day: datetime.date | None) -> str:
    """A date for people.

    >>> date(datetime.date(2024, 5, 6))
    'Mon 6 May 2024'
    """
    return DASH if day is None else f"{day:%a} {day.day} {day:%b %Y}"


def moment(time: datetime.datetime | None) -> str:
    """A time of day with its date, as it is given (convert to the lab's time before).

    >>> moment(datetime.datetime(2024, 5, 6, 9, 7))
    'Mon 6 May 2024, 09:07'
    """
    return DASH if time is None else f"{date(time.date())}, {time:%H:%M}"


def select(id: Any, label: str, options: Sequence[Any], value: Any = None, **more: Any) -> dmc.Select:
    """A choice of one among some, which can be searched by typing."""
    given = {"searchable": True, "clearable": True, "size": "xs", "comboboxProps": {"shadow": "md"}} | more
    return dmc.Select(id=id, label=label, data=list(options), value=value, **given)
