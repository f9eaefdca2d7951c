"""Archives: publish, discover, retrieve."""

from __future__ import annotations

from typing import Any

import click

from exchange.archive import discover, publish
from neurojoint.cli.cmd_retrieve import retrieve
from neurojoint.cli.datasets import dataset_admin, select_datasets
from neurojoint.cli.group import main
from neurojoint.cli.progress import advancing, size
from neurojoint.cli.transfers import connect, report, summary_progress


@main.group()
def archive() -> None:
    """Publish raw files to an archive, and find what lies there."""


@archive.command("publish")
@click.argument("repository")
@select_datasets
@click.option("--everything", is_flag=True, help="Not only raw files.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Copy now, or leave it to the next run.")
def archive_publish(repository: str, everything: bool, wait: bool, **terms: str | None) -> None:
    """Copy the raw files that are named to the archive REPOSITORY."""
    connect()

    chosen: Any = dataset_admin().choose(terms).proj()
    with summary_progress() as show:
        summary = publish(chosen, repository, everything=everything, wait=wait, **({"progress": show} if wait else {}))
    if wait:
        report(summary)
    else:
        click.echo(f"{summary.total_files:,} files, {size(summary.total_size)}, planned")


@archive.command("discover", short_help="Register what lies in REPOSITORY.")
@click.argument("repository")
@click.option("--below", default="", help="Only below this folder, e.g. mylab/Subjects/m1.")
@click.option("--dry-run", is_flag=True, help="Read and write nothing.")
def archive_discover(repository: str, below: str, dry_run: bool) -> None:
    """Register what lies in REPOSITORY: each file that is not known is read once."""
    connect()

    with advancing("reading") as advance:
        discovered = discover(repository, below, dry_run=dry_run, progress=advance)
    would = "would be " if dry_run else ""
    click.echo(
        f"{discovered.known:,} files were known, {discovered.recorded:,} copies {would}recorded, "
        f"{discovered.new:,} datasets of {discovered.sessions:,} new sessions {would}registered "
        f"({size(discovered.size)} read)"
    )
    for title, paths in (
        ("is no file of a session", discovered.unknown),
        ("is recorded and not there", discovered.absent),
    ):
        for path in paths[:20]:
            click.echo(f"{path} {title}", err=True)
        if len(paths) > 20:
            click.echo(f"and {len(paths) - 20:,} more", err=True)
    for path, why in (discovered.differing | discovered.unread).items():
        click.echo(f"{path}: {why}", err=True)
    if discovered.differing or discovered.unread:
        raise SystemExit(1)


archive.add_command(retrieve, "retrieve")
