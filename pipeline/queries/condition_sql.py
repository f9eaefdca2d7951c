"""Conditions on trials as SQL, so that the database counts the trials of thousands of sessions by itself.

SQL's logic of three values is that of the conditions: a comparison with a missing value holds as little as its `not`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pipeline.analysis.trial_conditions import Condition, Node

_SIGNS = {"==": "=", "!=": "<>"}


class _NotInSql(Exception):
    """A part that numpy and the databases may not understand alike."""


def to_sql(condition: Condition, kinds: Mapping[str, str], double: str = "DOUBLE PRECISION") -> str | None:
    """What follows WHERE; None where only numpy can tell: text, `*`, `/` (overflow, division by zero), other columns.

    Parameters
    ----------
    condition : that was checked against columns of these kinds.
    kinds : column of the table -> `number` or `bool`.
    double : the database's name of float64.

    Examples
    --------
    >>> from pipeline.analysis.trial_conditions import parse
    >>> kinds = dict.fromkeys(("contrast_right", "choice"), "number")
    >>> to_sql(parse("contrast_right >= 0.5 and not choice == -1"), kinds)
    '(contrast_right >= 0.5 AND (NOT choice = (0.0 - 1.0)))'
    """
    try:
        return _truth(condition.root, kinds, double)
    except _NotInSql:
        return None


def _truth(node: Node, kinds: Mapping[str, str], double: str) -> str:
    if node.what in ("and", "or"):
        return "(" + f" {node.what.upper()} ".join(_truth(part, kinds, double) for part in node.parts) + ")"
    if node.what == "not":
        return f"(NOT {_truth(node.parts[0], kinds, double)})"
    if node.what == "known":
        return _truth(node.parts[0], kinds, double)
    if node.what == "compare":
        return _compared(node, kinds, double)
    if node.what == "in":
        first, *others = node.parts
        equal = [_compared(Node("compare", (first, item), "=="), kinds, double) for item in others]
        return "(" + " OR ".join(equal) + ")"
    if node.what == "constant" and isinstance(node.value, bool):
        return "(1 = 1)" if node.value else "(1 = 0)"
    if node.what == "column" and kinds.get(node.value) == "bool":
        return f"({_value(node, kinds, double)} = 1)"
    raise _NotInSql


def _compared(node: Node, kinds: Mapping[str, str], double: str) -> str:
    left, right = node.parts
    if "missing" in (left.what, right.what):
        present = right if left.what == "missing" else left
        return f"({_value(present, kinds, double)} IS {'' if node.value == '==' else 'NOT '}NULL)"
    a, b = (_value(part, kinds, double) for part in node.parts)
    return f"{a} {_SIGNS.get(node.value, node.value)} {b}"


def _value(node: Node, kinds: Mapping[str, str], double: str) -> str:
    if node.what == "constant" and isinstance(node.value, bool | float) and math.isfinite(node.value):
        return repr(float(node.value)).upper()
    if node.what == "column" and node.value in kinds:
        if kinds[node.value] == "bool":
            return f"(CASE WHEN {node.value} THEN 1 WHEN NOT {node.value} THEN 0 END)"
        return str(node.value)
    if node.what == "calculate" and node.value in ("+", "-"):
        a, b = (
            f"CAST({text} AS {double})" if part.what == "column" else text
            for part, text in ((part, _value(part, kinds, double)) for part in node.parts)
        )
        return f"({a} {node.value} {b})"
    raise _NotInSql
