"""Commands that fill the tables and look at them: work, retry, refresh, status."""

from __future__ import annotations

import contextlib

import click

from neurojoint.cli.group import main


@main.command()
@click.option("--once", is_flag=True, help="End when nothing is left to do; else wait for more until it is stopped.")
@click.option("--processes", type=click.IntRange(1), help="How many workers; by default one for each processor.")
@click.option("--table", "tables", multiple=True, help="Only this table, e.g. TrialSet; may be given several times.")
@click.option(
    "--max-seconds", type=click.FloatRange(0, min_open=True), help="End after that time, e.g. in a batch job."
)
def work(once: bool, processes: int | None, tables: tuple[str, ...], max_seconds: float | None) -> None:
    """Compute what is to be computed, in parallel, with any number of these on any number of computers."""
    from rich.console import Console

    import pipeline
    from pipeline import worker
    from pipeline.worker.display import Progress, describe

    pipeline.connect()
    chosen = worker.tables_named(tables) if tables else None
    with Progress(Console(stderr=True)) as progress:
        summary = worker.work(once, processes, chosen, max_seconds, watch=progress.watch, say=progress.say)
    click.echo(describe(summary))
    if summary.stopped_by is not None:
        raise SystemExit(128 + summary.stopped_by)


@main.command()
@click.argument("table", required=False)
@click.option("--like", help="Only failures whose message contains this text.")
def retry(table: str | None, like: str | None) -> None:
    """Give failed jobs back to the workers, of all tables or of TABLE."""
    import pipeline
    from pipeline import worker
    from pipeline.database import registry

    pipeline.connect()
    given = worker.retry(worker.tables_named([table]) if table else registry.populated_tables(), like)
    for label, n_jobs in given.items():
        click.echo(f"{label}: {n_jobs:,} given back")
    click.echo("the workers try again (neurojoint work)" if given else "no failed job" + (" says that" if like else ""))


@main.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def refresh(dry_run: bool, yes: bool) -> None:
    """Delete rows that were made from files that have changed since; the workers compute them again."""
    import pipeline
    from pipeline.provenance import staleness

    pipeline.connect()
    stale = staleness.find()
    if not stale.keys:
        click.echo("nothing is stale")
        return
    for label, keys in stale.keys.items():
        gone = stale.vanished.get(label, 0)
        click.echo(f"{label}: {len(keys):,} stale" + (f", {gone:,} of them without any file left" if gone else ""))
    click.echo("with what hangs on them, these rows go:")
    for label, n_rows in stale.lost.items():
        click.echo(f"  {n_rows:>10,}  {label}")
    if dry_run:
        return
    if not yes:
        click.confirm("Delete them?", abort=True)
    deleted = staleness.refresh()
    click.echo(f"{sum(deleted.values()):,} rows deleted; neurojoint work computes them again")


@main.command()
@click.option("--watch", is_flag=True, help="Look again every two seconds until Ctrl-C.")
@click.option("--lab", help="Only what belongs to this lab.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(watch: bool, lab: str | None, as_json: bool) -> None:
    """Show per table what is done, pending, running, failed and stale; what went wrong; who is working."""
    import json

    from rich.console import Console
    from rich.live import Live

    import pipeline
    from pipeline.worker.display import show
    from pipeline.worker.status import collect
    from pipeline.worker.status import watch as again

    pipeline.connect(create=False)
    if as_json:
        click.echo(json.dumps(collect(lab).to_dict(), indent=2))
        return
    console = Console()
    if not watch:
        console.print(show(collect(lab)))
        return
    with Live(console=console, auto_refresh=False) as live, contextlib.suppress(KeyboardInterrupt):
        for found in again(lab):
            live.update(show(found), refresh=True)
