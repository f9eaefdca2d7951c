"""All mice, one row each: how they do, what they weigh, what is due, and what needs attention."""

from __future__ import annotations

import csv
import datetime
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import dash
import dash_mantine_components as dmc
import flask
from dash import ClientsideFunction, Input, Output, State, dcc, html

from dashboard import links
from dashboard.components import grid_model, shell
from dashboard.components.icons import icon
from dashboard.figures import style
from dashboard.pages._stores import RowsRequest
from dashboard.queries import overview as queries
from dashboard.site import Component, Page, Site, Viewer
from pipeline.policy import policy
from pipeline.web.versioned_cache import Kept

PAGE = Page("overview", "Overview", order=10, in_menu=True, icon="table", refresh=False)

ALERTS: dict[str, tuple[str, str]] = {
    "critical": ("critical weight", "red"),
    "underweight": ("underweight", "orange"),
    "unweighed": ("not weighed", "orange"),
    "water": ("water due", "blue"),
    "idle": ("no session", "gray"),
    "dropping": ("performance dropping", "grape"),
    "missing": ("missing data", "yellow"),
    "reached": ("new status", "green"),
}
"""Kind of alert -> its name and the colour of its chip, the most urgent first."""

FILTERS = ("q", "lab", "project", "user", "status", "alert", "dead", "rules")
"""Names in the address of what the page itself filters by; `sort` and `f` are those of the table's columns."""

CSV = f"{links.BASE}/_overview.csv"
_JUDGED = "on easy trials (contrast 50 % or more, or as the task is described), on all where it has no easy ones"
_KINDS = ("training", "biased", "ephys", "habituation", "passive")


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page."""
    chosen = {name: query.get(name, "") for name in FILTERS}
    rows = _rows(site, viewer, chosen["rules"])
    if not rows:
        return shell.page(
            "Overview", shell.sentence("There are no mice yet.", "Register files with `neurojoint ingest ROOT`.")
        )
    return shell.page(
        "Overview",
        _bar(site, viewer, rows, chosen),
        _grid(viewer, rows, query),
        dcc.Store(id="overview-query", data=chosen),
        dcc.Store(id="overview-asked"),
        subtitle=html.Span(id="overview-count", children=_count(_filtered(rows, chosen), rows)),
        actions=[
            html.Button([icon("link"), "Copy link"], className="nj-button", type="button", **{"data-copy": "1"}),
            html.A([icon("download"), "CSV"], id="overview-csv", className="nj-button", download="mice.csv",
                   href=f"{CSV}?{_search(query)}", title="The rows that are shown, as a table"),
        ],
    )  # fmt: skip


def register(app: dash.Dash, site: Site) -> None:
    """Rows as the table asks for them, the address that says what is shown, and the table as a file."""

    @app.callback(
        Output("overview-grid", "getRowsResponse"),
        Output("overview-count", "children"),
        Input("overview-grid", "getRowsRequest"),
        State("overview-query", "data"),
        prevent_initial_call=True,
    )
    def give(request: RowsRequest | None, chosen: Mapping[str, str] | None) -> tuple:
        if not request:
            return dash.no_update, dash.no_update
        rows = _rows(site, site.viewer, (chosen or {}).get("rules", ""))
        matching = grid_model.chosen(
            _filtered(rows, chosen or {}), request.get("filterModel"), request.get("sortModel")
        )
        start, end = int(request.get("startRow") or 0), int(request.get("endRow") or 100)
        part = [_shown(row) for row in matching[start:end]]
        return {"rowData": part, "rowCount": len(matching)}, _count(matching, rows)

    here = "neurojoint_overview"
    app.clientside_callback(
        ClientsideFunction(here, "choose"),
        Output("overview-query", "data"),
        Input({"type": "overview-filter", "name": dash.ALL}, "value"),
        Input({"type": "overview-switch", "name": dash.ALL}, "checked"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(here, "ask_again"),
        Output("overview-asked", "data"),  # without an output it would be looked for on every page
        Input("overview-query", "data"),
        Input("version", "data"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction(here, "address"),
        Output("overview-csv", "href"),
        Input("overview-query", "data"),
        Input("overview-grid", "getRowsRequest"),
        prevent_initial_call=True,
    )
    app.server.add_url_rule(CSV, "overview_csv", lambda: _csv(site))


def _grid(viewer: Viewer, rows: Sequence[Mapping], query: Mapping[str, str]) -> Component:
    order = {item["colId"]: item for item in _order(query)}
    hidden = {"lab"} if len({row["lab"] for row in rows}) == 1 else set()
    whole = 60 + 30 * len(rows)  # px: all rows, the head, and a bar to scroll with
    defs = [
        column | _sorting(order.get(column["field"])) | {"hide": column["field"] in hidden}
        for column in _columns(viewer)
    ]
    return shell.grid(
        "overview-grid",
        defs,
        rowModelType="infinite",
        getRowId="params.data.lab + '/' + params.data.subject",
        filterModel=_models(query),
        defaultColDef={
            "filterParams": {"buttons": ["reset"], "maxNumConditions": 2},
            "suppressHeaderMenuButton": False,
        },
        dashGridOptions={
            "cacheBlockSize": 100,
            "maxConcurrentDatasourceRequests": 1,
            "maxBlocksInCache": 30,
            "infiniteInitialRowCount": 20,
            "localeText": {"noRowsToShow": "No mouse passes these filters."},
        },
        style={"height": f"min(calc(100vh - 178px), {whole}px)", "minHeight": 300},
    )


def _columns(viewer: Viewer) -> list[dict[str, Any]]:
    """The columns of the table."""

    def text(field: str, name: str, width: int, **more: Any) -> dict[str, Any]:
        return {"field": field, "headerName": name, "width": width, "filter": "agTextColumnFilter"} | more

    def number(field: str, name: str, width: int, digits: int, tip: str = "") -> dict[str, Any]:
        pattern = {"function": f"params.value == null ? '' : d3.format(',.{digits}f')(params.value)"}
        return {
            "field": field, "headerName": name, "width": width, "filter": "agNumberColumnFilter",
            "type": "rightAligned", "valueFormatter": pattern, "headerTooltip": tip or None,
        }  # fmt: skip

    looks = {name: {"text": look.label, "colour": look.color} for name, look in style.STATUSES.items()}
    columns = [
        text("subject", "Mouse", 142, pinned="left", cellRenderer="Link"),
        text("lab", "Lab", 96),
        {"field": "alerts", "headerName": "Attention", "width": 244, "cellRenderer": "Chips",
         "tooltipField": "alerts_text", "headerTooltip": "What a person should look at; sorted by how many"},
        text("status", "Status", 182, cellRenderer="Chip", cellRendererParams={"looks": looks}),
        number("performance", "Easy %", 80, 0, f"Correct on the last day: {_JUDGED}"),
        {"field": "spark", "headerName": "Last days", "width": 122, "cellRenderer": "Sparkline", "sortable": False,
         "headerTooltip": f"Correct on the last {queries.SPARK_DAYS} days: {_JUDGED}; the thin line is one half"},
        {"field": "last_session", "headerName": "Last session", "width": 112, "filter": "agDateColumnFilter",
         "valueFormatter": {"function": "njDate(params.value)"}},
        number("n_sessions", "Sessions", 108, 0),
        text("protocol", "Protocol", 110, headerTooltip="Of the last session", tooltipField="protocol_full"),
        number("weight", "Weight g", 90, 1, "Last weighing, with implant"),
        number("weight_pct", "Weight %", 94, 0, "Of the expected weight, both without implant"),
        number("water_today", "Water mL", 92, 2, "Given today"),
        number("water_due", "Due mL", 84, 2, "Still due today; only under restriction"),
        text("responsible_user", "Responsible", 116),
        text("projects", "Project", 150),
        text("sex", "Sex", 66),
        text("line", "Line", 130),
    ]  # fmt: skip
    return [item for item in columns if not (viewer.public and item["field"] == "responsible_user")]


def _bar(site: Site, viewer: Viewer, rows: Sequence[Mapping], chosen: Mapping[str, str]) -> Component:
    """What the page filters by."""

    def values(field: str) -> list[str]:
        return sorted({row[field] for row in rows if row[field]}, key=str.casefold)

    def pick(name: str, label: str, options: list[Any], width: int = 120, **more: Any) -> Component:
        given = {"type": "overview-filter", "name": name}
        return shell.select(given, label, options, chosen[name] or None, w=width, placeholder="all", **more)

    projects = sorted({item for row in rows for item in row["projects"].split(", ") if item}, key=str.casefold)
    statuses = [{"value": name, "label": style.STATUSES[name].label} for name in style.STATUSES
                if any(row["status"] == name for row in rows)]  # fmt: skip
    alerts = [{"value": "any", "label": "anything"}, *({"value": k, "label": v[0]} for k, v in ALERTS.items())]
    rules = site.read(queries.rule_sets)
    parts = [
        dmc.TextInput(
            id={"type": "overview-filter", "name": "q"}, label="Search", value=chosen["q"], debounce=250, size="xs",
            placeholder="name, line, protocol …", w=150, leftSection=icon("search", 14),
        ),
        pick("lab", "Lab", values("lab")),
        pick("project", "Project", projects),
        None if viewer.public else pick("user", "Responsible", values("responsible_user")),
        pick("status", "Status", statuses, 145),
        pick("alert", "Attention", alerts, 130),
        pick("rules", "Criteria", rules, 145, clearable=False) if len(rules) > 1 else None,
        dmc.Switch(
            id={"type": "overview-switch", "name": "dead"}, label="Dead too", checked=bool(chosen["dead"]), size="xs",
            mb=7,
        ),
    ]  # fmt: skip
    if chosen["rules"] == "" and len(rules) > 1:
        parts[6].value = rules[0]
    return html.Div([part for part in parts if part is not None], className="nj-bar-of-filters", role="search")


_kept = Kept(16)


def _rows(site: Site, viewer: Viewer, rules: str) -> list[dict[str, Any]]:
    """The rows of all mice, made again when something is new, and every ten minutes: what is due depends on time."""
    known = site.read(queries.rule_sets)
    rules = rules if rules in known else known[0]
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)

    barred = site.barred(viewer)

    def make() -> list[dict[str, Any]]:
        rows = policy.hidden(site.read(queries.mice, rules, now), barred)
        shown_rows = [_made(site, viewer, row) for row in rows]
        return sorted(shown_rows, key=lambda row: (row["lab"], row["subject"].casefold()))

    version = f"{site.live.version()} {now:%Y-%m-%d %H} {now.minute // 10}"
    return _kept.get((id(site), rules, viewer.public, barred), version, make)


def _made(site: Site, viewer: Viewer, row: dict[str, Any]) -> dict[str, Any]:
    """A row as this kind of viewer may see it."""
    name = site.name(row["lab"], row["subject"], viewer)
    protocol = row["protocol"].lower()
    row = row | {
        "subject": name,
        "subject_href": links.mouse(row["lab"], name),
        "protocol_full": row["protocol"],
        "protocol": next((kind for kind in _KINDS if kind in protocol), row["protocol"]),
        "performance": None if row["performance_easy"] is None else 100 * row["performance_easy"],
    }
    if viewer.public:
        row |= {"responsible_user": None, "alerts": [alert for alert in row["alerts"] if alert["kind"] == "reached"]}
        row |= dict.fromkeys(row.keys() & set(site.settings.public_hidden))
    return row


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the browser needs of a row."""
    spark = [None if value is None else round(value, 3) for value in row["spark"]]
    chips = [{"text": alert["text"], "colour": ALERTS[alert["kind"]][1]} for alert in row["alerts"]]
    last = row["last_session"].isoformat() if row["last_session"] else None
    left_out = {"birth_date", "alive", "next_status", "performance_easy", "days_since"}
    kept = {name: value for name, value in row.items() if name not in left_out}
    words = ", ".join(alert["text"] for alert in row["alerts"]) or None
    return kept | {"spark": spark, "alerts": chips, "alerts_text": words, "last_session": last}


def _filtered(rows: Sequence[Mapping], chosen: Mapping[str, str]) -> list[Mapping]:
    """The rows that pass what the page filters by."""
    words = chosen.get("q", "").casefold().split()

    def passes(row: Mapping) -> bool:
        if not (row["alive"] or chosen.get("dead")):
            return False
        for name, field in (("lab", "lab"), ("user", "responsible_user"), ("status", "status")):
            if chosen.get(name) and row[field] != chosen[name]:
                return False
        if chosen.get("project") and chosen["project"] not in row["projects"].split(", "):
            return False
        kinds = {alert["kind"] for alert in row["alerts"]}
        if chosen.get("alert") and not (kinds if chosen["alert"] == "any" else chosen["alert"] in kinds):
            return False
        text = " ".join(
            str(row[name] or "").casefold()
            for name in ("subject", "lab", "responsible_user", "projects", "line", "protocol_full", "status")
        )
        return all(word in text for word in words)

    return [row for row in rows if passes(row)]


def _count(matching: Sequence[Mapping], rows: Sequence[Mapping]) -> str:
    n_alerts = sum(any(alert["kind"] != "reached" for alert in row["alerts"]) for row in matching)
    mice = f"{len(matching):,} of {len(rows):,} mice" if len(matching) != len(rows) else f"{len(rows):,} mice"
    return f"{mice}, {n_alerts:,} need attention" if n_alerts else mice


def _csv(site: Site) -> flask.Response:
    """The filtered rows as a table."""
    query = flask.request.args.to_dict()
    rows = _filtered(_rows(site, site.viewer, query.get("rules", "")), query)
    rows = grid_model.chosen(rows, _models(query), _order(query))
    names = [column["field"] for column in _columns(site.viewer) if column["field"] not in ("spark", "performance")]
    names += ["performance_easy", "birth_date", "alive", "next_status"]
    if site.viewer.public:
        names = [name for name in names if name not in site.settings.public_hidden]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        words = dict(row) | {
            "alerts": "; ".join(alert["text"] for alert in row["alerts"]),
            "protocol": row["protocol_full"],
        }
        writer.writerow([_harmless(words[name]) for name in names])
    headers = {"Content-Disposition": "attachment; filename=mice.csv"}
    return flask.Response(out.getvalue(), mimetype="text/csv", headers=headers)


def _harmless(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula gets a sign before it."""
    if isinstance(value, float):
        return round(value, 6)  # 2.8e-17 mL are none
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def _order(query: Mapping[str, str]) -> list[dict[str, str]]:
    """The sort model of an address: `sort=weight_pct-asc,lab-desc`."""
    terms = [term.rpartition("-") for term in query.get("sort", "").split(",")]
    return [{"colId": name, "sort": way} for name, _, way in terms if name and way in ("asc", "desc")][:5]


def _models(query: Mapping[str, str]) -> dict[str, Any]:
    """The filter model of an address: JSON in `f`."""
    try:
        model = json.loads(query.get("f") or "{}")
    except (ValueError, RecursionError):
        return {}
    return model if isinstance(model, dict) else {}


def _sorting(term: Mapping[str, str] | None) -> dict[str, Any]:
    return {} if term is None else {"sort": term["sort"]}


def _search(query: Mapping[str, str]) -> str:
    return links.to("overview", **query).partition("?")[2]
