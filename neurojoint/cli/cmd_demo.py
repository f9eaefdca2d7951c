"""The demonstration: a simulated lab from files to training status."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from ingest import demo as room
from neurojoint.cli.cmd_dashboard import dashboard as command
from neurojoint.cli.group import main
from pipeline.settings import settings
from pipeline.worker.display import describe


@main.command()
@click.option("--mice", default=4, show_default=True, help="Number of mice.")
@click.option("--sessions", default=20, show_default=True, help="Sessions per mouse.")
@click.option("--processes", type=int, help="Workers; by default one for each processor.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the files [default: NEUROJOINT_HOME/demo].")
@click.option("--dashboard", is_flag=True, help="Afterwards serve the training dashboard until stopped.")
def demo(mice: int, sessions: int, processes: int | None, root: Path | None, dashboard: bool) -> None:
    """Run everything on a simulated lab. Ends with a summary and what to try next."""
    import time

    from rich.console import Console

    console, start = Console(), time.monotonic()

    def tell(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:5.1f} s[/]  {line}", highlight=False, soft_wrap=True)

    tell(f"starting the database in {settings().home}" if settings().database_url is None else "connecting")
    pipeline.connect()

    root = root or settings().home / "demo"
    summary = room.run(root, mice, sessions, processes, tell=tell)
    tell(describe(summary))
    room.show(console, root)
    if dashboard:
        click.echo()
        click.get_current_context().invoke(command)
    elif summary.failed:
        raise SystemExit(1)
