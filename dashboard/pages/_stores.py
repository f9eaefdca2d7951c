"""What pages keep in the browser and get back, and what components send; `callback_requests` refuses other shapes."""

from __future__ import annotations

from typing import Any, TypedDict

from pipeline.web.error_words import InvalidRequest


class ShownMouse(TypedDict):
    """The mouse that a page shows; `choices`: how many of its days can be compared."""

    lab: str
    name: str
    rules: str
    version: str
    choices: int


class ShownSession(TypedDict):
    """The session that a page shows, and the trials that were chosen of it."""

    lab: str
    name: str
    date: str
    number: str
    rules: str
    version: str
    trials: str


class RowsRequest(TypedDict, total=False):
    """What AG Grid asks for: rows from `startRow` to `endRow` of its filters and order."""

    startRow: int | None
    endRow: int | None
    filterModel: dict[str, Any] | None
    sortModel: list[dict[str, Any]] | None


def clicked(click: dict[str, Any] | None) -> int | None:
    """The number that the first point of a click on a figure carries, if any.

    Raises
    ------
    InvalidRequest : it carries something else.

    >>> clicked({"points": [{"customdata": [12, "x"]}]}), clicked({"points": [{}]}), clicked(None)
    (12, None, None)
    """
    try:
        data = click["points"][0].get("customdata") if click else None
        return int(data[0]) if data else None
    except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
        raise InvalidRequest("This is no point of a figure") from None
