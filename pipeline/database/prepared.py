"""Queries that are asked for one key after the other: their SQL is composed once, not for each key.

Composing an expression of joins and projections takes DataJoint longer than the database takes to answer it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
from datajoint.codecs import decode_attribute

from pipeline.database import registry
from pipeline.database.bulk import arrow_type, fetch_sql


@dataclass(frozen=True)
class _Composed:
    """A query in SQL, with a place for the value of each restricted column."""

    binding: tuple[int, int]  # of the tables to a database, in which the SQL holds
    sql: str
    names: tuple[str, ...]
    encoded: tuple[tuple[int, Any], ...]  # place and heading of the columns whose values must be decoded
    types: dict[str, pa.DataType | None]  # by name; None: with a codec


class Prepared:
    """A query whose restriction to a key is given when it is asked.

    Parameters
    ----------
    compose : returns the query without that restriction.
    order_by : column names with ASC or DESC, separated by commas.

    Examples
    --------
    >>> sessions = Prepared(lambda: acquisition.Session.proj("eid"))
    >>> sessions.rows({"lab": "cortexlab", "subject": "KS014"})  # doctest: +SKIP
    [{'lab': 'cortexlab', 'subject': 'KS014', …, 'eid': '…'}, …]
    """

    def __init__(self, compose: Callable[[], dj.expression.QueryExpression], order_by: str = "") -> None:
        self._compose, self._order_by = compose, order_by
        self._known: dict[tuple[str, ...], _Composed] = {}

    def rows(self, key: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows whose columns have these values; of a list or tuple, one of these values.

        Raises
        ------
        datajoint.errors.UnknownAttributeError : the query has no such column.
        """
        connection = registry.connection()
        composed, values = self._for(key, connection), _values(key)
        if not all(values):
            return []
        rows = [list(row) for row in connection.query(composed.sql, values).fetchall()]
        for place, attribute in composed.encoded:
            for row in rows:
                row[place] = decode_attribute(attribute, row[place], connection=connection)
        return [dict(zip(composed.names, row, strict=True)) for row in rows]

    def columns(self, key: Mapping[str, Any]) -> pa.Table:
        """The same rows as columns, as `fetch_columns` returns them; for rows by the thousand.

        Raises
        ------
        datajoint.errors.UnknownAttributeError : the query has no such column.
        """
        connection = registry.connection()
        composed = self._for(key, connection)
        return fetch_sql(connection, composed.sql, composed.types, _values(key))

    def _for(self, key: Mapping[str, Any], connection: dj.Connection) -> _Composed:
        names, binding = tuple(key), (id(connection), registry.n_bindings())
        composed = self._known.get(names)
        if composed is None or composed.binding != binding:
            composed = self._known[names] = self._composed(names, binding, connection)
        return composed

    def _composed(self, names: Sequence[str], binding: tuple[int, int], connection: dj.Connection) -> _Composed:
        query = self._compose()
        heading, quote = query.heading, connection.adapter.quote_identifier
        for name in names:
            if name not in heading:
                raise dj.errors.UnknownAttributeError(f"`{name}` is not a column of the query")
        sql = f"SELECT {', '.join(map(quote, heading.names))} FROM ({query.make_sql()}) AS asked"
        if names:
            sql += " WHERE " + " AND ".join(f"{quote(name)} IN %s" for name in names)
        if self._order_by:
            terms = [term.split() for term in self._order_by.split(",")]
            sql += " ORDER BY " + ", ".join(" ".join([quote(name), *direction]) for name, *direction in terms)
        encoded = tuple(
            (place, heading[name])
            for place, name in enumerate(heading.names)
            if heading[name].codec or heading[name].json or heading[name].uuid
        )
        types = {name: arrow_type(heading[name]) for name in heading.names}
        return _Composed(binding, sql, tuple(heading.names), encoded, types)


def _values(key: Mapping[str, Any]) -> tuple[tuple[Any, ...], ...]:
    """The values of each column, of which one is asked for."""
    return tuple(
        tuple(map(_plain, item)) if isinstance(item, list | tuple) else (_plain(item),) for item in key.values()
    )


def _plain(value: Any) -> Any:
    """The value as a database driver takes it: the numbers of numpy as those of Python."""
    return value.item() if isinstance(value, np.generic) else value
