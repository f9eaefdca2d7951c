"""What the commands of transfers have in common: the connection, a bar with rate and time left, reports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import click


def connect(create: bool = True) -> None:
    """Connect to the database of the settings."""
    import pipeline

    pipeline.connect(create=create)


@contextlib.contextmanager
def progress() -> Iterator[Any]:
    """A bar with rate and time left, from the summary of a run."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, transient=True) as bar:
        task = bar.add_task("copying", total=None)

        def show(summary: Any) -> None:
            words = f"{summary.files:,} of {summary.total_files:,} files"
            bar.update(task, completed=summary.moved, total=max(summary.total_size, summary.moved), description=words)

        yield show


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


def size(n_bytes: float) -> str:
    """Bytes in words.

    >>> size(1_234), size(5e9)
    ('1.2 kB', '5.0 GB')
    """
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.1f} {unit}"
    return f"{n_bytes:.0f} B"
