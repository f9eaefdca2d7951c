"""Named comparisons of two groups of trials: `neurojoint comparison`."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline import selection


@main.group()
def comparison() -> None:
    """Save and list comparisons of two groups of trials."""


@comparison.command("add")
@click.argument("name")
@click.argument("first")
@click.argument("second")
@click.option("--period", help="Period of the trials in which units are compared; see `neurojoint period`.")
@click.option("--description", default="", help="What it is for.")
def comparison_add(name: str, first: str, second: str, period: str | None, description: str) -> None:
    """Save the comparison NAME; a change is a new version.

    FIRST and SECOND are conditions, by name or as expressions. The workers then compare them in every session.
    """
    pipeline.connect()

    click.echo(f"{name}@{selection.Comparison.define(name, first, second, period, description)}")


@comparison.command("list")
def comparison_list() -> None:
    """List the comparisons with their versions."""
    pipeline.connect(create=False)

    for row in selection.Comparison.to_dicts(order_by="comparison_name, comparison_version"):
        name = f"{row['comparison_name']}@{row['comparison_version']}"
        when = f"  in {row['period_name']}" if row["period_name"] else ""
        click.echo(f"{name}  {row['comparison_first']}  |  {row['comparison_second']}{when}")
