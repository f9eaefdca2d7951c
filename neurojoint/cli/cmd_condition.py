"""Named choices of trials: `neurojoint condition`."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline import selection


@main.group()
def condition() -> None:
    """Save and list named choices of trials."""


@condition.command("add")
@click.argument("name")
@click.argument("expression")
@click.option("--description", default="", help="What it is for.")
def condition_add(name: str, expression: str, description: str) -> None:
    """Save EXPRESSION, e.g. `contrastRight >= 0.5 and choice == -1`, as NAME; a change is a new version."""
    pipeline.connect()

    version = selection.TrialCondition.define(name, expression, description)
    click.echo(f"{name}@{version}")


@condition.command("list")
def condition_list() -> None:
    """List the conditions with their versions."""
    pipeline.connect(create=False)

    for row in selection.TrialCondition.to_dicts(order_by="condition_name, condition_version"):
        click.echo(f"{row['condition_name']}@{row['condition_version']}  {row['condition_expression']}")
