"""Workers that populate the tables."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import STOPPED, main
from pipeline import worker
from pipeline.notifications.companion import notifying
from pipeline.worker.display import Progress, describe


@main.command()
@click.option("--once", is_flag=True, help="Exit when nothing is left to do; by default wait for more.")
@click.option("--processes", type=click.IntRange(1), help="How many workers; by default one for each processor.")
@click.option("--table", "tables", multiple=True, help="Only this table, e.g. TrialSet; may be given several times.")
@click.option(
    "--max-seconds", type=click.FloatRange(0, min_open=True), help="End after that time, e.g. in a batch job."
)
@click.option(
    "--notify/--no-notify", default=None,
    help="Check animals and send messages too; by default unless --once, --table or --max-seconds is given.",
)  # fmt: skip
def work(
    once: bool, processes: int | None, tables: tuple[str, ...], max_seconds: float | None, notify: bool | None
) -> None:
    """Run workers that populate the tables.

    Any number of these may run on any number of computers.
    """
    import contextlib

    from rich.console import Console

    pipeline.connect()
    chosen = worker.tables_named(tables) if tables else None
    if notify is None:
        notify = not (once or tables or max_seconds)
    with Progress(Console(stderr=True)) as progress, notifying(progress.tell) if notify else contextlib.nullcontext():
        summary = worker.work(once, processes, chosen, max_seconds, watch=progress.watch, tell=progress.tell)
    click.echo(describe(summary))
    if summary.stopped_by is not None:
        raise SystemExit(STOPPED)
