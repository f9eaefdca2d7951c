"""Registration of ALF files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pipeline
from ingest import not_understood, register
from ingest.commands import register as display
from ingest.rows.repository import existing, repository_of
from neurojoint.cli import progress
from neurojoint.cli.cmd_compress import remove_raw_option
from neurojoint.cli.cmd_compress import run as run_compression
from neurojoint.cli.cmd_import_sorting import run_below
from neurojoint.cli.group import main


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--lab", help="The lab, where the tree has no folder for it.")
@click.option(
    "--metadata",
    multiple=True,
    type=click.Path(path_type=Path),
    help="sessions.json, labs.csv, subjects.csv, weighings.csv, water.csv, restrictions.csv or trajectories.csv, or a "
    "folder of them; may be given several times.",
)
@click.option("--repository", help="Name under which ROOT is known; by default that of the folder.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option("--processes", type=click.IntRange(1), help="How many read at once; by default one for each processor.")
@click.option("--accept-missing", is_flag=True, help="Mark files as missing even where a large share is gone.")
@click.option("--layout", type=click.Choice(["labs", "subjects_folder", "subjects"]),
              help="Where sessions lie below ROOT, if that changed since it was first registered.")  # fmt: skip
@click.option("--report", is_flag=True, help="At the end list what is not understood, with its shape and a suggestion.")
@click.option("--compress/--no-compress", default=True, help="Compress raw recordings at the end [default: do].")
@remove_raw_option
@click.option("--import-sortings", is_flag=True, help="Import results of Kilosort, phy and others afterwards.")
def ingest(root: Path, compress: bool, remove_raw: bool, import_sortings: bool, report: bool, **options: Any) -> None:
    """Register the ALF files of a data root.

    Invalid files go into quarantine, with the reason. Run it again at any time: only changes are read. At the
    end raw recordings (*.ap.bin, *.lf.bin, *.nidq.bin) are compressed; everything else is registered by then.
    """
    pipeline.connect()
    with progress.shown("items") as tell:
        summary = register(root, progress=tell, **options)
    click.echo(display.report(summary))
    failed = compress and not summary.dry_run and run_compression(root, remove_raw, quiet=True)
    if import_sortings and not summary.dry_run:
        failed = run_below(root) or failed
    if report:
        click.echo(not_understood.report(not_understood.find(*repository_of(existing(root), options["repository"]))))
    if summary.withheld or failed:
        raise SystemExit(1)
