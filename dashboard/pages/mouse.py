"""One mouse: where it stands, its days on one axis, days compared, what was done to it, what the next status needs."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from typing import Any

import dash
import dash_mantine_components as dmc
from dash import ClientsideFunction, Input, Output, State, dcc, html

from dashboard import kept, links, shell
from dashboard.figures import mouse as figures
from dashboard.figures import style
from dashboard.icons import icon
from dashboard.queries import mouse as queries
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.husbandry import local_dates

PAGE = Page("mouse", "Mouse", refresh=False)

RULES = "ibl_pipeline_2021"
COMPARED = 3
"""How many of the last sessions are compared to begin with."""
MOST_COMPARED = 12
_ROOM = {"l": 64, "r": 64, "t": 40, "b": 38}  # px around each figure over days
_HEIGHT = 264  # px, at least
_PERIODS = (("All", 0), ("90 d", 90), ("30 d", 30), ("14 d", 14))


def layout(site: Site, viewer: Viewer, *, lab: str, subject: str, query: Mapping[str, str]) -> Component:
    """The page."""
    name = subject
    subject = site.subject(lab, name, viewer)
    key = site.read(queries.find, subject, lab)
    if key is None:
        raise NotFound(f"There is no mouse called {name} in the lab {lab}.")
    rules = query.get("rules") or RULES
    version, found = _found(site, key, rules)
    before, after = (
        (site.name(lab, one, viewer), links.mouse(lab, site.name(lab, one, viewer))) if one else None
        for one in site.read(queries.neighbours, key)
    )
    row = found.subject
    chips = [shell.status(found.training.get("training_status"))]
    if row["death_date"]:
        chips.append(shell.chip(f"died {shell.date(row['death_date'])}", "gray"))
    where = [shell.link(lab, links.overview(lab=lab)), _age(row, site.today(lab)), *_descent(row, viewer)]
    return shell.page(
        [name, html.Span(chips, className="nj-chips nj-beside")],
        html.Div(_body(site, viewer, found, rules), id="mouse-body"),
        _comparison(site, viewer, found, query),
        html.Div(_history(site, viewer, found), id="mouse-history"),
        dcc.Store(id="mouse-shown", data={"lab": lab, "name": name, "rules": rules, "version": version}),
        subtitle=[html.Span(one) for one in where if one],
        actions=[
            html.Button([icon("link"), "Copy link"], className="nj-button", type="button", **{"data-copy": "1"}),
            shell.neighbours(before, after, "mouse"),
        ],
    )


def register(app: dash.Dash, site: Site) -> None:
    """What is new appears by itself; the chosen days are compared and kept in the address."""

    @app.callback(
        Output("mouse-body", "children"),
        Output("mouse-history", "children"),
        Output("mouse-days", "data"),
        Output("mouse-shown", "data"),
        Input("version", "data"),
        State("mouse-shown", "data"),
        prevent_initial_call=True,
    )
    def renew(_: str, shown: Mapping[str, str] | None) -> tuple:
        if not shown:
            return (dash.no_update,) * 4
        viewer = site.viewer
        key, version, found = _again(site, viewer, shown)
        if key is None or version == shown["version"]:
            return (dash.no_update,) * 4
        return (
            _body(site, viewer, found, shown["rules"]),
            _history(site, viewer, found),
            _sessions_to_choose(found),
            dict(shown) | {"version": version},
        )

    @app.callback(
        Output(shell.figure_data("psychometric"), "data"),
        Output(shell.figure_data("chronometric"), "data"),
        Output("mouse-chosen", "children"),
        Input("mouse-days", "value"),
        State("mouse-shown", "data"),
        prevent_initial_call=True,
    )
    def compare(chosen: list[str] | None, shown: Mapping[str, str] | None) -> tuple:
        if not shown:
            return (dash.no_update,) * 3
        viewer = site.viewer
        key, _, found = _again(site, viewer, shown)
        if key is None:
            return (dash.no_update,) * 3
        pair = _curves(found, chosen or [])
        return *(shell.drawn(made, "compared") for made in pair), _links(site, viewer, found, chosen or [])

    app.clientside_callback(
        ClientsideFunction("neurojoint", "remember_days"), Input("mouse-days", "value"), prevent_initial_call=True
    )


_mice = kept.Kept(128)


def _found(site: Site, key: Mapping[str, Any], rules: str) -> tuple[str, queries.Mouse]:
    """The version of a mouse, and all of it; asked of the database again only when the version has changed."""
    version = site.read(queries.version, key)
    name = (id(site), key["lab"], key["subject"], rules)
    return version, _mice.get(name, version, lambda: site.read(queries.mouse, key, rules))


def _again(site: Site, viewer: Viewer, shown: Mapping[str, str]) -> tuple:
    subject = site.subject(shown["lab"], shown["name"], viewer)
    key = site.read(queries.find, subject, shown["lab"])
    return (key, *_found(site, key, shown["rules"])) if key else (None, "", None)


def _body(site: Site, viewer: Viewer, found: queries.Mouse, rules: str) -> Component:
    """Where the mouse stands, and its days."""
    if not found.sessions.num_rows and not found.water.num_rows:
        return shell.sentence(
            "Nothing is known of this mouse yet: no session, no weighing, no water.",
            "Sessions appear here once their files are registered (`neurojoint ingest`) and computed.",
        )
    return html.Div(
        [
            html.Div([_now(site, viewer, found), _training(found)], className="nj-columns nj-first"),
            _days(found, viewer),
        ],
        className="nj-stack",
    )


def _now(site: Site, viewer: Viewer, found: queries.Mouse) -> Component:
    """The last session, weight and water."""
    key, today = found.subject, site.today(found.subject["lab"])
    pairs: list[tuple[Component, Component]] = []
    if found.sessions.num_rows:
        last = found.sessions.slice(found.sessions.num_rows - 1).to_pylist()[0]
        ago = html.Span(f" {_ago(last['session_date'], today)}", className="nj-hint")
        pairs.append(("Last session", [_session_link(site, viewer, key, last), ago]))
        pairs.append(("Protocol", last["task_protocol"] or None))
    days = found.days.to_pylist()
    if days:
        last_day = days[-1]
        pairs += [
            ("Trials", shell.number(last_day["day_trials"])),
            ("Easy trials correct", shell.percent(last_day["day_performance_easy"])),
            ("Reaction time", shell.number(last_day["day_reaction_time"], 2, "s")),
            ("Training days", shell.number(last_day["training_day"])),
        ]
    pairs.append(("Sessions", shell.number(found.sessions.num_rows)))
    pairs += _weight_and_water(found, today)
    return shell.card(shell.facts(pairs), title="Now")


def _weight_and_water(found: queries.Mouse, today: datetime.date) -> list[tuple[Component, Component]]:
    rows = found.water.to_pylist()
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
        pairs.append((f"Weight, {_ago(weighed['status_date'], today)}", words))
    if rows and found.subject["death_date"] is None:
        last, is_on = rows[-1], any(end is None for end in found.restrictions["restriction_end"].to_pylist())
        if last["status_date"] == today:
            pairs.append(("Water today", shell.number(last["water_reward"] + last["water_supplement"], 2, "mL")))
        if is_on:
            due = last["remaining_water"] if last["status_date"] == today else last["expected_water"]
            pairs.append(("Still due today", shell.number(due, 2, "mL")))
    return pairs


def _training(found: queries.Mouse) -> Component:
    """The status, since when each was reached, and what the next one needs, in words."""
    judged = found.training
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
        items = [html.Li(one[:1].upper() + one[1:]) for one in judged["missing_for_next"]]
        lacking = html.Div(
            [
                html.P(["Missing for ", shell.status(judged["next_status"])], className="nj-lead"),
                html.Ul(items, className="nj-list", id="mouse-missing") if items else html.P("nothing"),
            ]
        )
    rules = html.Span(f"by {judged['criteria']}, version {judged['criteria_version']}", className="nj-hint")
    return shell.card(html.Div([reached, lacking], className="nj-columns nj-two"), title="Training", actions=rules)


def _days(found: queries.Mouse, viewer: Viewer) -> Component:
    """Figures over the days of the mouse, which zoom together."""
    rules, row = found.rules, found.subject
    rig = next((one["session_date"] for one in found.sessions.to_pylist() if "ephys" in one["rig"].lower()), None)
    marks = figures.marks(
        found.training.get("first_dates"), birth_date=row["birth_date"], first_rig_date=rig,
        first_ephys_date=found.first_ephys_date, public=viewer.public,
    )  # fmt: skip
    zone = found.lab["time_zone"]
    waters = {
        "water_date": local_dates(found.waters["administration_time"], zone),
        "water_type": found.waters["water_type"].to_pylist(),
        "water_volume": found.waters["water_volume"].to_numpy(),
    }
    least = found.lab["reference_weight_pct"] + found.lab["zscore_weight_pct"]
    made = [
        ("water", "Water and weight", "bands: water restricted", found.water.num_rows,
         lambda: figures.water_and_weight(found.water, waters, implants=found.implants, least=least, marks=marks)),
        ("performance", "Performance and reaction time", "", found.days.num_rows,
         lambda: figures.performance_and_reaction_time(found.days, rules=rules, marks=marks)),
        ("trials", "Trials and session duration", "", found.days.num_rows,
         lambda: figures.trial_counts_and_duration(found.days, marks=marks)),
        ("heatmap", "Choices by contrast", "all blocks", found.performance.num_rows,
         lambda: figures.contrast_heatmap(found.performance, marks=marks)),
        ("fits", "Psychometric parameters", "open: the data do not determine the curve", found.blocks.num_rows,
         lambda: figures.fit_parameters(found.blocks, rules=rules, windows=found.statuses, marks=marks)),
    ]  # fmt: skip
    drawings = [(name, title, hint, shell.drawn(draw(), name)) for name, title, hint, n, draw in made if n]
    _align([drawing["layout"] for *_, drawing in drawings])
    cards = [shell.figure(name, drawing, title, hint, axis="days") for name, title, hint, drawing in drawings]
    missing = [title.lower() for _, title, _, n, _ in made if not n]
    periods = [
        html.Button(label, className="nj-tool", type="button", **{"data-period": str(n), "data-axis": "days"})
        for label, n in _PERIODS
    ]
    hint = "drag to zoom all, double-click to see all; letters and lines: first day of a status"
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


def _comparison(site: Site, viewer: Viewer, found: queries.Mouse, query: Mapping[str, str]) -> Component:
    """Curves of chosen days."""
    options = _sessions_to_choose(found)
    if not options:
        return html.Div([dmc.MultiSelect(id="mouse-days", data=[], style={"display": "none"})])
    known = [one["value"] for one in options]
    wanted = [one for one in query.get("days", "").split(",") if one in known][:MOST_COMPARED]
    chosen = wanted or known[:COMPARED]
    pair = _curves(found, chosen)
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
                    pick, html.Div(_links(site, viewer, found, chosen), id="mouse-chosen", className="nj-links")
                ),
                shell.columns(
                    shell.figure("psychometric", pair[0], "Psychometric curves"),
                    shell.figure("chronometric", pair[1], "Reaction time by contrast"),
                    least=420,
                ),
            ],
            className="nj-stack nj-tight",
        ),
    )


def _curves(found: queries.Mouse, chosen: Sequence[str]) -> tuple[Any, Any]:
    pairs = []
    for one in chosen[:MOST_COMPARED]:
        day, _, number = one.partition(".")
        try:
            key = links.session_key({"date": day, "number": number})
        except links.BadAddress:
            continue
        pairs.append((key["session_date"], key["session_number"]))
    blocks = queries.chosen_blocks(found, pairs)
    height = 340 + 12 * max(len(pairs), 2)  # px; the names of many days need room
    return figures.psychometric_by_date(blocks, height=height), figures.chronometric_by_date(blocks, height=height)


def _sessions_to_choose(found: queries.Mouse) -> list[dict[str, str]]:
    """The sessions with fits, the latest first."""
    dates, numbers = (found.blocks[name].to_pylist() for name in ("session_date", "session_number"))
    pairs = sorted(set(zip(dates, numbers, strict=True)), reverse=True)
    twice = {day for day, number in pairs if number > 1}
    return [
        {"value": f"{day}.{number}", "label": shell.date(day) + (f", no. {number}" if day in twice else "")}
        for day, number in pairs
    ]


def _links(site: Site, viewer: Viewer, found: queries.Mouse, chosen: Sequence[str]) -> list[Component]:
    """Links to the chosen sessions."""
    wanted = set(chosen)
    return [
        _session_link(site, viewer, found.subject, row)
        for row in found.sessions.to_pylist()
        if f"{row['session_date']}.{row['session_number']}" in wanted
    ]


def _session_link(site: Site, viewer: Viewer, key: Mapping[str, Any], row: Mapping[str, Any]) -> Component:
    name = site.name(key["lab"], key["subject"], viewer)
    number = f" no. {row['session_number']}" if row["session_number"] > 1 else ""
    address = links.session(key["lab"], name, row["session_date"], row["session_number"])
    return shell.link(shell.date(row["session_date"]) + number, address)


def _history(site: Site, viewer: Viewer, found: queries.Mouse) -> Component:
    """Sessions on the left; weighings, waterings, surgeries and notes on the right."""
    rows = _events(site, viewer, found)
    sessions = _session_rows(site, viewer, found)
    events = shell.grid(
        "mouse-events",
        [
            {"field": "when", "headerName": "When", "width": 150, "sort": "desc", "filter": "agTextColumnFilter"},
            {"field": "kind", "headerName": "What", "width": 110, "filter": "agTextColumnFilter"},
            {"field": "text", "headerName": "Details", "flex": 1, "minWidth": 180, "tooltipField": "text",
             "filter": "agTextColumnFilter"},
            *([] if viewer.public else [{"field": "who", "headerName": "Who", "width": 100}]),
        ],
        rows,
        style={"height": 420},
        dashGridOptions={"domLayout": "normal"},
    )  # fmt: skip
    table = shell.grid(
        "mouse-sessions",
        [
            {"field": "date", "headerName": "Session", "width": 156, "cellRenderer": "Link"},
            {"field": "protocol", "headerName": "Protocol", "flex": 1, "minWidth": 120, "tooltipField": "protocol"},
            {"field": "trials", "headerName": "Trials", "width": 80, "type": "rightAligned"},
            {"field": "easy", "headerName": "Easy %", "width": 84, "type": "rightAligned"},
            {"field": "status", "headerName": "Status after", "width": 160, "cellRenderer": "Chip",
             "cellRendererParams": {"looks": _LOOKS}},
        ],
        sessions,
        style={"height": 420},
        dashGridOptions={"domLayout": "normal"},
    )  # fmt: skip
    nothing = shell.sentence
    return shell.columns(
        shell.section(f"Sessions ({len(sessions):,})", table if sessions else nothing("There is no session yet.")),
        shell.section(
            f"History ({len(rows):,})", events if rows else nothing("Nothing was entered for this mouse yet.")
        ),
        least=460,
    )


_LOOKS = {name: {"text": look.label, "colour": look.color} for name, look in style.STATUSES.items()}


def _session_rows(site: Site, viewer: Viewer, found: queries.Mouse) -> list[dict[str, Any]]:
    key, names = found.subject, ("session_date", "session_number")

    def by_session(table: Any, name: str) -> dict[tuple, Any]:
        columns = [table[one].to_pylist() for one in (*names, name)]
        return {(day, number): value for day, number, value in zip(*columns, strict=True)}

    easy, status = by_session(found.performance, "performance_easy"), by_session(found.statuses, "session_status")
    name = site.name(key["lab"], key["subject"], viewer)
    rows = []
    for row in reversed(found.sessions.to_pylist()):
        at = row["session_date"], row["session_number"]
        fraction = easy.get(at)
        number = f" no. {at[1]}" if at[1] > 1 else ""
        rows.append(
            {
                "date": shell.date(at[0]) + number,
                "date_href": links.session(key["lab"], name, *at),
                "protocol": row["task_protocol"],
                "trials": row["n_trials"],
                "easy": None if fraction is None else round(100 * fraction),
                "status": status.get(at),
            }
        )
    return rows


def _events(site: Site, viewer: Viewer, found: queries.Mouse) -> list[dict[str, Any]]:
    """What was done to the mouse, as rows of a table; in public without people and without what people wrote."""
    rows = []

    def add(kind: str, when: Any, text: str, who: str | None = None) -> None:
        if isinstance(when, datetime.datetime):
            shown = f"{site.local(when, found.subject['lab']):%Y-%m-%d %H:%M}"
        else:
            shown = str(when) if when else shell.DASH
        rows.append({"when": shown, "kind": kind, "text": text} | ({} if viewer.public else {"who": who}))

    for row in found.weighings.to_pylist():
        add("weighing", row["weighing_time"], f"{row['weight']:.1f} g", row["weighing_user"])
    for row in found.waters.to_pylist():
        volume = "free access" if row["adlib"] else shell.number(row["water_volume"], 2, "mL")
        add("water", row["administration_time"], f"{volume}, {row['water_type']}", row["water_user"])
    for row in found.restrictions.to_pylist():
        weight = f", reference weight {row['reference_weight']:.1f} g" if row["reference_weight"] else ""
        add("restriction", row["restriction_start"], f"begins{weight}")
        if row["restriction_end"]:
            add("restriction", row["restriction_end"], "ends")
    for one in found.others:
        if not (viewer.public and one["is_note"]):
            add(one["kind"], one["when"], one["text"], one["who"])
    return sorted(rows, key=lambda row: row["when"], reverse=True)


def _age(row: Mapping[str, Any], today: datetime.date) -> str | None:
    if row["birth_date"] is None:
        return None
    days = ((row["death_date"] or today) - row["birth_date"]).days
    return f"born {shell.date(row['birth_date'])}, {days // 7} weeks old" + (" at death" if row["death_date"] else "")


def _descent(row: Mapping[str, Any], viewer: Viewer) -> list[str | None]:
    sex = {"M": "male", "F": "female"}.get(row["sex"])
    public = [sex, row["line"] or row["strain"], ", ".join(row["projects"])]
    if viewer.public:
        return public
    return [*public, f"cage {row['cage']}" if row["cage"] else None, row["responsible_user"]]


def _ago(day: datetime.date, today: datetime.date) -> str:
    n = (today - day).days
    return "today" if n == 0 else "yesterday" if n == 1 else f"{n:,} days ago" if n > 0 else "in the future"
