"""Named choices of trials: `neurojoint condition` and `neurojoint period`."""

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


@main.group(section="Data")
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
    import pipeline

    pipeline.connect()
    from pipeline import selection

    selection.Period.define(name, start, end, shift, description)
    click.echo(name)


@period.command("list")
def period_list() -> None:
    """List the periods."""
    import pipeline

    pipeline.connect(create=False)
    from pipeline import selection

    for row in selection.Period.to_dicts(order_by="period_name"):
        start = f"{row['starts_at']}{row['starts_shift']:+g} s"
        click.echo(f"{row['period_name']}  {start} to {row['ends_at']}{row['ends_shift']:+g} s")
