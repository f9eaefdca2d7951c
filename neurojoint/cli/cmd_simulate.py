"""A simulated lab as an ALF tree."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import click

from ingest.simulate import write_lab
from neurojoint.cli import progress
from neurojoint.cli.group import main


def _day(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime.date | None:
    """The date that a text means."""
    today = datetime.datetime.now(datetime.UTC).date()
    if value is None:
        return None
    known = {"today": today, "yesterday": today - datetime.timedelta(days=1)}
    if value in known:
        return known[value]
    try:
        return datetime.date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no date: write it as 2024-01-31") from None


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--mice",
    default=4,
    show_default=True,
    help="Number of mice: fast, slow, never learning, side-biased, then average ones.",
)
@click.option("--sessions", default=20, show_default=True, help="Sessions per mouse.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--lab", default="simlab", show_default=True, help="Name of the lab.")
@click.option("--last-date", "last", callback=_day,
              help="Last day of the lab: today, yesterday or a date  [default: all begin on 2023-09-04].")  # fmt: skip
@click.option("--form", default="mixed", show_default=True, help="Trials as mixed, npy, table, plain or revision.")
@click.option("--wheel/--no-wheel", default=True, help="Write wheel traces and camera times too (most of the bytes).")
@click.option("--ephys", default=2, show_default=True, type=click.IntRange(0),
              help="Sessions with probes for each mouse that reaches the ephys task.")  # fmt: skip
@click.option("--units", "n_units", default=30, show_default=True, type=click.IntRange(0), help="Units per probe.")
@click.option("--damaged", is_flag=True, help="Add one session per kind of damage, to see what an ingest refuses.")
def simulate(root: Path, mice: int, sessions: int, **options: Any) -> None:
    """Write a simulated lab as an ALF tree.

    The parameters that generated the data are in ROOT/truth.json.
    """
    with progress.shown("items") as tell:
        truth = write_lab(
            root, mice, sessions, progress=lambda done, _: tell("sessions", done, mice * sessions), **options
        )
    click.echo(f"{mice} mice with {sessions} sessions each in {root}; what generated them: {truth}")
