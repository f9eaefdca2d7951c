"""What the pages share on which people enter: who may, which lab, and what the checks say."""

from __future__ import annotations

from collections.abc import Mapping

from dash import html

from dashboard import links
from dashboard.components import shell
from dashboard.queries import notebook
from dashboard.site import Component, NotFound, Site, Viewer
from pipeline.entry import policy
from pipeline.entry.policy import Person
from pipeline.notifications import service

PUBLIC = "What happens to the animals of a lab is not shown to the public."


def person(site: Site, viewer: Viewer) -> Person:
    """Who is looking, with the roles that the tables hold."""
    return site.read(policy.person_of, viewer.name, viewer.role)


def lab_of(site: Site, viewer: Viewer, query: Mapping[str, str]) -> tuple[str, list[str]]:
    """The lab that an address names, else the viewer's own, else the first; and all labs.

    Raises
    ------
    NotFound : there is none.
    """
    labs = site.read(notebook.labs)
    if not labs:
        raise NotFound("There is no lab yet.")
    if chosen := query.get("lab"):
        if chosen not in labs:
            raise NotFound(f"There is no lab called {chosen[:60]}.")
        return chosen, labs
    own = [role for role in person(site, viewer).roles if role in labs]
    return (own or labs)[0], labs


def lab_links(page: str, labs: list[str], chosen: str) -> Component:
    """Links to the same page of other labs."""
    if len(labs) < 2:
        return None
    return html.Nav(
        [shell.button_link(lab, None if lab == chosen else links.to(page, lab=lab)) for lab in labs],
        className="nj-actions", **{"aria-label": "Labs"},
    )  # fmt: skip


def checks_warning(site: Site) -> Component:
    """A sentence where nobody is told of what is missing."""
    said = site.read(service.warning)
    return shell.sentence(said, kind="problem") if said else None
