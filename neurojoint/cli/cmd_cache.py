"""Cache tables for the ONE client's local mode."""

from __future__ import annotations

from pathlib import Path

import click

from neurojoint.cli.group import main


@main.command("cache", section="Data")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tag", help="Only the datasets of this tag.")
def cache(out: Path, tag: str | None) -> None:
    """Write the cache tables of the ONE client.

    Sessions, datasets and insertions are written to the folder OUT, e.g. the data root.
    """
    from one_bridge import cache as room
    from one_bridge.tables import join_database

    join_database()
    for path in room.export(out, tag):
        click.echo(path)
