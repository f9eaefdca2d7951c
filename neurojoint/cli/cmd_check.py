"""`neurojoint check`."""

from __future__ import annotations

import click

import pipeline
from ingest import check as checking
from neurojoint.cli.group import main


@main.command()
@click.option("--hashes", is_flag=True, help="Also read every file and compare its md5.")
def check(hashes: bool) -> None:
    """Compare the database with the files and itself.

    The exit code is 1 where something is wrong."""
    pipeline.connect(create=False)
    is_sound = True
    for result in checking.check(hashes):
        click.echo(f"{'wrong' if result.n_wrong else 'ok':5}  {result.rule} ({result.n_checked:,} checked)")
        if result.n_wrong:
            is_sound = False
            click.echo(f"       {result.n_wrong:,} do not: {'; '.join(result.examples)}\n       next: {result.remedy}")
    raise SystemExit(0 if is_sound else 1)
