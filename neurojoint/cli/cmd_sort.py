"""The command that has spikes sorted."""

from __future__ import annotations

import json
from pathlib import Path

import click

import pipeline
from ingest.programs import sorting
from neurojoint.cli.group import main
from pipeline.errors import NeurojointError


@main.command("sort")
@click.argument("root", type=click.Path(path_type=Path))
@click.argument("sorter")
@click.option("--parameters", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A JSON file; takes precedence over the parameters of the settings.")  # fmt: skip
@click.option("--probe", help="Only this insertion, e.g. probe00.")
@click.option("--again", is_flag=True, help="Sort also what is sorted with the same parameters already.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be sorted.")
def sort(root: Path, sorter: str, parameters: Path | None, probe: str | None, again: bool, dry_run: bool) -> None:
    """Run a spike sorter on registered recordings.

    SORTER is a program that the settings name; ROOT a folder with registered recordings. The results become ALF
    files in alf/PROBE/SORTER and are registered. What is sorted already is passed over.
    """
    chosen = {}
    if parameters is not None:
        try:
            chosen = json.loads(parameters.read_text(encoding="utf-8"))
        except ValueError as error:
            raise NeurojointError(f"{parameters} is not JSON ({error})", "correct that line") from None
        if not isinstance(chosen, dict):
            raise NeurojointError(f"{parameters} holds no parameters", 'write an object: {"name": value}')
    pipeline.connect()
    result = sorting.sort(
        root, sorter, parameters=chosen, probe=probe, again=again, dry_run=dry_run,
        tell=lambda line: click.echo(line, err=True),
    )  # fmt: skip
    done = "would be sorted" if dry_run else "sorted"
    click.echo(f"{len(result.sorted)} {done}, {len(result.known)} were before")
    for path in result.adopted:
        click.echo(f"{path}: its results lay there already")
    for path in result.busy:
        click.echo(f"{path}: another process sorts it now")
    for path, reason in result.failures:
        click.echo(f"{path}: {reason}", err=True)
    if result.failures:
        raise SystemExit(1)
