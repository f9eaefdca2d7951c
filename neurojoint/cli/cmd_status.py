"""How far the pipeline is."""

from __future__ import annotations

import contextlib

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.worker.display import show
from pipeline.worker.status import collect
from pipeline.worker.status import watch as again


@main.command()
@click.option("--watch", is_flag=True, help="Update every two seconds until Ctrl-C.")
@click.option("--lab", help="Only this lab.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(watch: bool, lab: str | None, as_json: bool) -> None:
    """Show progress, failures and workers, per table."""
    import json

    from rich.console import Console
    from rich.live import Live

    pipeline.connect(create=False)
    if as_json:
        click.echo(json.dumps(collect(lab).to_dict(), indent=2))
        return
    console = Console()
    if not watch:
        console.print(show(collect(lab)))
        return
    with Live(console=console, auto_refresh=False) as live, contextlib.suppress(KeyboardInterrupt):
        for state in again(lab):
            live.update(show(state), refresh=True)
