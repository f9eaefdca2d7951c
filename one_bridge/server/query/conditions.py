"""From a field, or a path of fields, and values to SQL: what one filter of a list compares.

Whatever the registry does not hold, or a value of another kind, is an error of the client. Nothing is ever evaluated.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import datajoint as dj
from datajoint.condition import extract_column_names

from one_bridge import query
from one_bridge.matching import truth
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Many, Relation, table
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query.literals import LONGEST_LIST, LOOKUPS, ORDER_LOOKUPS, TEXT_LOOKUPS, json_matches
from pipeline.web.threads import Database


class Listed:
    """The rows of a list, and what restricts them.

    Attributes
    ----------
    own : the rows of the endpoint's own table.
    """

    def __init__(self, endpoint: Endpoint, own: dj.Table) -> None:
        self.endpoint, self.own = endpoint, own
        self._others: list[Any] = []
        self._beyond = set(endpoint.base().heading.names) - set(own.heading.names)

    @property
    def rows(self) -> dj.expression.QueryExpression:
        """The rows with all that is joined to them."""
        found = self.endpoint.base(self.own)
        for one in self._others:
            found &= one
        return found

    @property
    def counted(self) -> dj.expression.QueryExpression:
        """As many rows, with as little as possible joined to them."""
        return self.rows if self._others else self.own

    def restrict(self, condition: Any) -> None:
        """Keep the rows that meet a condition; before anything is joined, if it looks at the table alone."""
        if columns_of(condition) & self._beyond:
            self._others.append(condition)
        else:
            self.own &= condition


def columns_of(condition: Any) -> set[str]:
    """The columns that a restriction may look at."""
    if isinstance(condition, str):
        return extract_column_names(condition)
    if isinstance(condition, dj.Not):
        return columns_of(condition.restriction)
    if isinstance(condition, list):
        return set().union(*map(columns_of, condition))
    return set(condition) if isinstance(condition, dict) else set(condition.heading.names)


def by_path(endpoint: Endpoint, path: list[str], value: Any, database: Database, depth: int = 0) -> Any:
    """The restriction that one pair of a `django=` filter means.

    Raises
    ------
    BadInput : the registry has no such path, or the value cannot be used.
    """
    head, rest = path[0], path[1:]
    if depth > 5:
        raise BadInput("django", "The path is too long.")
    relation = endpoint.relations.get(head)
    if relation is not None and rest and rest != ["isnull"] and not (len(rest) == 1 and rest[0] in LOOKUPS):
        there = ENDPOINTS[relation.endpoint]
        return _through(relation, by_path(there, rest, value, database, depth + 1))
    many = next((one for one in endpoint.many if one.name == head or one.name.rstrip("s") == head), None)
    if many is not None and not many.name.startswith("_"):
        if rest and rest[0] in ("name", "username", "nickname", "pk", "id"):
            rest = rest[1:]
        return by_names(endpoint, many, _lookup(rest), value if isinstance(value, list) else [value], database)
    field = field_of(endpoint, head)
    if field is None:
        if relation is None:
            raise BadInput("django", f"{endpoint.label} has no field {head!r}.")
        if rest == ["isnull"]:
            return dj.Not(_through(relation)) if _truth(value) else _through(relation)
        there = ENDPOINTS[relation.endpoint]
        field = there.field("name") or there.field("id")
        return _through(relation, by_path(there, [field.name, *rest], value, database, depth + 1))
    if field.kind == "json":
        raise BadInput("django", f"{head!r} can be looked into from its own endpoint only.")
    if field.to and rest and rest[0] in ("name", "username", "nickname"):
        rest = rest[1:]
    if field.kind == "time" and rest[:1] == ["date"]:
        field, rest = replace(field, kind="date", sql=lambda _, column=field.column: f"DATE({column})"), rest[1:]
    try:
        return compare(field, _lookup(rest), value if isinstance(value, list) else [value], database)
    except ValueError as error:
        raise BadInput("django", f"{'__'.join(path)}: {error}") from None


def field_of(endpoint: Endpoint, name: str) -> Field | None:
    """The field of this name that a column stands behind; `pk` and `id` are the identifier."""
    if name in ("pk", "id"):
        if len(endpoint.id) == 1:
            column = endpoint.alias if endpoint.alias.endswith("uuid") else endpoint.id[0]
            uuids = ("eid", "pid", "dataset_id", "note_id", "subject_uuid")
            return Field("pk", column, "uuid" if column in uuids else "int" if column == "region_id" else "text")
        return None
    field = endpoint.field(name)
    return field if field is not None and field.column else None


def compare(field: Field, lookup: str, wanted: list[Any], database: Database) -> str:
    """SQL that compares one column; more than one value means OR.

    Raises
    ------
    ValueError : a value or lookup that cannot be used.
    """
    backend = database.backend
    shown = field.among() if field.among else field.spoken
    if shown and not lookup.endswith("regex"):  # the database gives up in time, Python does not
        wanted = [shown.get((field.words or {}).get(str(one), ""), one) for one in wanted]
        values_of_all = [wanted] if lookup in ("in", "range") else wanted
        found = [
            stored
            for stored, name in shown.items()
            if any(json_matches(name, [], lookup, one) for one in values_of_all)
        ]
        return query.one_of(field.column, found) or "1=0"
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


def by_names(endpoint: Endpoint, many: Many, lookup: str, wanted: list[Any], database: Database) -> Any:
    """The restriction to records that have one of these names in a list of theirs.

    Raises
    ------
    BadInput : a value that cannot be used.
    """
    field = Field(many.name, many.column)
    names = table(many.table)()
    if lookup == "isnull":
        return (
            dj.Not(names.proj(*_shared(endpoint, names)))
            if _truth(wanted[0])
            else names.proj(*_shared(endpoint, names))
        )
    try:
        names &= compare(field, lookup, wanted, database)
    except ValueError as error:
        raise BadInput(many.name, str(error)) from None
    return names.proj(*_shared(endpoint, names))


def _through(relation: Relation, condition: Any = ()) -> dj.expression.QueryExpression:
    """The values of the columns that a relation goes by, of the related rows that meet a condition."""
    endpoint = ENDPOINTS[relation.endpoint]
    found = Listed(endpoint, table(endpoint.table)())
    if condition != ():
        found.restrict(condition)
    named = set(relation.on) <= set(found.counted.heading.names)
    return (found.counted if named else found.rows).proj(*relation.on)


def _lookup(rest: list[str]) -> str:
    if not rest:
        return "exact"
    if len(rest) > 1 or rest[0] not in LOOKUPS:
        raise BadInput("django", f"{'__'.join(rest)!r} is no lookup. Known are {', '.join(LOOKUPS)}.")
    return rest[0]


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


def _shared(endpoint: Endpoint, names: dj.Table) -> list[str]:
    return [name for name in table(endpoint.table)().primary_key if name in names.heading.names] or [
        name for name in names.heading.names if name in endpoint.base().heading.names
    ]


def _truth(value: Any) -> bool:
    try:
        return truth(value)
    except query.InvalidQuery as error:
        raise BadInput("django", error.message) from None
