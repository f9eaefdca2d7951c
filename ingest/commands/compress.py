"""What `neurojoint compress` shows: the recording in work with MB/s and time left, then what was done, what failed."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import click

from ingest.compression import Progress, Summary

_SECONDS_PER_LINE = 10.0


@contextlib.contextmanager
def shown_progress() -> Iterator[Progress]:
    """A bar on standard error where that is a terminal; elsewhere a line every ten seconds."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("compressing", total=None, start=False)

        def tell(name: str, done: int, total: int) -> None:
            bar.start_task(task)
            bar.update(task, description=name, completed=done, total=total)

        yield tell


def report(summary: Summary, remove_raw: bool = False) -> str:
    """The summary in words, with what to do about what failed."""
    if summary.dry_run:
        size = f"{summary.raw_bytes / 1e9:.2f} GB"
        return f"{_count(summary.compressed)} would be compressed ({size}), {summary.removed} raw files removed"
    lines = []
    if summary.compressed:
        ratio = summary.raw_bytes / summary.compressed_bytes
        speed = summary.raw_bytes / 1e6 / max(summary.compression_seconds, 1e-9)
        sizes = f"{summary.raw_bytes / 1e9:.2f} GB to {summary.compressed_bytes / 1e9:.2f} GB"
        lines.append(f"{_count(summary.compressed)} compressed: {sizes}, {ratio:.2f} times smaller, {speed:.0f} MB/s")
    if summary.removed:
        lines.append(f"{summary.removed} raw file{'s' * (summary.removed != 1)} removed after a second verification")
    elif summary.compressed and not remove_raw:
        lines.append("the raw files were kept; neurojoint compress ROOT --remove-raw removes them after verification")
    lines += [f"{path}: still being recorded, or compressed by another process" for path in summary.waiting]
    lines += [f"{path}: {message}" for path, message in summary.failures]
    if summary.failures:
        lines.append(f"{_count(len(summary.failures))} failed; nothing was lost. The next run tries them again")
    return "\n".join(lines or ["no raw recording waits for compression"])


def _count(number: int) -> str:
    return f"{number} raw recording{'s' * (number != 1)}"


def _lines() -> Progress:
    began = said = time.monotonic()

    def tell(name: str, done: int, total: int) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said < _SECONDS_PER_LINE or not done:
            return
        said = now
        rate = done / max(now - began, 1e-3)
        left = (total - done) / rate
        click.echo(
            f"{name}: {done / 1e9:.2f} of {total / 1e9:.2f} GB, {rate / 1e6:.0f} MB/s, {left:.0f} s left", err=True
        )

    return tell
