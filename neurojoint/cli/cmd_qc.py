"""QC outcomes of sessions and datasets."""

from __future__ import annotations

import click

from neurojoint.cli.datasets import dataset_admin, select_datasets
from neurojoint.cli.group import main


@main.command("qc")
@click.argument("outcome", type=click.Choice(["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]))
@select_datasets
def qc(outcome: str, **which: str | None) -> None:
    """Set the QC outcome of sessions or datasets.

    Of datasets with --name, --collection or --revision; else of sessions.
    """
    datasets = dataset_admin()
    of_sessions = not any(which[name] for name in ("name", "collection", "revision"))
    if of_sessions:
        which = {name: which[name] for name in ("session", "subject", "lab", "date_range", "projects")}
    changed = datasets.set_qc(datasets.choose(which, of_sessions), outcome)
    click.echo(f"{changed} {'sessions' if of_sessions else 'datasets'} changed to {outcome}")
