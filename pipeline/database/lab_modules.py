"""The modules of a lab: tables of its own, declared, bound, migrated and populated like those of the program.

A module is named in the settings (`modules = ["mylab.analyses"]`) or by an installed package (entry point
`neurojoint.modules`). Its tables stand on `schema = registry.schema(__name__)`. Numbered migrations of
`mylab/analyses.py` lie in `mylab/migrations/analyses`. A module that cannot be imported, or whose tables do not fit, is
reported and left out; nothing else fails with it.
"""

from __future__ import annotations

import datetime
import functools
import importlib
import importlib.metadata
import re
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import datajoint as dj
from datajoint.declare import prepare_declare

from pipeline import paradigms
from pipeline.database import migrate, registry
from pipeline.errors import NeurojointError, NotFoundError, is_connection_error
from pipeline.settings import settings

ENTRY_POINTS = "neurojoint.modules"
_PLAIN_TYPE = re.compile(
    r"(var)?char\(\d+\)|double( precision)?|real|float|(small|big)?int(eger)?(\(\d+\))?|boolean|date(?![\w(])|jsonb?"
)


@dataclass(frozen=True)
class Failure:
    """Why a module of a lab is left out.

    Attributes
    ----------
    module : its name.
    problem : what is wrong, and what to do, in a line.
    trace : where, for the person who wrote it.
    """

    module: str
    problem: str
    trace: str


_failures: dict[str, Failure] = {}


def names() -> list[str]:
    """The modules that settings and installed packages name, each once."""
    return list(dict.fromkeys([*settings().modules, *_installed()]))


@functools.cache
def _installed() -> tuple[str, ...]:
    return tuple(sorted({point.value for point in importlib.metadata.entry_points(group=ENTRY_POINTS)}))


def failures() -> list[Failure]:
    """The modules that are left out, since they were last bound."""
    return list(_failures.values())


def load() -> None:
    """Import all modules; what fails is noted."""
    for name in names():
        _failures.pop(name, None)
        try:
            module = importlib.import_module(name)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            registry.forget_half_imported()
            _note(name, f"cannot be imported: {_in_a_line(error)}", error)
        else:
            tasks = getattr(module, "TASKS", ())
            try:
                paradigms.register(name, tasks)
            except NeurojointError as error:
                _note(name, _in_a_line(error), error)
            if not registry.is_declared(name) and not hasattr(module, "PAGE") and not tasks:
                _note(name, "declares no schema; write `schema = registry.schema(__name__)` before its tables")

    wanted = [name for name in names() if name in sys.modules]
    for name in wanted:  # grows: what they import belongs to them
        used = (value.__module__ if isinstance(value, type) else value.__name__ for value in _values(name))
        wanted += sorted({other for other in used if registry.is_declared(other)} - set(wanted))
    registry.admit(wanted)


def bind(connection: dj.Connection, prefix: str, create: bool) -> None:
    """Import the modules and bind their tables, after those of the program; with `create`, declare what is missing."""
    load()
    for name in registry.modules_of_labs():
        _guarded(name, functools.partial(_bind, name, connection, prefix, create))


def upgrade(connection: dj.Connection, prefix: str) -> dict[str, list[migrate.Migration]]:
    """Apply the migrations that the modules lack, then declare what is new: module -> what was applied."""
    load()
    done: dict[str, list[migrate.Migration]] = {}
    for name in registry.modules_of_labs():
        _guarded(name, functools.partial(_upgrade, name, connection, prefix, done))
    return done


def module(name: str) -> ModuleType:
    """A module of a lab whose tables are bound.

    Raises
    ------
    NeurojointError : no settings name it, or it is left out; the message says why.
    """
    if name in _failures:
        raise NeurojointError(
            f"the module {name} is left out: {_failures[name].problem}", "see `neurojoint module list`"
        )
    if name not in registry.modules_of_labs():
        listed = ", ".join(registry.modules_of_labs()) or "none"
        raise NotFoundError(
            f"there is no module {name} (bound: {listed})",
            f'write modules = ["{name}"] in neurojoint.toml, then connect again',
        )
    return sys.modules[name]


def _bind(name: str, connection: dj.Connection, prefix: str, create: bool) -> None:
    applied = _applied(connection, prefix, name)
    behind = [migration for migration in _shipped(name, connection) if applied and migration.number not in applied]
    if behind:
        raise NeurojointError(f"its tables lack the migration {behind[0].path.name}", "run `neurojoint db upgrade`")
    is_current = applied.get(0) == migrate.definitions_hash(name)
    if not create and not is_current:
        what = "its definitions have changed since its tables were declared" if applied else "it has no tables yet"
        raise NeurojointError(what, "run `neurojoint db upgrade`")
    check = functools.partial(_check_columns, name)
    registry.activate_module(name, connection, prefix, create and not is_current, check)
    if not is_current:
        _record_declaration(connection, prefix, name, is_new=not applied)


def _upgrade(name: str, connection: dj.Connection, prefix: str, done: dict[str, list[migrate.Migration]]) -> None:
    applied = _applied(connection, prefix, name)
    for migration in _shipped(name, connection) if applied else ():
        if migration.number not in applied:
            record = functools.partial(
                _record, connection, prefix, name, migration.number, migration.name, migration.checksum
            )
            migrate.apply(connection, prefix, migration, record)
            done.setdefault(name, []).append(migration)
    registry.activate_module(name, connection, prefix, True, functools.partial(_check_columns, name))
    for item in done.get(name, ()):
        if item.has_second_half:
            migrate.apply(connection, prefix, item, None, after=True)
    _record_declaration(connection, prefix, name, is_new=not applied)


def _guarded(name: str, act: functools.partial[None]) -> None:
    _failures.pop(name, None)
    try:
        used = {value.__module__ if isinstance(value, type) else value.__name__ for value in _values(name)}
        if missing := sorted(used & _failures.keys()):
            raise NeurojointError(f"it refers to {missing[0]}, which is left out", "mend that module first")
        act()
    except Exception as error:
        if is_connection_error(error):
            raise
        registry.leave_out(name)
        _note(name, _in_a_line(error), error)


def _values(name: str) -> list[type | ModuleType]:
    """The classes and modules that a module has imported or defined."""
    return [value for value in vars(sys.modules[name]).values() if isinstance(value, type | ModuleType)]


def _note(name: str, problem: str, error: BaseException | None = None) -> None:
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    _failures[name] = Failure(name, problem, trace)


def _in_a_line(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, NeurojointError) else f"{type(error).__name__}: {text}"


def _check_columns(name: str) -> None:
    """Raise where a table has other columns than its definition, or columns of other types."""
    for master in registry.tables(name):
        for table in (master, *registry.parts(master)):
            if not table().is_declared:
                raise NeurojointError(f"{table.__qualname__} has no table yet", "run `neurojoint db upgrade`")
            if wrong := misfits(table):
                raise NeurojointError(
                    f"the definition of {table.__qualname__} no longer fits its table, which {' and '.join(wrong)}",
                    f"add a migration to {_migrations(name)} (docs/modules.md), then run `neurojoint db upgrade`",
                )


def misfits(table: type[dj.Table]) -> list[str]:
    """In words, what the table in the database has otherwise than its definition.

    Types are compared where both are plain: of enums and codecs the database says too little.
    """
    one = table()
    heading = one.heading
    _, _, columns, *_ = prepare_declare(table.definition, one.declaration_context, one.connection.adapter)
    defined = {(parts := sql.split(maxsplit=1))[0].strip('"`'): parts[1] for sql in columns}
    there = set(heading.names)
    wrong = [f"lacks {', '.join(sorted(defined.keys() - there))}"] if defined.keys() - there else []
    wrong += [f"has {', '.join(sorted(there - defined.keys()))} too"] if there - defined.keys() else []
    for name in (name for name in heading.names if name in defined):
        wanted, found = _plain_type(defined[name]), _plain_type(heading[name].type)
        if wanted and found and wanted != found:
            wrong.append(f"has {name} as {found}, not {wanted}")
        elif heading[name].nullable == ("NOT NULL" in defined[name].partition("COMMENT")[0]):
            wrong.append(f"{'allows' if heading[name].nullable else 'forbids'} {name} to be null")
    return wrong


def _plain_type(sql: str) -> str:
    """The type that a declaration begins with; empty where it is not plain.

    >>> _plain_type("int(11) NOT NULL"), _plain_type("varchar(32) NOT NULL DEFAULT ''"), _plain_type("<blob>")
    ('int', 'varchar(32)', '')
    """
    match = _PLAIN_TYPE.match(sql.lower())
    if match is None:
        return ""
    words = re.sub(r"(int)\(\d+\)", r"\1", match[0])  # MySQL's width, which is for display only
    return "int" if words == "integer" else words


def _shipped(name: str, connection: dj.Connection) -> list[migrate.Migration]:
    folder = _migrations(name)
    return migrate.shipped(connection.adapter.backend, folder) if folder is not None and folder.is_dir() else []


def _migrations(name: str) -> Path | None:
    """The folder of the migrations of a module, `migrations/analyses` beside `analyses.py`."""
    file = getattr(sys.modules[name], "__file__", None)
    return Path(file).parent / "migrations" / name.rpartition(".")[2] if file else None


def _table(connection: dj.Connection, prefix: str) -> str:
    return connection.adapter.make_full_table_name(f"{prefix}task", "module_migration")


def _applied(connection: dj.Connection, prefix: str, name: str) -> dict[int, str]:
    """Number -> checksum of what was applied to a module; 0 stands for its definitions. Empty: it has no tables yet."""
    sql = f"SELECT module_version, version_checksum FROM {_table(connection, prefix)} WHERE module = %s"
    return {int(number): checksum.strip() for number, checksum in connection.query(sql, (name,)).fetchall()}


def _record_declaration(connection: dj.Connection, prefix: str, name: str, is_new: bool) -> None:
    with migrate.transaction(connection):
        for migration in _shipped(name, connection) if is_new else ():
            _record(connection, prefix, name, migration.number, migration.name, migration.checksum)
        _record(connection, prefix, name, 0, "declared", migrate.definitions_hash(name))


def _record(connection: dj.Connection, prefix: str, name: str, number: int, title: str, checksum: str) -> None:
    table, now = _table(connection, prefix), datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    connection.query(f"DELETE FROM {table} WHERE module = %s AND module_version = {int(number)}", (name,))
    connection.query(
        f"INSERT INTO {table} (module, module_version, version_name, version_applied, version_checksum) "
        "VALUES (%s, %s, %s, %s, %s)",
        args=(name, number, title, now, checksum),
    )
