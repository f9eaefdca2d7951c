"""How search values are read and compared: with the values that the tables hold, in Python.

What a person typed never becomes part of an SQL text: a restriction names values that the database holds, or uuids.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

import datajoint as dj

from pipeline.database.bulk import fetch_columns
from pipeline.errors import UserError
from pipeline.schemas import acquisition

QC_LEVELS = {"NOT_SET": 0, "PASS": 10, "WARNING": 30, "FAIL": 40, "CRITICAL": 50}
"""The values of `one.alf.spec.QC`, best first."""

Style = Literal["one", "alyx"]


class InvalidQuery(UserError, ValueError):
    """A search term that does not exist, or a value that it cannot have."""


@dataclass(frozen=True)
class Reading:
    """How values are read.

    Attributes:
        style: `one`: as the client does in its local mode: text is a regular expression found anywhere, case counts.
            `alyx`: as Alyx's REST filters: names are compared whole, other text is found anywhere, case does not count,
            and text is split at commas.
        wildcards: in the style `one`, whether text is a regular expression (as `One.wildcards`), or itself.
        tag: only what belongs to this set of datasets is there.
    """

    style: Style = "one"
    wildcards: bool = True
    tag: str | None = None


Term = Callable[[Any, Reading, Mapping[str, Any]], Iterable[Any]]
"""From a value, how to read it, and all terms to restrictions, all of which hold."""


class Comparison(str):
    """A restriction of one column as SQL, which also says what it compares, for values in memory.

    Attributes:
        column: its name.
        operator: `IN`, `>=` or `<=`.
        value: a date, of `IN` a list.
    """

    column: str
    operator: str
    value: Any

    def __new__(cls, column: str, operator: str, value: Any, sql: str) -> Comparison:
        """`sql` is the value in SQL."""
        made = super().__new__(cls, f"{column} {operator} {sql}")
        made.column, made.operator, made.value = column, operator, value
        return made


def one_of(column: str, values: Iterable[Any]) -> Comparison | list:
    """A restriction to rows whose column has one of these values; of no values, one that no row meets."""
    backend = acquisition.Session().connection.adapter.backend
    given = list(values)
    listed = ", ".join(dict.fromkeys(literal(value, backend) for value in given))
    return Comparison(column, "IN", given, f"({listed})") if listed else []


def literal(value: Any, backend: str) -> str:
    """A value as SQL. Text that holds a quote or a backslash is written as its bytes, so that it cannot end anything.

    >>> literal("KS014", "mysql"), literal(True, "mysql"), literal(1.5, "mysql"), literal("it's", "mysql")
    ("'KS014'", 'TRUE', '1.5', "_utf8mb4 X'69742773'")
    >>> literal("it's", "postgresql")
    "CONVERT_FROM(DECODE('69742773', 'hex'), 'UTF8')"
    """
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int):
        return str(int(value))
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, datetime.datetime):
        return f"'{value.isoformat(sep=' ')}'"
    if isinstance(value, datetime.date):
        return f"'{value.isoformat()}'"
    text = str(value)
    if not re.search(r"""['"`\\]""", text):
        return f"'{text}'"
    content = text.encode().hex()
    return f"CONVERT_FROM(DECODE('{content}', 'hex'), 'UTF8')" if backend == "postgresql" else f"_utf8mb4 X'{content}'"


def by_ids(column: str, ids: Iterable[object]) -> Comparison | list:
    """A restriction to rows whose column (eid, pid, dataset_id) is one of these uuids.

    Raises
    ------
    InvalidQuery : one of them is not a uuid.
    """
    return one_of(column, [_uuid(value) for value in ids])


def values_of(value: Any, reading: Reading) -> list[Any]:
    """The values that a term was given: a list, or one value (in the style `alyx` text with commas is a list)."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if reading.style == "alyx" else [value]
    if isinstance(value, Iterable) and not isinstance(value, Mapping):
        return list(value)
    return [value]


def matching(vocabulary: Iterable[str], wanted: Iterable[Any], reading: Reading, whole: bool = False) -> list[str]:
    """Which values of a vocabulary match at least one of what is wanted, as `Reading` says.

    Parameters
    ----------
    whole : in the style `alyx`, the whole value must match.

    >>> matching(["KS014", "ks014"], ["S01"], Reading())
    ['KS014']
    >>> matching(["KS014", "ks014", "KS0145"], ["Ks014"], Reading("alyx"), whole=True)
    ['KS014', 'ks014']
    """
    vocabulary, wanted = list(vocabulary), [str(item) for item in wanted]
    if reading.style == "alyx":
        folded = [item.casefold() for item in wanted]
        if whole:
            return [value for value in vocabulary if value.casefold() in folded]
        return [value for value in vocabulary if any(item in value.casefold() for item in folded)]
    if not reading.wildcards:
        return [value for value in vocabulary if any(item in value for item in wanted)]
    try:
        pattern = re.compile("|".join(wanted))
    except re.error as error:
        raise InvalidQuery(
            f"{'|'.join(wanted)!r} is no regular expression ({error})", "or set wildcards=False"
        ) from None
    return [value for value in vocabulary if pattern.search(value)]


def vocabulary(query: Any, column: str) -> list[str]:
    """The different values of a column, sorted."""
    return sorted(fetch_columns(dj.U(column) & query, column)[column].to_pylist())


def qc_up_to(value: Any) -> list[str]:
    """The QC outcomes at or below a level, which is a name or number of `one.alf.spec.QC`.

    >>> qc_up_to("WARNING"), qc_up_to(10)
    (['NOT_SET', 'PASS', 'WARNING'], ['NOT_SET', 'PASS'])
    """
    from one.alf.spec import QC

    try:
        limit = QC.validate(int(value) if isinstance(value, str) and value.isdecimal() else value)
    except (ValueError, TypeError) as error:
        raise InvalidQuery(f"{value!r} is no QC outcome", f"it is one of {', '.join(QC_LEVELS)}") from error
    return [name for name, level in QC_LEVELS.items() if level <= limit]


def truth(value: Any) -> bool:
    """What a filter means by True, 'true', '1' …; raises `InvalidQuery` for anything else.

    >>> truth("False"), truth(True)
    (False, True)
    """
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if str(value).lower() not in known:
        raise InvalidQuery(f"{value!r} is neither true nor false", "write True or False")
    return known[str(value).lower()]


_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _uuid(value: object) -> str:
    if type(value) is str and _CANONICAL.fullmatch(value):  # by the hundred thousand
        return value
    try:
        return str(value if isinstance(value, UUID) else UUID(str(value)[-36:]))
    except ValueError as error:
        raise InvalidQuery(f"{value!r} is no uuid", "it is 36 characters long") from error
