"""Stale rows."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.provenance import staleness


@main.command()
@click.option("--dry-run", is_flag=True, help="Only show what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def refresh(dry_run: bool, yes: bool) -> None:
    """Delete stale rows, to be computed again.

    A row is stale when files that it was computed from have changed since.
    """
    pipeline.connect()
    stale = staleness.find()
    if not stale.keys:
        click.echo("nothing is stale")
        return
    for label, keys in stale.keys.items():
        gone = stale.vanished.get(label, 0)
        click.echo(f"{label}: {len(keys):,} stale" + (f", {gone:,} of them without any file left" if gone else ""))
    click.echo("with their dependent rows, these rows will be deleted:")
    for label, n_rows in stale.lost.items():
        click.echo(f"  {n_rows:>10,}  {label}")
    if dry_run:
        return
    if not yes:
        click.confirm("Delete them?", abort=True)
    deleted = staleness.refresh()
    click.echo(f"{sum(deleted.values()):,} rows deleted; neurojoint work computes them again")
