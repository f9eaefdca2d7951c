"""Commands of the database: `neurojoint db`."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from neurojoint.cli.group import main
from pipeline.database import backup, connection, continuous_backup, embedded, lab_modules, migrate
from pipeline.settings import settings


@main.group()
def db() -> None:
    """Start, stop, back up and upgrade the database."""


@db.command("start", short_help="Start the embedded database, or check that it runs.")
def db_start() -> None:
    """Start the embedded database of NEUROJOINT_HOME, or check that the server of NEUROJOINT_DATABASE_URL answers."""
    with contextlib.closing(connection.open_connection(settings())) as opened:
        click.echo(f"{' '.join(opened.server)} answers at {opened.address}")


@db.command("stop")
def db_stop() -> None:
    """Stop the embedded database. Programs that use it are cut off; nothing that was committed is lost."""
    stopped = embedded.stop(settings().home)
    click.echo("stopped" if stopped else f"no database runs in {settings().home}")


@db.command("status")
def db_status() -> None:
    """Say whether the database runs, and where. Starts nothing; the exit code is 3 where it does not run."""
    if settings().database_url is not None:
        with contextlib.closing(connection.open_connection(settings())) as opened:
            click.echo(f"{' '.join(opened.server)} answers at {opened.address}")
        return
    server = embedded.status(settings().home)
    if not server.running:
        click.echo(f"not running; data in {server.data}" if server.version else f"no database in {settings().home} yet")
        raise click.exceptions.Exit(3)
    size = f"{(server.size_bytes or 0) / 1e6:.0f} MB"
    click.echo(f"PostgreSQL {server.version} runs as process {server.pid}\naddress {server.address}")
    click.echo(f"data    {server.data} ({size})\nlog     {server.log}")


@db.command("url")
@click.option("--with-password", is_flag=True, help="Print the password too.")
def db_url(with_password: bool) -> None:
    """Print the address of the database as a URL, for other programs."""
    click.echo(connection.resolve(settings()).url(with_password))


@db.command(
    "shell",
    short_help="Open the database's own client (psql or mysql).",
    context_settings={"ignore_unknown_options": True},
)
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def db_shell(options: tuple[str, ...]) -> None:
    """Open the database's own client (psql or mysql); OPTIONS are passed on to it, e.g. `-c "SELECT 1"`."""
    import os

    command, secrets = backup.shell_command(connection.resolve(settings()))
    os.execvpe(command[0], [*command, *options], os.environ | secrets)  # noqa: S606 (a list, no shell)


@db.command("backup", short_help="Write a backup of all rows, or add to one.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--to", "folder", type=click.Path(path_type=Path, file_okay=False),
              help="Instead of FILE: keep every moment from now on in this folder (embedded database).")  # fmt: skip
def db_backup(file: Path | None, folder: Path | None) -> None:
    """Write all rows of the pipeline to a new FILE, or add a copy to a folder of backups. Work may go on meanwhile."""
    if (file is None) == (folder is None):
        raise click.UsageError("name either a FILE or --to FOLDER")
    if file is None:
        assert folder is not None  # noqa: S101

        if settings().database_url is not None:
            raise click.UsageError("--to is for the embedded database; docs/database.md says what servers have for it")
        made = continuous_backup.backup(settings().home, folder, lambda line: click.echo(line, err=True))
        kind = "all data" if made.previous is None else f"what changed since {made.previous}"
        click.echo(f"{made.name} ({kind}) in {folder}; the log of all changes follows by itself")
        return

    schemas = backup.backup(connection.resolve(settings()), settings().prefix, file)
    click.echo(f"{len(schemas)} schemas in {file} ({file.stat().st_size / 1e6:.1f} MB)")


@db.command("restore", short_help="Bring a backup back into an empty database.")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--force", is_flag=True, help="Drop the tables that are there first (asks before).")
@click.option("--yes", is_flag=True, help="With --force: do not ask.")
@click.option("--from", "folder", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Instead of FILE: a folder of `db backup --to`; the home must have no database yet.")  # fmt: skip
@click.option("--at", help="With --from: the moment, e.g. 2026-01-07T10:30+01:00; by default the last one.")
def db_restore(file: Path | None, force: bool, yes: bool, folder: Path | None, at: str | None) -> None:
    """Bring all rows of a backup FILE back into a database without a pipeline, or a moment from a folder of backups."""
    import datetime

    if (file is None) == (folder is None):
        raise click.UsageError("name either a FILE or --from FOLDER")
    if file is None:
        assert folder is not None  # noqa: S101

        try:
            moment = None if at is None else datetime.datetime.fromisoformat(at).astimezone()
        except ValueError:
            raise click.UsageError(f"{at!r} is no time: write it as 2026-01-07T10:30+01:00") from None
        made = continuous_backup.restore(folder, settings().home, moment)
        click.echo(f"restored from the copy {made.name}" + (f", up to {moment.isoformat()}" if moment else ""))
        return

    address, prefix = connection.resolve(settings()), settings().prefix
    present = backup.schemas_in_database(address, prefix)
    if present and force and not yes:
        click.confirm(f"Drop {', '.join(present)} in {address}?", abort=True, err=True)
    schemas = backup.restore(address, prefix, file, replace=force)
    click.echo(f"{len(schemas)} schemas restored")


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the tables of an older version of neurojoint up to this one. Stop the workers and make a backup first."""
    opened = connection.open_connection(settings())
    applied = migrate.upgrade(opened, settings().prefix)
    for migration in applied:
        click.echo(f"applied {migration.number:04d} {migration.name.replace('_', ' ')}")
    for module, of_module in lab_modules.upgrade(opened, settings().prefix).items():
        for migration in of_module:
            click.echo(f"applied {migration.number:04d} {migration.name.replace('_', ' ')} of {module}")
    for failure in lab_modules.failures():
        click.echo(f"left out {failure.module}: {failure.problem}", err=True)
    click.echo("the tables are up to date")
