"""Requests of callbacks that no page of the site sends are answered 400 before Dash reads them.

The annotation of the callback's parameter says what a value must be: a wrong type is an error of the request, and not
one of the program that the log should describe.
"""

from __future__ import annotations

import inspect
import json
import logging
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

import dash
import flask

from dashboard import links

logger = logging.getLogger(__name__)

_DIGITS = 20  # of a number of 64 bits, with its sign

PATH = f"{links.BASE}/_dash-update-component"


def check(app: dash.Dash) -> None:
    """Add the check to all requests; call it once the application exists."""

    def is_known() -> flask.Response | None:
        if flask.request.path != PATH or flask.request.method != "POST" or _is_sound(app):
            return None
        logger.warning(
            "a request of a callback that no page of the site sends (%s bytes)", flask.request.content_length
        )
        return flask.Response("This is no request of a page of this site.", 400, mimetype="text/plain")

    app.server.before_request(is_known)


def _is_sound(app: dash.Dash) -> bool:
    try:
        body = json.loads(flask.request.get_data(), parse_int=_number)
        if rb"\ud" in flask.request.get_data().lower():
            json.dumps(body, ensure_ascii=False).encode()  # half a character cannot be part of any answer
    except (ValueError, RecursionError):
        return False
    if not isinstance(body, dict) or not isinstance(body.get("output"), str):
        return False
    callback = app.callback_map.get(body["output"])
    if callback is None or not all(isinstance(body.get(name), list) for name in ("inputs", "changedPropIds")):
        return False
    state = body.get("state", [])
    if not isinstance(state, list):
        return False
    asked = _of_properties(body["inputs"], callback["inputs"]) and _of_properties(state, callback["state"])
    if not asked or not all(_is_one_of(changed, callback["inputs"]) for changed in body["changedPropIds"]):
        return False
    outputs = body.get("outputs")
    is_sound = _is_property(outputs) or (isinstance(outputs, list) and all(map(_is_output, outputs)))
    return is_sound and _has_types([*body["inputs"], *state], callback.get("callback"))


def _number(text: str) -> int:
    """An integer that an answer can hold, too.

    >>> _number("-12")
    -12
    """
    if len(text) > _DIGITS or abs(int(text)) >= 1 << 63:
        raise ValueError("the number is too large")
    return int(text)


def _has_types(given: list[Any], callback: Any) -> bool:
    """Whether each value is what the annotation of the callback's parameter says.

    Nothing (null) is always possible: a component that is not on the page has no value.
    """
    if callback is None:
        return True
    for one, hint in zip(given, _parameters(callback), strict=False):
        if not _fits([each.get("value") for each in one] if isinstance(one, list) else one.get("value"), hint):
            return False
    return True


@cache
def _parameters(callback: Any) -> tuple[Any, ...]:
    """The annotation of each parameter; Any where there is none."""
    function = inspect.unwrap(callback)
    hints = typing.get_type_hints(function)
    return tuple(hints.get(name, Any) for name in inspect.signature(function).parameters)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value of JSON can be what an annotation says.

    >>> _fits("x", str | None), _fits(True, int), _fits(1, float), _fits(["a", None], list[str]), _fits([1], list[str])
    (True, False, True, True, False)
    >>> Shown = typing.TypedDict("Shown", {"lab": str})
    >>> _fits({"lab": "x"}, Shown | None), _fits({}, Shown), _fits({"lab": None}, Shown), _fits({"lab": []}, Shown)
    (True, False, False, False)
    """
    if value is None or hint is Any:
        return True
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        return any(_fits(value, item) for item in typing.get_args(hint) if item is not type(None))
    if typing.is_typeddict(hint):
        fields = typing.get_type_hints(hint)
        return isinstance(value, dict) and hint.__required_keys__ <= value.keys() and all(
            _fits(value[name], kind) and (value[name] is not None or _may_be_none(kind))
            for name, kind in fields.items() if name in value
        )  # fmt: skip
    kind = typing.get_origin(hint) or hint
    if kind is list:
        return isinstance(value, list) and all(_fits(item, *typing.get_args(hint)[:1] or (Any,)) for item in value)
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind in (str, bool):
        return isinstance(value, kind)
    return isinstance(value, dict) if isinstance(kind, type) and issubclass(kind, Mapping) else True


def _may_be_none(hint: Any) -> bool:
    return hint is Any or type(None) in typing.get_args(hint)


def _of_properties(given: list[Any], declared: list[Any]) -> bool:
    """Whether there is a property, or a list of them (of a pattern), for each one that the callback declares."""
    return len(given) == len(declared) and all(map(_is_declared, given, declared))


def _is_declared(given: Any, declared: Mapping[str, Any]) -> bool:
    if isinstance(given, list):
        return all(isinstance(one, dict) and _is_declared(one, declared) for one in given)
    return _is_property(given) and given["property"] == declared["property"] and _is_id(given["id"], declared["id"])


def _is_one_of(changed: Any, declared: list[Any]) -> bool:
    """Whether a changed property, as `id.property`, belongs to an input."""
    if not isinstance(changed, str):
        return False
    name, _, prop = changed.rpartition(".")
    try:
        id_ = json.loads(name) if name.startswith("{") else name
    except (ValueError, RecursionError):
        return False
    return any(prop == one["property"] and _is_id(id_, one["id"]) for one in declared)


def _is_id(id_: Any, declared: str) -> bool:
    """Whether an identifier is the declared one, or one of its pattern.

    >>> pattern = '{"name":["ALL"],"type":"retry"}'
    >>> _is_id("x", "x"), _is_id({"type": "retry", "name": "a"}, pattern)
    (True, True)
    >>> _is_id("y", "x"), _is_id({"type": "retry", "name": []}, pattern)
    (False, False)
    """
    if not isinstance(id_, dict) or not declared.startswith("{"):
        return id_ == declared
    pattern = json.loads(declared)
    return id_.keys() == pattern.keys() and all(
        isinstance(id_[name], str | int | float) and (isinstance(part, list) or id_[name] == part)
        for name, part in pattern.items()
    )


def _is_output(one: Any) -> bool:
    return _is_property(one) or (isinstance(one, list) and all(map(_is_property, one)))


def _is_property(one: Any) -> bool:
    return isinstance(one, dict) and isinstance(one.get("id"), str | dict) and isinstance(one.get("property"), str)
