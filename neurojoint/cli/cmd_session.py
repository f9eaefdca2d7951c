"""Sessions: made and sent at the rig; moving to another animal, date or number, merging, confirming a folder."""

from __future__ import annotations

import datetime
from pathlib import Path

import click

import pipeline
from ingest.agent import rig
from neurojoint.cli import key_changes
from neurojoint.cli.group import main
from pipeline.entry import renaming
from pipeline.tasks import description as descriptions


@main.group()
def session() -> None:
    """Make, send, move, merge and confirm sessions."""


@session.command()
@click.argument("root", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("lab")
@click.argument("subject")
@click.option("--task", "tasks", multiple=True, help="Protocol of a task; may be repeated, in order.")
@click.option("--camera", "cameras", multiple=True, help="E.g. left; may be repeated.")
@click.option("--probe", "probes", multiple=True, help="E.g. probe00; may be repeated.")
@click.option("--microphone", is_flag=True)
@click.option("--sync", type=click.Choice(["bpod", "nidq"]), default="bpod", show_default=True)
@click.option("--project", "projects", multiple=True)
@click.option("--procedure", "procedures", multiple=True)
@click.option("--description", type=click.Path(path_type=Path, exists=True, dir_okay=False),
              help="A description file, in place of the options above.")  # fmt: skip
@click.option("--date", type=click.DateTime(["%Y-%m-%d"]), help="By default today.")
@click.option("--number", type=click.IntRange(0, 999), help="By default the next.")
def new(
    root: Path, lab: str, subject: str, description: Path | None, date: datetime.datetime | None, number: int | None,
    **told: object,
) -> None:  # fmt: skip
    """Make a session folder with its description, below ROOT on the rig."""
    if description is not None:
        content = descriptions.parse_yaml(description.read_text(encoding="utf-8"))
    else:
        content = rig.describe(**told)  # type: ignore[arg-type]
    click.echo(rig.new(root.resolve(), lab, subject, content, date.date() if date else None, number))


@session.command(short_help="Copy a rig's unsent sessions to the lab server.")
@click.argument("root", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--session", "only", type=click.Path(path_type=Path, exists=True, file_okay=False),
              help="Only this folder, now.")  # fmt: skip
@click.option("--quiet", default=300.0, show_default=True, help="Seconds without change: then a session is recorded.")
def send(root: Path, destination: Path, only: Path | None, quiet: float) -> None:
    """Copy the rig's unsent sessions from ROOT to the lab server's DESTINATION, verified, and flag them."""
    done = rig.send(root.resolve(), destination.resolve(), quiet, only.resolve() if only else None)
    for place in done.sessions:
        click.echo(f"sent: {place}")
    for place in done.waiting:
        click.echo(f"still changing: {place}")
    for place, problem in done.problems.items():
        click.echo(f"not sent: {place}: {problem}", err=True)
    click.echo(f"{len(done.sessions):,} sessions, {done.files:,} files, {done.size / 1e6:,.1f} MB copied and verified")
    if done.problems:
        raise SystemExit(1)


@session.command(short_help="Give a session another animal, date or number.")
@click.argument("old", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@click.argument("new", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@key_changes.confirmed
def move(old: str, new: str, yes: bool, dry_run: bool) -> None:
    """Give a session another animal, date or number; its eid, files and history stay."""
    pipeline.connect()

    key_changes.carry_out(renaming.move_session(old, new), yes, dry_run)


@session.command()
@click.argument("old", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@click.argument("into", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@key_changes.confirmed
def merge(old: str, into: str, yes: bool, dry_run: bool) -> None:
    """Make one session of two folders; the eid of the second stays."""
    pipeline.connect()

    key_changes.carry_out(renaming.merge_sessions(old, into), yes, dry_run)


@session.command()
@click.argument("path", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@click.argument("settings_subject", metavar="ANIMAL")
def confirm(path: str, settings_subject: str) -> None:
    """Confirm that a folder is right though its settings name ANIMAL.

    The next ingest reads the session as that of the animal in the path.
    """
    pipeline.connect()

    renaming.confirm_session(path, settings_subject)
    click.echo(f"confirmed; next: neurojoint ingest the folder that holds {path}")


@session.command()
def changes() -> None:
    """List what was moved and merged."""
    key_changes.list_changes("session")


@session.command()
@click.argument("change_id")
def undo(change_id: str) -> None:
    """Take a change back."""
    key_changes.undo(change_id)
