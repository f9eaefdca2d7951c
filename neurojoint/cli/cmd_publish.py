"""The public copy."""

from __future__ import annotations

from pathlib import Path

import click

from exchange.public_copy.apply import publish as bring
from neurojoint.cli.group import main
from neurojoint.cli.progress import advancing, size
from neurojoint.cli.transfers import connect


@main.command("publish")
@click.option("--tag", required=True, help="A public tag: its datasets are what the copy holds.")
@click.option("--to", "url", required=True, help="Address of the second database: postgresql://user@host/name.")
@click.option("--root", required=True, type=click.Path(path_type=Path, file_okay=False), help="Its data root.")
def publish(tag: str, url: str, root: Path) -> None:
    """Bring a public copy up to date.

    A second database and data root with only what the tag makes public, under pseudonyms; rows and files that are not
    public any more go. Then compute there: NEUROJOINT_DATABASE_URL=<URL> neurojoint work --once
    """
    connect()

    with advancing("copying") as progress:
        result = bring(tag, url, root, progress=progress)
    click.echo(
        f"{result.files:,} files copied ({size(result.size)}), {result.files_removed:,} removed; "
        f"{sum(result.added.values()):,} rows added, {sum(result.removed.values()):,} removed"
    )
