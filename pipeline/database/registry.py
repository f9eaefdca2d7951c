"""Schema modules declare their tables here without a connection; `activate` binds all of them to a database at once.

The modules of the program (`pipeline.schemas.…`) and those of a lab (`pipeline.database.lab_modules`) use the same
door: `schema = registry.schema(__name__)`.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import datajoint as dj
from datajoint.lineage import insert_lineages

from pipeline import SCHEMAS
from pipeline.database import compat, declaring, interactive, sessions
from pipeline.errors import DatabaseUnavailable, NeurojointError, UserError
from pipeline.settings import LONGEST_SCHEMA_NAME

DECLARING_TIMEOUT_S = 600
PERSONAL = "u_"
"""Begins, after the prefix, the name of the database schema of a person."""

logger = logging.getLogger(__name__)

_CORE = "pipeline.schemas."
_schemas: dict[str, dj.Schema] = {}  # by the name of the database schema, without the prefix
_modules: dict[str, str] = {}  # name of the Python module -> name of its database schema, in order of import
_admitted: list[str] = []  # modules of labs that settings or packages name, and what they import
_left_out: set[str] = set()  # modules of a lab whose tables cannot be used now
_jobs: dict[type[dj.Table], Any] = {}
_n_bindings = 0


def schema(module_name: str, name: str | None = None) -> dj.Schema:
    """The DataJoint schema of a module (pass `__name__`); declares nothing and opens no connection.

    Parameters
    ----------
    module_name : name of the Python module.
    name : name of its database schema after the prefix; by default the module's name, with `_` for each dot.

    Raises
    ------
    UserError : the name cannot be that of a schema, or another module has it.

    Examples
    --------
    >>> schema("pipeline.schemas.example").is_activated()
    False
    >>> forget("pipeline.schemas.example")
    """
    if module_name.startswith(_CORE):
        name = module_name.removeprefix(_CORE)
    else:
        name = name or module_name.replace(".", "_")
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or len(name) > LONGEST_SCHEMA_NAME or name.startswith(PERSONAL):
            raise UserError(
                f"{name!r} cannot be the name of the schema of {module_name}",
                f"write registry.schema(__name__, name=…) with at most {LONGEST_SCHEMA_NAME} letters a-z, digits and _",
            )
    other = next((module for module, used in _modules.items() if used == name and module != module_name), None)
    if other or (name in SCHEMAS and not module_name.startswith(_CORE)):
        raise UserError(
            f"the modules {module_name} and {other or _CORE + name} have one schema name, {name!r}",
            "write registry.schema(__name__, name=…) with another name",
        )
    _modules[module_name] = name
    return _schemas.setdefault(name, dj.Schema())


def forget(module_name: str) -> None:
    """Take a module out of the registry, for instance one whose import failed half-way."""
    _schemas.pop(_modules.pop(module_name, ""), None)
    _left_out.discard(module_name)


def load_modules(schemas: Sequence[str] = SCHEMAS) -> None:
    """Import schema modules of the program, by default all, so that the registry is complete."""
    for name in schemas:
        importlib.import_module(_CORE + name)


class _TablesOf:
    """A schema module that is imported when something of it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(f"pipeline.schemas.{self._name}"), name)


def tables_of(name: str) -> Any:
    """The tables of a schema for a module below the schemas, which may not import them: `tables_of("data").Dataset`.

    >>> tables_of("data").Dataset.__name__
    'Dataset'
    """
    return _TablesOf(name)


def is_declared(module_name: str) -> bool:
    """Whether a module has a schema in the registry."""
    return module_name in _modules


def modules_of_labs() -> list[str]:
    """The admitted modules of labs, in dependency order: a module imports those that it refers to."""
    return [module for module in _modules if module in _admitted]


def admit(module_names: Sequence[str]) -> None:
    """Say which modules of labs belong to the pipeline; others that use the registry do not."""
    _admitted[:] = [name for name in module_names if not name.startswith(_CORE)]


def leave_out(module_name: str) -> None:
    """Unbind a module of a lab: its tables are not worked on until it is activated again."""
    one = _schemas[_modules[module_name]]
    one.database = one.connection = None
    _left_out.add(module_name)


def forget_half_imported() -> None:
    """Forget the modules whose import began and failed."""
    for module in [name for name in _modules if name not in sys.modules]:
        forget(module)


def tables(module_name: str | None = None) -> Iterator[type[dj.Table]]:
    """All master tables in dependency order, or those of one module."""
    if module_name is None:
        load_modules()
        names = [*SCHEMAS, *(_modules[module] for module in modules_of_labs() if module not in _left_out)]
    else:
        names = [_modules[module_name]]
    for name in names:
        for cls, _ in _schemas[name].declare_list:
            yield cls


def parts(master: type[dj.Table]) -> list[type[dj.Part]]:
    """The part tables of a master, in order of definition."""
    classes = [value for name, value in vars(master).items() if name[0].isupper() and isinstance(value, type)]
    return [value for value in classes if issubclass(value, dj.Part)]


def every_table() -> list[type[dj.Table]]:
    """All tables, masters and parts."""
    return [table for master in tables() for table in (master, *parts(master))]


def populated_tables() -> list[type[dj.Table]]:
    """The Imported and Computed tables in dependency order: what a worker fills."""
    return [table for table in tables() if issubclass(table, dj.Imported | dj.Computed)]


def fill_constants() -> None:
    """Write the rows of tables that ship with the program: those with `constant`, a version, and a method `fill`."""
    for table in tables():
        if hasattr(table, "constant"):
            table.fill()


class ByDate:
    """Tables with a row a day: their `session_date` counts as that of sessions, so that days join by it."""

    if TYPE_CHECKING:
        database: str
        table_name: str
        connection: dj.Connection

    def _populate_lineage(self, primary_key: list[str], fk_attribute_map: dict[str, tuple[str, str]]) -> None:
        super()._populate_lineage(primary_key, fk_attribute_map)  # type: ignore[misc]
        own = next(name for name, one in _schemas.items() if one.database == self.database)
        origin = f"{self.database.removesuffix(own)}acquisition.session.session_date"
        insert_lineages(self.connection, self.database, [(self.table_name, "session_date", origin)])


def label(table: type[dj.Table]) -> str:
    """`schema.Table` as people write it, e.g. `behavior.TrialSet` or `behavior.TrialSet.Trial`."""
    name = _modules.get(table.__module__)
    if name is None and (database := getattr(table, "database", None)):  # of a person: bound, and in no module
        name = database[database.index(PERSONAL) :] if PERSONAL in database else database
    return f"{name or table.__module__.rsplit('.', 1)[-1]}.{table.__qualname__.rpartition('<locals>.')[2]}"


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
    compat.apply(every_table)
    interactive.apply()
    load_modules(schemas)
    _unbind()
    try:
        with _declaring(connection, prefix) if create else contextlib.nullcontext(), _without_type_warnings():
            for name in schemas:
                _schemas[name].activate(
                    prefix + name, connection=connection, create_schema=create, create_tables=create
                )
            if create:
                for name in schemas:
                    _declare_jobs_of(tables(_CORE + name))
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


def activate_module(
    module_name: str, connection: dj.Connection, prefix: str, create: bool, check: Callable[[], None]
) -> None:
    """Bind the tables of a module of a lab, after those of the program; `check` is called before anything is kept.

    Raises
    ------
    Exception : whatever is wrong with the definitions; the module is then left out, and on PostgreSQL nothing of it was
        declared.
    """
    name = _modules[module_name]
    try:
        with _declaring(connection, prefix) if create else contextlib.nullcontext(), _without_type_warnings():
            _schemas[name].activate(prefix + name, connection=connection, create_schema=create, create_tables=create)
            if create:
                _declare_jobs_of(tables(module_name))
            check()
    except BaseException:
        leave_out(module_name)
        raise
    _left_out.discard(module_name)


def connection() -> dj.Connection:
    """The connection on which the tables are bound.

    Raises
    ------
    NeurojointError : nothing is connected.
    """
    for item in _schemas.values():
        if item.is_activated():
            return item.connection
    raise NeurojointError("there is no connection to a database", "call pipeline.connect() first")


def bind(name: str) -> ModuleType:
    """A schema module with its tables bound where those of others are, if they are not yet; declares nothing.

    Raises
    ------
    NeurojointError : nothing is connected.
    """
    module = importlib.import_module(f"pipeline.schemas.{name}")  # imports those that it refers to
    known = {label: _schemas[label] for label in SCHEMAS if label in _schemas}
    opened = connection()
    label, first = next((label, one) for label, one in known.items() if one.is_activated())
    for other, one in known.items():
        if not one.is_activated():
            prefix = first.database.removesuffix(label)
            one.activate(prefix + other, connection=opened, create_schema=False, create_tables=False)
    return module


def n_bindings() -> int:
    """How often the tables were bound to a database; SQL that names tables holds until the next time."""
    return _n_bindings


def _unbind() -> None:
    global _n_bindings
    _n_bindings += 1
    _jobs.clear()
    for item in _schemas.values():
        item.database = item.connection = None
    _left_out.update(modules_of_labs())


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


def declare_jobs(table: type[dj.Table]) -> None:
    """Declare the job table of a populated table, if it is not yet."""
    with _without_type_warnings():  # also of `jobs`, which declares it where it can
        jobs = jobs_of(table)
        if not jobs.is_declared:
            jobs.declare()


def _declare_jobs_of(masters: Iterator[type[dj.Table]]) -> None:
    for table in masters:
        if issubclass(table, dj.Imported | dj.Computed):
            declare_jobs(table)


@contextlib.contextmanager
def _declaring(connection: dj.Connection, prefix: str) -> Iterator[None]:
    """Hold the lock under which tables are declared; on PostgreSQL also a transaction, since its DDL can roll back."""
    is_postgresql = connection.adapter.backend == "postgresql"
    name = f"tables of {prefix}"
    if is_postgresql:
        connection.query("BEGIN")
        try:
            _wait_for_lock(connection, name)
            with declaring.in_few_statements(connection):
                yield
            connection.query("COMMIT")
        except BaseException:
            connection.query("ROLLBACK")
            connection.dependencies.clear()
            raise
    else:
        _wait_for_lock(connection, name)
        try:
            with declaring.in_few_statements(connection):
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
