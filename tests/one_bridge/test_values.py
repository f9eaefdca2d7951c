"""What clients send becomes values that tables can hold, or an error that names the field; identifiers stay."""

from __future__ import annotations

import base64
import datetime
import json
import types

import pytest
from hypothesis import given
from hypothesis import strategies as st

from one_bridge.matching import literal
from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput, Field, NotFound
from one_bridge.server.values import from_id, key_condition, local_time, parse, printable, to_id, uuid_condition

UUID = "431e7140-8444-4d4d-aca0-1526a2ac136a"


@pytest.mark.parametrize(
    ("kind", "sent", "value"),
    [
        ("text", 5, "5"),
        ("int", " +12 ", 12),
        ("int", "-9223372036854775808", -(1 << 63)),
        ("float", "1e-3", 0.001),
        ("bool", "TRUE", True),
        ("bool", 0, False),
        ("date", " 2024-02-29 ", datetime.date(2024, 2, 29)),
        ("time", "2023-07-01T12:00", datetime.datetime(2023, 7, 1, 11)),
        ("time", "2023-07-01T12:00:00+02:00", datetime.datetime(2023, 7, 1, 10)),
        ("time", "2023-07-01T12:00:00 00:00", datetime.datetime(2023, 7, 1, 12)),  # a plus that a URL made a space
        ("json", '{"a": [1]}', {"a": [1]}),
        ("json", [1, {"b": None}], [1, {"b": None}]),
        ("uuid", f"http://server/sessions/{UUID.upper()}/", UUID),
        ("int", None, None),
    ],
)
def test_values_that_are_taken(kind, sent, value):
    assert parse(Field("field", kind=kind), sent, zone="Europe/London") == value


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("text", True), ("text", ["a"]), ("text", "a\0b"), ("text", "\ud800"),
        ("int", True), ("int", "1.5"), ("int", "٣"), ("int", "1" * 20), ("int", ""),
        ("float", "nan"), ("float", "-inf"), ("float", False), ("float", "1" * 41), ("float", {}), ("float", "1,5"),
        ("bool", "yes?"), ("bool", 2),
        ("date", "2024-02-30"), ("date", "24-02-03"), ("date", 20240203), ("date", "2024-2-3"),
        ("time", "yesterday"), ("time", 5), ("time", "0001-01-01T00:00:00"), ("time", "9999-12-31T23:00:00-12:00"),
        ("json", "{"), ("json", "5"), ("json", '{"a": NaN}'), ("json", {"a": float("inf")}),
        ("json", '{"a": "\\u0000"}'),
        ("json", "[" * 100_000), ("json", json.dumps(["x" * (1 << 20)])),
        ("uuid", "431e7140"), ("uuid", UUID + "0"), ("uuid", 5),
    ],
)  # fmt: skip
def test_values_that_are_refused_with_the_name_of_their_field(kind, sent):
    with pytest.raises(BadInput) as caught:
        parse(Field("weight", kind=kind), sent)
    assert set(caught.value.problems) == {"weight"}


def test_choices_words_and_columns_bound_what_is_taken():
    assert parse(Field("qc", words={"PASS": "pass"}), "PASS") == "pass"
    with pytest.raises(BadInput, match="use one of PASS"):
        parse(Field("qc", words={"PASS": "pass"}), "pass")
    with pytest.raises(BadInput, match="use one of M, F"):
        parse(Field("sex", choices=("M", "F")), "X")
    text, small = (types.SimpleNamespace(original_type=kind, type="") for kind in ("varchar(3)", "int16"))
    assert parse(Field("name"), "abc", text) == "abc"
    with pytest.raises(BadInput, match="no more than 3"):
        parse(Field("name"), "abcd", text)
    assert parse(Field("number", kind="int"), 32767, small) == 32767
    with pytest.raises(BadInput, match="out of range"):
        parse(Field("number", kind="int"), 32768, small)


@pytest.mark.slow
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5),
       st.sampled_from(sorted(values._PARSERS)))  # fmt: skip
def test_no_value_costs_more_than_its_own_error(sent, kind):
    try:
        parse(Field("field", kind=kind), sent)
    except BadInput as error:
        assert set(error.problems) == {"field"}


def test_local_times():
    assert local_time(None, "Europe/London") is None
    assert local_time(datetime.datetime(2023, 1, 1, 11), "Europe/London") == "2023-01-01T11:00:00"
    assert local_time(datetime.datetime(2023, 1, 1, 11), "Mars/Phobos") == "2023-01-01T11:00:00"
    assert local_time(datetime.datetime.min, "America/New_York") == datetime.datetime.min.isoformat()


def test_identifiers_of_rows():
    row = {"lab": "simlab", "location": "rig1"}
    identifier = to_id(["lab", "location"], row)
    assert to_id(["lab"], row) == "simlab" and values.is_uuid(identifier)
    assert to_id(["lab", "location"], row | {"_ids": {identifier: "before it was renamed"}}) == "before it was renamed"
    old = base64.urlsafe_b64encode(json.dumps(["simlab", "rig1"]).encode()).decode().rstrip("=")
    assert from_id(old, 2) == ["simlab", "rig1"] and from_id("simlab", 1) == ["simlab"]


@pytest.mark.parametrize("text", ["", "?", "W10", base64.urlsafe_b64encode(b'["a"]').decode(), "A" * 10_001,
                                  base64.urlsafe_b64encode(b'["a", "b\\u0000"]').decode()])  # fmt: skip
def test_what_is_no_identifier_is_not_found(text):
    with pytest.raises(NotFound):
        from_id(text, 2)


@pytest.mark.parametrize("backend", ["postgresql", "mysql"])
def test_conditions_quote_what_they_hold(backend):
    assert key_condition(["a"], [], backend) == "1=0"
    quote = literal("it's", backend)
    assert "'s" not in quote, "what a client sent stands in SQL as hexadecimal digits"
    assert key_condition(["a"], [["it's"], ["it's"]], backend) == f"a IN ({quote}, {quote})"
    assert key_condition(["a", "b"], [{"a": 1, "b": "it's"}], backend) == f"(a = 1 AND b = {quote})"
    assert values.restriction({"a": 1, "b": "it's"}, backend) == f"(a = 1 AND b = {quote})"
    sql = uuid_condition({"lab": "varchar(255)", "start": "datetime"}, UUID, backend)
    assert sql.endswith("LIKE '431e71408444_d4d_ca01526a2ac136a'")


def test_texts_that_a_database_cannot_hold():
    assert printable("Müller 😀") == "Müller 😀"
    for text in ("\0", "\udfff"):
        with pytest.raises(ValueError, match="not allowed"):
            printable(text)
