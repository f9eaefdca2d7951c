"""Rows that get another primary key: an animal or a session is renamed, moved or merged with all dependent rows.

Foreign keys of a database cannot be switched off by an ordinary account, and updates that cascade fail where two
foreign keys share columns. So rows are copied from the top under the new key, and the old ones deleted from below; it
is ordinary SQL, on both backends, in the transaction of the caller.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import datajoint as dj

from pipeline.database import registry

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Place:
    """A table, and the columns in which it names rows of the root.

    Attributes
    ----------
    table
        The table.
    roles
        Each a tuple of columns, in the order of the root's primary key.
    """

    table: type[dj.Table]
    roles: tuple[tuple[str, ...], ...]

    @property
    def key_roles(self) -> tuple[tuple[str, ...], ...]:
        """Those that are part of the table's primary key: such rows are copied and deleted, others updated."""
        return tuple(role for role in self.roles if set(role) & set(self.table().primary_key))

    @property
    def other_roles(self) -> tuple[tuple[str, ...], ...]:
        """Those that are not."""
        return tuple(role for role in self.roles if role not in self.key_roles)


def places(root: type[dj.Table]) -> list[Place]:
    """Where the primary key of `root` stands in the tables: itself first, then in order of dependency."""
    connection = root().connection
    connection.dependencies.load()
    names = {root().full_table_name: {tuple(root().primary_key)}}
    result = []
    for table in _all_tables():
        query = table()
        roles = names.get(query.full_table_name, set())
        for parent, edge in connection.dependencies.parents(query.full_table_name):
            by_parent = {above: here for here, above in edge["attr_map"].items()}
            for role in names.get(parent, ()):
                if all(column in by_parent for column in role):
                    roles = roles | {tuple(by_parent[column] for column in role)}
        if roles:
            names[query.full_table_name] = roles
            result.append(Place(table, tuple(sorted(roles))))
    return result


def _all_tables() -> Iterator[type[dj.Table]]:
    for table in registry.tables():
        yield table
        yield from registry.parts(table)


@dataclass
class Rekeying:
    """A change of one key of `root` to another.

    Attributes
    ----------
    root
        The table of which a row gets another key.
    old, new
        Its key before and after.
    dropped
        Tables whose rows are deleted instead, since they are computed from all that an animal has.
    only
        Table label -> keys of the rows that are changed, without the columns of the root; tables that are not named
        change all rows. Rows under them follow.
    """

    root: type[dj.Table]
    old: Key
    new: Key
    dropped: frozenset[str] = frozenset()
    only: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)

    def drops(self, label: str) -> bool:
        """Whether the rows of a table are deleted, to be computed again."""
        return label in self.dropped or any(label.startswith(f"{master}.") for master in self.dropped)

    def preview(self) -> dict[str, int]:
        """How many rows of each table would change: table label -> count, without zeros."""
        counts = {}
        for place in places(self.root):
            where, values = self._where(place)
            name = place.table().full_table_name
            n_rows = self._query(f"SELECT count(*) FROM {name} WHERE {where}", values).fetchone()[0]
            if n_rows:
                counts[registry.label(place.table)] = n_rows
        return counts

    def conflicts(self) -> dict[str, list[dict[str, Any]]]:
        """Rows that are there already under the new key with other content: table label -> their new keys."""
        conflicts: dict[str, list[dict[str, Any]]] = {}
        for place in places(self.root)[1:]:
            label = registry.label(place.table)
            if not place.key_roles or self.drops(label):
                continue
            query = place.table()
            if clash := [key for key, same in self._both(query, place) if not same]:
                conflicts[label] = clash
        return conflicts

    def moved(self, labels: Collection[str]) -> dict[str, list[tuple[dict[str, Any], dict[str, Any]]]]:
        """Keys before and after of the rows of some tables that would get another key: table label -> pairs."""
        moved: dict[str, list[tuple[dict[str, Any], dict[str, Any]]]] = {}
        for place in places(self.root):
            label, query = registry.label(place.table), place.table()
            if label not in labels or not place.key_roles or self.drops(label):
                continue
            where, values = self._where(place, place.key_roles)
            names = query.primary_key
            columns = ", ".join(map(query.connection.adapter.quote_identifier, names))
            rows = self._query(f"SELECT {columns} FROM {query.full_table_name} WHERE {where}", values).fetchall()
            for row in rows:
                old = dict(zip(names, row, strict=True))
                new = dict(old)
                for role in place.key_roles:
                    if tuple(old.get(column) for column in role) == tuple(self.old):
                        new |= dict(zip(role, self.new, strict=True))
                moved.setdefault(label, []).append((old, new))
        return moved

    def run(self) -> dict[str, int]:
        """Change the rows; returns table label -> how many. The caller holds the transaction.

        Rows that are there already under the new key with the same content are dropped; see `conflicts` for others.
        """
        counts: dict[str, int] = {}
        copied: list[Place] = []
        for place in places(self.root):
            label, name = registry.label(place.table), place.table().full_table_name
            where, values = self._where(place)
            n_rows = self._query(f"SELECT count(*) FROM {name} WHERE {where}", values).fetchone()[0]
            if not n_rows:
                continue
            counts[label] = n_rows
            if place.key_roles:
                copied.append(place)
                if not self.drops(label):
                    self._copy(place)
            if place.other_roles:
                self._update(place)
        for place in reversed(copied):
            where, values = self._where(place, place.key_roles)
            self._query(f"DELETE FROM {place.table().full_table_name} WHERE {where}", values)
        self._forget_jobs()
        return counts

    def _copy(self, place: Place) -> None:
        query = place.table()
        where, values = self._where(place, place.key_roles)
        quote = query.connection.adapter.quote_identifier
        names = list(query.heading._attributes)  # with the hidden ones
        unique = self._unique_columns(query, place)
        if unique:
            sets = ", ".join(f"{quote(name)} = REVERSE({quote(name)})" for name in unique)
            self._query(f"UPDATE {query.full_table_name} SET {sets} WHERE {where}", values)
        chosen, arguments = [], []
        for name in names:
            expression, more = self._new_value(place, name, quote)
            chosen.append(f"REVERSE({expression})" if name in unique else expression)
            arguments += more
        columns = ", ".join(map(quote, names))
        there = self._new_row_exists(query, place, quote)
        self._query(
            f"INSERT INTO {query.full_table_name} ({columns}) SELECT {', '.join(chosen)} FROM {query.full_table_name} "
            f"AS old WHERE {where} AND NOT EXISTS ({there[0]})",
            [*arguments, *values, *there[1]],
        )

    def _update(self, place: Place) -> None:
        query = place.table()
        where, values = self._where(place, place.other_roles)
        quote = query.connection.adapter.quote_identifier
        columns = sorted({column for role in place.other_roles for column in role} - set(query.primary_key))
        sets, arguments = [], []
        for name in columns:
            expression, more = self._new_value(place, name, quote)
            sets.append(f"{quote(name)} = {expression}")
            arguments += more
        self._query(f"UPDATE {query.full_table_name} SET {', '.join(sets)} WHERE {where}", [*arguments, *values])

    def _new_value(self, place: Place, name: str, quote: Any) -> tuple[str, list[Any]]:
        """SQL of what a column becomes, and its arguments."""
        expression: str = quote(name)
        arguments: list[Any] = []
        for role in place.roles:
            if name in role:
                condition, values = self._role_is(role, self.old, quote)
                expression = f"CASE WHEN {condition} THEN {self._typed(place, name)} ELSE {expression} END"
                arguments = [*values, self.new[role.index(name)], *arguments]
        return expression, arguments

    def _typed(self, place: Place, name: str) -> str:
        """A place holder that has the type of the column, which PostgreSQL cannot conclude within CASE."""
        kind = place.table().heading[name].type
        if place.table().connection.adapter.backend != "postgresql":
            return "%s"
        return f"CAST(%s AS {kind})"

    def _where(self, place: Place, roles: Sequence[tuple[str, ...]] | None = None) -> tuple[str, list[Any]]:
        """SQL for the rows of a table that change, in any of its roles or in some."""
        query = place.table()
        quote = query.connection.adapter.quote_identifier
        conditions, values = [], []
        for role in place.roles if roles is None else roles:
            condition, more = self._role_is(role, self.old, quote)
            conditions.append(condition)
            values += more
        where = f"({' OR '.join(conditions)})"
        label = registry.label(place.table)
        if label in self.only:
            keys = self.only[label]
            if not keys:
                return "1 = 0", []
            names = list(keys[0])
            rows = ", ".join("(" + ", ".join(["%s"] * len(names)) + ")" for _ in keys)
            where += f" AND ({', '.join(map(quote, names))}) IN ({rows})"
            values += [key[name] for key in keys for name in names]
        return where, values

    @staticmethod
    def _role_is(role: Sequence[str], key: Key, quote: Any) -> tuple[str, list[Any]]:
        return " AND ".join(f"{quote(column)} = %s" for column in role), list(key)

    def _new_row_exists(self, query: dj.Table, place: Place, quote: Any) -> tuple[str, list[Any]]:
        """SQL of a subquery that finds the row that is there already under the new key."""
        parts, values = [], []
        for name in query.primary_key:
            expression, more = self._new_value(place, name, lambda one: f"old.{quote(one)}")
            parts.append(f"now.{quote(name)} = {expression}")
            values += more
        return f"SELECT 1 FROM {query.full_table_name} AS now WHERE {' AND '.join(parts)}", values

    def _both(self, query: dj.Table, place: Place) -> Iterator[tuple[dict[str, Any], bool]]:
        """The keys under which there are rows before and after, and whether the rows say the same."""
        role = place.key_roles[0]
        rest = [name for name in query.primary_key if name not in role]
        old = query & dict(zip(role, self.old, strict=True))
        new = query & dict(zip(role, self.new, strict=True))
        if not rest or not len(new) or not len(old):
            return
        compared = [name for name in query.heading.secondary_attributes if not query.heading[name].codec]
        after = {tuple(row[name] for name in rest): row for row in new.to_dicts()}
        for row in old.to_dicts():
            twin = after.get(tuple(row[name] for name in rest))
            if twin is not None:
                key = {name: twin[name] for name in query.primary_key}
                yield key, all(row[name] == twin[name] for name in compared)

    @staticmethod
    def _unique_columns(query: dj.Table, place: Place) -> list[str]:
        """Columns of unique indexes that do not name the root: both rows exist for a moment."""
        listed = re.findall(r"^\s*unique index\s*\(([^)]*)\)", query.definition, re.MULTILINE | re.IGNORECASE)
        indexes = [[name.strip() for name in item.split(",")] for item in listed]
        named = {column for role in place.roles for column in role}
        return [index[0] for index in indexes if not named & set(index)]

    def _forget_jobs(self) -> None:
        """Delete what the queue holds of the old key: the next refresh enters what is to be done."""
        for place in places(self.root):
            if issubclass(place.table, dj.Imported | dj.Computed):
                jobs = registry.jobs_of(place.table)
                for role in place.roles:
                    if set(role) <= set(jobs.primary_key):
                        condition, values = self._role_is(role, self.old, jobs.connection.adapter.quote_identifier)
                        self._query(f"DELETE FROM {jobs.full_table_name} WHERE {condition}", values)

    def _query(self, sql: str, values: Sequence[Any]) -> Any:
        return self.root().connection.query(sql, args=tuple(values))


def summaries(root: type[dj.Table], but: Sequence[str] = ()) -> frozenset[str]:
    """Labels of the populated tables that have a row for each row of `root`, or for several, but none for a child.

    Parameters
    ----------
    root
        E.g. `subject.Subject`.
    but
        Columns that a table with rows of the child has in its key, e.g. `session_date`.
    """
    return frozenset(
        registry.label(place.table)
        for place in places(root)
        if issubclass(place.table, dj.Imported | dj.Computed) and not set(but) & set(place.table().primary_key)
    )
