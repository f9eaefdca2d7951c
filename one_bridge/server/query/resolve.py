"""Second step: pairs of paths and values become comparisons of fields that the registry has, with values of their type.

No database is asked. A path, a lookup or a value that cannot be used is an error of the client, which names what can.
"""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Endpoint, Field, Many, Relation
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import typed_values
from one_bridge.server.query.evaluate import (
    DATE_PARTS,
    JSON_LOOKUPS,
    LOOKUPS,
    TEXT_LOOKUPS,
    TIME_PARTS,
)
from one_bridge.server.query.parse import LONGEST_LIST, Pair, Query, json_pairs, listed

LONGEST_PATH = 6  # relations
NAMES = ("name", "username", "nickname", "pk", "id", "acronym")
"""What the name behind a foreign key may be called."""


@dataclass(frozen=True)
class Comparison:
    """One field of the rows of an endpoint compared with values.

    Attributes
    ----------
    endpoint : Endpoint
        Whose rows.
    target : Field, Many or None
        What is compared; None: whether there is such a row at all.
    lookup : str
        One of `LOOKUPS`, or of `JSON_LOOKUPS`.
    values : tuple
        Of the type of the target, or of the part of it; text for lookups of text.
    part : str
        Of a date or time, e.g. `year`.
    path : tuple of str
        Keys into JSON.
    """

    endpoint: Endpoint
    target: Field | Many | None
    lookup: str = "exact"
    values: tuple[Any, ...] = ()
    part: str = ""
    path: tuple[str, ...] = ()


@dataclass(frozen=True)
class Condition:
    """A comparison, and the relations that lead to its rows: pairs of the endpoint that a step starts from, and it."""

    comparison: Comparison
    steps: tuple[tuple[Endpoint, Relation], ...] = ()
    negated: bool = False


@dataclass(frozen=True)
class Restriction:
    """A filter whose meaning its field says itself (`Field.restrict`): any of these values."""

    field: Field
    values: tuple[str, ...]


@dataclass(frozen=True)
class Resolved:
    """What restricts a list.

    Attributes
    ----------
    endpoint : Endpoint
        Whose records are listed.
    terms : mapping
        Terms of the query core, with their text.
    conditions : tuple of Condition
        All must hold.
    restrictions : tuple of Restriction
        All must hold.
    days : pair of dates, or None
        The first and the last day of `date_range`.
    ids : tuple of str, or None
        Identifiers of records.
    unknown : tuple of str
        Filters that there are not, which are passed over.
    """

    endpoint: Endpoint
    terms: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    restrictions: tuple[Restriction, ...] = ()
    days: tuple[datetime.date, datetime.date] | None = None
    ids: tuple[str, ...] | None = None
    unknown: tuple[str, ...] = ()


def resolve(endpoint: Endpoint, query: Query) -> Resolved:
    """Look up what a query names.

    Raises
    ------
    BadInput
        A path or lookup that there is not, a value that cannot be used, or, if the query is strict, an unknown filter.
    """
    known = known_parameters(endpoint)
    unknown = tuple(name for name in query.plain if name not in known)
    if unknown and query.strict:
        raise BadInput(unknown[0], f"Unknown filter. Known are {', '.join(known)}.")
    terms: dict[str, str] = {}
    conditions: list[Condition] = []
    restrictions: list[Restriction] = []
    days, ids = None, None
    for name, text in query.plain.items():
        if name in unknown:
            continue
        if name in endpoint.terms:
            terms[endpoint.terms[name]] = text
        elif name in endpoint.paths:
            pair = Pair(name, tuple(endpoint.paths[name].split("__")), listed(name, text))
            conditions.append(resolve_pair(endpoint, pair))
        elif name == "date_range":
            days = typed_values.days(text)
        elif name == "id":
            ids = tuple(listed(name, text))
        elif known[name].restrict:
            restrictions.append(Restriction(known[name], tuple(listed(name, text))))
        elif known[name].kind == "json":
            conditions += [resolve_pair(endpoint, pair) for pair in json_pairs(name, text)]
        else:
            target = next((item for item in endpoint.many if item.name == name), None) or known[name]
            try:
                lookup = target.filter or "exact"
                conditions.append(Condition(_compared(endpoint, target, [lookup], listed(name, text))))
            except ValueError as error:
                raise BadInput(name, str(error)) from None
    conditions += [resolve_pair(endpoint, pair) for pair in query.django]
    return Resolved(endpoint, terms, tuple(conditions), tuple(restrictions), days, ids, unknown)


def asked(endpoint: Endpoint, query: Query) -> Endpoint:
    """The endpoint whose records a query is about: itself, or the one aside."""
    if endpoint.is_aside is not None:
        return ENDPOINTS[endpoint.aside] if endpoint.is_aside(query) else endpoint
    without = [pair for pair in query.django if pair.path == ("session", "isnull")]
    if not endpoint.aside or not any(pair.negated != typed_values.truth_of(pair.value) for pair in without):
        return endpoint
    return ENDPOINTS[endpoint.aside]


def known_parameters(endpoint: Endpoint) -> dict[str, Field]:
    """Every filter of a list, in order: name -> what its values are."""
    fields = {name: Field(name) for name in endpoint.terms}
    fields |= {name: Field(name) for name in endpoint.paths}
    own = (*endpoint.fields, *endpoint.filters)
    fields |= {item.name: item for item in own if field_of(endpoint, item.name) and item.name not in fields}
    fields |= {item.name: Field(item.name) for item in endpoint.many if item.name[0] != "_" and item.name not in fields}
    if endpoint.dates:
        fields["date_range"] = Field("date_range")
    fields.setdefault("id", Field("id"))
    fields["django"] = Field("django")
    return fields


def resolve_pair(endpoint: Endpoint, pair: Pair) -> Condition:
    """One pair of `django=`, or of a filter that is short for one.

    >>> from one_bridge.server.query.parse import parse_django
    >>> (pair,) = parse_django("session__start_time__year__gte,2020")
    >>> asked = resolve_pair(ENDPOINTS["insertions"], pair)
    >>> asked.steps[0][1].endpoint, asked.comparison.target.name, asked.comparison.part, asked.comparison.values
    ('sessions', 'start_time', 'year', (2020,))

    Raises
    ------
    BadInput
        The registry has no such path or lookup, or the value cannot be used.
    """
    steps: list[tuple[Endpoint, Relation]] = []
    at, path = endpoint, list(pair.path)
    try:
        while True:
            own = field_of(at, path[0])
            if path[1:] == ["isnull"] and path[0] in at.relations and (own is None or _only_means(own)):
                steps.append((at, at.relations[path[0]]))
                there = Comparison(
                    ENDPOINTS[at.relations[path[0]].endpoint], None, "isnull", (typed_values.truth_of(pair.value),)
                )
                return Condition(there, tuple(steps), pair.negated)
            comparison = _here(at, path, pair.value)
            if comparison is not None:
                return Condition(comparison, tuple(steps), pair.negated)
            relation = at.relations[path[0]]
            if relation.by_name is not None and path[1:2] == ["name"]:
                relation = relation.by_name
            steps.append((at, relation))
            if len(steps) > LONGEST_PATH:
                raise ValueError("the path is too long.")
            at, path = ENDPOINTS[relation.endpoint], path[1:]
            if not path or path[0] in LOOKUPS:  # the record itself: by its identifier, or by its name
                path = [_identifying(at, pair.value, path), *path]
    except ValueError as error:
        raise BadInput(pair.name, f"{'__'.join(pair.path)}: {error}") from None


def field_of(endpoint: Endpoint, name: str) -> Field | None:
    """The field of this name that can be compared; `pk` and `id` are the identifier."""
    if name in ("pk", "id"):
        column = endpoint.unique
        if not column:
            return Field("pk", kind="token")
        is_number = column == "region_id"
        return Field("pk", column, "int" if is_number else "uuid" if column in UUIDS else "text")
    known_field = endpoint.field(name)
    if known_field is None:
        known_field = next((filter_ for filter_ in endpoint.filters if filter_.name == name), None)
    return (
        known_field
        if known_field is not None and (known_field.column or known_field.sql or known_field.restrict)
        else None
    )


UUIDS = ("eid", "task_uuid", "pid", "dataset_id", "note_id", "subject_uuid", "aggregate_id")


def _here(endpoint: Endpoint, path: list[str], value: Any) -> Comparison | None:
    """The comparison that a path means at an endpoint; None where its first name is a relation to follow."""
    head, rest = path[0], path[1:]
    relation = endpoint.relations.get(head)
    own = field_of(endpoint, head)
    many = next((m for m in endpoint.many if head in (m.name, m.name.rstrip("s")) and m.name[0] != "_"), None)
    if many is not None and relation is not None and many.kind != "text" and rest and rest[0] not in LOOKUPS:
        many = None  # the list has identifiers: what follows is a field of the records that they name
    if many is not None:
        more = rest[1:] if rest and rest[0] in NAMES else rest
        if not more or (len(more) == 1 and more[0] in LOOKUPS):
            return _compared(endpoint, many, more, value)
    elif own is not None:
        names_itself = bool(own.to) or own.name in ("revision", "data_format")
        names_itself = names_itself or (own.name, rest[:1]) == ("subject", ["nickname"])
        if names_itself and rest and rest[0] in NAMES and not _leads_on(relation, rest):
            rest = rest[1:]
        is_end = own.kind == "json" or not rest or rest[0] in (*LOOKUPS, *TIME_PARTS)
        if is_end and (relation is None or not _is_identifier(value, own)):
            return _compared(endpoint, own, rest, value)
    if relation is None:
        known = sorted({item.name for item in endpoint.fields} | set(endpoint.relations))
        if many is not None or own is not None:
            _lookup_of(rest, "text")  # raises: the field is there, what follows is no lookup
        raise ValueError(f"{endpoint.label} has no field {head!r}. Known are {', '.join(known)}.")
    return None


def _leads_on(relation: Relation | None, rest: Sequence[str]) -> bool:
    """Whether names behind a foreign key are fields of the record that it names."""
    return relation is not None and (len(rest) > 1 and rest[1] not in LOOKUPS)


def _is_identifier(value: Any, own: Field) -> bool:
    """Whether a value is the uuid of a record, where the field of that name holds its name."""
    given = value if isinstance(value, list) else [value]
    return own.kind == "text" and bool(given) and all(values.is_uuid(str(item).lower()) for item in given)


def _identifying(endpoint: Endpoint, value: Any, path: Sequence[str]) -> str:
    """The name of the field by which a value names a record: its identifier, else its name."""
    given = value if isinstance(value, list) else [value]
    label = next((name for name in ("name", "nickname", "username") if field_of(endpoint, name)), "pk")
    if path and path[0] not in ("exact", "in"):
        return label
    by_uuid = endpoint.unique in UUIDS or not endpoint.unique
    return "pk" if label == "pk" or (by_uuid and all(values.is_uuid(str(item).lower()) for item in given)) else label


def _compared(endpoint: Endpoint, target: Field | Many, rest: Sequence[str], value: Any) -> Comparison:
    """The comparison of a field with what follows it in the path.

    Raises
    ------
    ValueError
        A lookup that there is not, or a value that cannot be used.
    """
    kind: Any = target.kind
    if kind == "json" and isinstance(target, Field):
        return _json(endpoint, target, list(rest), value)
    part, rest = "", list(rest)
    parts = TIME_PARTS if kind == "time" else DATE_PARTS if kind == "date" else ()
    if rest and rest[0] in parts:
        part, rest = rest[0], rest[1:]
        kind = {"date": "date", "time": "clock"}.get(part, "int")
    lookup = _lookup_of(rest, kind, parts)
    wanted = value if isinstance(value, list) else [value]
    if isinstance(target, Field) and _only_means(target) and lookup not in ("exact", "in"):
        raise ValueError(f"it can be asked for by exact and in, not by {lookup}.")
    if lookup == "isnull":
        return Comparison(endpoint, target, lookup, (typed_values.truth_of(wanted[0]),), part)
    if len(wanted) > LONGEST_LIST:
        raise ValueError(f"at most {LONGEST_LIST} values.")
    if lookup == "range" and len(wanted) != 2:
        raise ValueError("a range has two values.")
    if lookup.endswith("regex"):
        typed_values.check_expressions(wanted)
        if target.kind == "time":
            raise ValueError("regular expressions are for text: use its parts, e.g. __year.")
    if lookup in TEXT_LOOKUPS:
        if kind not in ("text", "uuid") and lookup == "iexact":
            lookup = "exact"
        else:
            return Comparison(endpoint, target, lookup, tuple(typed_values.text_of(item) for item in wanted), part)
    if isinstance(target, Field) and not part and (listed_values := typed_values.listed_values(target)) is not None:
        return Comparison(
            endpoint, target, lookup, tuple(typed_values.spelled(target, listed_values, item) for item in wanted)
        )
    return Comparison(
        endpoint, target, lookup, tuple(typed_values.typed(target.name, kind, item, lookup) for item in wanted), part
    )


def _only_means(target: Field) -> bool:
    """Whether a field says itself what a value means, and no column can be compared."""
    return target.restrict is not None and target.sql is None


def _lookup_of(rest: Sequence[str], kind: Any, parts: Sequence[str] = ()) -> str:
    if not rest:
        return "exact"
    if len(rest) > 1 or rest[0] not in LOOKUPS:
        offered = [*LOOKUPS, *parts]
        raise ValueError(f"{'__'.join(rest)!r} is no lookup of it. Offered are {', '.join(offered)}.")
    return rest[0]


def _json(endpoint: Endpoint, target: Field, path: list[str], value: Any) -> Comparison:
    lookup = path.pop() if path and path[-1] in (*LOOKUPS, *JSON_LOOKUPS) else "exact"
    if lookup.endswith("regex"):
        typed_values.check_expressions([value])
    if lookup == "isnull":
        value = typed_values.truth_of(value)
    return Comparison(endpoint, target, lookup, (value,), path=tuple(path))


__all__ = ["Comparison", "Condition", "Resolved", "Restriction", "asked", "field_of", "known_parameters", "resolve",
           "resolve_pair"]  # fmt: skip
