"""Protects the grammar of lists without a database: what is read, what it is resolved to, what is refused and why."""

from __future__ import annotations

import datetime
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_bridge.server.endpoint_model import BadInput
from one_bridge.server.endpoints import ENDPOINTS
from one_bridge.server.query import evaluate, parse, resolve
from one_bridge.server.query.sql import without_sub_selects


def resolved(endpoint: str, text: str) -> resolve.Condition:
    (pair,) = parse.parse_django(text)
    return resolve.resolve_pair(ENDPOINTS[endpoint], pair)


@pytest.mark.parametrize(
    ("endpoint", "text", "steps", "target", "part", "lookup", "values"),
    [
        ("sessions", "number,2", [], "number", "", "exact", (2,)),
        ("sessions", "~number__gte,2", [], "number", "", "gte", (2,)),
        ("sessions", "qc__lt,50", [], "qc", "", "lt", (50.0,)),
        ("sessions", "qc__lt,fail", [], "qc", "", "lt", (40,)),
        ("sessions", "start_time__date,2020-01-02", [], "start_time", "date", "exact", (datetime.date(2020, 1, 2),)),
        ("sessions", "start_time__hour__in,[1,2]", [], "start_time", "hour", "in", (1, 2)),
        ("sessions", "subject__nickname,KS014", [], "subject", "", "exact", ("KS014",)),
        ("sessions", "subject__actions_sessions__number,1", ["subjects", "sessions"], "number", "", "exact", (1,)),
        ("sessions", "users__username__icontains,mi", [], "users", "", "icontains", ("mi",)),
        ("sessions", "json__a__b__gt,1", [], "json", "", "gt", ("1",)),
        ("sessions", "json__has_keys,['a','b']", [], "json", "", "has_keys", (["a", "b"],)),
        ("insertions", "session__extended_qc__behavior,1", ["sessions"], "extended_qc", "", "exact", ("1",)),
        ("datasets", "tags__protected,True", ["tags"], "protected", "", "exact", (1,)),
        ("datasets", "revision__name,2024-01-01", [], "revision", "", "exact", ("2024-01-01",)),
        ("channels", "trajectory_estimate__provenance,70", ["trajectories"], "provenance", "", "exact", (70.0,)),
        ("tags", "datasets__session__lab__name,x", ["datasets", "sessions"], "lab", "", "exact", ("x",)),
        ("weighings", "subject,7b4ab8f0-5b0c-4d0e-8d8d-111111111111", ["subjects"], "pk", "", "exact",
         ("7b4ab8f0-5b0c-4d0e-8d8d-111111111111",)),
    ],
)  # fmt: skip
def test_paths_are_resolved(endpoint, text, steps, target, part, lookup, values):
    condition = resolved(endpoint, text)
    result = condition.comparison
    assert condition.negated == text.startswith("~")
    assert [relation.endpoint for _, relation in condition.steps] == steps
    assert (result.target.name, result.part, result.lookup, result.values) == (target, part, lookup, values)


def test_every_field_and_relation_of_every_endpoint_can_be_named():
    """What a record shows can be asked for, but for addresses and the few that are made of whole records."""
    made = {"url", "data_url", "session_info", "related_descriptions", "data_repository_path", "repositories"}
    others = {("trajectories", "session"), ("aggregates", "exists"), ("aggregates", "tags"), ("tasks", "lab")}
    for name, endpoint in ENDPOINTS.items():
        for field in endpoint.fields:
            if field.name in made or (name, field.name) in others:
                continue
            assert resolve.field_of(endpoint, field.name), (name, field.name)
        for path in endpoint.relations:
            condition = resolve.resolve_pair(endpoint, parse.Pair("django", (path, "isnull"), True))
            assert condition.comparison.lookup == "isnull"


@pytest.mark.parametrize(
    ("endpoint", "text", "said"),
    [
        ("sessions", "colour,red", "no field 'colour'"), ("sessions", "number__near,1", "Offered are exact"),
        ("sessions", "number__gt,x", "integer"), ("sessions", "number__range,1", "two values"),
        ("sessions", "qc,good", "CRITICAL"), ("sessions", "subject__delete,1", "no field"),
        ("sessions", "__class____name,x", "no field"), ("sessions", "number", "pairs"),
        ("sessions", "start_time__gt,noon", "no time"), ("sessions", "start_time__regex,x", "parts"),
        ("subjects", "water_restricted__gt,1", "exact and in"),
        ("sessions", "subject__session__" * 4 + "number,1", "too long"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named(endpoint, text, said):
    with pytest.raises(BadInput) as error:
        resolved(endpoint, text) if "pairs" not in said else parse.parse_django(text)
    assert said in str(error.value) or said == "pairs"


def test_plain_filters_that_are_unknown_are_listed_or_refused():
    query = parse.parse({"colour": "red", "subject": "KS014", "limit": "10"})
    result = resolve.resolve(ENDPOINTS["sessions"], query)
    assert (result.unknown, dict(result.terms), query.limit) == (("colour",), {"subject": "KS014"}, 10)
    with pytest.raises(BadInput, match="Known are subject"):
        resolve.resolve(ENDPOINTS["sessions"], parse.parse({"colour": "red", "strict": "true"}))


@given(st.text(string.printable, max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        pairs = parse.parse_django(text)
    except BadInput:
        return
    for pair in pairs:
        try:
            resolve.resolve_pair(ENDPOINTS["sessions"], pair)
        except BadInput:
            continue


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from("ab")
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(JSON, JSON)
def test_containment_is_reflexive_and_grows(one, other):
    assert evaluate.json_matches({"x": one}, [], "contains", {"x": one})
    if isinstance(one, dict):
        assert evaluate.json_matches(one | {"z": other}, [], "contains", one)
        assert evaluate.json_matches(one, [], "contained_by", one | {"z": other})
        assert all(evaluate.json_matches(one, [], "has_key", name) for name in one)


def test_columns_of_sub_selects_are_not_those_of_the_rows():
    sql = "(lab, subject) IN (SELECT a FROM (SELECT b FROM c WHERE d IN ('x)', \")\")) AS e) AND number > 1"
    kept = without_sub_selects(sql)
    assert "number > 1" in kept and "lab, subject" in kept and not {"a", "b", "c", "d", "e"} & set(kept.split())
