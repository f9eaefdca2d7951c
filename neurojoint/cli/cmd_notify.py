"""Messages to people."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.notifications import service


@main.command()
@click.option("--once", is_flag=True, help="Check and deliver once, then end (for cron).")
@click.option("--dry-run", is_flag=True, help="Say what would be told; write and send nothing.")
@click.option("--every", type=click.FloatRange(min=1), default=300.0, show_default=True, help="Seconds between checks.")
@click.option("--until-input-ends", is_flag=True, hidden=True, help="End with the program that started this.")
def notify(once: bool, dry_run: bool, every: float, until_input_ends: bool) -> None:
    """Check what is due and send messages by mail."""
    import signal
    import sys
    import threading

    pipeline.connect()
    if once or dry_run:
        click.echo(service.summary(*service.once(dry_run=dry_run)))
        return
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    if until_input_ends:

        def wait() -> None:
            sys.stdin.read()
            over.set()

        threading.Thread(target=wait, daemon=True).start()
    service.forever(click.echo, over.is_set, every)
