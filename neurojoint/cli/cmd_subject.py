"""Animals: renaming, merging, moving to another lab."""

from __future__ import annotations

import datetime

import click

import pipeline
from neurojoint.cli import key_changes
from neurojoint.cli.group import main
from pipeline import entry
from pipeline.entry import renaming


@main.group()
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
    pipeline.connect()

    key_changes.carry_out(renaming.rename_subject(*_split(animal), new), yes, dry_run)


@subject.command()
@click.argument("animal", metavar="LAB/SUBJECT")
@click.argument("into", metavar="LAB/INTO")
@key_changes.confirmed
def merge(animal: str, into: str, yes: bool, dry_run: bool) -> None:
    """Make one animal of two that are the same; the uuid of INTO stays."""
    pipeline.connect()

    key_changes.carry_out(renaming.merge_subjects(*_split(animal), *_split(into)), yes, dry_run)


@subject.command("move-lab")
@click.argument("animal", metavar="LAB/SUBJECT")
@click.argument("lab")
@key_changes.confirmed
def move_lab(animal: str, lab: str, yes: bool, dry_run: bool) -> None:
    """Move an animal to another lab, with all that it has."""
    pipeline.connect()

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


@subject.command(short_help="Let nothing of an animal leave the lab.")
@click.argument("animal", metavar="LAB/SUBJECT")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="First day on which it may be told of; else none.")
@click.option("--reason", default="", help="For the lab.")
@click.option("--lift", is_flag=True, help="End the embargo.")
def embargo(animal: str, until: datetime.datetime | None, reason: str, lift: bool) -> None:
    """Keep an animal out of releases, public copies, NWB for archives and the public site."""
    import getpass

    pipeline.connect()

    lab, name = _split(animal)
    key = {"lab": lab, "subject": name}
    if lift:
        entry.remove("publication.Embargo", [key], user=getpass.getuser(), source="command")
        click.echo(f"{animal} may be told of")
        return
    row = key | {"embargo_until": until.date() if until else None, "embargo_reason": reason}
    entry.write("publication.Embargo", [row], user=getpass.getuser(), source="command")
    click.echo(f"nothing leaves of {animal} " + (f"until {until:%Y-%m-%d}" if until else "until the embargo is lifted"))
