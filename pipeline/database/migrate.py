"""Versions of the tables: numbered SQL migrations, one file per backend, and the record of what was applied.

A file `migrations/0001_what_it_does.postgresql.sql` (and `.mysql.sql`) holds statements that end with `;` at the end of
a line; `{prefix}` stands for the prefix of the schemas. What stands below a line `-- after declaring` runs once the
tables of today are declared, for instance to fill a table that was moved aside and declared again; such a migration can
be applied again where it was cut off between its two halves. A database that is made new has the tables of today and
counts every migration as applied.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import datajoint as dj

from pipeline import SCHEMAS
from pipeline.database import registry
from pipeline.errors import NeurojointError

task = registry.tables_of("task")

FOLDER = Path(__file__).with_name("migrations")
_NAME = re.compile(r"(?P<number>\d{4})_(?P<name>\w+)\.(?P<backend>postgresql|mysql)\.sql")
_AFTER = re.compile(r"^-- after declaring$", re.MULTILINE)
WORKER_SECONDS = 60.0  # a worker with a younger heartbeat is alive
_TIME = {"postgresql": "timestamp", "mysql": "datetime(6)"}
_DECLARED = 0  # the row that says with which definitions the tables were declared


@dataclass(frozen=True)
class Migration:
    """One numbered change of the tables, for one backend."""

    number: int
    name: str
    path: Path

    @property
    def has_second_half(self) -> bool:
        """Whether something is to be done after the tables are declared."""
        return bool(_AFTER.search(self.path.read_text(encoding="utf-8")))

    @property
    def checksum(self) -> str:
        """sha256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()

    def statements(self, prefix: str, after: bool = False) -> list[str]:
        """The SQL statements for the schemas that begin with `prefix`; with `after` those that follow declaring."""
        halves = [*_AFTER.split(self.path.read_text(encoding="utf-8")), ""]
        text = re.sub(r"^\s*--.*$", "", halves[1 if after else 0], flags=re.MULTILINE)
        parts = re.split(r";\s*$", text.replace("{prefix}", prefix), flags=re.MULTILINE)
        return [part.strip() for part in parts if part.strip()]


def shipped(backend: str, folder: Path = FOLDER) -> list[Migration]:
    """The migrations of this version for a backend, in order."""
    migrations = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise NeurojointError(f"{path} is no migration", "name it 0001_what_it_does.postgresql.sql or .mysql.sql")
        if match["backend"] == backend:
            migrations.append(Migration(int(match["number"]), match["name"], path))
    numbers = [migration.number for migration in migrations]
    if len(set(numbers)) < len(numbers):
        raise NeurojointError(f"two migrations in {folder} have one number", "give each its own")
    return migrations


def prepare(
    connection: dj.Connection, prefix: str, create: bool, folder: Path = FOLDER, schemas: Sequence[str] = SCHEMAS
) -> None:
    """Bind the tables (without `create`, of these schemas); in a new database declare them, in an older one say what
    to do.

    Raises
    ------
    NeurojointError : the database is older or newer than this version of neurojoint, or empty and `create` is false.
    """
    applied = _applied(connection, prefix)
    if applied is not None:
        _refuse_other_version(connection, applied, folder)
    if not create:
        registry.activate(connection, prefix, create=False, schemas=schemas)
        return
    current = applied is not None and applied.get(_DECLARED) == definitions_hash()
    registry.activate(connection, prefix, create=not current)
    if not current:
        registry.fill_constants()
        _record_declaration(connection, new=applied is None, folder=folder)


def upgrade(connection: dj.Connection, prefix: str, folder: Path = FOLDER) -> list[Migration]:
    """Apply the migrations that the database lacks, then declare what is new; returns what was applied.

    On PostgreSQL a migration is one transaction. MySQL commits each statement: where one fails, the error says which,
    and the migration counts as not applied.

    Raises
    ------
    NeurojointError : a statement failed, the database is newer than this version of neurojoint, or workers of the older
        version are alive.
    """
    applied = _applied(connection, prefix)
    done: list[Migration] = []
    if applied is not None:
        _refuse_newer(connection, applied, folder)
        missing = [one for one in shipped(connection.adapter.backend, folder) if one.number not in applied]
        if missing:
            _refuse_live_workers(connection, prefix)
        for migration in missing:
            _apply(connection, prefix, migration)
            done.append(migration)
    registry.activate(connection, prefix, create=True)
    for migration in done:
        if migration.has_second_half:
            _apply(connection, prefix, migration, after=True)
    registry.fill_constants()
    _record_declaration(connection, new=applied is None, folder=folder)
    return done


def definitions_hash(module: str | None = None) -> str:
    """A hash over table definitions and lookup rows: when it is the database's, nothing has to be declared.

    Parameters
    ----------
    module : a module of a lab; by default the hash is that of the program's own tables.
    """
    if module is None:
        registry.load_modules()
        masters = [table for name in SCHEMAS for table in registry.tables(f"pipeline.schemas.{name}")]
    else:
        masters = list(registry.tables(module))
    text = [
        f"{registry.label(part)}{part.definition}{getattr(part, 'contents', '')}{getattr(part, 'constant', '')}"
        for table in masters
        for part in (table, *registry.parts(table))
    ]
    return hashlib.sha256("\n".join(text).encode()).hexdigest()


def _applied(connection: dj.Connection, prefix: str) -> dict[int, str] | None:
    """Number -> checksum of what was applied; None where the database has no pipeline under this prefix."""
    with contextlib.suppress(dj.errors.MissingTableError):
        name = connection.adapter.make_full_table_name(f"{prefix}task", "schema_migration")
        rows = connection.query(f"SELECT migration_number, migration_checksum FROM {name}").fetchall()
        return {int(number): checksum.strip() for number, checksum in rows}
    return None


def _refuse_other_version(connection: dj.Connection, applied: dict[int, str], folder: Path) -> None:
    _refuse_newer(connection, applied, folder)
    behind = [migration for migration in shipped(connection.adapter.backend, folder) if migration.number not in applied]
    if behind:
        raise NeurojointError(
            f"the tables are older than this version of neurojoint (migration {behind[0].number:04d} is missing)",
            "stop the workers, make a backup (`neurojoint db backup FILE`), then run `neurojoint db upgrade`",
        )


def _refuse_newer(connection: dj.Connection, applied: dict[int, str], folder: Path) -> None:
    known = {migration.number for migration in shipped(connection.adapter.backend, folder)} | {_DECLARED}
    unknown = sorted(set(applied) - known)
    if unknown:
        raise NeurojointError(
            f"the tables are newer than this version of neurojoint (migration {unknown[-1]:04d})",
            "install the newer version: `pip install -U neurojoint`",
        )


def _refuse_live_workers(connection: dj.Connection, prefix: str) -> None:
    """Workers that are alive were started by the version of the old tables: they would fail in the middle of a key."""
    table = connection.adapter.make_full_table_name(f"{prefix}task", "worker")
    now = connection.query("SELECT CAST(CURRENT_TIMESTAMP AS " + _TIME[connection.adapter.backend] + ")").fetchone()[0]
    rows = connection.query(f"SELECT worker_host, worker_pid, heartbeat FROM {table}").fetchall()
    alive = [(host, pid, now - beat) for host, pid, beat in rows if (now - beat).total_seconds() < WORKER_SECONDS]
    if alive:
        host, pid, age = min(alive, key=lambda one: one[2])
        raise NeurojointError(
            f"{len(alive)} workers of the older version are alive (process {pid} on {host}, last heartbeat "
            f"{max(age.total_seconds(), 0):.0f} s ago)",
            "stop `neurojoint work` there; after a kill wait for a minute; then run `neurojoint db upgrade` again",
        )


def apply(
    connection: dj.Connection, prefix: str, migration: Migration, record: Callable[[], None] | None, after: bool = False
) -> None:
    """Run the statements of a migration and `record` in one transaction (MySQL commits each statement).

    Raises
    ------
    NeurojointError : a statement failed; the message says which.
    """
    statements = migration.statements(prefix, after)
    with transaction(connection):
        for number, statement in enumerate(statements, 1):
            try:
                connection.query(statement.replace("%", "%%"))
            except Exception as error:
                raise NeurojointError(
                    f"{migration.path.name}: statement {number} of {len(statements)} failed: {error}",
                    "restore the backup, or mend the cause and run `neurojoint db upgrade` again",
                ) from error
        if record is not None:
            record()


def _apply(connection: dj.Connection, prefix: str, migration: Migration, after: bool = False) -> None:
    def record() -> None:
        _record(connection, prefix, migration.number, migration.name, migration.checksum)

    apply(connection, prefix, migration, record if after or not migration.has_second_half else None, after)


@contextlib.contextmanager
def transaction(connection: dj.Connection) -> Iterator[None]:
    connection.query("BEGIN")
    try:
        yield
    except BaseException:
        connection.query("ROLLBACK")
        raise
    connection.query("COMMIT")


def _record_declaration(connection: dj.Connection, new: bool, folder: Path) -> None:
    prefix = task.schema.database.removesuffix("task")
    with transaction(connection):
        if new:
            for migration in shipped(connection.adapter.backend, folder):
                _record(connection, prefix, migration.number, migration.name, migration.checksum)
        _record(connection, prefix, _DECLARED, "declared", definitions_hash())


def _record(connection: dj.Connection, prefix: str, number: int, name: str, checksum: str) -> None:
    table = connection.adapter.make_full_table_name(f"{prefix}task", "schema_migration")
    now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
    connection.query(f"DELETE FROM {table} WHERE migration_number = {int(number)}")
    connection.query(
        f"INSERT INTO {table} (migration_number, migration_name, migration_applied, migration_checksum) "
        "VALUES (%s, %s, %s, %s)",
        args=(number, name, now, checksum),
    )
