"""Queries that are asked for one key after the other: their SQL is composed once, not for each key.

Composing an expression of joins and projections takes DataJoint longer than the database takes to answer it. While
several keys are computed together (`database.together`), the first question about one of them is asked for all.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import datajoint as dj
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datajoint.codecs import decode_attribute

from pipeline.database import registry
from pipeline.database.bulk import fetch_sql
from pipeline.database.columns import arrow_type
from pipeline.database.together import Batch, batch_of


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
        self._known: dict[tuple[tuple[str, ...], tuple[str, ...]], _Composed] = {}

    def rows(self, key: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The rows whose columns have these values; of a list or tuple, one of these values.

        Raises
        ------
        datajoint.errors.UnknownAttributeError : the query has no such column.
        """
        connection = registry.connection()
        opened = batch_of(connection)
        if opened is None or self._reads_what_it_writes(key, connection, opened):
            return self._rows(connection, key)
        shared, others = opened.split(key)
        place = (self, "rows", shared, _hashable(others))
        if place not in opened.answers:
            groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
            for row in self._rows(connection, others, shared, opened.values(shared)):
                groups.setdefault(tuple(row[name] for name in shared), []).append(row)
            opened.answers[place] = groups
        return [dict(row) for row in opened.answers[place].get(tuple(key[name] for name in shared), ())]

    def columns(self, key: Mapping[str, Any]) -> pa.Table:
        """The same rows as columns, as `fetch_columns` returns them; for rows by the thousand.

        Raises
        ------
        datajoint.errors.UnknownAttributeError : the query has no such column.
        """
        connection = registry.connection()
        opened = batch_of(connection)
        if opened is None or self._reads_what_it_writes(key, connection, opened):
            return self._columns(connection, key)
        shared, others = opened.split(key)
        place = (self, "columns", shared, _hashable(others))
        if place not in opened.answers:
            table = self._columns(connection, others, shared, opened.values(shared))
            opened.answers[place] = (table.slice(0, 0), _runs(table, shared))
        empty, groups = opened.answers[place]
        return groups.get(tuple(key[name] for name in shared), empty)

    def _reads_what_it_writes(self, key: Mapping[str, Any], connection: dj.Connection, opened: Batch) -> bool:
        return opened.is_about_itself(self._for(tuple(key), (), connection).sql)

    def _rows(
        self, connection: dj.Connection, key: Mapping[str, Any], shared: tuple[str, ...] = (), places: Any = ()
    ) -> list[dict[str, Any]]:
        """The rows for one key; with `shared`, for all keys that have one of the `places` under these names."""
        composed, values = self._for(tuple(key), shared, connection), _values(key, places if shared else None)
        if not all(values):
            return []
        rows = [list(row) for row in connection.query(composed.sql, values).fetchall()]
        for place, attribute in composed.encoded:
            for row in rows:
                row[place] = decode_attribute(attribute, row[place], connection=connection)
        return [dict(zip(composed.names, row, strict=True)) for row in rows]

    def _columns(
        self, connection: dj.Connection, key: Mapping[str, Any], shared: tuple[str, ...] = (), places: Any = ()
    ) -> pa.Table:
        composed = self._for(tuple(key), shared, connection)
        return fetch_sql(connection, composed.sql, composed.types, _values(key, places if shared else None))

    def _for(self, names: tuple[str, ...], shared: tuple[str, ...], connection: dj.Connection) -> _Composed:
        binding = (id(connection), registry.n_bindings())
        composed = self._known.get((names, shared))
        if composed is None or composed.binding != binding:
            composed = self._known[names, shared] = self._composed(names, shared, binding, connection)
        return composed

    def _composed(
        self, names: tuple[str, ...], shared: tuple[str, ...], binding: tuple[int, int], connection: dj.Connection
    ) -> _Composed:
        query = self._compose()
        heading, quote = query.heading, connection.adapter.quote_identifier
        for name in (*names, *shared):
            if name not in heading:
                raise dj.errors.UnknownAttributeError(f"`{name}` is not a column of the query")
        sql = f"SELECT {', '.join(map(quote, heading.names))} FROM ({query.make_sql()}) AS asked"
        conditions = [f"{quote(name)} IN %s" for name in names]
        if shared:
            conditions.append(f"({', '.join(map(quote, shared))}) IN %s")
        if conditions:
            sql += " WHERE " + " AND ".join(conditions)
        order = [quote(name) for name in shared]
        if self._order_by:
            terms = [term.split() for term in self._order_by.split(",")]
            order += [" ".join([quote(name), *direction]) for name, *direction in terms]
        if order:
            sql += " ORDER BY " + ", ".join(order)
        encoded = tuple(
            (place, heading[name])
            for place, name in enumerate(heading.names)
            if heading[name].codec or heading[name].json or heading[name].uuid
        )
        types = {name: arrow_type(heading[name]) for name in heading.names}
        return _Composed(binding, sql, tuple(heading.names), encoded, types)


def _values(key: Mapping[str, Any], places: Sequence[tuple[Any, ...]] | None) -> tuple[tuple[Any, ...], ...]:
    """The values of each column, of which one is asked for; last, where there are any, those of the shared columns."""
    values = tuple(
        tuple(map(_plain, item)) if isinstance(item, list | tuple) else (_plain(item),) for item in key.values()
    )
    if places is None:
        return values
    one_column = bool(places) and len(places[0]) == 1
    return (*values, tuple(_plain(place[0]) if one_column else tuple(map(_plain, place)) for place in places))


def _hashable(key: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, tuple(value) if isinstance(value, list) else value) for name, value in key.items())


def _runs(table: pa.Table, names: Sequence[str]) -> dict[tuple[Any, ...], pa.Table]:
    """The rows by what they have under some names, in the order of which they come."""
    if not names or not table.num_rows:
        return {(): table} if table.num_rows else {}
    table = table.combine_chunks()
    changes = np.zeros(table.num_rows - 1, bool)
    for name in names:
        column = table[name]
        changes |= pc.not_equal(column.slice(1), column.slice(0, table.num_rows - 1)).to_numpy()
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), table.num_rows]
    return {
        tuple(table[name][first].as_py() for name in names): table.slice(first, last - first)
        for first, last in itertools.pairwise(edges)
    }


def _plain(value: Any) -> Any:
    """The value as a database driver takes it: the numbers of numpy as those of Python."""
    return value.item() if isinstance(value, np.generic) else value
