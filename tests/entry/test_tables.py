"""Protects that the descriptions of columns fit the definitions of their tables."""

from __future__ import annotations

import re

import pytest

from pipeline.entry.fields import Field
from pipeline.entry.tables import TABLES, class_of

TYPES = {
    "name": ("varchar", "char"), "text": ("varchar",), "number": ("float64",), "integer": ("int16", "int32", "int64"),
    "boolean": ("bool",), "date": ("date",), "time": ("datetime(6)",), "uuid": ("char(36)",), "json": ("json",),
    "choice": ("enum", "varchar"), "time_zone": ("varchar",), "md5": ("char(32)",),
}  # fmt: skip


def attribute(table, column):
    heading = table().heading
    result = heading[column]
    return result, str(result.original_type or result.type).lower()


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_every_description_fits_its_table(database):
    for name, entry in TABLES.items():
        table = class_of(name)
        heading = table().heading
        columns = [field.column for field in entry.fields]
        assert len(columns) == len(set(columns)), name
        assert [item for item in columns if item in table.primary_key] == table.primary_key, f"{name}: the key first"
        for field in entry.fields:
            where = f"{name}.{field.column}"
            result, declared = attribute(table, field.column)
            longest = re.search(r"char(?:acter varying|acter)?\((\d+)\)", declared)
            if field.type in ("text", "name") and longest:
                assert 0 < field.longest <= int(longest[1]), where
            if entry.can_create:
                needs = not result.nullable and result.default is None
                derived = entry.derive is not None and field.column in entry.unique
                assert field.required == (needs and not derived and field.default is None), where
            if field.type == "choice" and declared.startswith("enum"):
                assert {choice.lower() for choice in field.choices} == set(re.findall(r"'([^']*)'", declared)), where
            assert field.type == "text" or set(field.words.values()) <= set(field.choices), where
            assert field.to == "" or class_of(field.to).primary_key, where
            assert (field.low is None) == (field.high is None), where
        if entry.can_create:
            missing = [
                item for item in heading.names
                if item not in columns and not heading[item].nullable and heading[item].default is None
            ]  # fmt: skip
            assert not missing, f"{name} cannot be created without {missing}"
        for column in (*entry.events, *entry.unique, *(item for span in entry.spans for item in span)):
            assert entry.field(column), f"{name}.{column}"


def test_limits_are_in_words():
    assert Field("x", "number", unit="mL", low=0.001, high=50).limits() == "a number from 0.001 to 50 mL"
    assert all(field.limits() for entry in TABLES.values() for field in entry.fields)
