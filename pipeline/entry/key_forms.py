"""Keys of animals and sessions as people write them, and rows as JSON holds them."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from typing import Any

from pipeline.errors import UserError

SUBJECT = ("lab", "subject")
SESSION = (*SUBJECT, "session_date", "session_number")
_SESSION_PATH = re.compile(r"(\w+)/(?:Subjects/)?([\w.-]+)/(\d{4}-\d{2}-\d{2})/(\d{1,3})/?", re.ASCII)


def session_key(path: str) -> dict[str, Any]:
    """The primary key of a session path, `lab/Subjects/subject/date/number`.

    Raises
    ------
    UserError
        It is no such path.

    >>> session_key("mylab/Subjects/m1/2024-01-31/001")["session_number"]
    1
    """
    match = _SESSION_PATH.fullmatch(path.strip())
    if match is None:
        raise UserError(f"{path!r} is no session", "write it as LAB/Subjects/SUBJECT/YYYY-MM-DD/NNN")
    try:
        day = datetime.date.fromisoformat(match[3])
    except ValueError:
        raise UserError(f"{match[3]} is no date", "write it as YYYY-MM-DD") from None
    return dict(zip(SESSION, (match[1], match[2], day, int(match[4])), strict=True))


def path_of(key: Mapping[str, Any]) -> str:
    """How people write an animal or a session.

    >>> path_of({"lab": "a", "subject": "m"}), path_of(session_key("a/Subjects/m/2024-01-31/1"))
    ('a/m', 'a/Subjects/m/2024-01-31/001')
    """
    if "session_date" not in key:
        return f"{key['lab']}/{key['subject']}"
    return f"{key['lab']}/Subjects/{key['subject']}/{key['session_date']}/{key['session_number']:03d}"


def to_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row as JSON can hold it."""

    def value_of(value: Any) -> Any:
        if isinstance(value, datetime.date | datetime.datetime):
            return {"time": value.isoformat()}
        return value.item() if hasattr(value, "item") else value

    return {name: value_of(value) for name, value in row.items()}


def from_json(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row out of JSON."""

    def value_of(value: Any) -> Any:
        if not (isinstance(value, dict) and value.keys() == {"time"}):
            return value
        text = value["time"]
        return datetime.datetime.fromisoformat(text) if "T" in text else datetime.date.fromisoformat(text)

    return {name: value_of(value) for name, value in row.items()}
