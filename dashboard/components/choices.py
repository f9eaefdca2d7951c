"""What a person chooses on a page: controls whose values are in the address, and in a store that callbacks read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dash
from dash import ClientsideFunction, Input, Output, State, dcc

from dashboard import links


def control(page: str, name: str) -> dict[str, str]:
    """The id of a control whose `value` is chosen (text, date, or list of texts)."""
    return {"type": "choice", "page": page, "name": name}


def switch(page: str, name: str) -> dict[str, str]:
    """The id of a control whose `checked` is chosen: "1" or "0"."""
    return {"type": "choice-switch", "page": page, "name": name}


def store(page: str) -> str:
    """The id of the store that holds what is chosen: name -> text; values of a list stand between `|`."""
    return f"{page}-chosen"


def stores(page: str, chosen: Mapping[str, str], defaults: Mapping[str, str]) -> list[dcc.Store]:
    """What the page's layout must hold. What is chosen by default is not in the address."""
    return [
        dcc.Store(id=store(page), data=dict(chosen)),
        dcc.Store(id=f"{page}-defaults", data=dict(defaults)),
        dcc.Store(id=f"{page}-path", data=links.to(page)),
    ]


def read(query: Mapping[str, Any], defaults: Mapping[str, str]) -> dict[str, str]:
    """What an address chooses.

    >>> read({"by": "sex", "other": "1"}, {"by": "lab", "measure": ""})
    {'by': 'sex', 'measure': ''}
    """
    return {name: str(query.get(name) or default) for name, default in defaults.items()}


def register(app: dash.Dash, page: str) -> None:
    """Gather what is chosen, in the browser (assets/choices.js)."""
    app.clientside_callback(
        ClientsideFunction("neurojoint_choices", "gather"),
        Output(store(page), "data"),
        Input({"type": "choice", "page": page, "name": dash.ALL}, "value"),
        Input({"type": "choice-switch", "page": page, "name": dash.ALL}, "checked"),
        State(f"{page}-defaults", "data"),
        State(f"{page}-path", "data"),
        prevent_initial_call=True,
    )
