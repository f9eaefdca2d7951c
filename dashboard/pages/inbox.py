"""Messages to the person who looks, what could not be delivered, and what they want to be told."""

from __future__ import annotations

from collections.abc import Mapping

from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.pages import _entering
from dashboard.queries import notebook
from dashboard.site import Component, Page, Site, Viewer
from pipeline.entry.events import EVENTS

PAGE = Page("inbox", "Messages", order=18, in_menu=True, icon="alert")
STATES = {"waiting": ("waiting", "blue"), "sending": ("waiting", "blue"), "sent": ("sent", "green"),
          "undeliverable": ("not delivered", "red"), "shown": ("", "")}  # fmt: skip


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page."""
    if viewer.public:
        return shell.page("Messages", shell.sentence(_entering.PUBLIC))
    rows = site.read(notebook.messages, viewer.name)
    items = []
    for row in rows:
        label, colour = STATES[row["message_state"]]
        title = html.Strong(row["message_title"]) if row["read_time"] is None else row["message_title"]
        link = shell.link("open", f"{links.BASE}{row['message_link']}") if row["message_link"] else None
        read = html.Button("read", type="button", className="nj-tool", title=f"Mark as read: {row['message_title']}",
                           **{"data-read": row["message_id"]}) if row["read_time"] is None else html.Span()  # fmt: skip
        items.append(html.Li([
            html.Span(f"{row['created_time']:%Y-%m-%d %H:%M} UTC", className="nj-hint"),
            html.Span([title, " ", shell.chip(label, colour, row["last_error"]) if label else "", html.Br(),
                       row["message_body"], " ", link]),
            read,
        ]))  # fmt: skip
    unread = sum(row["read_time"] is None for row in rows)
    body = shell.card(html.Ul(items, className="nj-line")) if items else shell.sentence("There is no message for you.")
    events = [[event.label, event.scope.replace("none", "managers"), event.channel, html.Code(name)]
              for name, event in EVENTS.items()]  # fmt: skip
    read_all = html.Button("Mark all as read", type="button", className="nj-button", **{"data-read": ""})
    rules = shell.link("Change what you are told", links.to("admin", table="notification.Rule"))
    return shell.page(
        "Messages",
        _entering.checks_warning(site),
        body,
        shell.section(
            "What people are told",
            shell.card(shell.table(["What", "Of whose animals", "How", "Name"], events), rules),
            hint="where no rule says otherwise",
        ),
        subtitle=f"{unread} unread",
        actions=read_all if unread else None,
    )  # fmt: skip
