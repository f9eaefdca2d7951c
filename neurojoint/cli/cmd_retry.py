"""Failed jobs, to be tried again."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline import worker
from pipeline.database import registry


@main.command()
@click.argument("table", required=False)
@click.option("--like", help="Only failures whose message contains this text.")
def retry(table: str | None, like: str | None) -> None:
    """Retry failed jobs, of all tables or of TABLE."""
    pipeline.connect()
    given = worker.retry(worker.tables_named([table]) if table else registry.populated_tables(), like)
    for label, n_jobs in given.items():
        click.echo(f"{label}: {n_jobs:,} to be retried")
    click.echo(
        "the workers will retry them (neurojoint work)" if given else "no failed job" + (" says that" if like else "")
    )
