"""Commands that bring files in: demo, ingest, compress, simulate."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

from neurojoint.cli.group import main


@main.command()
@click.option("--mice", default=4, show_default=True, help="How many mice to simulate.")
@click.option("--sessions", default=20, show_default=True, help="Sessions of each mouse.")
@click.option("--processes", type=int, help="Workers; by default one for each processor.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the files [default: NEUROJOINT_HOME/demo].")
@click.option("--dashboard", is_flag=True, help="Then serve it as pages, until stopped.")
def demo(mice: int, sessions: int, processes: int | None, root: Path | None, dashboard: bool) -> None:
    """Do all of it on a simulated lab, from files to training status, and say what to try next."""
    import time

    from rich.console import Console

    import pipeline
    from pipeline.settings import settings
    from pipeline.worker.display import describe

    console, start = Console(), time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - start:5.1f} s[/]  {line}", highlight=False, soft_wrap=True)

    say(f"starting the database in {settings().home}" if settings().database_url is None else "connecting")
    pipeline.connect()
    from ingest import demo as room

    root = root or settings().home / "demo"
    summary = room.run(root, mice, sessions, processes, say=say)
    say(describe(summary))
    room.show(console, root)
    if dashboard:
        from neurojoint.cli.dashboard import dashboard as command

        click.echo()
        click.get_current_context().invoke(command)
    elif summary.failed:
        raise SystemExit(1)


_remove_raw = click.option(
    "--remove-raw", is_flag=True, help="Delete raw files whose compressed file was verified a second time."
)


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--lab", help="The lab, where the tree has no folder for it.")
@click.option(
    "--metadata",
    multiple=True,
    type=click.Path(path_type=Path),
    help="sessions.json, labs.csv, subjects.csv, weighings.csv, water.csv, restrictions.csv or trajectories.csv, or a "
    "folder of them; may be given several times.",
)
@click.option("--repository", help="Name under which ROOT is known; by default that of the folder.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
@click.option("--processes", type=click.IntRange(1), help="How many read at once; by default one for each processor.")
@click.option("--accept-missing", is_flag=True, help="Mark files as missing even where a large share is gone.")
@click.option("--compress/--no-compress", default=True, help="Compress raw recordings at the end [default: do].")
@_remove_raw
def ingest(root: Path, compress: bool, remove_raw: bool, **options: object) -> None:
    """Register the ALF files below ROOT; what is invalid goes into quarantine. Run it again at any time.

    At the end the raw recordings (*.ap.bin, *.lf.bin, *.nidq.bin) are compressed; all else is registered by then.
    """
    import pipeline
    from ingest import register
    from ingest.commands import register as command

    pipeline.connect()
    with command.shown_progress() as progress:
        summary = register(root, progress=progress, **options)
    click.echo(command.report(summary))
    failed = compress and not summary.dry_run and _compress(root, remove_raw, quiet=True)
    if summary.withheld or failed:
        raise SystemExit(1)


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@_remove_raw
@click.option("--layout", type=click.Choice(["auto", "compat", "access"]), default="auto", show_default=True,
              help="compat: as mtscomp writes it; access: for short reads; auto: the smaller order.")  # fmt: skip
@click.option("--effort", type=click.Choice(["fast", "default", "small"]), default="default", show_default=True)
@click.option("--threads", type=click.IntRange(1), help="By default one for each processor.")
@click.option("--dry-run", is_flag=True, help="Write nothing; show what would be done.")
def compress(root: Path, remove_raw: bool, **options: object) -> None:
    """Compress the raw recordings that are registered below ROOT. What was interrupted goes on where it ended."""
    import pipeline

    pipeline.connect()
    if _compress(root, remove_raw, **options):
        raise SystemExit(1)


def _day(_context: click.Context, _option: click.Parameter, value: str | None) -> datetime.date | None:
    """The date that a text means."""
    today = datetime.datetime.now(datetime.UTC).date()
    known = {None: None, "today": today, "yesterday": today - datetime.timedelta(days=1)}
    if value in known:
        return known[value]
    try:
        return datetime.date.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no date: write it as 2024-01-31") from None


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option(
    "--mice", default=4, show_default=True, help="Mice: fast, slow, never learning, side-biased, then average."
)
@click.option("--sessions", default=20, show_default=True, help="Sessions of each mouse.")
@click.option("--seed", default=0, show_default=True, help="The same seed gives the same files.")
@click.option("--lab", default="simlab", show_default=True, help="Name of the lab.")
@click.option("--last-date", "last", callback=_day,
              help="Last day of the lab: today, yesterday or a date  [default: all begin on 2023-09-04].")  # fmt: skip
@click.option("--form", default="mixed", show_default=True, help="Trials as mixed, npy, table, plain or revision.")
@click.option("--wheel/--no-wheel", default=True, help="Write wheel traces and camera times too (most of the bytes).")
@click.option("--ephys", default=2, show_default=True, type=click.IntRange(0),
              help="Sessions with probes, of each mouse that reaches the ephys task.")  # fmt: skip
@click.option("--units", "n_units", default=30, show_default=True, type=click.IntRange(0), help="Of each probe.")
@click.option("--damaged", is_flag=True, help="Add one session per kind of damage, to see what an ingest refuses.")
def simulate(root: Path, mice: int, sessions: int, **options: object) -> None:
    """Write a simulated lab as an ALF tree below ROOT, with the truth that generated it in ROOT/truth.json."""
    from rich.progress import Progress

    from ingest.simulate import write_lab

    with Progress(transient=True) as bar:
        task = bar.add_task("sessions", total=mice * sessions)
        truth = write_lab(root, mice, sessions, progress=lambda done, _: bar.update(task, completed=done), **options)
    click.echo(f"{mice} mice with {sessions} sessions each in {root}; what generated them: {truth}")


def _compress(root: Path, remove_raw: bool, quiet: bool = False, **options: object) -> bool:
    """Compress, say what was done (`quiet`: not that there was nothing to do); whether something failed."""
    from ingest import compress
    from ingest.commands import compress as compression_command

    with compression_command.shown_progress() as progress:
        summary = compress(root, remove_raw=remove_raw, progress=progress, **options)
    if summary.recordings or not quiet:
        click.echo(compression_command.report(summary, remove_raw))
    return bool(summary.failures)
