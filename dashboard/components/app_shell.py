"""The frame around every page: header with colour scheme and user, navigation, and what lives beside the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard import data_version, links
from dashboard.components import theme
from dashboard.components.icons import icon
from dashboard.site import Page, Site, Viewer


def layout(site: Site, pages: Sequence[Page], templates: dict[str, Any]) -> dmc.MantineProvider:
    """Everything but the page itself, which a callback puts in."""
    viewer = site.viewer
    return dmc.MantineProvider(
        [
            dcc.Location(id="url", refresh="callback-nav"),
            dcc.Store(id="version", data=site.live.version()),
            dcc.Store(id="title"),
            dcc.Store(id="place"),
            dcc.Store(id="scheme-seen"),
            dcc.Store(id="templates", data=templates),
            dcc.Interval(id="tick", interval=data_version.POLL_MS),
            dmc.NotificationContainer(id="notices", position="bottom-right"),
            dmc.AppShell(
                [
                    dmc.AppShellHeader(_header(viewer, site)),
                    dmc.AppShellNavbar(_navigation(pages)),
                    dmc.AppShellMain(
                        html.Main(
                            dcc.Loading(
                                html.Div(id="page"),
                                delay_show=400,
                                overlay_style={"visibility": "visible"},
                                custom_spinner=html.Div(className="nj-bar"),
                            ),
                            id="content",
                        )
                    ),
                ],
                id="frame",
                header={"height": 48},
                navbar={"width": 176, "breakpoint": "sm", "collapsed": {"mobile": True}},
                padding=0,
            ),
        ],
        theme=theme.MANTINE,
        defaultColorScheme="auto",
    )


def _header(viewer: Viewer, site: Site) -> html.Div:
    return html.Div(
        [
            dmc.Burger(id="burger", size="sm", hiddenFrom="sm", opened=False, **{"aria-label": "Menu"}),
            html.A([html.Img(src=f"{links.BASE}/assets/favicon.svg", alt="", width=20), "neurojoint"],
                   href=links.overview(), className="nj-brand"),
            html.Div(className="nj-space"),
            dmc.ColorSchemeToggle(
                id="scheme",
                lightIcon=icon("sun", 18),
                darkIcon=icon("moon", 18),
                variant="subtle",
                color="gray",
                size="lg",
                **{"aria-label": "Light or dark"},
            ),
            _user(viewer, site),
        ],
        className="nj-header",
    )  # fmt: skip


def _user(viewer: Viewer, site: Site) -> Any:
    if viewer.public:
        return html.A("Sign in", href=links.SIGN_IN, className="nj-button", **{"data-leave": "1"})
    out = html.Form(
        html.Button("Sign out", type="submit", className="nj-menu-button"), action=links.SIGN_OUT, method="post"
    )
    label = html.Summary(
        [icon("user", 18), html.Span(viewer.name, className="nj-wide")],
        className="nj-button nj-quiet",
        id="user",
        **{"aria-label": f"Signed in as {viewer.name}"},
    )
    sessions = html.A("Your sessions", href=links.SESSIONS, className="nj-menu-button", **{"data-leave": "1"})
    inside = html.Div(
        [html.Div(f"{viewer.name} · {viewer.role}", className="nj-hint"), sessions, out], className="nj-menu-inside"
    )
    return html.Details([label, inside], className="nj-menu")


def _navigation(pages: Sequence[Page]) -> html.Nav:
    items = [
        dmc.NavLink(
            label=page.title,
            href=links.to(page.name, *page.parts),
            leftSection=icon(page.icon or "chart", 18),
            active="exact",
            variant="light",
        )
        for page in pages
        if page.in_menu
    ]
    keys = html.Div(
        [html.Kbd("j"), html.Kbd("k"), " next, previous"],
        className="nj-keys",
    )
    return html.Nav([html.Div(items), keys], className="nj-nav", **{"aria-label": "Pages"})
