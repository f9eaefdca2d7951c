"""Pages that can be used before the programs of the site have started.

The programs of a page (React, the component kit, grids) take longer to start than the page itself. A page whose `PAGE`
says `early` stands in the document already; they are loaded once it has been painted, and then take its place
(`hand_over` in `assets/entry.js`). What was typed until then stays.
"""

from __future__ import annotations

import html
import logging
import re
from collections.abc import Mapping
from types import ModuleType
from typing import Any

import dash
import flask
from dash.development.base_component import Component

from dashboard import links
from dashboard.site import Site

logger = logging.getLogger(__name__)

PROGRAM, LOADER = "entry.js", "early/early.js"
_NAMES = {"className": "class", "htmlFor": "for", "tabIndex": "tabindex"}


def add(app: dash.Dash, site: Site, pages: Mapping[str, ModuleType]) -> None:
    """Write early pages into the document."""
    plain = app.interpolate_index

    def interpolate_index(**parts: Any) -> str:
        early = _early(site, pages)
        if not early:
            return plain(**parts)
        program = re.search(rf'<script src="[^"]*/assets/{re.escape(PROGRAM)}[^"]*"></script>', parts["scripts"])
        if program is None:
            return plain(**parts)
        later = parts["scripts"].replace(program[0], "") + parts["renderer"]
        loader = f'<script src="{app.get_asset_url(LOADER)}"></script>'
        entry = parts["app_entry"].replace('id="react-entry-point"', 'id="react-entry-point" inert')
        # Dash looks for its programs in the document: they are there, in what the browser does not run by itself
        held = {"scripts": f'<template id="later">{later}</template>', "renderer": ""}
        content = f'<div id="early"><div id="early-head">neurojoint</div>{early}</div>{loader}{program[0]}{entry}'
        return plain(**parts | held | {"app_entry": content})

    app.interpolate_index = interpolate_index


def _early(site: Site, pages: Mapping[str, ModuleType]) -> str:
    """The page at the address that is asked for, as HTML; empty where its programs are waited for."""
    try:
        place = links.parse(flask.request.path, flask.request.query_string.decode("utf-8", "replace"))
        module = pages.get(place.page)
        if module is None or not module.PAGE.early:
            return ""
        return to_html(module.layout(site, site.viewer, query=place.query, **place.parts))
    except Exception as error:  # whatever it is: the page itself says it in words
        logger.debug("the page cannot be shown early: %s", error)
        return ""


def to_html(content: Any) -> str:
    """Dash's HTML components as HTML.

    Raises
    ------
    TypeError : there is a component that needs its program.

    Examples
    --------
    >>> from dash import html
    >>> to_html(html.P(["a < b", html.A("c", href="/?d&e", **{"data-f": '"'})], className="g"))
    '<p class="g">a &lt; b<a href="/?d&amp;e" data-f="&quot;">c</a></p>'
    """
    if content is None:
        return ""
    if isinstance(content, list | tuple):
        return "".join(to_html(item) for item in content)
    if not isinstance(content, Component):
        return html.escape(str(content), quote=False)
    told = content.to_plotly_json()
    if told["namespace"] != "dash_html_components":
        raise TypeError(f"{told['type']} is drawn by a program")
    tag, given = told["type"].lower(), dict(told["props"])
    children = given.pop("children", None)
    attributes = "".join(
        f' {_NAMES.get(name, name)}="{html.escape(_style(value) if name == "style" else str(value))}"'
        for name, value in given.items()
        if value is not None and value is not False
    )
    return f"<{tag}{attributes}>" if tag in ("img", "br") else f"<{tag}{attributes}>{to_html(children)}</{tag}>"


def _style(given: Mapping[str, Any]) -> str:
    parts = []
    for name, value in given.items():
        length = f"{value}px" if isinstance(value, int | float) else value  # as React writes it
        parts.append(f"{re.sub('[A-Z]', lambda at: '-' + at[0].lower(), name)}:{length}")
    return ";".join(parts)
