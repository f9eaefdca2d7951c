"""The command that takes sortings that exist already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

import pipeline
from ingest.programs.sorting import curation, imports
from ingest.programs.sorting.failures import Failure
from neurojoint.cli.group import main

if TYPE_CHECKING:
    from ingest.programs.sorting.imports import Imported


@main.command("import-sorting")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--session", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="The session folder, where FOLDER does not lie in it.")  # fmt: skip
@click.option("--probe", help="Label of the insertion, e.g. probe00; by default as the path says.")
@click.option("--sorter", help="What the clustering is called; by default the sorter that wrote the files.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be imported.")
def import_sorting(folder: Path, session: Path | None, probe: str | None, sorter: str | None, dry_run: bool) -> None:
    """Import the results of a spike sorter.

    Those in FOLDER, or in folders below it.

    Kilosort 2 to 4, phy, SpikeInterface and iblsorter folders are read, with the labels and units of a curation. They
    become ALF files in alf/PROBE/SORTER of the session and are registered; FOLDER stays as it is. Imported again after
    a curation, they become a new revision, and the units that were merged, split or relabelled are listed.
    """
    pipeline.connect()
    failed: list[Failure] = []
    show(imports.import_folder(
        folder, session=session, probe=probe, sorter=sorter, dry_run=dry_run,
        tell=lambda line: click.echo(line, err=True), failed=failed,
    ))  # fmt: skip
    if failed:
        show_failed(failed)
        raise SystemExit(1)


def show(imported: list[Imported]) -> None:
    """Print what became of some folders."""
    for item in imported:
        click.echo(f"{item.source}: {item.n_units:,} units, {item.n_spikes:,} spikes -> {item.folder or 'not written'}")
        for note in item.notes:
            click.echo(f"  {note}")
        if item.changes:
            click.echo(f"  since the last import: {curation.in_words(item.changes)}")


def run_below(root: Path) -> bool:
    """Import all results of sorters below a data root; returns whether some could not be."""
    imported, failed = imports.import_below(root, tell=lambda line: click.echo(line, err=True))
    show([item for item in imported if item.folder is not None])
    show_failed(failed)
    return bool(failed)


def show_failed(failed: list[Failure]) -> None:
    """Print which folders could not be imported, why, and what to do."""
    for place, error in failed:
        click.echo(f"{place}: {error.message}: {error.remedy}", err=True)
