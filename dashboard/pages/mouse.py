"""One mouse: where it stands, its days on one axis, days compared, what was done to it, what the next status needs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, State, dcc, html

from dashboard import links
from dashboard.components import shell
from dashboard.components.icons import icon
from dashboard.pages._mouse_days import comparison, curves, days, links_to, sessions_to_choose
from dashboard.pages._mouse_history import history, protocol, session_link
from dashboard.pages._mouse_tasks import sections as task_sections
from dashboard.pages._stores import ShownMouse
from dashboard.queries import mouse as queries
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.analysis import training_forecast
from pipeline.web import versioned_cache

PAGE = Page("mouse", "Mouse", refresh=False)

RULES = "ibl_pipeline_2021"


def layout(site: Site, viewer: Viewer, *, lab: str, subject: str, query: Mapping[str, str]) -> Component:
    """The page."""
    name = subject
    subject = site.subject(lab, name, viewer)
    key = site.read(queries.find, subject, lab)
    if key is None:
        raise NotFound(f"There is no mouse called {name} in the lab {lab}.")
    rules = query.get("rules") or RULES
    version, mouse = _found(site, key, rules)
    barred = site.barred(viewer)
    before, after = (
        (site.name(lab, item, viewer), links.mouse(lab, site.name(lab, item, viewer)))
        if item and (lab, item) not in barred
        else None
        for item in site.read(queries.neighbours, key)
    )
    row = mouse.subject
    chips = [shell.status(mouse.training.get("training_status"))]
    if row["death_date"]:
        chips.append(shell.chip(f"died {shell.date(row['death_date'])}", "gray"))
    where = [
        shell.link(lab, links.overview(lab=lab)),
        _age(row, site.today(lab), viewer.public and "birth_date" in site.settings.public_hidden),
        *_descent(row, viewer),
    ]
    shown: ShownMouse = {"lab": lab, "name": name, "rules": rules, "version": version,
                    "choices": len(sessions_to_choose(mouse))}  # fmt: skip
    return shell.page(
        [name, html.Span(chips, className="nj-chips nj-beside")],
        html.Div(_body(site, viewer, mouse), id="mouse-body"),
        html.Div(comparison(site, viewer, mouse, query), id="mouse-comparison"),
        html.Div(history(site, viewer, mouse), id="mouse-history"),
        dcc.Store(id="mouse-shown", data=shown),
        dcc.Store(id="mouse-banded"),
        subtitle=[html.Span(place) for place in where if place],
        actions=[
            html.Button([icon("link"), "Copy link"], className="nj-button", type="button", **{"data-copy": "1"}),
            shell.neighbours((before, after), "mouse"),
        ],
    )


def register(app: dash.Dash, site: Site) -> None:
    """What is new appears by itself; the chosen days are compared and kept in the address."""

    @app.callback(
        Output("mouse-body", "children"),
        Output("mouse-history", "children"),
        Output("mouse-comparison", "children"),
        Output("mouse-days", "data"),
        Output("mouse-shown", "data"),
        Input("version", "data"),
        State("mouse-shown", "data"),
        prevent_initial_call=True,
    )
    def renew(_: str, shown: ShownMouse | None) -> tuple:
        if not shown:
            return (dash.no_update,) * 5
        viewer = site.viewer
        key, version, mouse = _again(site, viewer, shown)
        if key is None or version == shown["version"]:
            return (dash.no_update,) * 5
        options = sessions_to_choose(mouse)
        is_first = bool(options) and not shown["choices"]
        return (
            _body(site, viewer, mouse),
            history(site, viewer, mouse),
            comparison(site, viewer, mouse, {}) if is_first else dash.no_update,
            dash.no_update if is_first else options,
            dict(shown) | {"version": version, "choices": len(options)},
        )

    @app.callback(
        Output(shell.figure_data("psychometric"), "data"),
        Output(shell.figure_data("chronometric"), "data"),
        Output("mouse-chosen", "children"),
        Input("mouse-days", "value"),
        State("mouse-shown", "data"),
        prevent_initial_call=True,
    )
    def compare(chosen: list[str] | None, shown: ShownMouse | None) -> tuple:
        if not shown:
            return (dash.no_update,) * 3
        viewer = site.viewer
        key, _, mouse = _again(site, viewer, shown)
        if key is None:
            return (dash.no_update,) * 3
        pair = curves(mouse, chosen or [])
        return *(shell.drawn(made, "compared") for made in pair), links_to(site, viewer, mouse, chosen or [])

    here = "neurojoint_mouse"
    app.clientside_callback(
        ClientsideFunction(here, "choose_day"),
        Output("mouse-days", "value"),
        Input({"type": "figure", "name": dash.ALL, "axis": "days"}, "clickData"),
        State("mouse-days", "value"),
        State("mouse-days", "data"),
        State("mouse-days", "maxValues"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(here, "remember_days"), Output("mouse-banded", "data"), Input("mouse-days", "value")
    )
    app.clientside_callback(
        ClientsideFunction(here, "choose_kind"),
        Output("mouse-events", "filterModel"),
        Input("mouse-kind", "value"),
        prevent_initial_call=True,
    )


_mice = versioned_cache.Kept(128)


def _found(site: Site, key: dict[str, Any], rules: str) -> tuple[str, queries.Mouse]:
    """The version of a mouse, and all of it; asked of the database again only when the version has changed."""
    version = site.read(queries.version, key)
    name = (id(site), key["lab"], key["subject"], rules)
    return version, _mice.get(name, version, lambda: site.read(queries.mouse, key, rules))


def _again(site: Site, viewer: Viewer, shown: ShownMouse) -> tuple:
    subject = site.subject(shown["lab"], shown["name"], viewer)
    key = site.read(queries.find, subject, shown["lab"])
    return (key, *_found(site, key, shown["rules"])) if key else (None, "", None)


def _body(site: Site, viewer: Viewer, mouse: queries.Mouse) -> Component:
    """Where the mouse stands, and its days."""
    if not mouse.sessions.num_rows and not mouse.water.num_rows:
        return shell.sentence(
            "Nothing is known of this mouse yet: no session, no weighing, no water.",
            "Sessions appear here once their files are registered (`neurojoint ingest`) and computed.",
        )
    return html.Div(
        [
            html.Div([_now(site, viewer, mouse), _training(mouse)], className="nj-columns nj-first"),
            days(mouse, viewer),
            *task_sections(mouse),
        ],
        className="nj-stack",
    )


def _now(site: Site, viewer: Viewer, mouse: queries.Mouse) -> Component:
    """The last session, weight and water."""
    key, today = mouse.subject, site.today(mouse.subject["lab"])
    pairs: list[tuple[Component, Component]] = []
    if mouse.sessions.num_rows:
        last = mouse.sessions.slice(mouse.sessions.num_rows - 1).to_pylist()[0]
        ago = html.Span(f" {_ago(last['session_date'], today)}", className="nj-hint")
        pairs.append(("Last session", [session_link(site, viewer, key, last), ago]))
        pairs.append(("Protocol", protocol(last["task_protocol"])))
    if mouse.days.num_rows:
        last_day = mouse.days.slice(mouse.days.num_rows - 1).to_pylist()[0]
        pairs += [
            ("Trials", shell.number(last_day["day_trials"])),
            *_correct(last_day),
            ("Response time", shell.number(last_day["day_response_time"], 2, "s")),
            ("Training days", shell.number(last_day["training_day"])),
        ]
    pairs.append(("Sessions", shell.number(mouse.sessions.num_rows)))
    pairs += _weight_and_water(mouse, today)
    return shell.card(shell.facts(pairs), title="Now")


def _correct(day: Mapping[str, Any]) -> list[tuple[Component, Component]]:
    """The share of correct trials of a day: of the easy ones where the task has such."""
    if day["day_performance_easy"] is None and day["day_performance"] is not None:
        return [("Correct", shell.percent(day["day_performance"]))]
    return [("Easy trials correct", shell.percent(day["day_performance_easy"]))]


def _weight_and_water(mouse: queries.Mouse, today: datetime.date) -> list[tuple[Component, Component]]:
    rows = mouse.water.to_pylist()
    weighed = next((row for row in reversed(rows) if row["weighed"]), None)
    pairs: list[tuple[Component, Component]] = []
    if weighed:
        pct = shell.number(weighed["weight_pct"], 0, "%")
        words: list[Component] = [shell.number(weighed["day_weight"], 1, "g")]
        if weighed["weight_pct"] is not None:
            words.append(html.Span(f" {pct} of expected", className="nj-hint"))
        if weighed["critical"] or weighed["underweight"]:
            words.append(shell.chip("critical" if weighed["critical"] else "underweight",
                                    "red" if weighed["critical"] else "orange"))  # fmt: skip
        pairs.append((f"Weight, {_ago(weighed['session_date'], today)}", words))
    if rows and mouse.subject["death_date"] is None:
        last, is_on = rows[-1], any(end is None for end in mouse.restrictions["restriction_end"].to_pylist())
        if last["session_date"] == today:
            pairs.append(("Water today", shell.number(last["water_reward"] + last["water_supplement"], 2, "mL")))
        if is_on:
            due = last["remaining_water"] if last["session_date"] == today else last["expected_water"]
            pairs.append(("Still due today", shell.number(due, 2, "mL")))
    return pairs


def _training(mouse: queries.Mouse) -> Component:
    """The status, since when each was reached, and what the next one needs, in words."""
    judged = mouse.training
    if not judged:
        return shell.card(
            html.P("Training is judged once trials of a session have been read.", className="nj-hint"), title="Training"
        )
    steps = [
        (shell.status(name), shell.date(datetime.date.fromisoformat(day)), judged["days_to_status"].get(name))
        for name, day in sorted(judged["first_dates"].items(), key=lambda item: item[1])
    ]
    reached = shell.table(["Status", "First on", "Day"], steps, numbers=[2])
    if not judged["next_status"]:
        lacking: Component = html.P("There is no further status to aim at.", className="nj-hint")
    else:
        items = [
            html.Li(missing_for_next[:1].upper() + missing_for_next[1:])
            for missing_for_next in judged["missing_for_next"]
        ]
        lacking = html.Div(
            [
                html.P(["Missing for ", shell.status(judged["next_status"])], className="nj-lead"),
                html.Ul(items, className="nj-list", id="mouse-missing") if items else html.P("nothing"),
            ]
        )
    if words := _forecast(mouse):
        lacking = html.Div([lacking, html.P(words, className="nj-hint", id="mouse-forecast")])
    rules = html.Span(f"by {judged['criteria']}, version {judged['criteria_version']}", className="nj-hint")
    return shell.card(html.Div([reached, lacking], className="nj-columns nj-two"), title="Training", actions=rules)


def _forecast(mouse: queries.Mouse) -> str:
    """What five days tell of a mouse that is not trained yet; empty where nothing is told, or it is trained."""
    told = mouse.forecast
    if not told or told["true_quartile"] is not None:
        return ""
    chances = [told[f"quartile_{number}"] for number in range(1, 5)]
    return training_forecast.sentence(chances, told["forecast_edges"], told["forecast_mice"], told["forecast_f1"])


def _age(row: Mapping[str, Any], today: datetime.date, is_hidden: bool = False) -> str | None:
    if row["birth_date"] is None:
        return None
    days = ((row["death_date"] or today) - row["birth_date"]).days
    born = "" if is_hidden else f"born {shell.date(row['birth_date'])}, "
    return f"{born}{days // 7} weeks old" + (" at death" if row["death_date"] else "")


def _descent(row: Mapping[str, Any], viewer: Viewer) -> list[str | None]:
    sex = {"M": "male", "F": "female"}.get(row["sex"])
    public = [sex, row["line"] or row["strain"], ", ".join(row["projects"])]
    if viewer.public:
        return public
    return [*public, f"cage {row['cage']}" if row["cage"] else None, row["responsible_user"]]


def _ago(day: datetime.date, today: datetime.date) -> str:
    n = (today - day).days
    return "today" if n == 0 else "yesterday" if n == 1 else f"{n:,} days ago" if n > 0 else "in the future"
