"""Every table that people fill in, through one grid made from the descriptions of its columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, dcc, html

from dashboard import links
from dashboard.components import shell
from dashboard.pages import _entering
from dashboard.queries.tables import read_rows
from dashboard.site import Component, NotFound, Page, Site, Viewer
from pipeline.entry import entry_of, policy
from pipeline.entry.fields import Field
from pipeline.entry.tables import TABLES, class_of

PAGE = Page("admin", "Administration", order=80, in_menu=True, icon="table")
MOST_ROWS = 5000
LONG_TEXT = 255


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The list of tables, or one of them (`table` in the query)."""
    if viewer.public:
        return shell.page("Administration", shell.sentence(_entering.PUBLIC))
    table = query.get("table", "")
    person = _entering.person(site, viewer)
    if not table:
        return shell.page("Administration", *_lists(person), subtitle="Everything that people enter, table by table.")
    if table not in TABLES:
        raise NotFound("There is no such table.")
    entry = entry_of(table)
    columns, rows = site.read(read_rows, table, MOST_ROWS)
    keys = list(class_of(table).primary_key)
    editable = _may_anywhere(person, table)
    defs = [_column(field, editable and field.column not in keys and not field.fixed) for field in entry.fields]
    grid = shell.grid("admin-grid", defs, rows, getRowId=_row_id(keys),
                      dashGridOptions={"domLayout": "normal", "stopEditingWhenCellsLoseFocus": True},
                      style={"height": 460})  # fmt: skip
    limits = [
        [field.column, field.limits(), "yes" if field.required else "", field.description] for field in entry.fields
    ]
    paste = html.Div([
        html.Label("Rows from a spreadsheet: headings in the first line, then one row a line", htmlFor="grid-paste"),
        dcc.Textarea(id="grid-paste", rows=6, className="nj-input", style={"width": "100%"},
                     placeholder="\t".join(columns[:5])),
        html.Div(html.Button("Save all rows", type="button", className="nj-button nj-primary",
                             **{"data-grid-save": table}), className="nj-form-end"),
        html.P("All rows are saved, or none: what is wrong is said row by row.", className="nj-hint"),
    ])  # fmt: skip
    return shell.page(
        entry.label[:1].upper() + entry.label[1:],
        shell.card(grid, html.P(id="grid-said", className="nj-form-said", role="status", **{"aria-live": "polite"}),
                   html.Script(json.dumps({"table": table, "keys": keys}), id="grid-info", type="application/json")),
        shell.section("Add or change several rows", shell.card(paste)) if editable else None,
        shell.section("Columns", shell.card(shell.table(["Column", "What it takes", "Needed", "Meaning"], limits))),
        subtitle=f"{table} · {len(rows):,} rows" + (" (the first ones)" if len(rows) == MOST_ROWS else ""),
        actions=[
            shell.button_link("All tables", links.to("admin")),
            *(html.A(name, href=f"{links.EXPORT}/{table}.{kind}", className="nj-button", **{"data-leave": "1"})
              for name, kind in (("CSV", "csv"), ("Excel", "xlsx"))),
        ],
    )  # fmt: skip


def register(app: dash.Dash, site: Site) -> None:
    """A cell that was changed is saved at once, or put back with the reason."""
    app.clientside_callback(
        ClientsideFunction("neurojoint", "cell_changed"),
        Output("grid-said", "children"),
        Output("admin-grid", "rowTransaction"),
        Input("admin-grid", "cellValueChanged"),
        prevent_initial_call=True,
    )


def _lists(person: policy.Person) -> list[Component]:
    by_schema: dict[str, list[Component]] = {}
    for name, entry in TABLES.items():
        mark = "" if _may_anywhere(person, name) else " (read only)"
        item = html.Li([shell.link(entry.label, links.to("admin", table=name)), html.Span(mark, className="nj-hint")])
        by_schema.setdefault(name.partition(".")[0], []).append(item)
    return [
        shell.columns(
            *(shell.card(html.Ul(items, className="nj-list"), title=schema) for schema, items in by_schema.items()),
            least=260,
        )
    ]


def _may_anywhere(person: policy.Person, table: str) -> bool:
    if table == "notification.Rule":
        return bool(person.name)
    verb = policy.TABLE_VERBS.get(table, "administer")
    if person.account == "admin":
        return True
    labs = {*person.roles, *person.open_labs} or {""}
    return any(policy.reach(person, verb, lab) != "none" for lab in labs)


def _column(field: Field, editable: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "field": field.column, "headerName": field.column, "headerTooltip": field.description or field.limits(),
        "editable": editable, "filter": True,
    }  # fmt: skip
    if field.type == "choice":
        told |= {"cellEditor": "agSelectCellEditor", "cellEditorParams": {"values": list(field.choices)}}
    elif field.type in ("number", "integer"):
        told |= {"type": "rightAligned", "cellDataType": False, "filter": "agNumberColumnFilter"}
    elif field.type == "boolean":
        told |= {"cellDataType": "boolean"}
    elif field.type == "json":
        told |= {
            "editable": False,
            "cellDataType": "object",
            "valueFormatter": {"function": "JSON.stringify(params.value)"},
        }
    elif field.type == "text" and field.longest > LONG_TEXT:
        told |= {"cellEditor": "agLargeTextCellEditor", "cellEditorPopup": True}
    return told


def _row_id(keys: list[str]) -> str:
    return " + '|' + ".join(f"params.data.{name}" for name in keys)
