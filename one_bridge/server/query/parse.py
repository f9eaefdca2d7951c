"""First step: the query string of a list as pairs of paths and values. Nothing is looked up, nothing is evaluated."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from one_bridge.server import values
from one_bridge.server.endpoint_model import BadInput

LONGEST_LIST = 1000  # values in one filter
MOST_CONDITIONS = 50  # filters in one request
PAGE, LONGEST_PAGE = 250, 1000
PAGING = ("limit", "offset", "format", "strict")


@dataclass(frozen=True)
class Pair:
    """One filter: a path of names, the last of which may be a lookup, and a value or a list of values.

    Attributes
    ----------
    name : str
        The parameter that it stands in, for messages.
    path : tuple of str
        What stands between double underscores.
    value : object
        Text, a number, True, False, None, a dictionary, or a list of such.
    negated : bool
        Whether the rows that match are left out.
    """

    name: str
    path: tuple[str, ...]
    value: Any
    negated: bool = False


@dataclass(frozen=True)
class Query:
    """What a list is asked for.

    Attributes
    ----------
    plain : mapping
        Parameter to text, as `?subject=KS014`.
    django : tuple of Pair
        The pairs of `django=`.
    limit, offset : int
        Which page.
    strict : bool
        Whether unknown filters are errors.
    """

    plain: Mapping[str, str]
    django: tuple[Pair, ...] = ()
    limit: int = PAGE
    offset: int = 0
    strict: bool = False


def parse(parameters: Mapping[str, str]) -> Query:
    """Read a query string, each name once.

    Raises
    ------
    BadInput
        A page that is no number, `django=` that is no pairs, or characters that no filter can have.
    """
    plain = {name: _clean(name, text) for name, text in parameters.items() if name not in PAGING and text != ""}
    django = tuple(parse_django(plain.pop("django", "")))
    strict = parameters.get("strict", "").lower() in ("1", "true", "yes")
    limit = min(_whole(parameters, "limit", PAGE, 1), LONGEST_PAGE)
    return Query(plain, django, limit, _whole(parameters, "offset", 0, 0), strict)


def parse_django(text: str) -> list[Pair]:
    """The pairs of a `django=` filter.

    >>> for pair in parse_django("pk__in,('a', 'b'),~session__lab__name,x,number__gte,2"):
    ...     print(pair.negated, pair.path, pair.value)
    False ('pk', 'in') ['a', 'b']
    True ('session', 'lab', 'name') x
    False ('number', 'gte') 2
    >>> parse_django("name__in,[__import__('os').getpid()]")
    Traceback (most recent call last):
    one_bridge.server.endpoint_model.BadInput: django: [__import__('os').getpid()] is no list of values.
    """
    if not text:
        return []
    parts = split(text)
    if len(parts) > 2 * MOST_CONDITIONS:
        raise BadInput("django", f"At most {MOST_CONDITIONS} filters at once.")
    if len(parts) % 2:
        raise BadInput("django", "Filters are pairs: field,value,field,value.")
    pairs = []
    for path, value in zip(parts[::2], parts[1::2], strict=True):
        path = path.strip()
        if not re.fullmatch(r"~?[a-zA-Z]\w*", path, re.ASCII) or len(path) > 200:
            raise BadInput("django", f"{path[:80]!r} is no field.")
        names = tuple(path.lstrip("~").split("__"))
        pairs.append(Pair("django", names, value_of(value.strip()), path.startswith("~")))
    return pairs


def json_pairs(name: str, text: str) -> list[Pair]:
    """The pairs of a filter of JSON: `key__lookup;value`.

    >>> [(pair.path, pair.value) for pair in json_pairs("json", "a__b__gt;1")]
    [(('json', 'a', 'b', 'gt'), '1')]
    """
    parts = [part.strip() for part in re.split(r"[;,]", text)]
    if len(parts) % 2:
        raise BadInput(name, "JSON filters are pairs: key__lookup;value.")
    return [
        Pair(name, (name, *path.split("__")), value_of(value))
        for path, value in zip(parts[::2], parts[1::2], strict=True)
    ]


def listed(name: str, text: str) -> list[str]:
    """Several values between commas.

    >>> listed("subject", "a, b")
    ['a', 'b']
    """
    parts = [part.strip() for part in text.split(",")]
    if len(parts) > LONGEST_LIST:
        raise BadInput(name, f"At most {LONGEST_LIST} values.")
    return parts


def split(text: str) -> list[str]:
    """Split at the commas that are neither in brackets nor in quotes.

    >>> split("a,(1,2),b,{'c': 1, 'd': 2}")
    ['a', '(1,2)', 'b', "{'c': 1, 'd': 2}"]
    """
    parts, depth, quoted = [""], 0, ""
    for sign in text:
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign in "'\"" and depth:
            quoted = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        if sign == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    if parts[-1].strip() == "" and len(parts) > 1:
        parts.pop()
    return parts


def value_of(text: str) -> Any:
    """A value: True, False or None, a list or dictionary of literals, or the text as it stands.

    >>> value_of("None"), value_of("('a', 1)"), value_of('{"a": true}'), value_of("1"), value_of("'x'")
    (None, ['a', 1], {'a': True}, '1', 'x')
    """
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    if text[:1] == "{" and text[-1:] == "}":
        return _dictionary(text)
    if not (text[:1] in "([" and text[-1:] in ")]" and text):
        return text
    plain = re.sub(r"UUID\(('[0-9a-fA-F-]{36}')\)", r"\1", text)
    value = _literal(plain)
    if value is None:
        words = [word.strip() for word in plain[1:-1].split(",") if word.strip()]
        if not all(re.fullmatch(r"[\w.:# -]+", word) for word in words):
            raise BadInput("django", f"{text[:80]} is no list of values.")
        value = words
    value = list(value) if isinstance(value, list | tuple) else [value]
    if len(value) > LONGEST_LIST or not all(isinstance(item, str | int | float | bool | None) for item in value):
        raise BadInput("django", f"{text[:80]} is no list of at most {LONGEST_LIST} plain values.")
    return value


def _dictionary(text: str) -> dict[str, Any]:
    parsed = _literal(text)
    if parsed is None:
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
    if not isinstance(parsed, dict):
        raise BadInput("django", f"{text[:80]} is no dictionary of values.")
    try:
        return json.loads(json.dumps(parsed, allow_nan=False))
    except (ValueError, TypeError, RecursionError):
        raise BadInput("django", f"{text[:80]} is no JSON.") from None


def _literal(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return None


def _clean(name: str, text: str) -> str:
    try:
        return values.printable(text)
    except ValueError as error:
        raise BadInput(name, str(error)) from None


def _whole(parameters: Mapping[str, str], name: str, default: int, least: int) -> int:
    text = parameters.get(name, "")
    if text == "":
        return default
    if not re.fullmatch(r"\d{1,12}", text, re.ASCII) or int(text) < least:
        raise BadInput(name, f"A whole number from {least} on is required.")
    return int(text)
