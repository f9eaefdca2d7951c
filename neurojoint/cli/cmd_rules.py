"""Training rules: `neurojoint rules`."""

from __future__ import annotations

from typing import TextIO

import click

import pipeline
from neurojoint.cli.group import main
from pipeline import behavior_analysis
from pipeline.entry import training_rules
from pipeline.queries.training_rules import preview, read_rules, saved_rules
from pipeline.settings import settings


@main.group()
def rules() -> None:
    """Show, try and save rules of training."""


@rules.command("list")
def rules_list() -> None:
    """List the rule sets; * is the one in use."""
    pipeline.connect(create=False)

    for row in behavior_analysis.TrainingCriteria.to_dicts(order_by="criteria, criteria_version"):
        mark = "*" if row["criteria"] == settings().criteria else " "
        click.echo(f"{mark} {row['criteria']}:{row['criteria_version']}  {row['criteria_description']}")


@rules.command("show")
@click.argument("name")
def rules_show(name: str) -> None:
    """Print the rules NAME (or NAME:VERSION) as JSON."""
    import dataclasses
    import json

    pipeline.connect(create=False)

    click.echo(json.dumps(dataclasses.asdict(saved_rules(name)), indent=2))


@rules.command("preview")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--compare", help="Rules to compare with, NAME or NAME:VERSION  [default: the setting criteria]")
@click.option("--lab", help="Only animals of this lab.")
@click.option("--all", "show_all", is_flag=True, help="Show also animals whose status stays.")
def rules_preview(file: TextIO, compare: str | None, lab: str | None, show_all: bool) -> None:
    """Show whom the rules in FILE would promote or demote.

    FILE is JSON, - for standard input. Nothing is written.
    """
    pipeline.connect(create=False)

    compared = saved_rules(compare or settings().criteria)
    rows = preview(read_rules(file.read()), compared, {"lab": lab} if lab else ()).to_pylist()
    for row in rows:
        if row["change"] or show_all:
            when = f", since {row['first_date_after']}" if row["first_date_after"] else ""
            change = f"{row['status_before']} -> {row['status_after']}{when}" if row["change"] else row["status_after"]
            click.echo(f"{row['lab']}/{row['subject']}  {row['change'] or 'as before'}: {change}")
    changes = [row["change"] for row in rows]
    counts = f"{changes.count('promoted')} promoted, {changes.count('demoted')} demoted"
    click.echo(f"{counts}, {changes.count('')} as by {compared.name}:{compared.version}", err=True)


@rules.command("save")
@click.argument("name")
@click.argument("file", type=click.File(encoding="utf-8"))
@click.option("--description", default="", help="What has changed, and why.")
def rules_save(name: str, file: TextIO, description: str) -> None:
    """Save the rules in FILE as the next version of NAME.

    FILE is JSON, - for standard input. Try `rules preview` first.
    """
    import getpass

    pipeline.connect()

    user = getpass.getuser()
    saved = training_rules.save(read_rules(file.read()), name, description, user=user, source="command line")
    click.echo(f"{saved.name}:{saved.version}")
