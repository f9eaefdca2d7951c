"""Sessions: moving to another animal, date or number, merging, confirming a folder."""

from __future__ import annotations

import click

from neurojoint.cli import key_changes
from neurojoint.cli.group import main


@main.group(section="Data")
def session() -> None:
    """Move and merge sessions; confirm a session's animal."""


@session.command()
@click.argument("old", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@click.argument("new", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@key_changes.confirmed
def move(old: str, new: str, yes: bool, dry_run: bool) -> None:
    """Give a session another animal, date or number; its eid, files and history stay."""
    import pipeline

    pipeline.connect()
    from pipeline.entry import renaming

    key_changes.carry_out(renaming.move_session(old, new), yes, dry_run)


@session.command()
@click.argument("old", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@click.argument("into", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@key_changes.confirmed
def merge(old: str, into: str, yes: bool, dry_run: bool) -> None:
    """Make one session of two folders; the eid of the second stays."""
    import pipeline

    pipeline.connect()
    from pipeline.entry import renaming

    key_changes.carry_out(renaming.merge_sessions(old, into), yes, dry_run)


@session.command()
@click.argument("path", metavar="LAB/Subjects/SUBJECT/DATE/NUMBER")
@click.argument("settings_subject", metavar="ANIMAL")
def confirm(path: str, settings_subject: str) -> None:
    """Confirm that a folder is right though its settings name ANIMAL.

    The next ingest reads the session as that of the animal in the path.
    """
    import pipeline

    pipeline.connect()
    from pipeline.entry import renaming

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
