"""Named periods of trials: `neurojoint period`."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline import selection


@main.group()
def period() -> None:
    """Save and list named periods of trials."""


@period.command("add")
@click.argument("name")
@click.option("--from", "start", required=True, help="Column of trials with the time of the first event.")
@click.option("--to", "end", required=True, help="Column of trials with the time of the second event.")
@click.option("--shift", type=float, nargs=2, default=(0.0, 0.0), help="Seconds added to the two times.")
@click.option("--description", default="", help="What it is for.")
def period_add(name: str, start: str, end: str, shift: tuple[float, float], description: str) -> None:
    """Save the period NAME from one event of a trial to another."""
    pipeline.connect()

    selection.Period.define(name, start, end, shift, description)
    click.echo(name)


@period.command("list")
def period_list() -> None:
    """List the periods."""
    pipeline.connect(create=False)

    for row in selection.Period.to_dicts(order_by="period_name"):
        start = f"{row['starts_at']}{row['starts_shift']:+g} s"
        click.echo(f"{row['period_name']}  {start} to {row['ends_at']}{row['ends_shift']:+g} s")
