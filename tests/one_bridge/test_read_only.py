"""Protects fields that cannot be set: stating another value is refused, sending a record back as it was read is not."""

from __future__ import annotations

import pytest

from one_bridge.server import read_only
from one_bridge.server.endpoint_model import BadInput
from one_bridge.server.endpoints import ENDPOINTS

WEIGHINGS = ENDPOINTS["weighings"]
RECORD = {"id": "7b4ab8f0-5b0c-4d0e-8d8d-111111111111", "nickname": "KS014", "url": "/weighings/7b4", "weight": 20.0}


def test_a_new_record_may_state_nothing_but_emptiness():
    read_only.check(WEIGHINGS, "create", {"weight": 20, "url": None, "id": ""})
    with pytest.raises(BadInput, match="set here"):
        read_only.check(WEIGHINGS, "create", {"url": "/weighings/1"})


def test_a_record_is_sent_back_as_it_was_read():
    read_only.check(WEIGHINGS, "update", RECORD | {"weight": 21.0}, RECORD)
    read_only.check(WEIGHINGS, "update", {"url": "http://127.0.0.1:8000/weighings/7b4"}, RECORD)


def test_all_changed_fields_are_named():
    with pytest.raises(BadInput) as error:
        read_only.check(WEIGHINGS, "update", {"nickname": "KS015", "url": "/weighings/8"}, RECORD)
    assert "nickname" in error.value.problems and "url" in error.value.problems


@pytest.mark.parametrize(
    ("sent", "shown", "same"),
    [
        ({"a": [1, 2]}, {"a": (1, 2)}, True), ({"a": 1}, {"b": 1}, False), ([1], [1, 2], False),
        ([], None, True), (None, [], True), ("", 0, False), ([1], "1", False), ({}, {"a": 1}, False),
        ("7B4AB8F0-5b0c-4d0e-8d8d-111111111111", "/x/7b4ab8f0-5b0c-4d0e-8d8d-111111111111", True),
        ("/x/1/", "/x/1", True), ("1", 1, True), ("2", 1, False),
    ],
)  # fmt: skip
def test_what_is_the_same(sent, shown, same):
    assert read_only.is_shown_as(sent, shown) is same
