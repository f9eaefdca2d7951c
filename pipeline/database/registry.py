"""Schema modules declare their tables here without a connection; `activate` binds all of them to a database at once."""

from __future__ import annotations

import contextlib
import importlib
import logging
import time
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import datajoint as dj

from pipeline import SCHEMAS
from pipeline.database import compat, sessions
from pipeline.errors import DatabaseUnavailable, NeurojointError

DECLARING_TIMEOUT_S = 600

logger = logging.getLogger(__name__)

_schemas: dict[str, dj.Schema] = {}
_jobs: dict[type[dj.Table], Any] = {}


def schema(module_name: str) -> dj.Schema:
    """The DataJoint schema of a module (pass `__name__`); declares nothing and opens no connection.

    >>> schema("pipeline.schemas.example").is_activated()
    False
    >>> _ = _schemas.pop("example")
    """
    return _schemas.setdefault(module_name.rsplit(".", 1)[-1], dj.Schema())


def load_modules(schemas: Sequence[str] = SCHEMAS) -> None:
    """Import schema modules, by default all, so that the registry is complete."""
    for name in schemas:
        importlib.import_module(f"pipeline.schemas.{name}")


def tables() -> Iterator[type[dj.Table]]:
    """All master tables in dependency order."""
    load_modules()
    for name in SCHEMAS:
        for cls, _ in _schemas[name].declare_list:
            yield cls


def parts(master: type[dj.Table]) -> list[type[dj.Part]]:
    """The part tables of a master, in order of definition."""
    found = [value for name, value in vars(master).items() if name[0].isupper() and isinstance(value, type)]
    return [value for value in found if issubclass(value, dj.Part)]


def populated_tables() -> list[type[dj.Table]]:
    """The Imported and Computed tables in dependency order: what a worker fills."""
    return [table for table in tables() if issubclass(table, dj.Imported | dj.Computed)]


def fill_constants() -> None:
    """Write the rows of tables that ship with the program: those with `constant`, a version, and a method `fill`."""
    for table in tables():
        if hasattr(table, "constant"):
            table.fill()


def label(table: type[dj.Table]) -> str:
    """`schema.Table` as people write it, e.g. `behavior.TrialSet` or `behavior.TrialSet.Trial`."""
    return f"{table.__module__.rsplit('.', 1)[-1]}.{table.__qualname__}"


def jobs_name(table: type[dj.Table] | dj.Table) -> str:
    """The quoted name of a table's job table for SQL; `table.jobs` would load the graph of all tables first."""
    quote = table.connection.adapter.quote_identifier
    return f"{quote(table.database)}.{quote('~~' + table.table_name.lstrip('_'))}"


def jobs_of(table: type[dj.Table]) -> Any:
    """DataJoint's job table of a populated table, made once for each connection: making it asks for the whole graph."""
    jobs = _jobs.get(table)
    if jobs is None or jobs.connection is not table.connection or jobs.database != table.database:
        jobs = _jobs[table] = table().jobs
    return jobs


def activate(connection: dj.Connection, prefix: str, create: bool = True, schemas: Sequence[str] = SCHEMAS) -> None:
    """Bind all tables to `connection` under `prefix`; with `create`, declare what is missing, one process at a time.

    The job tables are declared too, so that no worker has to. On PostgreSQL all of it is one transaction. `schemas` are
    those that are bound, if nothing is declared.

    Raises:
        NeurojointError: a schema is not there and `create` is false.
    """
    compat.apply()
    load_modules(schemas)
    _unbind()
    try:
        with _declaring(connection, prefix) if create else contextlib.nullcontext(), _without_type_warnings():
            for name in schemas:
                _schemas[name].activate(
                    prefix + name, connection=connection, create_schema=create, create_tables=create
                )
            if create:
                for table in populated_tables():
                    _declare_jobs(table)
    except dj.errors.DataJointError as error:
        _unbind()
        if not create and "has not yet been declared" in str(error):
            raise NeurojointError(
                f"the database has no neurojoint tables under the prefix {prefix!r}", "run `neurojoint db upgrade`"
            ) from error
        raise
    except BaseException:
        _unbind()
        raise


def bind(name: str) -> ModuleType:
    """A schema module with its tables bound where those of others are, if they are not yet; declares nothing.

    Raises
    ------
    NeurojointError : nothing is connected.
    """
    module = importlib.import_module(f"pipeline.schemas.{name}")  # imports those that it refers to
    known = {label: _schemas[label] for label in SCHEMAS if label in _schemas}
    bound = [(label, one) for label, one in known.items() if one.is_activated()]
    if not bound:
        raise NeurojointError("there is no connection to a database", "call pipeline.connect() first")
    label, first = bound[0]
    for other, one in known.items():
        if not one.is_activated():
            prefix = first.database.removesuffix(label)
            one.activate(prefix + other, connection=first.connection, create_schema=False, create_tables=False)
    return module


def _unbind() -> None:
    _jobs.clear()
    for one in _schemas.values():
        one.database = one.connection = None


@contextlib.contextmanager
def _without_type_warnings() -> Iterator[None]:
    """DataJoint declares its job tables with the native types of the parents' columns, and warns of each."""
    logger = logging.getLogger("datajoint")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _declare_jobs(table: type[dj.Table]) -> None:
    jobs = table().jobs
    if not jobs.is_declared:
        jobs.declare()


@contextlib.contextmanager
def _declaring(connection: dj.Connection, prefix: str) -> Iterator[None]:
    """Hold the lock under which tables are declared; on PostgreSQL also a transaction, since its DDL can roll back."""
    is_postgresql = connection.adapter.backend == "postgresql"
    name = f"tables of {prefix}"
    if is_postgresql:
        connection.query("BEGIN")
        try:
            _wait_for_lock(connection, name)
            yield
            connection.query("COMMIT")
        except BaseException:
            connection.query("ROLLBACK")
            connection.dependencies.clear()
            raise
    else:
        _wait_for_lock(connection, name)
        try:
            yield
        finally:
            sessions.unlock(connection, name)


def _wait_for_lock(connection: dj.Connection, name: str) -> None:
    """Wait while others declare the same tables; the server ends a session that does nothing meanwhile by itself."""
    began = said = time.monotonic()
    while not sessions.try_lock(connection, name, in_transaction=True):
        now = time.monotonic()
        if now - said > 5:
            said, holder = now, sessions.lock_holder(connection, name)
            who = f"session {holder.number}, from {holder.address or 'this computer'}" if holder else "unknown session"
            if now - began > DECLARING_TIMEOUT_S:
                raise DatabaseUnavailable(
                    f"another process has declared the tables for {now - began:.0f} s ({who} of the database)",
                    "end that process, then run the same command again",
                )
            logger.warning("waiting for another process that declares the tables (%s)", who)
        time.sleep(0.05)
