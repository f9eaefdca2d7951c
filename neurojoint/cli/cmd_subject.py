"""Animals: renaming, merging, moving to another lab."""

from __future__ import annotations

import click

from neurojoint.cli import key_changes
from neurojoint.cli.group import main


@main.group(section="Data")
def subject() -> None:
    """Rename, merge and move animals."""


def _split(animal: str) -> tuple[str, str]:
    lab, _, name = animal.partition("/")
    if not (lab and name) or "/" in name:
        raise click.BadParameter(f"{animal!r} is no animal: write it as LAB/SUBJECT")
    return lab, name


@subject.command()
@click.argument("animal", metavar="LAB/SUBJECT")
@click.argument("new")
@key_changes.confirmed
def rename(animal: str, new: str, yes: bool, dry_run: bool) -> None:
    """Give an animal the name NEW; its uuid, sessions and history stay."""
    import pipeline

    pipeline.connect()
    from pipeline.entry import renaming

    key_changes.carry_out(renaming.rename_subject(*_split(animal), new), yes, dry_run)


@subject.command()
@click.argument("animal", metavar="LAB/SUBJECT")
@click.argument("into", metavar="LAB/INTO")
@key_changes.confirmed
def merge(animal: str, into: str, yes: bool, dry_run: bool) -> None:
    """Make one animal of two that are the same; the uuid of INTO stays."""
    import pipeline

    pipeline.connect()
    from pipeline.entry import renaming

    key_changes.carry_out(renaming.merge_subjects(*_split(animal), *_split(into)), yes, dry_run)


@subject.command("move-lab")
@click.argument("animal", metavar="LAB/SUBJECT")
@click.argument("lab")
@key_changes.confirmed
def move_lab(animal: str, lab: str, yes: bool, dry_run: bool) -> None:
    """Move an animal to another lab, with all that it has."""
    import pipeline

    pipeline.connect()
    from pipeline.entry import renaming

    key_changes.carry_out(renaming.move_subject(*_split(animal), lab), yes, dry_run)


@subject.command()
def changes() -> None:
    """List what was renamed, merged and moved."""
    key_changes.list_changes("subject")


@subject.command()
@click.argument("change_id")
def undo(change_id: str) -> None:
    """Take a change back."""
    key_changes.undo(change_id)
