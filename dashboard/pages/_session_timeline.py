"""Where a session is, on its page: the time line, with what a person may do to its tasks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
from dash import ALL, Input, Output, State, html

from dashboard import links
from dashboard.components import shell
from dashboard.pages._stores import ShownSession
from dashboard.queries import session as queries
from dashboard.site import Component, Site, Viewer
from pipeline.entry import policy

COLOURS = {"+": "green", ">": "blue", ".": "gray", "!": "red"}
WORDS = {"+": "done", ">": "under way", ".": "to come", "!": "act"}
BUTTONS = {"hold": "Hold", "unhold": "Let go", "abandon": "Abandon", "restart": "Restart"}
HINTS = {
    "hold": "No computer begins it until it is let go", "unhold": "Computers may begin it again",
    "abandon": "It is not done any more; what waits for it goes on waiting",
    "restart": "It runs again from the beginning",
}  # fmt: skip


def section(site: Site, viewer: Viewer, key: Mapping[str, Any]) -> Component:
    """The section of the page; nothing where no lab server has reported the session."""
    content = _content(site, viewer, key)
    if content is None:
        return None
    return shell.section("Where is it?", html.Div(content, id="session-steps"), id="session-timeline")


def register(app: dash.Dash, site: Site) -> None:
    """The buttons of the tasks."""

    @app.callback(
        Output("session-steps", "children"),
        Output("notices", "sendNotifications", allow_duplicate=True),
        Input({"type": "task", "change": ALL, "task": ALL}, "n_clicks"),
        State("session-shown", "data"),
        prevent_initial_call=True,
    )
    def change(clicks: list[int | None], shown: ShownSession | None) -> tuple:
        asked = dash.ctx.triggered_id
        if not shown or not asked or not any(clicks):  # the buttons were only made again
            return dash.no_update, dash.no_update
        viewer = site.viewer
        with site.database.working():
            words = queries.change_task(asked["change"], asked["task"], viewer.name, viewer.role)
        note = {"action": "show", "title": words, "message": "It was written down under your name.", "color": "teal"}
        return _content(
            site,
            viewer,
            links.session_key({"date": shown["date"], "number": shown["number"]})
            | {"lab": shown["lab"], "subject": site.subject(shown["lab"], shown["name"])},
        ), [note]


def _content(site: Site, viewer: Viewer, key: Mapping[str, Any]) -> Component:
    steps = site.read(queries.timeline_of, key)
    if not steps:
        return None
    person = site.read(policy.person_of, viewer.name, viewer.role)
    may = policy.allows(person, "preprocess", key["lab"])
    rows = [
        [shell.chip(WORDS[step.mark], COLOURS[step.mark]), step.stage, step.what,
         shell.moment(site.local(step.time, key["lab"])) if step.time else "",
         shell.number(step.seconds, 1, "s") if step.seconds is not None else "", step.who,
         *([html.Div([_button(name, step) for name in step.changes], className="nj-actions")] * may)]
        for step in steps
    ]  # fmt: skip
    heads = ["State", "Step", "What", "When", "Took", "Who must act", *(["Task"] * may)]
    return shell.card(shell.table(heads, rows))


def _button(name: str, step: Any) -> Component:
    return html.Button(
        BUTTONS[name], id={"type": "task", "change": name, "task": step.task}, className="nj-button", type="button",
        title=HINTS[name], **{"aria-label": f"{BUTTONS[name]}: {step.what}"},
    )  # fmt: skip
