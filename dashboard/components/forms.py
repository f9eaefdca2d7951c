"""Forms from the descriptions of actions: labels, units, limits and choices stand in one place, the form follows.

A form is described in JSON; `assets/entry.js` builds it and sends it to `links.DO`. It says at once what is wrong, asks
back what is not plausible, and can be filled in with keys alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from dash import html

from pipeline.entry.actions.model import Action, Input

LONG_TEXT = 255
_KINDS = {"date": "date", "time": "datetime-local"}


def form(
    action: Action, given: Mapping[str, Any] | None = None, *, lists: Mapping[str, Sequence[str]] | None = None,
    initial: Mapping[str, Any] | None = None, key: str = "",
) -> html.Div:  # fmt: skip
    """The form of an action.

    Parameters
    ----------
    given : values that are known; their inputs are not shown.
    lists : input -> values to choose from while typing.
    initial : input -> value that stands there at first: only what is changed is sent, with what stood there.
    key : tells forms of one action on a page apart.
    """
    given, lists, initial = given or {}, lists or {}, initial or {}
    name = f"{action.name}-{key}" if key else action.name
    fields = [
        _field(input_, lists.get(input_.name), initial.get(input_.name))
        for input_ in action.inputs
        if input_.name not in given
    ]
    told = {"action": action.name, "label": action.label, "given": dict(given), "fields": fields, "id": name,
            "changes": bool(initial)}  # fmt: skip
    return html.Div(className="nj-form-place", **{"data-form": json.dumps(told, default=str)})


def folded(action: Action, *args: Any, **options: Any) -> html.Details:
    """A form that opens when its name is chosen."""
    return html.Details(
        [html.Summary(action.label), html.P(action.description, className="nj-hint"), form(action, *args, **options)],
        className="nj-fold",
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return "" if value is None else str(value)


def _field(one: Input, listed: Sequence[str] | None, value: Any) -> dict[str, Any]:
    field = one.field
    told: dict[str, Any] = {
        "name": one.name, "label": one.label, "unit": field.unit, "help": field.limits(), "required": one.required,
        "kind": _KINDS.get(field.type, "text"), "value": _shown(value), "seen": value,
    }  # fmt: skip
    if field.type == "boolean":
        told |= {"kind": "select", "options": [["", ""], ["1", "yes"], ["0", "no"]]}
    elif field.type == "choice":
        told |= {"kind": "select", "options": [["", ""], *([name, name] for name in field.choices if name)]}
    elif field.type == "text" and field.longest > LONG_TEXT:
        told |= {"kind": "long", "longest": field.longest}
    elif field.type in ("number", "integer"):
        told |= {"mode": "decimal" if field.type == "number" else "numeric"}
    if listed and told["kind"] == "text":
        told["list"] = list(listed)
    if one.name == "image":
        told["kind"] = "picture"
    return told
