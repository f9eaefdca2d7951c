"""What people at a prompt expect of tables: short printing, data frames with proper types, `len(Session)`, and joins
that have each row once where a table has a row for each of several rule sets."""

from __future__ import annotations

import copy
import datetime
import html
import json
import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

SHOWN_ITEMS = 4
"""Items of a list that are printed; of longer ones the first, and how many there are."""


class ByChoice:
    """Tables with a row for each rule set. A join takes those of the one that is in use, unless a restriction by
    `criteria` says which.
    """

    @staticmethod
    def rows_in_use() -> str:
        """The SQL condition for the rows that a join takes by itself."""
        raise NotImplementedError


def apply() -> None:
    """Install what is described above; harmless when called again."""
    from datajoint import expression, user_tables

    query: Any = expression.QueryExpression
    if getattr(query.to_pandas, "patched", False):
        return
    _count_classes(user_tables.TableMeta)
    _join_the_rows_in_use(expression)
    _type_frames(query)
    _print_short(expression)


def _count_classes(meta: Any) -> None:
    """`len(Session)` counts as `len(Session())` does; a class stays true, however many rows it has."""
    meta.__len__ = lambda cls: len(cls())
    meta.__bool__ = lambda cls: True


def _join_the_rows_in_use(module: Any) -> None:
    query: Any = module.QueryExpression
    join, where, subquery, restrict = query.join, query.where_clause, query.make_subquery, query.restrict
    create = module.Aggregation.create.__func__

    def patched_join(self, other, semantic_check=True, left=False, allow_nullable_pk=False):
        result = join(self, other, semantic_check=semantic_check, left=left, allow_nullable_pk=allow_nullable_pk)
        chosen = [_choice(item) for item in (self, other)]
        if any(chosen) and not _is_chosen(self) and not _is_chosen(other):
            result._choice = next(item for item in chosen if item)
        elif any(chosen):
            result._has_chosen = True
        return result

    def patched_restrict(self, restriction, semantic_check=True):
        if (
            self._restriction_attributes is not None
        ):  # the names of the restrictions: DataJoint shares the set with the new query
            self = copy.copy(self)
            self._restriction_attributes = set(self._restriction_attributes)
        return restrict(self, restriction, semantic_check=semantic_check)

    def patched_where(self):
        clause = where(self)
        choice = self.__dict__.get("_choice")
        if choice is None or _is_chosen(self) or "criteria" not in self.heading.names:
            return clause
        return f"{clause}{' AND' if clause else ' WHERE'} ({choice.rows_in_use()})"

    def patched_subquery(self):
        result = subquery(self)
        for name in ("_has_chosen", "_choice"):
            if name in self.__dict__:
                setattr(result, name, self.__dict__[name])
        if _choice(self) and _is_chosen(self):
            result._has_chosen = True
        return result

    def patched_create(cls, groupby, group, keep_all_rows=False):
        group = group() if isinstance(group, type) else group
        choice = _choice(group)
        if choice and not _is_chosen(group) and "criteria" not in groupby.primary_key:
            group = copy.copy(group)
            group._restriction = module.AndList([*group.restriction, choice.rows_in_use()])
            group._restriction_attributes = {*group.restriction_attributes, "criteria"}
        return create(cls, groupby, group, keep_all_rows=keep_all_rows)

    for one, other in ((patched_join, join), (patched_subquery, subquery), (patched_restrict, restrict)):
        one.__doc__ = other.__doc__
    patched_restrict.patched = True  # type: ignore[attr-defined]
    query.join, query.restrict = patched_join, patched_restrict
    query.where_clause, query.make_subquery = patched_where, patched_subquery
    module.Aggregation.create = classmethod(patched_create)


def _choice(query: Any) -> type[ByChoice] | None:
    """The table with rows by choice that a query is made of."""
    if isinstance(query, type):
        return query if issubclass(query, ByChoice) else None
    known = getattr(query, "__dict__", {}).get("_choice")
    return known or (type(query) if isinstance(query, ByChoice) else None)


def _is_chosen(query: Any) -> bool:
    if isinstance(query, type):
        return False
    return "_has_chosen" in getattr(query, "__dict__", {}) or "criteria" in query.restriction_attributes


def _type_frames(query: Any) -> None:
    def to_pandas(self, order_by=None, limit=None, offset=None, squeeze=False):
        import pandas as pd

        rows = self.to_dicts(order_by=order_by, limit=limit, offset=offset, squeeze=squeeze)
        names = self.heading.names
        columns = {name: _series([row[name] for row in rows], self.heading[name]) for name in names}
        frame = pd.DataFrame(columns, columns=list(names))
        return frame.set_index(list(self.primary_key)) if self.primary_key else frame

    to_pandas.patched = True  # type: ignore[attr-defined]
    to_pandas.__doc__ = (
        "The rows as a data frame, the primary key as its index. Numbers are numbers (NaN or <NA> where a column is "
        "empty), dates and times `datetime64`, and a result without rows has its columns."
    )
    query.to_pandas = to_pandas


def _series(values: list[Any], attribute: Any) -> Any:
    """A column with the type that its values have, whichever of them are missing."""
    import pandas as pd

    kind = str(attribute.original_type or attribute.type or "").lower()
    known = [value for value in values if value is not None]
    if any(isinstance(value, Decimal) for value in known) or kind.startswith(("float", "double", "real", "decimal")):
        return pd.Series([float("nan") if value is None else float(value) for value in values], dtype="float64")
    if attribute.json or attribute.codec:
        return pd.Series(values, dtype=object)
    if kind.startswith("bool") or (known and all(isinstance(value, bool) for value in known)):
        truths = [None if value is None else bool(value) for value in values]
        return pd.Series(truths, dtype="boolean" if len(known) < len(values) else "bool")
    if kind.startswith(("int", "smallint", "bigint", "tinyint")) or (
        known and all(isinstance(value, numbers.Integral) for value in known)
    ):
        return pd.Series(values, dtype="Int64" if len(known) < len(values) else "int64")
    if kind.startswith(("datetime", "timestamp", "date")) or (
        known and all(isinstance(value, datetime.date) for value in known)
    ):
        return pd.Series(pd.to_datetime(pd.Series(values, dtype=object), errors="coerce")).astype("datetime64[us]")
    return (
        pd.Series(values, dtype=object if kind.startswith("json") else None)
        if known
        else pd.Series(values, dtype="str")
    )


def _print_short(module: Any) -> None:
    def preview(self, limit=None, width=None):
        head, rows, more, total = _shown(self, limit)
        width = width or self.connection._config["display.width"]
        cells = [[text[: width - 1] + "…" if len(text) > width else text for text in row] for row in rows]
        names = [("*" if name in self.primary_key else "") + name for name in head]
        sizes = [max(map(len, column)) for column in zip(names, *cells, strict=True)]
        lines = ["  ".join(text.ljust(size) for text, size in zip(row, sizes, strict=True)) for row in [names, *cells]]
        lines.insert(1, "  ".join("-" * size for size in sizes))
        return "\n".join([*(line.rstrip() for line in lines), *(["…"] if more else []), f"{total} rows", ""])

    def as_html(self):
        head, rows, more, total = _shown(self, None)
        key, heading = set(self.primary_key), self.heading
        titles = "".join(
            f'<th title="{html.escape(heading[name].comment or "", quote=True)}">'
            + (f"<b>{html.escape(name)}</b>" if name in key else html.escape(name))
            + "</th>"
            for name in head
        )
        body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
        return (
            f'<div style="overflow:auto"><table><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
            f"<p>{'… ' if more else ''}{total} rows</p></div>"
        )

    module.QueryExpression.preview = preview
    module.QueryExpression._repr_html_ = as_html


def _shown(query: Any, limit: int | None) -> tuple[Sequence[str], list[list[str]], bool, int]:
    """Column names, the first rows as text, whether there are more, and how many rows there are."""
    limit = limit or query.connection._config["display.limit"]
    heading = query.heading
    stored = [name for name in heading.names if heading[name].codec]
    plain = query.proj(*(name for name in heading.secondary_attributes if name not in stored))
    plain = plain if not getattr(query, "_top", None) else query
    rows = plain.to_dicts(limit=limit + 1)
    texts = [
        [f"<{heading[name].codec.name}>" if name in stored else as_text(row[name]) for name in heading.names]
        for row in rows[:limit]
    ]
    return heading.names, texts, len(rows) > limit, len(query)


def as_text(value: Any) -> str:
    """A value in a table: numbers with five digits, of lists the first items.

    >>> as_text(0.8333333333), as_text(None), as_text([0.5, 0.25, 0.125, 0.0625, 0.0]), as_text({"a": 1})
    ('0.83333', '', '[0.5, 0.25, 0.125, 0.0625, … 5 in all]', '{"a": 1}')
    """
    if value is None:
        return ""
    if isinstance(value, float | Decimal):
        return f"{value:.5g}"
    if isinstance(value, list | tuple):
        items = [as_text(item) or "null" for item in value[:SHOWN_ITEMS]]
        items += [f"… {len(value)} in all"] if len(value) > SHOWN_ITEMS else []
        return f"[{', '.join(items)}]"
    if isinstance(value, Mapping):
        text = json.dumps(value, default=str)
        return text if len(text) <= 60 else f"{text[:57]}…"
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds")
    return str(value)
