"""What is written in a `django=` filter, read as literals and never evaluated, and how JSON is compared with it."""

from __future__ import annotations

import ast
import re
from typing import Any

from one_bridge.matching import truth
from one_bridge.server.endpoint_model import BadInput

LONGEST_LIST = 1000  # values in one filter
MOST_CONDITIONS = 50  # filters in one request
TEXT_LOOKUPS = ("exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith", "iendswith",
                "regex", "iregex")  # fmt: skip
ORDER_LOOKUPS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
LOOKUPS = (*TEXT_LOOKUPS, *ORDER_LOOKUPS, "in", "range", "isnull")


def parse_django(text: str) -> list[tuple[bool, str, Any]]:
    """The parts of a `django=` filter: negated or not, path with lookup, value.

    >>> parse_django("pk__in,('a', 'b'),~session__lab__name,x,number__gte,2")
    [(False, 'pk__in', ['a', 'b']), (True, 'session__lab__name', 'x'), (False, 'number__gte', '2')]
    >>> parse_django("name__in,[__import__('os').getpid()]")
    Traceback (most recent call last):
    one_bridge.server.endpoint_model.BadInput: django: [__import__('os').getpid()] is no list of values.
    """
    parts = split(text)
    if len(parts) > 2 * MOST_CONDITIONS:
        raise BadInput("django", f"At most {MOST_CONDITIONS} filters at once.")
    if len(parts) % 2:
        raise BadInput("django", "Filters are pairs: field,value,field,value.")
    found = []
    for path, text_of_value in zip(parts[::2], parts[1::2], strict=True):
        path = path.strip()
        if not re.fullmatch(r"~?[a-zA-Z]\w*", path, re.ASCII) or len(path) > 200:
            raise BadInput("django", f"{path[:80]!r} is no field.")
        found.append((path.startswith("~"), path.lstrip("~"), value_of(text_of_value.strip())))
    return found


def json_matches(content: Any, path: list[str], lookup: str, wanted: Any) -> bool:
    """Whether the value at a path in JSON compares with what is wanted as the lookup says."""
    for name in path:
        if isinstance(content, dict) and name in content:
            content = content[name]
        elif isinstance(content, list) and re.fullmatch(r"\d{1,4}", name) and int(name) < len(content):
            content = content[int(name)]
        else:
            return lookup == "isnull" and truth(wanted)
    if lookup == "isnull":
        return (content is None) == truth(wanted)
    if isinstance(content, int | float) and not isinstance(content, bool):
        try:
            wanted = [float(one) for one in wanted] if isinstance(wanted, list) else float(wanted)
        except (TypeError, ValueError):
            return False
    elif isinstance(content, bool) or content is None:
        return lookup in ("exact", "iexact") and str(content).lower() == str(wanted).lower()
    else:
        content = content if isinstance(content, str) else str(content)
        wanted = [str(one) for one in wanted] if isinstance(wanted, list) else str(wanted)
    if lookup in ("in", "range"):
        wanted = wanted if isinstance(wanted, list) else [wanted]
        return content in wanted if lookup == "in" else len(wanted) == 2 and wanted[0] <= content <= wanted[1]
    if isinstance(wanted, list):
        return False
    if lookup in ORDER_LOOKUPS:
        return {"gt": content > wanted, "gte": content >= wanted, "lt": content < wanted, "lte": content <= wanted}[
            lookup
        ]
    if not isinstance(content, str):
        return content == wanted
    if lookup.startswith("i"):
        content, wanted, lookup = content.casefold(), wanted.casefold(), lookup[1:]
    return {
        "exact": content == wanted,
        "contains": wanted in content,
        "startswith": content.startswith(wanted),
        "endswith": content.endswith(wanted),
    }.get(lookup, False)


def split(text: str) -> list[str]:
    """Split at the commas that are neither in brackets nor in quotes."""
    parts, depth, quoted = [""], 0, ""
    for sign in text:
        if quoted:
            quoted = "" if sign == quoted else quoted
        elif sign in "'\"" and depth:
            quoted = sign
        elif sign in "([":
            depth += 1
        elif sign in ")]":
            depth -= 1
        if sign == "," and not depth and not quoted:
            parts.append("")
        else:
            parts[-1] += sign
    if parts[-1].strip() == "" and len(parts) > 1:
        parts.pop()
    return parts


def value_of(text: str) -> Any:
    """A value of a `django=` filter: a literal, a list of literals, or the text as it stands."""
    if text in ("True", "False", "None"):
        return {"True": True, "False": False, "None": None}[text]
    if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    if not (text[:1] in "([" and text[-1:] in ")]" and text):
        return text
    plain = re.sub(r"UUID\(('[0-9a-fA-F-]{36}')\)", r"\1", text)
    try:
        found = ast.literal_eval(plain)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        words = [word.strip() for word in plain[1:-1].split(",") if word.strip()]
        if not all(re.fullmatch(r"[\w.:# -]+", word) for word in words):
            raise BadInput("django", f"{text[:80]} is no list of values.") from None
        found = words
    found = list(found) if isinstance(found, list | tuple) else [found]
    if len(found) > LONGEST_LIST or not all(isinstance(one, str | int | float | bool | None) for one in found):
        raise BadInput("django", f"{text[:80]} is no list of at most {LONGEST_LIST} plain values.")
    return found
