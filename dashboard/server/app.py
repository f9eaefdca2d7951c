"""The Dash application: frame, navigation, one page at a time; pages are the modules of `dashboard.pages`."""

from __future__ import annotations

import importlib
import logging
import pkgutil
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import dash
import flask
from dash import ClientsideFunction, Input, Output, State

from dashboard import links
from dashboard import pages as shipped
from dashboard.components import app_shell, shell, theme
from dashboard.server import auth, callback_requests, downloads, entering, first_paint, nwb, papers, response_headers
from dashboard.site import NotFound, Page, Site
from pipeline.database import lab_modules
from pipeline.web.error_words import words_for

logger = logging.getLogger(__name__)


def create_app(site: Site) -> dash.Dash:
    """The application; `app.server` is its WSGI application. Importing this module connects to nothing."""
    pages = find_pages()
    app = dash.Dash(
        "dashboard",
        assets_folder=str(Path(__file__).parents[1] / "assets"),
        assets_ignore="(sign-in|early).*",
        url_base_pathname=f"{links.BASE}/",
        suppress_callback_exceptions=True,
        serve_locally=True,
        compress=False,
        title="neurojoint",
        update_title=None,
        on_error=_say_what_failed,
        meta_tags=[{"name": "color-scheme", "content": "light dark"}],
    )
    app.enable_dev_tools(debug=False)
    app.index_string = _INDEX
    server: flask.Flask = app.server
    auth.protect(server, site)
    callback_requests.check(app)
    templates = theme.figure_templates()

    def layout() -> Any:
        """The frame; nothing for a request of which nobody is the viewer (Dash asks once, at the first request)."""
        return app_shell.layout(site, [page.PAGE for page in pages.values()], templates) if flask.g.viewer else []

    app.layout = layout
    _route(app, site, pages)
    first_paint.add(app, site, pages)
    _react(app)
    downloads.add(server, site)
    nwb.add(server, site)
    entering.add(server, site)
    papers.add(server, site)
    for module in pages.values():
        if hasattr(module, "register"):
            module.register(app, site)
    server.add_url_rule(f"{links.BASE}/_version", "version", lambda: _version(site))
    server.add_url_rule("/", "root", lambda: flask.redirect(links.overview()))
    response_headers.finish(app)
    return app


def find_pages() -> dict[str, ModuleType]:
    """The modules of `dashboard.pages`, and those of the lab that have a `PAGE`, by the name of their page, in the
    order of the menu. The path of a lab's page is `/own/` and its name."""
    modules = [
        importlib.import_module(f"{shipped.__name__}.{iter_module.name}")
        for iter_module in pkgutil.iter_modules(shipped.__path__)
    ]
    for name in lab_modules.names():
        module = sys.modules.get(name)
        page = getattr(module, "PAGE", None)
        if module is None or not isinstance(page, Page):
            continue
        path = f"/own/{page.name}"
        if links.TEMPLATES.setdefault(page.name, path) != path:
            logger.warning("%s is left out: the site has a page %r of its own", name, page.name)
            continue
        modules.append(module)
    modules = [module for module in modules if isinstance(getattr(module, "PAGE", None), Page)]
    return {module.PAGE.name: module for module in sorted(modules, key=lambda one: (one.PAGE.order, one.PAGE.name))}


def _route(app: dash.Dash, site: Site, pages: dict[str, ModuleType]) -> None:
    """Which page is shown, and when it is made again."""

    @app.callback(
        Output("page", "children"),
        Output("title", "data"),
        Output("place", "data"),
        Input("url", "pathname"),
        Input("url", "search"),
        Input("version", "data"),
        State("place", "data"),
    )
    def show(path: str | None, search: str | None, version: str, place: str | None) -> tuple:
        asked = f"{path}{search or ''}"
        page, content = make_page(site, pages, path or "", search or "")
        if asked == place and dash.callback_context.triggered_id == "version" and page and not page.refresh:
            return dash.no_update, dash.no_update, dash.no_update
        return content, page.title if page else "", asked


def make_page(site: Site, pages: dict[str, ModuleType], path: str, search: str = "") -> tuple[Page | None, Any]:
    """The page at an address and its content; a sentence where there is none, or where it cannot be made."""
    page = None
    try:
        place = links.parse(path, search)
        if place.page not in pages:
            raise links.BadAddress("There is no page at this address.")
        page = pages[place.page].PAGE
        return page, pages[place.page].layout(site, site.viewer, query=place.query, **place.parts)
    except (links.BadAddress, NotFound) as error:
        return page, _page_of_words(str(error))
    except Exception as error:
        said = words_for(error, site.viewer.role, path)
        return page, _page_of_words(said.text, said.hint)


def _page_of_words(text: str, hint: str = "") -> Any:
    back = shell.link("To the overview", links.overview())
    return shell.page("Not shown", shell.sentence(text, hint, back, kind="problem"))


def _say_what_failed(error: Exception) -> Any:
    """A callback failed: tell the person, leave the page as it is."""
    viewer = flask.g.viewer
    said = words_for(error, viewer.role if viewer else "public", flask.request.path)
    note = {"action": "show", "color": "red", "title": said.text, "message": said.hint, "autoClose": 8000,
            "id": "failed"}  # fmt: skip
    dash.set_props("notices", {"sendNotifications": [note]})
    return dash.no_update


def _react(app: dash.Dash) -> None:
    """What happens in the browser alone (assets/site.js)."""

    def here(name: str) -> ClientsideFunction:
        return ClientsideFunction("neurojoint", name)

    figure, data = ({"type": kind, "name": dash.MATCH, "axis": dash.MATCH} for kind in ("figure", "figure-data"))
    app.clientside_callback(
        here("draw"),
        Output(figure, "figure"),
        Input(data, "data"),
        Input("scheme-seen", "data"),
        State("templates", "data"),
    )
    everywhere = {"type": "figure", "name": dash.ALL, "axis": dash.ALL}
    app.clientside_callback(here("share_axis"), Input(everywhere, "relayoutData"), prevent_initial_call=True)
    app.clientside_callback(
        here("ask_version"), Output("version", "data"), Input("tick", "n_intervals"), State("version", "data")
    )
    app.clientside_callback(here("name_window"), Input("title", "data"))
    app.clientside_callback(
        here("open_menu"),
        Output("frame", "navbar"),
        Input("burger", "opened"),
        Input("url", "pathname"),
        State("frame", "navbar"),
        prevent_initial_call=True,
    )


def _version(site: Site) -> flask.Response:
    return flask.Response(site.live.version(), mimetype="text/plain", headers={"Cache-Control": "no-store"})


_INDEX = """<!DOCTYPE html>
<html lang="en">
<head>{%metas%}<title>{%title%}</title>
<link rel="icon" href="/app/assets/favicon.svg" type="image/svg+xml">{%css%}</head>
<body>{%app_entry%}<footer>{%config%}{%scripts%}{%renderer%}</footer></body>
</html>"""
