"""Text in double quotes in a restriction, which MySQL takes for text and PostgreSQL for the name of a column."""

from __future__ import annotations

import re
from collections.abc import Collection

from pipeline.errors import AmbiguousError

_QUOTED = re.compile(r"'(?:[^'\\]|''|\\.)*'|\"((?:[^\"\\]|\"\"|\\.)*)\"", re.DOTALL)
_SELECT = re.compile(r"\bselect\b", re.IGNORECASE)
_COMPARED = re.compile(r"([^\s=<>!])?\s*(?:=|<>|!=|<=|>=|<|>|\b(?:NOT\s+)?I?LIKE)\s*$", re.IGNORECASE)


def single_quoted(condition: str, columns: Collection[str]) -> str:
    r"""The condition with its text in single quotes, which every database takes for text.

    Parameters
    ----------
    condition
        SQL as people write it. Quoted names of columns, names with a dot, and subqueries stay as they are.
    columns
        Names of the columns of the query.

    Raises
    ------
    AmbiguousError
        A column is compared with text that is also the name of a column.

    Examples
    --------
    >>> single_quoted('training_status = "in_training"', ["training_status"])
    "training_status = 'in_training'"
    >>> single_quoted('"lab" IN ("mine", "your\'s")', ["lab"])
    '"lab" IN (\'mine\', \'your\'\'s\')'
    >>> single_quoted('subject = "lab"', ["lab", "subject"])
    Traceback (most recent call last):
    pipeline.errors.AmbiguousError: "lab" is both text and a column: write 'lab' for the text, lab for the column
    """
    if '"' not in condition or _SELECT.search(_QUOTED.sub("''", condition)):
        return condition

    def rewritten(match: re.Match[str]) -> str:
        content = match[1]
        if content is None or "." in (condition[match.start() - 1 : match.start()], condition[match.end() :][:1]):
            return match[0]
        plain = re.sub(r"\\(.)", r"\1", content.replace('""', '"'), flags=re.DOTALL)
        if plain in columns:
            compared = _COMPARED.search(condition[: match.start()])
            if compared is not None and compared[1] != '"':
                raise AmbiguousError(
                    f'"{plain}" is both text and a column',
                    f"write '{plain}' for the text, {plain} for the column",
                )
            return match[0]
        return "'" + plain.replace("'", "''") + "'"

    return _QUOTED.sub(rewritten, condition)
