"""Compression of raw recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pipeline
from ingest import compress as compress_recordings
from ingest.commands import compress as display
from neurojoint.cli import progress
from neurojoint.cli.group import main

remove_raw_option = click.option(
    "--remove-raw", is_flag=True, help="Delete raw files whose compressed file was verified a second time."
)


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@remove_raw_option
@click.option("--layout", type=click.Choice(["auto", "compat", "access"]), default="auto", show_default=True,
              help="compat: as mtscomp writes it; access: for short reads; auto: the smaller order.")  # fmt: skip
@click.option("--effort", type=click.Choice(["fast", "default", "small"]), default="default", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="By default one for each processor.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
def compress(root: Path, remove_raw: bool, **options: Any) -> None:
    """Compress registered raw recordings.

    Those below ROOT; what was interrupted continues where it ended.
    """
    pipeline.connect()
    if run(root, remove_raw, **options):
        raise SystemExit(1)


def run(root: Path, remove_raw: bool, quiet: bool = False, **options: Any) -> bool:
    """Compress, say what was done (`quiet`: not that there was nothing to do); whether something failed."""
    with progress.shown() as tell:
        summary = compress_recordings(root, remove_raw=remove_raw, progress=tell, **options)
    if summary.recordings or not quiet:
        click.echo(display.report(summary, remove_raw))
    return bool(summary.failures)
