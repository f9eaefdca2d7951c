"""Requests of callbacks that no page of the site sends are answered 400 before Dash reads them."""

from __future__ import annotations

from typing import Any

import dash
import flask

from dashboard import links

PATH = f"{links.BASE}/_dash-update-component"


def check(app: dash.Dash) -> None:
    """Add the check to all requests; call it once the application exists."""

    def is_known() -> flask.Response | None:
        if flask.request.path != PATH or flask.request.method != "POST" or _is_sound(app):
            return None
        return flask.Response("This is no request of a page of this site.", 400, mimetype="text/plain")

    app.server.before_request(is_known)


def _is_sound(app: dash.Dash) -> bool:
    try:
        body = flask.request.get_json(silent=True, force=True)
    except RecursionError:
        return False
    if not isinstance(body, dict) or not isinstance(body.get("output"), str):
        return False
    callback = app.callback_map.get(body["output"])
    if callback is None or not all(isinstance(body.get(name), list) for name in ("inputs", "changedPropIds")):
        return False
    if not isinstance(body.get("state", []), list) or not all(isinstance(one, str) for one in body["changedPropIds"]):
        return False
    asked = _of_properties(body["inputs"], callback["inputs"]) and _of_properties(
        body.get("state", []), callback["state"]
    )
    outputs = body.get("outputs")
    return asked and (_is_property(outputs) or (isinstance(outputs, list) and all(map(_is_output, outputs))))


def _of_properties(given: list[Any], declared: list[Any]) -> bool:
    """Whether there is a property, or a list of them (of a pattern), for each one that the callback declares."""
    return len(given) == len(declared) and all(map(_is_output, given))


def _is_output(one: Any) -> bool:
    return _is_property(one) or (isinstance(one, list) and all(map(_is_property, one)))


def _is_property(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("id"), str | dict) and isinstance(one.get("property"), str)
