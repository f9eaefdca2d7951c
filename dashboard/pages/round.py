"""The morning round: the restricted animals of a lab in the order of their cages; weights and water by keyboard."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.pages import _entering
from dashboard.queries import notebook
from dashboard.site import Component, Page, Site, Viewer
from pipeline.web.versioned_cache import Kept

PAGE = Page("round", "Morning round", order=12, in_menu=True, icon="check", early=True)
_kept = Kept(16)


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page; `assets/entry.js` makes the rows and keeps what was typed until the server has it."""
    if viewer.public:
        return shell.page("Morning round", shell.sentence(_entering.PUBLIC))
    lab, labs = _entering.lab_of(site, viewer, query)
    user, room = query.get("user", ""), query.get("room", "")
    today = str(site.today(lab))
    name = (str(site.home), lab, user, room, today)
    rows = _kept.get(name, site.live.version(), lambda: site.read(notebook.morning_round, lab, user, room))
    mine = shell.button_link("All animals" if user else "My animals",
                             links.to("round", lab=lab, user="" if user else viewer.name))  # fmt: skip
    if not rows:
        empty = shell.sentence(f"No animal of {lab} is under water restriction" + (f" of {user}." if user else "."),
                               "A restriction is started on the page of an animal.")  # fmt: skip
        return shell.page("Morning round", _entering.lab_links("round", labs, lab), empty, actions=mine)
    head = [
        html.Span(id="round-count"), html.Span("all saved", id="round-unsent", className="nj-hint", role="status"),
        html.Span("Enter: save, next mouse · ↑ ↓ · Esc: clear", className="nj-hint"),
    ]  # fmt: skip
    return shell.page(
        f"Morning round · {lab}",
        _entering.checks_warning(site),
        html.Div(id="round-pasted", className="nj-wrong", role="alert"),
        html.Div(id="round", className="nj-card nj-scroll", tabIndex=-1,
                 **{"data-rows": json.dumps(rows), "data-viewer": viewer.name, "data-zone": site.zone(lab).key,
                    "data-day": today}),
        subtitle=head,
        actions=[_entering.lab_links("round", labs, lab), mine],
    )  # fmt: skip
