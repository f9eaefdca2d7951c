"""Files come back from an archive."""

from __future__ import annotations

from typing import Any

import click

from exchange.transfers import ledger
from exchange.transfers import retrieve as room
from neurojoint.cli.datasets import dataset_admin, select_datasets
from neurojoint.cli.group import main
from neurojoint.cli.progress import size
from neurojoint.cli.transfers import connect, report, summary_progress


@main.command()
@select_datasets
@click.option("--dataset", multiple=True, help="Identifier of a dataset; may be repeated.")
@click.option("--to", help="Local repository; by default the only one that is here.")
@click.option("--days", type=click.FloatRange(0, min_open=True), help="May be removed again after so many days.")
@click.option("--wait/--no-wait", default=True, show_default=True, help="Copy now, or leave it to the next run.")
def retrieve(to: str | None, days: float | None, wait: bool, dataset: tuple[str, ...], **terms: str | None) -> None:
    """Copy files back to this computer: what is named, and only that."""
    connect()

    chosen: Any = ledger.in_list("dataset_id", dataset) if dataset else dataset_admin().choose(terms).proj()
    with summary_progress() as show:
        summary = room.retrieve(chosen, to, days, wait, **({"progress": show} if wait else {}))
    if wait:
        report(summary)
    else:
        click.echo(f"{summary.total_files:,} files, {size(summary.total_size)}, planned")
