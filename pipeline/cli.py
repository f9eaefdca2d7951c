"""The `neurojoint` command: a list of commands, each a call into a room that works without it."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a neuroscience lab's data pipeline: from ALF files to tables, training status and plots."""


@main.group()
def db() -> None:
    """Start, stop, look at, back up and upgrade the database."""


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--mice", default=4, show_default=True, help="Mice: fast, slow, never learning, side-biased, then average."
)
@click.option("--sessions", default=20, show_default=True, help="Sessions of each mouse.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--lab", default="simlab", show_default=True, help="Name of the lab.")
@click.option("--form", default="mixed", show_default=True, help="Trials as mixed, npy, table, plain or revision.")
@click.option("--wheel/--no-wheel", default=True, help="Write wheel traces and camera times too (most of the bytes).")
@click.option("--damaged", is_flag=True, help="Add one session per kind of damage, to see what an ingest refuses.")
def simulate(root: Path, mice: int, sessions: int, **options: object) -> None:
    """Write a simulated lab as an ALF tree below ROOT, with the truth that generated it in ROOT/truth.json."""
    from rich.progress import Progress

    from ingest.simulate import write_lab

    with Progress(transient=True) as bar:
        task = bar.add_task("sessions", total=mice * sessions)
        truth = write_lab(root, mice, sessions, progress=lambda done, _: bar.update(task, completed=done), **options)
    click.echo(f"{mice} mice with {sessions} sessions each in {root}; what generated them: {truth}")
