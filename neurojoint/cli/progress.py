"""Progress of a command on standard error: a bar with rate and time left, or a line every ten seconds in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal

import click

Tell = Callable[[str, int, int | None], None]
"""What is under way, how much of it is done, and of how much (None: not known)."""

Unit = Literal["bytes", "items"]

_SECONDS_PER_LINE = 10.0


@contextmanager
def shown(unit: Unit = "bytes") -> Iterator[Tell]:
    """A function that shows progress: on a terminal a bar for what is under way, elsewhere a line every ten seconds.

    Parameters
    ----------
    unit : what is counted.
    """
    from rich.console import Console  # here since most commands never need it
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _lines(unit)
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TextColumn("{task.fields[amount]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, tuple[TaskID, float]] = {}

        def tell(name: str, done: int, total: int | None) -> None:
            if name not in tasks:
                tasks[name] = (bar.add_task(name, total=total, amount=""), time.monotonic())
            number, since = tasks[name]
            for other, (task, _) in tasks.items():
                bar.update(task, visible=other == name)
            bar.update(number, completed=done, total=total, amount=_amount(unit, done, total, since))

        yield tell


@contextmanager
def advancing(name: str, total: int | None = None, unit: Unit = "bytes") -> Iterator[Callable[[int], None]]:
    """A function that takes how much more of one thing is done."""
    done = 0
    with shown(unit) as tell:

        def advance(more: int) -> None:
            nonlocal done
            done += more
            tell(name, done, total)

        yield advance


def _lines(unit: Unit) -> Tell:
    begun: dict[str, float] = {}
    last_line = time.monotonic()

    def tell(name: str, done: int, total: int | None) -> None:
        nonlocal last_line
        now = time.monotonic()
        since = begun.setdefault(name, now)
        if now - last_line < _SECONDS_PER_LINE or not done:
            return
        last_line = now
        left = f", {(now - since) / done * (total - done):,.0f} s left" if total is not None else ""
        click.echo(f"{name}: {_amount(unit, done, total, since)}{left}", err=True)

    return tell


def _amount(unit: Unit, done: int, total: int | None, since: float) -> str:
    """How much is done and how fast, such as `1.2 of 5.0 GB, 80.0 MB/s`."""
    rate = done / max(time.monotonic() - since, 1e-3)
    of = "" if total is None else f" of {amount(unit, total)}"
    return f"{amount(unit, done)}{of}, {amount(unit, rate)}/s"


def amount(unit: Unit, number: float) -> str:
    """A number of bytes or of items in words.

    >>> amount("bytes", 5e9), amount("items", 1234)
    ('5.0 GB', '1,234')
    """
    return size(number) if unit == "bytes" else f"{number:,.0f}"


def size(n_bytes: float) -> str:
    """Bytes in words.

    >>> size(12), size(1_234), size(5e9)
    ('12 bytes', '1.2 kB', '5.0 GB')
    """
    from rich.filesize import decimal

    return decimal(int(n_bytes))
