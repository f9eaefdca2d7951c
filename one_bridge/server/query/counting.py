"""How many rows a list has, where the keys of their children tell it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import datajoint as dj

from one_bridge.server.query.sql import columns_of, without_sub_selects
from pipeline.database import registry
from pipeline.web.threads import Database


def count(rows: dj.expression.QueryExpression, database: Database) -> int:
    """How many rows a query has.

    Sessions that have a dataset are counted by the keys of the datasets: an index has them in their order, and looking
    up the session of each would take ten times as long.
    """
    sql = of_children(rows)
    return database.count(rows) if sql is None else database.execute(sql)[0][0]


def of_children(rows: dj.expression.QueryExpression) -> str | None:
    """SQL that counts rows of a table by rows that refer to them; None where they cannot tell.

    They can where the rows are those of a table whose key is among the keys of rows that have to refer to it, and what
    else restricts them looks at the key alone.
    """
    if not isinstance(rows, dj.Table):
        return None
    key = rows.primary_key
    conditions = [str(item) for item in rows.restriction]
    for at, condition in enumerate(conditions):
        children = _children(condition, key)
        others = conditions[:at] + conditions[at + 1 :]
        if children is None or not all(columns_of(item) <= set(key) for item in others):
            continue
        if _refers(children, rows):
            where = f" WHERE {' AND '.join(f'({item})' for item in others)}" if others else ""
            different = "" if _is_one_each(children, rows) else "DISTINCT "
            return f"SELECT count(*) FROM (SELECT {different}* FROM ({children}) AS children{where}) AS counted"
    return None


def _is_one_each(children: str, rows: dj.Table) -> bool:
    """Whether a sub-select of datasets asks for one path: that a session has once."""
    return (
        registry.label(type(rows)) == "acquisition.Session"
        and re.search(r"""rel_path["`]? (IN \('[^',]+'\)|= '[^']+')""", children) is not None
        and re.search(r"\bOR\b|\bNOT\b(?! NULL)|\bJOIN\b", children, re.IGNORECASE) is None
    )


def _children(condition: str, key: Sequence[str]) -> str | None:
    """The sub-select of a condition that is nothing but `(key) IN (SELECT key FROM …)`.

    >>> _children('("lab", "subject") in (SELECT "lab","subject" FROM "a"."b" WHERE (x=1))', ["lab", "subject"])
    'SELECT "lab","subject" FROM "a"."b" WHERE (x=1)'
    >>> _children("((lab, subject) IN (SELECT lab, subject FROM b)) IS NOT TRUE", ["lab", "subject"])
    """
    start, names = condition.find("(SELECT"), ",".join(key)
    around = re.sub(r'["`\s]', "", without_sub_selects(condition))
    depth = 0
    while around.startswith("((") and around.endswith(")"):
        around, depth = around[1:-1], depth + 1
    if start < 0 or around.lower() != f"({names})in":
        return None
    children = condition.rstrip()
    for _ in range(depth + 1):
        children = children.removesuffix(")").rstrip()
    children = children[start + 1 :]
    selected = re.sub(r'["`\s]', "", children.partition(" FROM ")[0])
    return children if selected == f"SELECT{names}" else None


def _refers(children: str, rows: dj.Table) -> bool:
    """Whether the rows of a sub-select refer to those of a table, so that each has one."""
    found = re.search(r'FROM\s+((?:"[^"]+"|`[^`]+`)\.(?:"[^"]+"|`[^`]+`))', children)
    return found is not None and _is_child(found[1], registry.label(type(rows)))


@cache
def _is_child(full_name: str, label: str) -> bool:
    """Whether the table of this name in the database declares that its rows belong to those of another."""
    schema, _, name = label.partition(".")
    for table in registry.tables():
        if table().full_table_name == full_name:
            declared = name if registry.label(table).partition(".")[0] == schema else label
            return bool(re.search(rf"^\s*-> {re.escape(declared)}\s*$", table.definition, re.MULTILINE))
    return False
