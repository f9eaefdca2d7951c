"""Tags of datasets."""

from __future__ import annotations

import click

from neurojoint.cli.datasets import dataset_admin, select_datasets
from neurojoint.cli.group import main


@main.group()
def tag() -> None:
    """Name and protect sets of datasets."""


@tag.command("define")
@click.argument("name")
@click.option("--protected/--unprotected", default=None, help="Its files may not be overwritten.")
@click.option("--public/--private", default=None, help="Its files are for everyone.")
@click.option("--description", help="Purpose of the tag.")
def tag_define(name: str, protected: bool | None, public: bool | None, description: str | None) -> None:
    """Create or change the tag NAME."""
    dataset_admin().define_tag(name, protected, public, description)


@tag.command("add")
@click.argument("tag_name", metavar="NAME")
@select_datasets
def tag_add(tag_name: str, **which: str | None) -> None:
    """Add datasets to the tag NAME."""
    datasets = dataset_admin()
    click.echo(f"{datasets.tag(tag_name, datasets.choose(which))} datasets added to {tag_name}")


@tag.command("remove")
@click.argument("tag_name", metavar="NAME")
@select_datasets
def tag_remove(tag_name: str, **which: str | None) -> None:
    """Remove datasets from the tag NAME."""
    datasets = dataset_admin()
    click.echo(f"{datasets.untag(tag_name, datasets.choose(which))} datasets removed from {tag_name}")


@tag.command("list")
def tag_list() -> None:
    """List the tags with the number of their datasets."""
    for row in dataset_admin().tags():
        marks = [word for word in ("protected", "public") if row[f"tag_{word}"]]
        click.echo("  ".join(filter(None, [row["tag"], str(row["n_datasets"]), *marks, row["tag_description"]])))
