"""Single values between clients and tables: parsing with limits, SQL literals, local times, identifiers of rows."""

from __future__ import annotations

import base64
import datetime
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from one_bridge.matching import literal
from one_bridge.server.endpoint_model import BadInput, Field, NotFound
from pipeline.entry import record_ids
from pipeline.entry.parse import zone_or_utc
from pipeline.errors import UserError

INTEGERS = {"int16": 15, "smallint": 15, "int32": 31, "integer": 31, "int": 31, "int64": 63, "bigint": 63}  # bits
LONGEST_JSON = 1 << 20  # characters
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def parse(field: Field, value: Any, attribute: Any = None, zone: str = "UTC") -> Any:
    """A value that a client sent, as Python and the tables want it.

    Parameters
    ----------
    field : what it is.
    value : from JSON, a form or a query string; None stays None.
    attribute : DataJoint's of the column, for its longest text and its range.
    zone : IANA name, of times without an offset.

    Raises
    ------
    BadInput : it is not of that kind, too long, or out of range.
    """
    if value is None:
        return None
    try:
        parsed = _PARSERS[field.kind](value, zone)
    except (ValueError, TypeError, OverflowError) as error:
        raise BadInput(field.name, str(error)) from None
    if field.choices and parsed not in field.choices:
        raise BadInput(field.name, f'"{value}" is not a valid choice: use one of {", ".join(field.choices)}.')
    if field.words:
        parsed = str(parsed)
        if parsed not in field.words:
            raise BadInput(field.name, f'"{value}" is not a valid choice: use one of {", ".join(field.words)}.')
        parsed = field.words[parsed]
    if attribute is not None:
        _check_fits(field, parsed, str(attribute.original_type or attribute.type))
    return parsed


def local_time(utc: datetime.datetime | None, zone: str) -> str | None:
    """A time of the tables as records say it: local, without an offset, as ISO 8601.

    >>> local_time(datetime.datetime(2023, 7, 1, 11), "Europe/London")
    '2023-07-01T12:00:00'
    """
    if utc is None:
        return None
    try:
        return utc.replace(tzinfo=datetime.UTC).astimezone(zone_or_utc(zone)).replace(tzinfo=None).isoformat()
    except (OverflowError, ValueError):
        return utc.isoformat()


def to_id(columns: Sequence[str], row: Mapping[str, Any]) -> str:
    """The identifier of a row in an address: its one key column, or a uuid (version 3) of several.

    Records whose key was changed keep their uuid: `_ids` of the row has the uuid that follows from the key now -> it.

    >>> to_id(["lab", "location"], {"lab": "simlab", "location": "rig1"})
    'aad3bc0e-11f2-36d1-ba09-508c91f00dc9'
    """
    if len(columns) == 1:
        return str(row[columns[0]])
    identifier = record_ids.derived(columns, row)
    return row.get("_ids", {}).get(identifier, identifier)


def uuid_condition(columns: Mapping[str, str], identifier: str, backend: str) -> str:
    """SQL that selects the row with this uuid: the database derives it for each row, as `to_id` does.

    Parameters
    ----------
    columns : mapping
        Columns of the key in order -> their types in the database.
    identifier : str
        A uuid in lower case.
    backend : str
        `postgresql` or `mysql`.
    """
    is_postgres = backend == "postgresql"
    parts = []
    for name, kind in columns.items():
        if "time" in kind.lower():
            form = "'YYYY-MM-DD HH24:MI:SS.US'" if is_postgres else "'%Y-%m-%d %H:%i:%s.%f'"
            parts.append(f"{'TO_CHAR' if is_postgres else 'DATE_FORMAT'}({name}, {form})")
        else:
            parts.append(f"CAST({name} AS {'TEXT' if is_postgres else 'CHAR'})")
    text = f"CONCAT({literal('/'.join(columns) + ':', backend)}, CONCAT_WS('/', {', '.join(parts)}))"
    space = record_ids.NAMESPACE.hex
    if is_postgres:
        digest = f"MD5(DECODE('{space}', 'hex') || CONVERT_TO({text}, 'UTF8'))"
    else:
        digest = f"MD5(CONCAT(UNHEX('{space}'), {text}))"
    plain = identifier.replace("-", "")
    # A uuid has its version and its variant in place of two digits of the hash.
    return f"{digest} LIKE '{plain[:12]}_{plain[13:16]}_{plain[17:]}'"


def from_id(text: str, n: int) -> list[str]:
    """The values behind an identifier as it was before uuids: one value, or a token of several.

    Raises
    ------
    NotFound : it is none.
    """
    if n == 1:
        return [text]
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        if isinstance(values, list) and len(values) == n and all(isinstance(value, str) for value in values):
            return [printable(value) for value in values]
    except (ValueError, RecursionError, BadInput):
        pass  # not one of ours, as the line below says
    raise NotFound


class Unprintable(UserError, ValueError):
    """A text that no database can hold. Becomes a 400 wherever it stands in a request."""


def printable(text: str) -> str:
    """The text, if a database can hold it (no NUL, no half of a surrogate pair).

    Raises
    ------
    Unprintable : it cannot.
    """
    if "\0" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise Unprintable("the text has signs that are not allowed.")
    return text


def is_uuid(text: str) -> bool:
    """Is it a uuid in lower case?"""
    return bool(_UUID.fullmatch(text))


def _text(value: Any, _: str) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("Not a valid string.")
    return printable(str(value))


def _int(value: Any, _: str) -> int:
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,19}", text, re.ASCII):
        raise ValueError("A valid integer is required.")
    return int(text)


def _float(value: Any, _: str) -> float:
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > 40:
        raise ValueError("A valid number is required.")
    try:
        number = float(value)
    except ValueError:
        raise ValueError("A valid number is required.") from None
    if not math.isfinite(number):
        raise ValueError("A finite number is required.")
    return number


def _bool(value: Any, _: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    parsed = known.get(str(value).strip().lower())
    if parsed is None:
        raise ValueError("Must be a valid boolean.")
    return parsed


def _date(value: Any, _: str) -> datetime.date:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value.strip(), re.ASCII):
        raise ValueError("Date has wrong format. Use YYYY-MM-DD.")
    return datetime.date.fromisoformat(value.strip())


def _time(value: Any, zone: str) -> datetime.datetime:
    if not isinstance(value, str) or len(value) > 40:
        raise ValueError("Datetime has wrong format. Use YYYY-MM-DDThh:mm:ss.")
    try:
        when = datetime.datetime.fromisoformat(value.strip().replace(" 00:00", "+00:00"))
    except ValueError:
        raise ValueError("Datetime has wrong format. Use YYYY-MM-DDThh:mm:ss.") from None
    if when.tzinfo is None:
        when = when.replace(tzinfo=zone_or_utc(zone))
    if not 1 < when.year < 9999:
        raise ValueError("Datetime is out of range.")
    return when.astimezone(datetime.UTC).replace(tzinfo=None)


def _json(value: Any, _: str) -> dict | list:
    if isinstance(value, str):
        if len(value) > LONGEST_JSON:
            raise ValueError("JSON is too long.")
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError("Value must be valid JSON.") from None
    if not isinstance(value, dict | list):
        raise ValueError("JSON must be an object or a list.")
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    except (ValueError, RecursionError):
        raise ValueError("Value must be valid JSON.") from None
    if len(text) > LONGEST_JSON:
        raise ValueError("JSON is too long.")
    printable(text)
    if "\\u0000" in text:
        raise ValueError("JSON has signs that are not allowed.")
    return value


def _uuid(value: Any, _: str) -> str:
    text = str(value).strip().rstrip("/").rsplit("/", 1)[-1].lower()  # a url of a record names it too
    if not is_uuid(text):
        raise ValueError(f"“{str(value)[:80]}” is not a valid UUID.")
    return text


_PARSERS = {
    "text": _text,
    "int": _int,
    "float": _float,
    "bool": _bool,
    "date": _date,
    "time": _time,
    "json": _json,
    "uuid": _uuid,
}


def _check_fits(field: Field, value: Any, declared: str) -> None:
    longest = re.search(r"char(?:acter varying|acter)?\((\d+)\)", declared.lower())
    if isinstance(value, str) and longest and len(value) > int(longest[1]):
        raise BadInput(field.name, f"Ensure this field has no more than {longest[1]} characters.")
    bits = INTEGERS.get(declared.lower().split("(")[0])
    if isinstance(value, int) and not isinstance(value, bool) and bits and not -(1 << bits) <= value < 1 << bits:
        raise BadInput(field.name, "This number is out of range.")


def key_condition(columns: Sequence[str], rows: Sequence[Sequence[Any] | Mapping[str, Any]], backend: str) -> str:
    """SQL that selects the rows with these values of some columns; false where there are none."""
    if not rows:
        return "1=0"
    values = [[row[name] for name in columns] if isinstance(row, Mapping) else row for row in rows]
    if len(columns) == 1:
        return f"{columns[0]} IN ({', '.join(literal(row[0], backend) for row in values)})"
    return " OR ".join(
        "(" + " AND ".join(f"{c} = {literal(v, backend)}" for c, v in zip(columns, row, strict=True)) + ")"
        for row in values
    )


def restriction(key: Mapping[str, Any], backend: str) -> str:
    """SQL that selects the rows with these values."""
    return key_condition(list(key), [list(key.values())], backend)
