"""Revisions of datasets."""

from __future__ import annotations

import click

from neurojoint.cli.datasets import dataset_admin
from neurojoint.cli.group import main


@main.group()
def revision() -> None:
    """Manage revisions of datasets (#folders#)."""


@revision.command("define")
@click.argument("name")
@click.option("--description", help="What changed.")
def revision_define(name: str, description: str | None) -> None:
    """Create or describe the revision NAME.

    Registration creates those that it finds; later names are newer.
    """
    dataset_admin().define_revision(name, description)


@revision.command("list")
def revision_list() -> None:
    """List the revisions with the number of their datasets."""
    for row in dataset_admin().revisions():
        click.echo("  ".join(filter(None, [row["revision"], str(row["n_datasets"]), row["revision_description"]])))


@revision.command("remove")
@click.argument("name")
def revision_remove(name: str) -> None:
    """Delete the revision NAME, which no dataset may use."""
    dataset_admin().remove_revision(name)
