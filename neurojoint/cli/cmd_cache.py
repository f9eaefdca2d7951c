"""Cache tables for the ONE client's local mode."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from neurojoint.cli.group import main
from one_bridge import cache as room
from one_bridge import parquet_files
from one_bridge.tables import join_database


@main.command("cache")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tag", help="Only the datasets of this tag.")
@click.option("--mend-tables", is_flag=True, help="Add to Parquet files in OUT the metadata that the client needs.")
@click.option("--public", is_flag=True, help="As they may leave: by the setting [publication] and embargoes.")
def cache(out: Path, tag: str | None, mend_tables: bool, public: bool) -> None:
    """Write the cache tables of the ONE client.

    Sessions, datasets and insertions are written to the folder OUT, e.g. the data root.
    """
    join_database()
    if lacking := parquet_files.lacking(out):
        if mend_tables:
            pipeline.connect()
            click.echo(f"{parquet_files.mend(lacking)} Parquet files were given the metadata that the client needs")
        else:
            click.echo(
                f"{len(lacking)} Parquet files lack metadata that the ONE client needs in its local mode, e.g. "
                f"{next(iter(lacking.values()))}: run again with --mend-tables",
                err=True,
            )
    for path in room.export(out, tag, public=public):
        click.echo(path)
