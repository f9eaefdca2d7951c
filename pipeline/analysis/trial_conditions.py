"""Conditions on trials: a small grammar of comparisons over columns, parsed here and evaluated by numpy.

    condition  = conjunction { "or" conjunction }
    conjunction = negation { "and" negation }
    negation   = "not" negation | comparison
    comparison = value [ ("==" | "!=" | "<" | "<=" | ">" | ">=") value { … } | ["not"] "in" list ]
    value      = term { ("+" | "-") term }
    term       = factor { ("*" | "/") factor }
    factor     = ["-"] ( number | text | "true" | "false" | "missing" | column | "(" condition ")" )
    list       = "[" value { "," value } "]"

A comparison with a missing value (NaN) is false, and so is its negation by `not`: a trial counts where the condition is
known to hold. `x == missing` asks for trials without a value.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from pipeline.analysis.arrays import AnyArray, Booleans
from pipeline.errors import UserError

LONGEST = 10_000  # characters
DEEPEST = 50  # brackets within brackets
MOST_CALCULATIONS = 100

_TOKEN = re.compile(
    r"""\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<name>[A-Za-z_]\w*)
    |(?P<text>"[^"\\]*"|'[^'\\]*')
    |(?P<sign>==|!=|<=|>=|[<>+\-*/(),\[\]]))""",
    re.VERBOSE,
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CALCULATE: dict[str, Callable[[Any, Any], Any]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
}
_WORDS = ("and", "or", "not", "in", "true", "false", "missing")


class InvalidCondition(UserError):
    """A condition that cannot be read, or that names no column."""


class _Token(NamedTuple):
    kind: Literal["number", "name", "text", "sign", "end"]
    text: str
    place: int


@dataclass(frozen=True)
class Node:
    """`what` names the operation; `parts` are nodes, `value` is a constant or the name of a column."""

    what: str
    parts: tuple[Node, ...] = ()
    value: Any = None


@dataclass(frozen=True)
class Condition:
    """A condition that has been read.

    Attributes
    ----------
    expression : as it was written
    columns : names of the columns that it uses, in order of their first use
    """

    expression: str
    columns: tuple[str, ...]
    root: Node

    def holds(self, trials: Mapping[str, AnyArray], n_trials: int | None = None) -> Booleans:
        """Which trials fulfil the condition.

        Parameters
        ----------
        trials : dict of str to ndarray, shape (n_trials,)
            Values by column; a missing number is NaN, a missing text None or empty.
        n_trials : int, optional
            Number of trials; by default that of the first column.

        Returns
        -------
        ndarray of bool, shape (n_trials,)

        Raises
        ------
        InvalidCondition
            A column is not there, or numbers are compared with text.
        """
        check_columns(self, trials)
        if n_trials is None:
            n_trials = len(next(iter(trials.values()), ()))
        true, _ = _truth(self.root, trials, n_trials)
        return true


def parse(expression: str) -> Condition:
    """Read a condition.

    Raises
    ------
    InvalidCondition
        It does not follow the grammar; the message names the place.

    Examples
    --------
    >>> condition = parse("contrastRight >= 0.5 and choice == -1 and not earlyLick")
    >>> condition.columns
    ('contrastRight', 'choice', 'earlyLick')
    >>> trials = {"contrastRight": np.array([1, 0.5, np.nan]), "choice": np.array([-1, 1, -1]),
    ...           "earlyLick": np.array([False, False, False])}
    >>> condition.holds(trials)
    array([ True, False, False])
    """
    return _parse(expression)


@functools.lru_cache(maxsize=256)
def _parse(expression: str) -> Condition:
    if len(expression) > LONGEST:
        raise InvalidCondition(f"the condition has {len(expression)} characters", f"use at most {LONGEST}")
    parser = _Parser(expression)
    root = parser.disjunction()
    parser.expect_end()
    if root.what in ("constant", "column", "calculate") and not _may_be_truth(root):
        raise InvalidCondition(f"{expression!r} is a value, not a condition", "compare it, e.g. `contrast >= 0.5`")
    return Condition(expression, tuple(dict.fromkeys(_columns(root))), root)


def check_columns(condition: Condition, known: Mapping[str, Any]) -> None:
    """Raise `InvalidCondition` where the condition names a column that is not among `known`."""
    import difflib

    for name in condition.columns:
        if name not in known:
            close = difflib.get_close_matches(name, list(known), 1)
            listed = ", ".join(sorted(known))
            hint = f"did you mean {close[0]}?" if close else f"the columns are {listed}"
            raise InvalidCondition(f"trials have no column {name}", hint)


class _Parser:
    def __init__(self, expression: str) -> None:
        self.expression = expression
        self.tokens = list(_tokens(expression))
        self.at = 0
        self.depth = self.n_calculations = 0

    @property
    def token(self) -> _Token:
        return self.tokens[self.at]

    def taken(self, *texts: str) -> str:
        """The next token, if it is one of these words or signs; else empty."""
        if self.token.kind in ("name", "sign") and self.token.text in texts:
            self.at += 1
            return self.tokens[self.at - 1].text
        return ""

    def error(self, expected: str) -> InvalidCondition:
        token = self.token
        actual = "the end" if token.kind == "end" else repr(token.text)
        where = f"character {token.place + 1} of {_short(self.expression)!r}"
        return InvalidCondition(
            f"{expected} is expected, not {actual}, at {where}", "see docs/conditions.md for the grammar"
        )

    def expect_end(self) -> None:
        if self.token.kind != "end":
            raise self.error("`and`, `or` or the end")

    def disjunction(self) -> Node:
        parts = [self.conjunction()]
        while self.taken("or"):
            parts.append(self.conjunction())
        return parts[0] if len(parts) == 1 else Node("or", tuple(parts))

    def conjunction(self) -> Node:
        parts = [self.negation()]
        while self.taken("and"):
            parts.append(self.negation())
        return parts[0] if len(parts) == 1 else Node("and", tuple(parts))

    def negation(self) -> Node:
        n_not = 0
        while self.taken("not"):
            n_not += 1
        node = self.comparison()
        return Node("not", (node,)) if n_not % 2 else node if not n_not else Node("known", (node,))

    def comparison(self) -> Node:
        left = self.sum()
        chain: list[Node] = []
        first = left
        while sign := self.taken(*_COMPARE):
            right = self.sum()
            chain.append(Node("compare", (left, right), sign))
            left = right
        if chain:
            return chain[0] if len(chain) == 1 else Node("and", tuple(chain))
        negated = bool(self.token.text == "not" and self.tokens[self.at + 1].text == "in" and self.taken("not"))
        if self.taken("in"):
            node = Node("in", (first, *self.values()))
            return Node("not", (node,)) if negated else node
        return first

    def values(self) -> list[Node]:
        if not self.taken("["):
            raise self.error("`[`")
        items = [self.sum()]
        while self.taken(","):
            items.append(self.sum())
        if not self.taken("]"):
            raise self.error("`,` or `]`")
        return items

    def sum(self) -> Node:
        node = self.product()
        while sign := self.taken("+", "-"):
            node = self.calculated(node, self.product(), sign)
        return node

    def product(self) -> Node:
        node = self.factor()
        while sign := self.taken("*", "/"):
            node = self.calculated(node, self.factor(), sign)
        return node

    def calculated(self, left: Node, right: Node, sign: str) -> Node:
        self.n_calculations += 1
        if self.n_calculations > MOST_CALCULATIONS:
            raise InvalidCondition(f"more than {MOST_CALCULATIONS} calculations", "write the condition simpler")
        return Node("calculate", (left, right), sign)

    def factor(self) -> Node:
        n_minus = 0
        while self.taken("-"):
            n_minus += 1
        node = self.atom()
        return Node("calculate", (Node("constant", value=0.0), node), "-") if n_minus % 2 else node

    def atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            self.at += 1
            return Node("constant", value=float(token.text))
        if token.kind == "text":
            self.at += 1
            return Node("constant", value=token.text[1:-1])
        if token.kind == "name" and token.text not in ("and", "or", "not", "in"):
            self.at += 1
            if token.text in ("true", "false", "True", "False"):
                return Node("constant", value=token.text.lower() == "true")
            return Node("missing") if token.text == "missing" else Node("column", value=token.text)
        if self.taken("("):
            self.depth += 1
            if self.depth > DEEPEST:
                raise InvalidCondition(f"more than {DEEPEST} brackets within brackets", "write the condition simpler")
            node = self.disjunction()
            if not self.taken(")"):
                raise self.error("`)`")
            self.depth -= 1
            return node
        raise self.error("a column or a value")


def _tokens(expression: str) -> Iterator[_Token]:
    place = 0
    end = len(expression.rstrip())
    while place < end:
        match = _TOKEN.match(expression, place)
        if match is None:
            rest = expression[place:].lstrip()
            at = len(expression) - len(rest)
            raise InvalidCondition(
                f"{rest[:1]!r} cannot be read, at character {at + 1} of {_short(expression)!r}",
                "write comparisons of columns, e.g. `contrastRight >= 0.5 and choice == -1`",
            )
        kind = match.lastgroup
        yield _Token(kind, match[kind], match.start(kind))  # type: ignore[arg-type, index]
        place = match.end()
    yield _Token("end", "", end)


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


def _columns(node: Node) -> Iterator[str]:
    if node.what == "column":
        yield node.value
    for part in node.parts:
        yield from _columns(part)


def _may_be_truth(node: Node) -> bool:
    return node.what == "column" or isinstance(node.value, bool)


def _truth(node: Node, trials: Mapping[str, AnyArray], n_trials: int) -> tuple[Booleans, Booleans]:
    """Where a condition is known to be true, and where it is known to be false."""
    if node.what == "and":
        both = [_truth(part, trials, n_trials) for part in node.parts]
        return np.logical_and.reduce([item[0] for item in both]), np.logical_or.reduce([entry[1] for entry in both])
    if node.what == "or":
        both = [_truth(part, trials, n_trials) for part in node.parts]
        return np.logical_or.reduce([item[0] for item in both]), np.logical_and.reduce([entry[1] for entry in both])
    if node.what in ("not", "known"):
        true, false = _truth(node.parts[0], trials, n_trials)
        return (false, true) if node.what == "not" else (true, false)
    if node.what == "compare":
        return _compared(node, trials, n_trials)
    if node.what == "in":
        each = [_compared(Node("compare", (node.parts[0], item), "=="), trials, n_trials) for item in node.parts[1:]]
        return np.logical_or.reduce([item[0] for item in each]), np.logical_and.reduce([entry[1] for entry in each])
    values = _values(node, trials, n_trials)
    if isinstance(values, bool):
        true = np.full(n_trials, values)
        return true, ~true
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "bfiu":
        raise InvalidCondition("a value stands where a condition is expected", "compare it, e.g. `reward > 0`")
    known = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(n_trials, bool)
    if (known & (values != 0) & (values != 1)).any():
        raise InvalidCondition(
            "a column with values other than 0 and 1 stands where a condition is expected",
            "compare it, e.g. `choice == -1`",
        )
    return known & (values == 1), known & (values == 0)


def _compared(node: Node, trials: Mapping[str, AnyArray], n_trials: int) -> tuple[Booleans, Booleans]:
    left, right = node.parts
    if "missing" in (left.what, right.what):
        if node.value not in ("==", "!=") or left.what == right.what:
            raise InvalidCondition(
                "`missing` can only be compared by == and !=", "write e.g. `response_times == missing`"
            )
        missing = ~_known(_values(right if left.what == "missing" else left, trials, n_trials), n_trials)
        return (missing, ~missing) if node.value == "==" else (~missing, missing)
    a, b = _values(left, trials, n_trials), _values(right, trials, n_trials)
    if _is_text(a) != _is_text(b):
        raise InvalidCondition("numbers are compared with text", 'put text in quotes, e.g. `stim_type == "noise"`')
    known = _known(a, n_trials) & _known(b, n_trials)
    with np.errstate(invalid="ignore"):
        if _is_text(a):
            a, b = (np.asarray(item, object) if isinstance(item, np.ndarray) else item for item in (a, b))
            pairs = np.broadcast_arrays(np.where(known, a, ""), np.where(known, b, ""))
            result = _COMPARE[node.value](pairs[0].astype(str), pairs[1].astype(str))
        else:
            result = np.broadcast_to(_COMPARE[node.value](a, b), (n_trials,))
    return known & result, known & ~result


def _values(node: Node, trials: Mapping[str, AnyArray], n_trials: int) -> Any:
    """A scalar, or an array of shape (n_trials,)."""
    if node.what == "constant":
        return node.value
    if node.what == "column":
        return np.asarray(trials[node.value])
    if node.what == "calculate":
        a, b = (_values(part, trials, n_trials) for part in node.parts)
        if _is_text(a) or _is_text(b):
            raise InvalidCondition("text stands where a number is expected", "calculate with numbers only")
        with np.errstate(invalid="ignore", divide="ignore"):
            return _CALCULATE[node.value](np.asarray(a, np.float64), np.asarray(b, np.float64))
    if node.what == "missing":
        raise InvalidCondition("`missing` can only be compared by == and !=", "write e.g. `response_times == missing`")
    true, false = _truth(node, trials, n_trials)
    return np.where(true | false, true, np.nan)


def _is_text(values: Any) -> bool:
    return isinstance(values, str) or (isinstance(values, np.ndarray) and values.dtype.kind in "OUS")


def _known(values: Any, n_trials: int) -> Booleans:
    if isinstance(values, np.ndarray) and values.dtype.kind in "OUS":
        return np.array([isinstance(value, str) and value != "" for value in values.tolist()], bool)
    if isinstance(values, str | bool):
        return np.ones(n_trials, bool)
    return np.broadcast_to(~np.isnan(np.asarray(values, np.float64)), (n_trials,))
