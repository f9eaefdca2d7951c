"""Accounts of the database server: who may read and write which tables with a program of their own.

| role | reads | writes |
|---|---|---|
| reader | all tables | nothing |
| scientist | all tables | a schema of its own, and what populating it needs |
| worker | all tables | what is computed, and the queue |
| manager | all tables | all tables, and a schema of its own |

No role reads the server's own tables of accounts. Passwords and tokens of the site are not in the database at all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import datajoint as dj

from pipeline.database import personal, registry
from pipeline.errors import UserError

ROLES = ("reader", "scientist", "worker", "manager")
WRITE = "INSERT, UPDATE, DELETE"
_QUEUE = ("task.Worker", "task.Lock")  # what every process writes that populates
SHORTEST_PASSWORD = 12
_OWNERS = ("postgres", "root", "mysql", "mariadb", "public")


def add(connection: dj.Connection, prefix: str, name: str, role: str, password: str) -> str:
    """Make an account of the database, or give an existing one this role and password; returns its personal schema.

    Parameters
    ----------
    connection : of an account that may make others.
    prefix : of the pipeline's schemas.
    name : letters, digits, `_` and `-`.
    role : one of `ROLES`.

    Returns
    -------
    Name of its own schema; empty for roles without one.

    Raises
    ------
    UserError : a name or password that cannot be used, or an unknown role.
    """
    if role not in ROLES:
        raise UserError(f"there is no role {role!r} in the database", f"choose one of {', '.join(ROLES)}")
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]{0,31}", name):
        raise UserError(f"{name!r} cannot be the name of a database account", "use letters, digits, _ and -")
    if len(password) < SHORTEST_PASSWORD:
        raise UserError("the password is too short", f"use at least {SHORTEST_PASSWORD} characters")
    if name.lower() in (connection.get_user().partition("@")[0].lower(), *_OWNERS):
        raise UserError(f"{name} is an account that the database itself needs", "choose another name")
    own = personal.schema_name(name, prefix) if role in ("scientist", "manager") else ""
    grants = _postgresql if connection.adapter.backend == "postgresql" else _mysql
    for statement, values in grants(connection, prefix, name, role, password, own):
        connection.query(statement.replace("%", "%%") if not values else statement, values or ())
    return own


def _written_by(role: str) -> list[type[dj.Table]]:
    """The tables that a role may write, beside its own schema."""
    tables = [part for table in registry.tables() for part in (table, *registry.parts(table))]
    if role == "manager":
        return tables
    computed = [
        item for item in tables if issubclass(getattr(item, "_master", None) or item, dj.Imported | dj.Computed)
    ]
    queue = [item for item in tables if registry.label(item) in _QUEUE]
    return {"reader": [], "scientist": queue, "worker": [*computed, *queue]}[role]


def _written_names(role: str) -> list[str]:
    names = [table.full_table_name for table in _written_by(role)]
    if role in ("worker", "manager"):
        names += [registry.jobs_name(table) for table in registry.populated_tables()]
    return names


_Statements = Iterator[tuple[str, tuple[str, ...]]]


def _postgresql(connection: dj.Connection, prefix: str, name: str, role: str, password: str, own: str) -> _Statements:
    from psycopg2.extensions import encrypt_password

    quoted = connection.adapter.quote_identifier(name)
    exists = connection.query("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,)).fetchone()
    scrambled = encrypt_password(password, name, connection._conn, "scram-sha-256")
    yield f"{'ALTER' if exists else 'CREATE'} ROLE {quoted} LOGIN PASSWORD %s", (scrambled,)
    schemas = connection.query(
        "SELECT schema_name FROM information_schema.schemata WHERE starts_with(schema_name, %s)", (prefix,)
    ).fetchall()
    for (schema,) in schemas:
        place = connection.adapter.quote_identifier(schema)
        if exists and schema != personal.schema_name(name, prefix):  # rights of the role before; its own tables stay
            yield f"REVOKE ALL ON ALL TABLES IN SCHEMA {place} FROM {quoted}", ()
            yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {place} REVOKE ALL ON TABLES FROM {quoted}", ()
        if exists and not own and schema == personal.schema_name(name, prefix):
            yield f"REVOKE CREATE ON SCHEMA {place} FROM {quoted}", ()
        yield f"GRANT USAGE ON SCHEMA {place} TO {quoted}", ()
        # PostgreSQL tells of keys only who may do more than read; who has no schema can refer to nothing
        rights = "SELECT, REFERENCES"
        yield f"GRANT {rights} ON ALL TABLES IN SCHEMA {place} TO {quoted}", ()
        yield f"ALTER DEFAULT PRIVILEGES IN SCHEMA {place} GRANT {rights} ON TABLES TO {quoted}", ()
    for table in _written_names(role):
        yield f"GRANT {WRITE} ON {table} TO {quoted}", ()
    if own:
        place = connection.adapter.quote_identifier(own)
        yield f"CREATE SCHEMA IF NOT EXISTS {place}", ()
        yield f"GRANT USAGE, CREATE ON SCHEMA {place} TO {quoted}", ()


def _mysql(connection: dj.Connection, prefix: str, name: str, role: str, password: str, own: str) -> _Statements:
    account = f"'{name}'@'%'"
    pattern = f"`{_escaped(prefix)}%`.*"
    yield f"CREATE USER IF NOT EXISTS {account}", ()
    yield f"ALTER USER {account.replace('%', '%%')} IDENTIFIED BY %s", (password,)
    yield f"REVOKE ALL PRIVILEGES, GRANT OPTION FROM {account}", ()
    rights = "SELECT, REFERENCES" if own else "SELECT"
    yield f"GRANT {rights} ON {pattern} TO {account}", ()
    for table in _written_names(role):
        yield f"GRANT {WRITE} ON {table} TO {account}", ()
    if own:
        yield f"CREATE DATABASE IF NOT EXISTS `{own}`", ()
        yield f"GRANT ALL ON `{_escaped(own)}`.* TO {account}", ()


def _escaped(name: str) -> str:
    """The name of a schema in a GRANT, where `_` stands for any character."""
    return name.replace("_", r"\_")
