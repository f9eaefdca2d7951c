"""Requests of callbacks that no page of the site sends are answered 400 before Dash reads them.

The annotation of the callback's parameter says what a value must be: a wrong type is an error of the request, and not
one of the program that the log should describe.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Mapping
from functools import cache
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
        if rb"\ud" in flask.request.get_data().lower():
            json.dumps(body, ensure_ascii=False).encode()  # half a character cannot be part of any answer
    except (RecursionError, UnicodeEncodeError):
        return False
    if not isinstance(body, dict) or not isinstance(body.get("output"), str):
        return False
    callback = app.callback_map.get(body["output"])
    if callback is None or not all(isinstance(body.get(name), list) for name in ("inputs", "changedPropIds")):
        return False
    if not isinstance(body.get("state", []), list) or not all(
        isinstance(changedpropid, str) for changedpropid in body["changedPropIds"]
    ):
        return False
    asked = _of_properties(body["inputs"], callback["inputs"]) and _of_properties(
        body.get("state", []), callback["state"]
    )
    outputs = body.get("outputs")
    is_sound = asked and (_is_property(outputs) or (isinstance(outputs, list) and all(map(_is_output, outputs))))
    return is_sound and _has_types([*body["inputs"], *body.get("state", [])], callback.get("callback"))


def _has_types(given: list[Any], callback: Any) -> bool:
    """Whether each value is a text, a number, a list or a dictionary where the callback's parameter is one.

    Nothing (null) is always possible: a component that is not on the page has no value.
    """
    if callback is None:
        return True
    for one, kinds in zip(given, _parameters(callback), strict=False):
        value = [each.get("value") for each in one] if isinstance(one, list) else one.get("value")
        if kinds and value is not None and (not isinstance(value, kinds) or (value is True and bool not in kinds)):
            return False
    return True


@cache
def _parameters(callback: Any) -> tuple[tuple[type, ...], ...]:
    """What JSON may hold for each parameter; empty where any value is taken."""
    function = inspect.unwrap(callback)
    hints = typing.get_type_hints(function)
    return tuple(_kinds(hints.get(name, Any)) for name in inspect.signature(function).parameters)


def _kinds(hint: Any) -> tuple[type, ...]:
    """The types of JSON of an annotation.

    >>> _kinds(str | None), _kinds(Mapping[str, str] | None), _kinds(list[int | None]), _kinds(Any)
    ((<class 'str'>,), (<class 'dict'>,), (<class 'list'>,), ())
    """
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        parts = [_kinds(item) for item in typing.get_args(hint) if item is not type(None)]
        return () if () in parts else tuple(kind for part in parts for kind in part)
    kind = typing.get_origin(hint) or hint
    if kind is float:
        return (int, float)
    if kind in (str, int, bool, list, dict):
        return (kind,)
    return (dict,) if isinstance(kind, type) and issubclass(kind, Mapping) else ()


def _of_properties(given: list[Any], declared: list[Any]) -> bool:
    """Whether there is a property, or a list of them (of a pattern), for each one that the callback declares."""
    return len(given) == len(declared) and all(map(_is_output, given))


def _is_output(one: Any) -> bool:
    return _is_property(one) or (isinstance(one, list) and all(map(_is_property, one)))


def _is_property(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("id"), str | dict) and isinstance(one.get("property"), str)
