"""From the query string of a list to a DataJoint restriction: Alyx's filters, `django=`, JSON filters, pages.

Search terms of sessions, insertions and datasets are the query core's. Everything else is looked up in the registry:
a name that it does not hold, or a value of another kind, is an error of the client. Nothing is ever evaluated.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import datajoint as dj

from one_bridge import query
from one_bridge.matching import truth
from one_bridge.server import values
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.literals import (
    LONGEST_LIST,
    LOOKUPS,
    ORDER_LOOKUPS,
    TEXT_LOOKUPS,
    json_matches,
    parse_django,
    value_of,
)
from one_bridge.server.shapes import BadInput, Endpoint, Field, Many, NotFound, table
from pipeline.database.threads import Database

PAGE, LONGEST_PAGE = 250, 1000
PAGING = ("limit", "offset", "format")


@dataclass(frozen=True)
class Page:
    """Which records of a list are wanted."""

    limit: int
    offset: int


def page(parameters: Mapping[str, str]) -> Page:
    """The page that a query string asks for.

    Raises
    ------
    BadInput : `limit` or `offset` is not a number from 1, or from 0, on.
    """
    limit = _whole(parameters, "limit", PAGE, 1)
    return Page(min(limit, LONGEST_PAGE), _whole(parameters, "offset", 0, 0))


def known_parameters(endpoint: Endpoint) -> dict[str, Field]:
    """Every filter of a list, in order: name -> what its values are."""
    found = {name: Field(name) for name in endpoint.terms}
    found |= {one.name: one for one in endpoint.fields if one.filter and one.name not in found}
    found |= {one.name: Field(one.name) for one in endpoint.many if one.filter and one.name not in found}
    if endpoint.dates:
        found["date_range"] = Field("date_range")
    found.setdefault("id", Field("id"))
    found["django"] = Field("django")
    return found


def restricted(endpoint: Endpoint, parameters: Mapping[str, str], database: Database) -> dj.expression.QueryExpression:
    """The rows of a list.

    Parameters
    ----------
    parameters : the query string, each name once.

    Raises
    ------
    BadInput : an unknown name, or a value that cannot be used.
    """
    known = known_parameters(endpoint)
    given = {name: text for name, text in parameters.items() if name not in PAGING and text != ""}
    for name in given:
        if name not in known:
            raise BadInput(name, f"Unknown filter. Known are {', '.join(known)}.")
    terms = {endpoint.terms[name]: _clean(name, text) for name, text in given.items() if name in endpoint.terms}
    rows = _rows(endpoint, terms)
    later: list[tuple[Field, list[str], Any, bool]] = []
    for name, text in given.items():
        if name in endpoint.terms:
            continue
        if name == "django":
            for negate, path, value in parse_django(_clean(name, text)):
                rows = _by_path(rows, endpoint, path.split("__"), value, negate, database, later, name)
        elif name == "date_range":
            rows &= _date_range(endpoint.dates, _clean(name, text))
        elif name == "id":
            rows &= [_by_id(endpoint, one, database) for one in _listed(_clean(name, text))]
        elif (many := next((one for one in endpoint.many if one.name == name), None)) and many.filter:
            rows &= _of_many(endpoint, many, many.filter, _listed(_clean(name, text)), database)
        else:
            rows = _by_field(rows, endpoint, known[name], _clean(name, text), database, later)
    for field, path, value, negate in later:  # they look at the rows that are left
        rows &= _by_json(rows, endpoint, field, path, value, negate, database)
    return rows


def by_id(endpoint: Endpoint, text: str, database: Database) -> str:
    """The restriction to the record with this identifier.

    Raises
    ------
    NotFound : it cannot be one.
    """
    try:
        values.printable(text)
    except ValueError:
        return "1=0"
    if endpoint.alias and (values.is_uuid(text.lower()) or len(endpoint.id) > 1):
        column, value = endpoint.alias, text.lower() if endpoint.alias.endswith("uuid") else text
        if endpoint.alias.endswith("uuid") or not _looks_like_token(endpoint, text):
            return values.key_condition([column], [[value]], database.backend)
    found = values.from_id(text, len(endpoint.id))
    if endpoint.id[0] in ("eid", "pid", "dataset_id", "note_id"):
        found[0] = found[0].lower()
    heading = base(endpoint).heading
    for column, value in zip(endpoint.id, found, strict=True):
        kind = str(heading[column].original_type or heading[column].type).lower()
        if "time" in kind:
            values.parse(Field(column, kind="time"), value)
    return values.key_condition(endpoint.id, [found], database.backend)


def _by_id(endpoint: Endpoint, text: str, database: Database) -> str:
    try:
        return by_id(endpoint, text, database)
    except NotFound:
        return "1=0"


def base(endpoint: Endpoint) -> dj.expression.QueryExpression:
    """The query behind the records of an endpoint."""
    return endpoint.rows() if endpoint.rows else table(endpoint.table)()


def _rows(endpoint: Endpoint, terms: Mapping[str, str]) -> dj.expression.QueryExpression:
    if not terms:
        return base(endpoint)
    found = getattr(query, endpoint.search)(terms, query.Reading("alyx"))
    return found if endpoint.rows is None else endpoint.rows() & found.proj()


def _whole(parameters: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = parameters.get(name, "")
    if text == "":
        return default
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or int(text) < least:
        raise BadInput(name, f"A whole number from {least} on is required.")
    return int(text)


def _clean(name: str, text: str) -> str:
    try:
        return values.printable(text)
    except ValueError as error:
        raise BadInput(name, str(error)) from None


def _listed(value: Any) -> list[Any]:
    """Several values, between commas or in a list, mean OR."""
    if isinstance(value, list):
        found = value
    else:
        found = [part.strip() for part in value.split(",")] if isinstance(value, str) else [value]
    if len(found) > LONGEST_LIST:
        raise ValueError(f"At most {LONGEST_LIST} values.")
    return found


def _by_field(rows: Any, endpoint: Endpoint, field: Field, text: str, database: Database, later: list) -> Any:
    if field.filter == "json":
        parts = [part.strip() for part in re.split(r"[;,]", text)]
        if len(parts) % 2:
            raise BadInput(field.name, "JSON filters are pairs: key__lookup;value.")
        for path, value in zip(parts[::2], parts[1::2], strict=True):
            later.append((field, path.split("__"), value_of(value), False))
        return rows
    try:
        return rows & _compare(endpoint, field, field.filter, _listed(text), database)
    except ValueError as error:
        raise BadInput(field.name, str(error)) from None


def _by_path(
    rows: Any, endpoint: Endpoint, path: list[str], value: Any, negate: bool, database: Database, later: list, name: str
) -> Any:
    """Restrict by one pair of a `django=` filter."""
    field = _field_of(endpoint, path[0])
    if field is not None and field.kind == "json":
        later.append((field, path[1:], value, negate))
        return rows
    condition = _condition(endpoint, path, value, database)
    return rows & (dj.Not(condition) if negate else condition)


def _condition(endpoint: Endpoint, path: list[str], value: Any, database: Database, depth: int = 0) -> Any:
    head, rest = path[0], path[1:]
    if depth > 5:
        raise BadInput("django", "The path is too long.")
    relation = endpoint.relations.get(head)
    if relation is not None and rest and rest != ["isnull"] and not (len(rest) == 1 and rest[0] in LOOKUPS):
        there = ENDPOINTS[relation.endpoint]
        found = base(there) & _condition(there, rest, value, database, depth + 1)
        return found.proj(*relation.on)
    many = next((one for one in endpoint.many if one.name == head or one.name.rstrip("s") == head), None)
    if many is not None and not many.name.startswith("_"):
        if rest and rest[0] in ("name", "username", "nickname", "pk", "id"):
            rest = rest[1:]
        return _of_many(endpoint, many, _lookup(rest), value if isinstance(value, list) else [value], database)
    field = _field_of(endpoint, head)
    if field is None:
        if relation is None:
            raise BadInput("django", f"{endpoint.label} has no field {head!r}.")
        if rest == ["isnull"]:
            there = base(ENDPOINTS[relation.endpoint]).proj(*relation.on)
            return dj.Not(there) if _truth(value) else there
        field = ENDPOINTS[relation.endpoint].field("name") or ENDPOINTS[relation.endpoint].field("id")
        there = ENDPOINTS[relation.endpoint]
        return (base(there) & _condition(there, [field.name, *rest], value, database, depth + 1)).proj(*relation.on)
    if field.kind == "json":
        raise BadInput("django", f"{head!r} can be looked into from its own endpoint only.")
    if field.to and rest and rest[0] in ("name", "username", "nickname"):
        rest = rest[1:]
    if field.kind == "time" and rest[:1] == ["date"]:
        field, rest = replace(field, kind="date", sql=lambda _, column=field.column: f"DATE({column})"), rest[1:]
    try:
        return _compare(endpoint, field, _lookup(rest), value if isinstance(value, list) else [value], database)
    except ValueError as error:
        raise BadInput("django", f"{'__'.join(path)}: {error}") from None


def _field_of(endpoint: Endpoint, name: str) -> Field | None:
    if name in ("pk", "id"):
        if len(endpoint.id) == 1:
            column = endpoint.alias if endpoint.alias.endswith("uuid") else endpoint.id[0]
            kind = "uuid" if column in ("eid", "pid", "dataset_id", "note_id", "subject_uuid") else "text"
            return Field("pk", column, kind)
        return None
    field = endpoint.field(name)
    return field if field is not None and field.column else None


def _lookup(rest: list[str]) -> str:
    if not rest:
        return "exact"
    if len(rest) > 1 or rest[0] not in LOOKUPS:
        raise BadInput("django", f"{'__'.join(rest)!r} is no lookup. Known are {', '.join(LOOKUPS)}.")
    return rest[0]


def _compare(endpoint: Endpoint, field: Field, lookup: str, wanted: list[Any], database: Database) -> str:
    """SQL that compares one column; more than one value means OR."""
    backend = database.backend
    column = field.sql(backend) if field.sql else field.column
    if lookup == "isnull":
        return f"{column} IS NULL" if _truth(wanted[0]) else f"{column} IS NOT NULL"
    if lookup == "range":
        if len(wanted) != 2:
            raise ValueError("a range has two values.")
        low, high = (values.literal(_typed(field, one), backend) for one in wanted)
        return f"{column} BETWEEN {low} AND {high}"
    if lookup in TEXT_LOOKUPS and lookup != "exact" and field.kind not in ("text", "uuid"):
        if lookup != "iexact":
            raise ValueError(f"{lookup} is for text.")
        lookup = "exact"
    if field.kind == "uuid" and lookup in ("exact", "iexact", "in"):
        lookup = "in"
    if len(wanted) > LONGEST_LIST:
        raise ValueError(f"At most {LONGEST_LIST} values.")
    if lookup in ("exact", "in"):
        present = [values.literal(_typed(field, one), backend) for one in wanted if one is not None]
        choices = [f"{_as_text(field, column, backend)} IN ({', '.join(present)})"] if present else []
        if None in wanted:
            choices.append(f"{column} IS NULL")
        return " OR ".join(choices) or "1=0"
    if lookup in ORDER_LOOKUPS:
        return " OR ".join(
            f"{column} {ORDER_LOOKUPS[lookup]} {values.literal(_typed(field, one), backend)}" for one in wanted
        )
    return " OR ".join(_like(_as_text(field, column, backend), lookup, str(one), backend) for one in wanted) or "1=0"


def _like(column: str, lookup: str, text: str, backend: str) -> str:
    """SQL that compares text; `!` escapes what LIKE takes for a wildcard."""
    values.printable(text)
    if lookup in ("regex", "iregex"):
        try:
            re.compile(text)
        except (re.error, RecursionError, OverflowError) as error:
            raise ValueError(f"no regular expression ({error}).") from None
        operator = {"regex": "~", "iregex": "~*"}[lookup] if backend == "postgresql" else "REGEXP"
        column, text = (
            (f"LOWER({column})", text.lower()) if operator == "REGEXP" and lookup == "iregex" else (column, text)
        )
        return f"{column} {operator} {values.literal(text, backend)}"
    if lookup.startswith("i"):
        column, text, lookup = f"LOWER({column})", text.lower(), lookup[1:]
    if lookup == "exact":
        return f"{column} = {values.literal(text, backend)}"
    escaped = re.sub(r"([!%_])", r"!\1", text)
    pattern = {"contains": f"%{escaped}%", "startswith": f"{escaped}%", "endswith": f"%{escaped}"}[lookup]
    return f"{column} LIKE {values.literal(pattern, backend)} ESCAPE '!'"


def _as_text(field: Field, column: str, backend: str) -> str:
    """An enum of PostgreSQL refuses words that it does not have: compared as text it just has none of them."""
    return f"CAST({column} AS CHAR(64))" if field.choices and not field.sql and backend == "postgresql" else column


def _typed(field: Field, value: Any) -> Any:
    if value is None:
        raise ValueError("a value is required.")
    if field.kind == "text" and isinstance(value, bool):
        value = str(value)
    try:
        return values.parse(replace(field, choices=()), value)
    except BadInput as error:
        raise ValueError(next(iter(error.problems.values()))[0]) from None


def _of_many(endpoint: Endpoint, many: Many, lookup: str, wanted: list[Any], database: Database) -> Any:
    field = Field(many.name, many.column)
    names = table(many.table)()
    if lookup == "isnull":
        return (
            dj.Not(names.proj(*_shared(endpoint, names)))
            if _truth(wanted[0])
            else names.proj(*_shared(endpoint, names))
        )
    try:
        names &= _compare(endpoint, field, lookup, wanted, database)
    except ValueError as error:
        raise BadInput(many.name, str(error)) from None
    return names.proj(*_shared(endpoint, names))


def _shared(endpoint: Endpoint, names: dj.Table) -> list[str]:
    return [name for name in table(endpoint.table)().primary_key if name in names.heading.names] or [
        name for name in names.heading.names if name in base(endpoint).heading.names
    ]


def _by_json(
    rows: Any, endpoint: Endpoint, field: Field, path: list[str], value: Any, negate: bool, database: Database
) -> str:
    """The records whose JSON has such a value, looked for in Python: both databases write that differently."""
    lookup = path.pop() if path and path[-1] in LOOKUPS else "exact"
    there = database.select(rows & f"{field.column} IS NOT NULL", [*endpoint.id, field.column])
    found = [row for row in there if json_matches(row[field.column], path, lookup, value)]
    condition = values.key_condition(endpoint.id, found, database.backend)
    return f"NOT ({condition})" if negate else condition


def _date_range(column: str, text: str) -> str:
    """Between two days of the lab's own calendar, both included."""
    days = [part.strip() for part in text.split(",")]
    if len(days) == 1:
        days *= 2
    if len(days) != 2:
        raise BadInput("date_range", "Give one day or two: 2020-01-01,2020-01-31.")
    low, high = (values.parse(Field("date_range", kind="date"), day) for day in days)
    if not datetime.date(2, 1, 1) < low <= datetime.date(9990, 1, 1) or not low <= high <= datetime.date(9990, 1, 1):
        raise BadInput("date_range", "The first day comes after the second, or is out of range.")
    zones: dict[str, list[str]] = {}
    for one in table("lab.Lab")().proj("time_zone").to_dicts():
        zones.setdefault(one["time_zone"], []).append(one["lab"])
    choices = []
    for zone, labs in zones.items():
        start, end = (
            values.parse(Field("date_range", kind="time"), f"{day}T00:00:00", zone=zone)
            for day in (low, high + datetime.timedelta(days=1))
        )
        choices.append(f"{query.one_of('lab', labs)} AND {column} >= '{start}' AND {column} < '{end}'")
    return " OR ".join(f"({one})" for one in choices) or "1=0"


def _looks_like_token(endpoint: Endpoint, text: str) -> bool:
    try:
        values.from_id(text, len(endpoint.id))
    except NotFound:
        return False
    return True


def _truth(value: Any) -> bool:
    try:
        return truth(value)
    except query.InvalidQuery as error:
        raise BadInput("django", error.message) from None
