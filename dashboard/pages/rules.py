"""Training rules: edited, tried on all animals before they are saved, and saved as a new version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import Input, Output, State, dcc, html

from dashboard import links
from dashboard.components import shell
from dashboard.pages import _entering
from dashboard.queries import rules as queries
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.analysis.criteria import COMPARISONS, MEASURES
from pipeline.entry import policy
from pipeline.errors import NeurojointError
from pipeline.web.error_words import words_for

PAGE = Page("rules", "Training rules", order=75, in_menu=True, icon="check", refresh=False)
MOST_SHOWN = 500


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page; `rules` in the query names those that are edited, as NAME or NAME:VERSION."""
    if viewer.public:
        return shell.page("Training rules", shell.sentence(_entering.PUBLIC))
    saved = site.read(queries.saved)
    names = [f"{row['criteria']}:{row['criteria_version']}" for row in saved]
    chosen = query.get("rules") or site.settings.criteria
    if ":" not in chosen:
        chosen = next((name for name in names if name.partition(":")[0] == chosen), chosen)
    if chosen not in names:
        raise NotFound(f"There are no training rules called {chosen[:60]}.")
    row = saved[names.index(chosen)]
    may = policy.allows(_entering.person(site, viewer), "administer", "")
    labs = site.read(queries.labs)
    editor = shell.card(
        html.Label("The rules as JSON", htmlFor="rules-text", className="nj-hint"),
        dcc.Textarea(id="rules-text", value=site.read(queries.as_text, chosen), rows=24, className="nj-input",
                     spellCheck=False, style={"width": "100%", "fontFamily": "monospace", "fontSize": 12}),
        html.Div([
            shell.select("rules-compared", "Compared with", names, chosen, clearable=False, w=220),
            shell.select("rules-lab", "Animals of", labs, None, placeholder="all labs", w=160),
            html.Button("Preview", id="rules-preview", type="button", className="nj-button"),
        ], className="nj-actions"),
        title="The rules",
    )  # fmt: skip
    listed = shell.card(
        shell.table(
            ["Rules", "Description"],
            [
                [shell.link(name, links.to("rules", rules=name)), row["criteria_description"]]
                for name, row in zip(names, saved, strict=True)
            ],
        ),
        title="Saved rules",
    )
    return shell.page(
        f"Training rules {chosen}",
        shell.columns(
            editor, html.Div([listed, _save(row["criteria"], may), _help()], className="nj-stack"), least=420
        ),
        html.Div(id="rules-said", role="status", **{"aria-live": "polite"}),
        dcc.Loading(html.Div(id="rules-changes"), type="dot"),
        subtitle="Whom a change would promote is shown before it is saved; a saved change is a new version.",
    )


def register(app: dash.Dash, site: Site) -> None:
    """The preview, and the new version."""

    @app.callback(
        Output("rules-changes", "children"),
        Input("rules-preview", "n_clicks"),
        State("rules-text", "value"),
        State("rules-compared", "value"),
        State("rules-lab", "value"),
        prevent_initial_call=True,
    )
    def show(clicks: int | None, text: str | None, compared: str | None, lab: str | None) -> Component:
        viewer = site.viewer
        if not clicks or viewer.public:
            return dash.no_update
        try:
            rows = site.read(queries.changes, text or "", compared or site.settings.criteria, lab or "")
        except NeurojointError as error:
            return _problem(error, viewer)
        barred = site.barred(viewer)
        return _changes([row for row in rows if (row["lab"], row["subject"]) not in barred], compared or "")

    @app.callback(
        Output("rules-said", "children"),
        Input("rules-save", "n_clicks"),
        State("rules-text", "value"),
        State("rules-name", "value"),
        State("rules-why", "value"),
        prevent_initial_call=True,
    )
    def save(clicks: int | None, text: str | None, name: str | None, why: str | None) -> Component:
        viewer = site.viewer
        if not clicks:
            return dash.no_update
        try:
            with site.database.working():
                made = queries.save(text or "", name or "", why or "", viewer.name, viewer.role)
        except NeurojointError as error:
            return _problem(error, viewer)
        there = shell.link(made, links.to("rules", rules=made))
        return shell.sentence(f"Saved as {made}, under your name.", "The workers judge all animals by it.", there)


def _save(name: str, may: bool) -> Component:
    if not may:
        return shell.card(html.P("An admin can save them.", className="nj-hint"), title="Save as a new version")
    return shell.card(
        dmc.TextInput(id="rules-name", label="Name", value=name, size="xs"),
        dmc.Textarea(id="rules-why", label="What has changed, and why", size="xs", autosize=True),
        html.Div(html.Button("Save", id="rules-save", type="button", className="nj-button nj-primary"),
                 className="nj-form-end"),
        title="Save as a new version",
    )  # fmt: skip


def _help() -> Component:
    rows = [[name, measure.label, measure.unit, ", ".join(measure.scopes)] for name, measure in MEASURES.items()]
    table = shell.table(["measure", "What it is", "Unit", "scope"], rows)
    return shell.card(html.P(f"comparison: {' '.join(COMPARISONS)}", className="nj-hint"), table,
                      title="What a criterion can name")  # fmt: skip


def _changes(rows: list[dict[str, Any]], compared: str) -> Component:
    """Whom the rules would promote and demote."""
    changed = [row for row in rows if row["change"]]
    counts = [sum(row["change"] == kind for row in rows) for kind in ("promoted", "demoted", "")]
    words = f"{counts[0]:,} promoted, {counts[1]:,} demoted, {counts[2]:,} as by {compared}. Nothing is saved."
    cells = [
        [
            shell.link(row["subject"], links.mouse(row["lab"], row["subject"])), row["lab"],
            shell.chip(row["change"], "green" if row["change"] == "promoted" else "orange"),
            shell.status(row["status_before"]), shell.status(row["status_after"]), row["first_date_after"] or "",
        ]
        for row in changed[:MOST_SHOWN]
    ]  # fmt: skip
    heads = ["Mouse", "Lab", "Change", f"By {compared}", "By these rules", "Since"]
    more = f" The first {MOST_SHOWN} are shown." if len(changed) > MOST_SHOWN else ""
    shown = shell.card(shell.table(heads, cells)) if cells else None
    return shell.section("Preview", html.P(words + more), shown, id="rules-shown")


def _problem(error: NeurojointError, viewer: Viewer) -> Component:
    words = words_for(error, viewer.role, "training rules")
    return shell.sentence(words.text, words.hint, kind="problem")
