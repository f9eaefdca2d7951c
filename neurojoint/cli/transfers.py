"""What the commands of transfers have in common: the connection, progress, reports."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click

import pipeline
from neurojoint.cli import progress
from neurojoint.cli.progress import size


def connect(create: bool = True) -> None:
    """Connect to the database of the settings."""
    pipeline.connect(create=create)


@contextlib.contextmanager
def summary_progress() -> Iterator[Callable[[Any], None]]:
    """Shows progress from the summary of a run."""
    with progress.shown() as tell:
        yield lambda summary: tell(
            f"copying {summary.total_files:,} files", summary.moved, max(summary.total_size, summary.moved)
        )


def report(summary: Any) -> None:
    """Say what a run did; ends with code 1 where something failed or waits."""
    rate = summary.moved / summary.seconds if summary.seconds else 0.0
    click.echo(f"{summary.files:,} files, {size(summary.size)}, copied and verified ({size(rate)}/s)")
    for name, why in summary.waiting.items():
        click.echo(f"waiting for {name}: {why}", err=True)
    for path, why in list(summary.failed.items())[:20]:
        click.echo(f"failed: {path}: {why}", err=True)
    if len(summary.failed) > 20:
        click.echo(f"and {len(summary.failed) - 20:,} more: neurojoint transfer status", err=True)
    if summary.outside:
        click.echo(f"{summary.outside:,} transfers wait for their nightly window")
    if summary.elsewhere:
        click.echo(f"{summary.elsewhere:,} transfers are worked on by others")
    if summary.failed or summary.waiting:
        raise SystemExit(1)
