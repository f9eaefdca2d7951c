"""Paper capsules."""

from __future__ import annotations

from pathlib import Path

import click

from exchange.capsule.check import check
from exchange.capsule.create import create
from neurojoint.cli.group import main
from neurojoint.cli.transfers import connect


@main.group()
def capsule() -> None:
    """Pack the tables, files and notebooks of a paper."""


@capsule.command("create")
@click.argument("name")
@click.option("--tag", required=True, help="A public tag: its datasets are what the capsule holds.")
@click.option("--notebook", "notebooks", multiple=True, type=click.Path(path_type=Path), help="Run and kept.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=".", help="Where it is written.")
def capsule_create(name: str, tag: str, notebooks: tuple[Path, ...], out: Path) -> None:
    """Write the capsule NAME, a folder and a zip of it.

    Its tables are computed from the public files alone; the notebooks are run on them, and what they show is stored.
    """
    connect()

    click.echo(create(name, tag, notebooks, out, tell=lambda words: click.echo(words, err=True)))


@capsule.command("check", short_help="Run a capsule again and compare its results.")
@click.argument("path", type=click.Path(path_type=Path, exists=True))
@click.option("--fresh/--here", default=True, show_default=True, help="In a new environment, or in this one.")
def capsule_check(path: Path, fresh: bool) -> None:
    """Run the capsule at PATH again and compare its figures and tables with those stored."""
    differences = check(path, fresh, tell=lambda words: click.echo(words, err=True))
    for line in differences:
        click.echo(line)
    if differences:
        raise SystemExit(1)
    click.echo("all figures and tables are as stored")
