"""All mice, one row each: how they do, what they weigh, what is due, and what needs attention."""

from __future__ import annotations

from collections.abc import Mapping

from dashboard import shell
from dashboard.site import Component, Page, Site, Viewer

PAGE = Page("overview", "Overview", order=10, in_menu=True, icon="table")


def layout(site: Site, viewer: Viewer, *, query: Mapping[str, str]) -> Component:
    """The page."""
    n_mice = site.read(_count)
    return shell.page("Overview", shell.sentence(f"{n_mice} mice."))


def _count() -> int:
    from pipeline.schemas import subject

    return len(subject.Subject())
