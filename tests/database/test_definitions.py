"""Every table definition keeps to the subset of DataJoint that means the same on PostgreSQL and MySQL."""

from __future__ import annotations

import re
from collections import Counter

import datajoint as dj
import pytest

from pipeline.database import registry
from pipeline.settings import LONGEST_DATABASE_SCHEMA, Settings

KEY_TYPES = re.compile(r"varchar\(\d+\)|char\(\d+\)|int16|int32|int64|date")
TYPES = re.compile(
    KEY_TYPES.pattern + r"|float64|float32|bool|datetime\(6\)|json|decimal\(\d+,\d+\)|<blob>"
    r"|enum\('[\w .-]+'(, ?'[\w .-]+')*\)|<(npy|object|filepath)@\w+>"
)
LINE = re.compile(r"(?P<name>[a-z]\w*)\s*(=\s*(?P<default>.*?))?\s*:\s*(?P<type>[^#]+?)\s*(#\s*(?P<comment>.*))?")
HAS_UNIT = re.compile(
    r"\bs\b|ms|\bmin\b|Hz|\bg\b|mL|uL|nL|um\b|\brad|deg|mbar|percent|\bpx\b|byte|\bns\b|0-1|fraction|UTC|standard error"
    r"|mW"
    r"|natural log|share|\bu?V\b|\bdB\b|standard deviations|\bppm\b|\bnm\b|octaves|unit of the file|unit of the level"
)
ALL = [item for table in registry.tables() for item in (table, *registry.parts(table))]
IDS = [registry.label(item) for item in ALL]


def attributes(table: type[dj.Table]) -> list[tuple[bool, re.Match]]:
    """(is it in the key, the parsed line) of every attribute line of a definition."""
    collected, in_key = [], True
    for raw in table.definition.splitlines():
        line = raw.strip()
        if line.startswith("---"):
            in_key = False
        elif line and not line.startswith(("#", "->", "index", "unique index")):
            match = LINE.fullmatch(line)
            assert match, f"cannot read {line!r}"
            collected.append((in_key, match))
    return collected


def database_name(table: type[dj.Table]) -> str:
    """The name that the table gets in the database, as DataJoint derives it, with the longest marks of a tier."""
    return "__" + "__".join(dj.utils.from_camel_case(part) for part in table.__qualname__.split("."))


def is_populated_from(table: type[dj.Table]) -> bool:
    """Is the table, or anything that its key goes into, populated by jobs?"""
    names = {registry.label(table).rsplit(".", 1)[-1]}
    for other in ALL:
        key = other.definition.split("---")[0]
        if any(re.search(rf"->.*\b{name}\b", key) for name in names):
            names.add(other.__name__)
            if issubclass(other, dj.Imported | dj.Computed):
                return True
    return issubclass(table, dj.Imported | dj.Computed)


@pytest.mark.parametrize("table", ALL, ids=IDS)
def test_types_are_portable(table):
    """Also: key types that job reservation takes, names that fit into index names, quotes and defaults both accept."""
    assert len(database_name(table)) <= 45
    for in_key, line in attributes(table):
        name, kind, default, comment = line["name"], line["type"], line["default"], line["comment"] or ""
        assert TYPES.fullmatch(kind), f"{name}: {kind} is not portable"
        assert len(name) <= 40
        assert "%" not in comment, f"{name}: DataJoint takes % in a comment for a placeholder"
        if in_key:
            assert default is None
            manual_only = kind == "datetime(6)" and not is_populated_from(table)
            assert KEY_TYPES.fullmatch(kind) or manual_only, f"{name}: {kind} cannot be in a key that jobs take"
        elif default not in (None, "null"):
            quoted = re.fullmatch(r'"[^"%]*"', default)
            assert quoted if kind.startswith(("varchar", "enum")) else re.fullmatch(r"-?[\d.]+", default), line[0]
            assert not kind.startswith("char") or quoted, f"{name}: a default in char(n) is padded with spaces"


@pytest.mark.parametrize("table", ALL, ids=IDS)
def test_every_number_says_its_unit(table):
    """Floats always; every table says what one row is."""
    assert table.definition.strip().splitlines()[0].startswith("# ")
    for _, line in attributes(table):
        if line["type"] in ("float64", "float32") or line["type"].startswith("datetime"):
            assert HAS_UNIT.search(line["comment"] or ""), f"{line['name']} has no unit: {line['comment']}"


def test_secondary_attributes_are_unique_so_that_all_tables_join():
    """DataJoint refuses to join two tables that share the name of a secondary attribute."""
    names = Counter(line["name"] for table in ALL for in_key, line in attributes(table) if not in_key)
    assert [name for name, count in names.items() if count > 1] == []
    keys = {line["name"] for table in ALL for in_key, line in attributes(table) if in_key}
    assert sorted(keys & set(names)) == []


def test_schema_names_fit_with_any_allowed_prefix():
    longest = max(map(len, registry.SCHEMAS))
    prefix = "a" * (LONGEST_DATABASE_SCHEMA - longest)
    assert Settings(prefix=prefix).prefix == prefix


def test_one_set_of_enum_values_has_one_order():
    """On PostgreSQL equal sets share one type, so that a second order would silently become the first."""
    orders: dict[frozenset, set] = {}
    for table in ALL:
        for _, line in attributes(table):
            if line["type"].startswith("enum"):
                values = tuple(re.findall(r"'([^']*)'", line["type"]))
                orders.setdefault(frozenset(values), set()).add(values)
    assert [order for order in orders.values() if len(order) > 1] == []
