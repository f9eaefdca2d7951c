"""Rows that people keep in spreadsheets."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.entry.imports import import_file


@main.command("import")
@click.argument("what")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--lab", help="The lab of rows that do not name one.")
@click.option("--user", help="Who enters them; by default the account that runs this command.")
@click.option("--create-missing", is_flag=True, help="Add lines, people and other names that are not known yet.")
@click.option("--dry-run", is_flag=True, help="Check everything, write nothing.")
def import_rows(what: str, file: Path, lab: str | None, user: str | None, create_missing: bool, dry_run: bool) -> None:
    """Import rows from a CSV or Excel FILE.

    All rows are written, or none; every row that cannot be used is listed.
    """
    import getpass

    pipeline.connect()
    try:
        person = user or getpass.getuser()
    except (KeyError, OSError):
        person = user or "local"
    done = import_file(what, file, user=person, lab=lab, create_missing=create_missing, dry_run=dry_run)
    click.echo(f"{done.created} new, {done.updated} changed, {done.unchanged} as they were")
    if dry_run:
        click.echo("nothing was written (--dry-run)")
    elif done.changed:
        click.echo(f"to take it back: pipeline.entry.undo({done.batch!r}, user=...)")
