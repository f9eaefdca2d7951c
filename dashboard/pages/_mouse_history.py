"""The page of a mouse: its sessions, and what was done to it."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any

import dash_mantine_components as dmc
from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.figures import style
from dashboard.queries import mouse as queries
from dashboard.site import Component, Site, Viewer

_LOOKS = {name: {"text": look.label, "colour": look.color} for name, look in style.STATUSES.items()}
_FIRST = ("weighing", "water", "restriction", "surgery", "note")
"""Kinds of what was done, in the order in which they are offered; others after them."""


def history(site: Site, viewer: Viewer, mouse: queries.Mouse) -> Component:
    """The sessions, and weighings, waterings, surgeries and notes; side by side where there is room."""
    rows, sessions = _events(site, viewer, mouse), _session_rows(site, viewer, mouse)
    has_probes = any(row["probes"] for row in sessions)
    nothing = shell.sentence("There is no session yet."), shell.sentence("Nothing was entered for this mouse yet.")
    return shell.columns(
        shell.section(f"Sessions ({len(sessions):,})", _sessions(sessions, has_probes) if sessions else nothing[0]),
        shell.section(f"History ({len(rows):,})", _history(rows, viewer) if rows else nothing[1]),
        least=700,
    )


def _sessions(rows: list[dict[str, Any]], has_probes: bool) -> Component:
    day = {"function": "njSession(params.value)"}
    return shell.grid(
        "mouse-sessions",
        [
            {"field": "date", "headerName": "Session", "width": 176, "cellRenderer": "Link", "valueFormatter": day},
            {"field": "status", "headerName": "Status after", "width": 162, "cellRenderer": "Chip",
             "cellRendererParams": {"looks": _LOOKS}},
            {"field": "trials", "headerName": "Trials", "width": 74, "type": "rightAligned"},
            {"field": "easy", "headerName": "Easy %", "width": 78, "type": "rightAligned"},
            *([{"field": "probes", "headerName": "Probes", "width": 140, "cellRenderer": "Links", "sortable": False}]
              if has_probes else []),
            {"field": "protocol", "headerName": "Protocol", "flex": 1, "minWidth": 150, "tooltipField": "protocol"},
        ],
        rows,
        style={"height": 420},
        dashGridOptions={"domLayout": "normal"},
    )  # fmt: skip


def _history(rows: list[dict[str, Any]], viewer: Viewer) -> Component:
    present = {row["kind"] for row in rows}
    kinds = [kind for kind in _FIRST if kind in present] + sorted(present.difference(_FIRST))
    choice = dmc.SegmentedControl(
        id="mouse-kind", value="all", data=["all", *kinds], size="xs", **{"aria-label": "What of the history"}
    )
    table = shell.grid(
        "mouse-events",
        [
            {"field": "when", "headerName": "When", "width": 136, "sort": "desc"},
            {"field": "kind", "headerName": "What", "width": 96, "filter": "agTextColumnFilter"},
            {"field": "text", "headerName": "Details", "flex": 1, "minWidth": 180, "tooltipField": "text",
             "filter": "agTextColumnFilter"},
            *([] if viewer.public else [{"field": "who", "headerName": "Who", "width": 90}]),
        ],
        rows,
        style={"height": 380},
        dashGridOptions={"domLayout": "normal"},
    )  # fmt: skip
    return html.Div([html.Div(choice, className="nj-scroll"), table], className="nj-stack nj-tight")


def session_link(site: Site, viewer: Viewer, key: Mapping[str, Any], row: Mapping[str, Any]) -> Component:
    """The day of a session, as a link to its page."""
    name = site.name(key["lab"], key["subject"], viewer)
    address = links.session(key["lab"], name, row["session_date"], row["session_number"])
    return shell.link(name_of(row["session_date"], row["session_number"]), address)


def name_of(day: datetime.date, number: int) -> str:
    """What a session of this mouse is called.

    >>> name_of(datetime.date(2024, 5, 6), 1), name_of(datetime.date(2024, 5, 6), 2)
    ('Mon 6 May 2024', 'Mon 6 May 2024 (2)')
    """
    return shell.date(day) + (f" ({number})" if number > 1 else "")


def protocol(name: str) -> str:
    """A task protocol without what all of them begin with.

    >>> protocol("_iblrig_tasks_ephysChoiceWorld8.15.6")
    'ephysChoiceWorld8.15.6'
    """
    return name.removeprefix("_iblrig_").removeprefix("tasks_")


def _session_rows(site: Site, viewer: Viewer, mouse: queries.Mouse) -> list[dict[str, Any]]:
    key, names = mouse.subject, ("session_date", "session_number")

    def by_session(table: Any, name: str) -> dict[tuple, Any]:
        columns = [table[item].to_pylist() for item in (*names, name)]
        return {(day, number): value for day, number, value in zip(*columns, strict=True)}

    easy, status = by_session(mouse.performance, "performance_easy"), by_session(mouse.statuses, "session_status")
    name = site.name(key["lab"], key["subject"], viewer)
    probes: dict[tuple, list[dict[str, str]]] = {}
    for row in mouse.probes.to_pylist():
        at = row["session_date"], row["session_number"]
        label = row["probe_label"]
        probes.setdefault(at, []).append({"text": label, "href": links.insertion(key["lab"], name, *at, label)})
    rows = []
    for row in reversed(mouse.sessions.to_pylist()):
        at = row["session_date"], row["session_number"]
        fraction = easy.get(at)
        rows.append(
            {
                "date": f"{at[0]}.{at[1]}",
                "date_href": links.session(key["lab"], name, *at),
                "protocol": protocol(row["task_protocol"]),
                "trials": row["n_trials"],
                "easy": None if fraction is None else round(100 * fraction),
                "status": status.get(at),
                "probes": probes.get(at),
            }
        )
    return rows


def _events(site: Site, viewer: Viewer, mouse: queries.Mouse) -> list[dict[str, Any]]:
    """What was done to the mouse, as rows of a table; in public without people and without what people wrote."""
    rows: list[dict[str, Any]] = []

    def add(kind: str, when: Any, text: str, who: str | None = None) -> None:
        if isinstance(when, datetime.datetime):
            shown = f"{site.local(when, mouse.subject['lab']):%Y-%m-%d %H:%M}"
        else:
            shown = str(when) if when else shell.DASH
        rows.append({"when": shown, "kind": kind, "text": text} | ({} if viewer.public else {"who": who}))

    for row in mouse.weighings.to_pylist():
        add("weighing", row["weighing_time"], f"{row['weight']:.1f} g", row["weighing_user"])
    for row in mouse.waters.to_pylist():
        volume = "free access" if row["adlib"] else shell.number(row["water_volume"], 2, "mL")
        add("water", row["administration_time"], f"{volume}, {row['water_type']}", row["water_user"])
    for row in mouse.restrictions.to_pylist():
        weight = f", reference weight {row['reference_weight']:.1f} g" if row["reference_weight"] else ""
        add("restriction", row["restriction_start"], f"begins{weight}")
        if row["restriction_end"]:
            add("restriction", row["restriction_end"], "ends")
    for item in mouse.others:
        if not (viewer.public and item["is_note"]):
            add(item["kind"], item["when"], item["text"], item["who"])
    return sorted(rows, key=lambda row: row["when"], reverse=True)
