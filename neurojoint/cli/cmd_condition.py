"""Named choices of trials: `neurojoint condition`."""

from __future__ import annotations

import click

from neurojoint.cli.group import main


@main.group(section="Data")
def condition() -> None:
    """Save and list named choices of trials."""


@condition.command("add")
@click.argument("name")
@click.argument("expression")
@click.option("--description", default="", help="What it is for.")
def condition_add(name: str, expression: str, description: str) -> None:
    """Save EXPRESSION, e.g. `contrastRight >= 0.5 and choice == -1`, as NAME; a change is a new version."""
    import pipeline

    pipeline.connect()
    from pipeline import selection

    version = selection.TrialCondition.define(name, expression, description)
    click.echo(f"{name}@{version}")


@condition.command("list")
def condition_list() -> None:
    """List the conditions with their versions."""
    import pipeline

    pipeline.connect(create=False)
    from pipeline import selection

    for row in selection.TrialCondition.to_dicts(order_by="condition_name, condition_version"):
        click.echo(f"{row['condition_name']}@{row['condition_version']}  {row['condition_expression']}")
