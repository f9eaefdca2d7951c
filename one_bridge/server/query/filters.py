"""From the query string of a list to a DataJoint restriction: Alyx's filters, `django=`, JSON filters, pages.

Search terms of sessions, insertions and datasets are the query core's. Everything else is looked up in the registry:
a name that it does not hold, or a value of another kind, is an error of the client. Nothing is ever evaluated.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import datajoint as dj

from one_bridge import query
from one_bridge.matching import truth
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, NotFound, table
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import conditions
from one_bridge.server.query.literals import LONGEST_LIST, LOOKUPS, json_matches, parse_django, value_of
from pipeline.web.threads import Database

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
    found |= {name: Field(name) for name in endpoint.paths}
    own = (*endpoint.fields, *endpoint.filters)
    found |= {one.name: one for one in own if (one.filter or one.restrict) and one.name not in found}
    found |= {one.name: Field(one.name) for one in endpoint.many if one.filter and one.name not in found}
    if endpoint.dates:
        found["date_range"] = Field("date_range")
    found.setdefault("id", Field("id"))
    found["django"] = Field("django")
    return found


def asked(endpoint: Endpoint, parameters: Mapping[str, str]) -> Endpoint:
    """The endpoint whose records a query string is about: `aside`, if it asks for those without a session."""
    if not endpoint.aside or "session__isnull" not in parameters.get("django", ""):
        return endpoint
    without = [negate != truth(value) for negate, path, value in parse_django(parameters["django"])
               if path == "session__isnull"]  # fmt: skip
    return ENDPOINTS[endpoint.aside] if any(without) else endpoint


def restricted(endpoint: Endpoint, parameters: Mapping[str, str], database: Database) -> conditions.Listed:
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
    given = {name: _clean(name, text) for name, text in given.items()}
    terms = {endpoint.terms[name]: text for name, text in given.items() if name in endpoint.terms}
    search = getattr(query, endpoint.search) if terms else None
    found = conditions.Listed(endpoint, search(terms, query.Reading("alyx")) if search else table(endpoint.table)())
    in_json: list[tuple[Field, list[str], Any, bool]] = []  # these look at the rows that are left
    for name, text in given.items():
        if name in endpoint.terms:
            continue
        if name in endpoint.paths:
            path = endpoint.paths[name].split("__")
            try:
                found.restrict(conditions.by_path(endpoint, path, _listed(text), database))
            except BadInput as error:
                raise BadInput(name, next(iter(error.problems.values()))[0]) from None
        elif name == "django":
            for negate, path, value in parse_django(text):
                parts = path.split("__")
                field = conditions.field_of(endpoint, parts[0])
                if field is not None and field.kind == "json":
                    in_json.append((field, parts[1:], value, negate))
                    continue
                condition = conditions.by_path(endpoint, parts, value, database)
                found.restrict(dj.Not(condition) if negate else condition)
        elif name == "date_range":
            found.restrict(_date_range(endpoint.dates, text))
        elif name == "id":
            found.restrict([_by_id(endpoint, one, database) for one in _listed(text)])
        elif (many := next((one for one in endpoint.many if one.name == name), None)) and many.filter:
            found.restrict(conditions.by_names(endpoint, many, many.filter, _listed(text), database))
        elif means := known[name].restrict:
            found.restrict([means(one, database.backend) for one in _listed(text)])
        elif known[name].filter == "json":
            in_json += [(known[name], path, value, False) for path, value in _json_pairs(name, text)]
        else:
            try:
                found.restrict(conditions.compare(known[name], known[name].filter, _listed(text), database))
            except ValueError as error:
                raise BadInput(name, str(error)) from None
    for field, path, value, negate in in_json:
        found.restrict(_by_json(found, field, path, value, negate, database))
    return found


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
    heading = endpoint.base().heading
    for column, value in zip(endpoint.id, found, strict=True):
        declared = str(heading[column].original_type or heading[column].type).lower()
        kind = "int" if "int" in declared else "time" if "time" in declared else "date" if "date" in declared else ""
        try:
            _ = values.parse(Field(column, kind=kind), value) if kind else value
        except BadInput:
            if endpoint.alias:  # e.g. the acronym of a region
                return values.key_condition([endpoint.alias], [[text]], database.backend)
            raise NotFound from None
    return values.key_condition(endpoint.id, [found], database.backend)


def _by_id(endpoint: Endpoint, text: str, database: Database) -> str:
    try:
        return by_id(endpoint, text, database)
    except NotFound:
        return "1=0"


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


def _json_pairs(name: str, text: str) -> list[tuple[list[str], Any]]:
    """Paths with lookups, and values, of a filter of JSON: `key__lookup;value`."""
    parts = [part.strip() for part in re.split(r"[;,]", text)]
    if len(parts) % 2:
        raise BadInput(name, "JSON filters are pairs: key__lookup;value.")
    return [(path.split("__"), value_of(value)) for path, value in zip(parts[::2], parts[1::2], strict=True)]


def _by_json(
    found: conditions.Listed, field: Field, path: list[str], value: Any, negate: bool, database: Database
) -> str:
    """The records whose JSON has such a value, looked for in Python: both databases write that differently."""
    lookup = path.pop() if path and path[-1] in LOOKUPS else "exact"
    identifier = found.endpoint.id
    there = database.select(found.rows & f"{field.column} IS NOT NULL", [*identifier, field.column])
    rows = [row for row in there if json_matches(row[field.column], path, lookup, value)]
    condition = values.key_condition(identifier, rows, database.backend)
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
