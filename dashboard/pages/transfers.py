"""Copies of files: what is where, what is on its way, what is late or stuck, by lab and repository."""

from __future__ import annotations

from collections.abc import Mapping

import dash
from dash import Input, Output, html

from dashboard.components import shell
from dashboard.pages.health import size
from dashboard.site import Component, Page, Site, Viewer
from pipeline.queries.transfers import Copies, Overview, overview

PAGE = Page("transfers", "Copies", order=65, in_menu=True, icon="download", refresh=False)


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page; its content is made again every few seconds."""
    return shell.page(
        "Copies of files",
        html.Div(_content(site, viewer), id="transfers-content", className="nj-stack"),
        subtitle="Where the files are, which of them are on their way, and what needs somebody.",
    )


def register(app: dash.Dash, site: Site) -> None:
    """New content when time has passed or data have arrived."""

    @app.callback(
        Output("transfers-content", "children"),
        Input("tick", "n_intervals"),
        Input("version", "data"),
        prevent_initial_call=True,
    )
    def renew(n: int, version: str) -> list[Component]:
        return _content(site, site.viewer)


def _content(site: Site, viewer: Viewer) -> list[Component]:
    if viewer.public:
        return [shell.sentence("Where a lab keeps its files is not shown to the public.")]
    transfers = site.read(overview)
    if not transfers.copies:
        hint = "neurojoint ingest registers files; docs/transfers.md shows how they are copied."
        return [shell.sentence("No file is registered.", hint)]
    parts: list[Component] = [shell.card(shell.facts(_summary(transfers)))]
    for lab in sorted({copy.lab for copy in transfers.copies}):
        rows = [_row(copy) for copy in transfers.copies if copy.lab == lab]
        heads = ["Repository", "Kind", "Copies", "Size", "Waiting", "Under way", "Late", "To be tried again", "Stuck",
                 "Oldest check"]  # fmt: skip
        parts.append(shell.section(lab, shell.card(shell.table(heads, rows, numbers=range(2, 9)))))
    parts.append(shell.section("What went wrong", _problems(transfers), hint="those that need somebody first"))
    return parts


def _summary(transfers: Overview) -> list[tuple[Component, Component]]:
    def alarm(number: int, colour: str) -> Component:
        return shell.chip(f"{number:,}", colour) if number else "0"

    return [
        ("Copies", f"{transfers.total('files'):,}"),
        ("Size", size(transfers.total("size"))),
        ("Waiting", f"{transfers.total('waiting'):,}"),
        ("Under way", f"{transfers.total('under_way'):,}"),
        ("Late", alarm(transfers.total("late"), "orange")),
        ("Stuck", alarm(transfers.total("stuck"), "red")),
        ("Removed locally", f"{transfers.freed:,}"),
        ("Brought back", f"{transfers.retrieved:,}"),
    ]


def _row(one: Copies) -> list[Component]:
    return [
        one.repository,
        f"{one.kind}, archive" if one.archive else one.kind,
        f"{one.files:,}",
        size(one.size),
        _quiet(one.waiting),
        _quiet(one.under_way),
        shell.chip(f"{one.late:,}", "orange") if one.late else _quiet(0),
        _quiet(one.failed),
        shell.chip(f"{one.stuck:,}", "red") if one.stuck else _quiet(0),
        f"{one.oldest_check:%Y-%m-%d}" if one.oldest_check else shell.DASH,
    ]


def _problems(transfers: Overview) -> Component:
    if not transfers.problems:
        return shell.sentence("No file has failed.")
    rows = []
    for problem in transfers.problems:
        tried = f"attempt {problem['attempts']}" if problem["attempts"] else "waits"
        mark = shell.chip("stuck", "red") if problem["stuck"] else shell.chip(tried, "orange")
        title = html.Div([mark, html.Strong(f" {problem['lab']}: {problem['source']} to {problem['destination']}")])
        rows.append(
            html.Li(html.Div([title, html.Div(problem["message"]), html.Div(problem["path"], className="nj-hint")]))
        )
    hint = html.Span("When the cause is mended: neurojoint transfer retry", className="nj-hint")
    return shell.card(html.Ul(rows, className="nj-errors"), html.Div(hint, className="nj-actions"))


def _quiet(number: int) -> Component:
    return f"{number:,}" if number else html.Span("0", className="nj-hint")
