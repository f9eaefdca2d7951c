"""Training and operations by day, and the address of the feed for other calendars."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from dash import html

from dashboard import links
from dashboard.components import forms, shell
from dashboard.components.feeds import calendar_key
from dashboard.pages import _entering
from dashboard.queries import notebook
from dashboard.site import Component, Page, Site, Viewer
from pipeline.entry import policy
from pipeline.entry.actions import ACTIONS

PAGE = Page("calendar", "Calendar", order=16, in_menu=True, icon="calendar")
WEEK = datetime.timedelta(days=7)


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The week of a day (`date` in the query)."""
    if viewer.public:
        return shell.page("Calendar", shell.sentence(_entering.PUBLIC))
    lab, labs = _entering.lab_of(site, viewer, query)
    day = links.date_of(query["date"]) if query.get("date") else site.today(lab)
    monday = day - datetime.timedelta(days=day.weekday())
    rows = site.read(notebook.planned, lab, monday, monday + WEEK - datetime.timedelta(days=1))
    person, lists = _entering.person(site, viewer), site.read(notebook.choices, lab)
    days = []
    for number in range(7):
        date = monday + datetime.timedelta(days=number)
        items = []
        for row in (row for row in rows if row["date"] == date):
            local = site.local(row["start"], lab)
            at = f"{local:%H:%M} " if local else ""
            where = f" · {row['text']}" if row["text"] else ""
            items.append(html.Li([at, shell.link(row["subject"], links.notebook(lab, row["subject"])),
                                  f" {row['kind']}{where} {row['user']}"]))  # fmt: skip
        content = html.Ul(items, className="nj-list") if items else html.P("nothing planned", className="nj-hint")
        days.append(shell.card(content, title=shell.date(date)))
    enter = [
        forms.folded(ACTIONS[name], {"lab": lab}, lists=lists, initial={"planned_date": day})
        for name in ("plan_training", "cancel_training")
        if policy.allows(person, "plan", lab, viewer.name)
    ]
    base = site.settings.site_url.rstrip("/")
    feed = f"{base}{links.CALENDAR}/{lab}/{viewer.name}/{calendar_key(site, lab, viewer.name)}.ics"
    return shell.page(
        f"Calendar · {lab}",
        html.Div(enter, className="nj-stack"),
        shell.columns(*days, least=240),
        shell.card(html.P(["Subscribe in another calendar: ",
                           html.A("address of the feed", href=feed, **{"data-leave": "1"}),
                           html.Span(" (whoever has it can read it)", className="nj-hint")])),
        subtitle=f"Week of {shell.date(monday)} · times of {site.zone(lab).key}",
        actions=[
            _entering.lab_links("calendar", labs, lab),
            shell.neighbours([("Week before", links.to("calendar", lab=lab, date=monday - WEEK)),
                              ("Next week", links.to("calendar", lab=lab, date=monday + WEEK))], "week"),
        ],
    )  # fmt: skip
