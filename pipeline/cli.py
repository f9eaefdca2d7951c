"""The `neurojoint` command: a list of commands, each a call into a room that works without it."""

from __future__ import annotations

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run a neuroscience lab's data pipeline: from ALF files to tables, training status and plots."""


@main.group()
def db() -> None:
    """Start, stop, look at, back up and upgrade the database."""
