"""Repositories: the places that hold files."""

from __future__ import annotations

import click

from neurojoint.cli.datasets import dataset_admin
from neurojoint.cli.group import main


@main.group()
def repository() -> None:
    """Manage the repositories that hold files."""


@repository.command("define", short_help="Add a repository, or change it.")
@click.argument("name")
@click.option("--kind", type=click.Choice(["local", "ssh", "sftp", "s3", "http", "globus"]), help="[default: local]")
@click.option("--root", help="Folder, address or bucket under which its files begin; needed for a new one.")
@click.option("--host", help="The computer, where it matters.")
def repository_define(name: str, kind: str | None, root: str | None, host: str | None) -> None:
    """Make the repository NAME, or change it, e.g. after its folder was moved."""
    dataset_admin().define_repository(name, kind, root, host)


@repository.command("list")
def repository_list() -> None:
    """List the repositories with the number of files recorded in each."""
    for row in dataset_admin().repositories():
        place = [row["repository_kind"], row["repository_root"], row["repository_host"]]
        click.echo("  ".join(filter(None, [row["repository"], str(row["n_datasets"]), *place])))


@repository.command("remove")
@click.argument("name")
def repository_remove(name: str) -> None:
    """Forget the repository NAME, in which no file may be recorded."""
    dataset_admin().remove_repository(name)
