"""A person's own database schema: tables made in a notebook, dropped without leftovers, or moved into a module."""

from __future__ import annotations

import getpass
import hashlib
import re
import sys
from typing import Any, TypeVar

import datajoint as dj

from pipeline.database import migrate, registry
from pipeline.errors import ConflictError, NeurojointError, NotFoundError
from pipeline.settings import LONGEST_DATABASE_SCHEMA, settings

_Table = TypeVar("_Table", bound=type)


class PersonalSchema(dj.Schema):
    """A schema for tables of one's own: `@schema class MyTable(dj.Computed): …`."""

    def __call__(self, table: _Table, *, context: dict[str, Any] | None = None) -> _Table:
        """Declare a table; its foreign keys may name whatever is known where it is defined."""
        if context is None and (caller := sys._getframe(1)):
            context = {**caller.f_globals, **caller.f_locals}
        return super().__call__(table, context=context)

    def drop_tables(self, *tables: type[dj.Table]) -> None:
        """Drop tables with their rows, parts and jobs.

        Raises
        ------
        NeurojointError : other tables depend on one of them.
        """
        for table in tables:
            own = {table.table_name, *_parts(self.connection, self.database, table.table_name)}
            if others := _dependents(self.connection, self.database, table.table_name, own):
                raise NeurojointError(f"{', '.join(others)} depends on {table.__name__}", "drop that table first")
            _drop(self.connection, self.database, table.table_name)
            self.connection.dependencies.clear()

    def tables(self) -> list[str]:
        """Names of the tables in the database, without those of jobs."""
        return sorted(name for name in _listed(self.connection, self.database) if not name.startswith("~"))


def schema_name(account: str, prefix: str) -> str:
    """The database schema of an account: lower-case letters, digits and `_`; long names end in a hash.

    >>> schema_name("Ada.Lovelace", "neurojoint_")
    'neurojoint_u_ada_lovelace'
    >>> schema_name("a-person-with-a-very-long-name", "neurojoint_")
    'neurojoint_u_a_person_wi_c9934'
    """
    plain = re.sub(r"[^a-z0-9]+", "_", account.lower()).strip("_")
    room = LONGEST_DATABASE_SCHEMA - len(prefix) - len(registry.PERSONAL)
    if len(plain) > room or not plain:
        plain = f"{plain[: room - 6]}_{hashlib.sha256(account.encode()).hexdigest()[:5]}"
    return f"{prefix}{registry.PERSONAL}{plain}"


def personal_schema(connection: dj.Connection, account: str | None = None) -> PersonalSchema:
    """The schema of `account`; by default of the database account, or with the embedded database of the user here.

    Raises
    ------
    NeurojointError : this account may not make a schema.
    """
    user = connection.get_user().partition("@")[0]
    account = account or (getpass.getuser() if settings().database_url is None else user)
    name = schema_name(account, settings().prefix)
    try:
        return PersonalSchema(name, connection=connection, create_schema=True, create_tables=True)
    except (dj.errors.DataJointError, dj.errors.AccessError) as error:
        raise NeurojointError(
            f"the database account {user} may not make the schema {name}",
            f"a manager runs `neurojoint user add {user} --database`",
        ) from error


def graft(connection: dj.Connection, source: str, module: str, tables: list[str] | None = None) -> dict[str, int]:
    """Move the tables of a personal schema, with their rows, to the module of the lab that now defines them.

    Parameters
    ----------
    connection : of `pipeline.connect()`.
    source : account whose schema it is.
    module : module of the lab; its tables are bound.
    tables : names of classes; by default all that the personal schema has.

    Returns
    -------
    Class name -> number of rows moved.

    Raises
    ------
    NotFoundError : the personal schema has none of the tables.
    ConflictError : a table of the module holds rows, or has other columns.
    """
    database = schema_name(source, settings().prefix)
    masters = {table.__name__: table for table in registry.tables(module)}
    there = set(_listed(connection, database))
    chosen = [table for name, table in masters.items() if table.table_name in there and (not tables or name in tables)]
    if not chosen:
        raise NotFoundError(
            f"{database} has no table that {module} defines", f"{module} defines {', '.join(masters) or 'no table'}"
        )
    copies = [part for table in chosen for part in (table, *registry.parts(table))]
    for table in copies:
        _check_same(connection, database, table)
    _check_nothing_depends(connection, database, {table.table_name for table in copies})
    with migrate.transaction(connection):
        for table in copies:
            _copy(connection, database, table)
    moved = {table.__name__: len(table()) for table in chosen}
    for table in reversed(chosen):
        _drop(connection, database, table.table_name)
    connection.dependencies.clear()
    return moved


def _check_same(connection: dj.Connection, database: str, table: type[dj.Table]) -> None:
    """Raise where the table of the module holds rows or has other columns than that of the person."""
    if len(table()):
        raise ConflictError(f"{registry.label(table)} holds rows already", "graft into a table without rows")
    if _columns(connection, table.database, table.table_name) != _columns(connection, database, table.table_name):
        raise ConflictError(
            f"{registry.label(table)} is not defined as the table in {database}",
            "give both the same columns and types; `describe()` shows the definition of each",
        )


def _check_nothing_depends(connection: dj.Connection, database: str, moving: set[str]) -> None:
    """Raise where a table that does not move depends on one that does."""
    for name in sorted(moving):
        if others := _dependents(connection, database, name, moving):
            raise ConflictError(f"{', '.join(others)} depends on {name}", "drop it first, or graft it too")


def _dependents(connection: dj.Connection, database: str, name: str, besides: set[str]) -> list[str]:
    """Tables that refer to one of a schema, also from schemas that nobody has opened here; without those of the schema
    that are named `besides`."""
    dj.Schema(database, connection=connection, create_schema=False, create_tables=False)  # the graph has it then
    graph = connection.dependencies
    graph.clear()
    graph.load_all_downstream()
    left_out = {_full(connection, database, item) for item in besides}
    return [other for other in graph.descendants(_full(connection, database, name)) if other not in left_out]


def _columns(connection: dj.Connection, database: str, name: str) -> dict[str, tuple]:
    """Column -> type, length and whether it may be null; enumerations of PostgreSQL by the name of their type."""
    kind = "udt_name" if connection.adapter.backend == "postgresql" else "column_type"
    rows = connection.query(
        f"SELECT column_name, {kind}, character_maximum_length, is_nullable FROM information_schema.columns "
        "WHERE table_schema = %s AND table_name = %s ORDER BY column_name",
        (database, name),
    ).fetchall()
    return {column: tuple(rest) for column, *rest in rows}


def _copy(connection: dj.Connection, database: str, table: type[dj.Table]) -> None:
    quote = connection.adapter.quote_identifier
    columns = _columns(connection, database, table.table_name)
    is_enum = {name: str(kind[0]).startswith("enum_") for name, kind in columns.items()}
    values = [
        f"{quote(name)}::text::{quote(table.database)}.{quote(kind[0])}" if is_enum[name] else quote(name)
        for name, kind in columns.items()
    ]
    connection.query(
        f"INSERT INTO {table.full_table_name} ({', '.join(map(quote, columns))}) "
        f"SELECT {', '.join(values)} FROM {_full(connection, database, table.table_name)}"
    )


def _drop(connection: dj.Connection, database: str, name: str) -> None:
    """Drop a table with its parts and jobs."""
    jobs = [item for item in _listed(connection, database) if item == f"~~{name.lstrip('_')}"]
    for item in (*reversed(_parts(connection, database, name)), *jobs, name):
        dj.FreeTable(connection, _full(connection, database, item)).drop_quick()


def _parts(connection: dj.Connection, database: str, name: str) -> list[str]:
    return [item for item in _listed(connection, database) if item.startswith(f"{name}__")]


def _listed(connection: dj.Connection, database: str) -> list[str]:
    return [str(row[0]) for row in connection.query(connection.adapter.list_tables_sql(database)).fetchall()]


def _full(connection: dj.Connection, database: str, name: str) -> str:
    return connection.adapter.make_full_table_name(database, name)
