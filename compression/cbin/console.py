"""What the commands share: file patterns, output names, progress bars, one line per file and per error, exit codes."""

from __future__ import annotations

import glob
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from .errors import CbinError
from .report import Progress

EXIT_FAILED, EXIT_INTERRUPTED = 1, 130

_EXPECTED = (CbinError, OSError, MemoryError)


def expand(files: tuple[str, ...]) -> list[Path]:
    """The paths that names and patterns stand for, each once.

    Raises
    ------
    click.BadParameter : no file fits a pattern
    """
    paths: dict[Path, None] = {}
    for name in files:
        is_pattern = glob.has_magic(name) and not Path(name).exists()
        # Path.glob takes no absolute pattern
        matches = sorted(glob.glob(name, recursive=True)) if is_pattern else [name]  # noqa: PTH207
        if not matches:
            raise click.BadParameter(f"no file fits the pattern {name!r}", param_hint="FILE...")
        paths.update(dict.fromkeys(map(Path, matches)))
    return list(paths)


def output_paths(paths: list[Path], out: Path | None, rename: Callable[[Path], Path]) -> dict[Path, Path]:
    """Where the output of each input goes: beside it, to `out`, or into the folder `out`.

    Raises
    ------
    click.BadParameter : one name for several files
    """
    if out is None:
        return {path: rename(path) for path in paths}
    if out.is_dir():
        targets = {path: out / rename(path).name for path in paths}
    elif len(paths) > 1:
        raise click.BadParameter(f"{str(out)!r} is no folder, and there are {len(paths)} files.", param_hint="--out")
    else:
        targets = {paths[0]: out}
    if len(set(targets.values())) < len(targets):
        raise click.BadParameter("two of the files have the same name, and so would their outputs.", param_hint="--out")
    return targets


def run(
    paths: list[Path],
    work: Callable[[Path, Progress | None], dict[str, Any]],
    *,
    verb: str,
    show: Callable[[dict[str, Any]], str] | None,
    as_json: bool = False,
    bar: bool = True,
) -> None:
    """Do `work` for every file, print what it returns, and end the process with an error code when a file failed.

    `show` turns a result into text; None prints nothing. A result that says `ok: False` counts as failed.
    """
    failed = False
    for path in paths:
        with interruptible():
            try:
                with progress_bar(f"{verb} {path.name}", bar) as progress:
                    result = work(path, progress)
            except _EXPECTED as error:
                result = {"path": str(path), "ok": False, "errors": [message(error, path)]}
        failed |= result.get("ok") is False
        if as_json:
            click.echo(json.dumps(result))
        elif show is not None and (text := show(result)):
            click.echo(text)
        for problem in result.get("errors") or ():
            click.echo(f"cbin: {problem}", err=True)
    if failed:
        sys.exit(EXIT_FAILED)


@contextmanager
def one_line_errors(path: Path) -> Iterator[None]:
    """End the process with one line on standard error instead of a traceback, for what can be expected to go wrong."""
    with interruptible():
        try:
            yield
        except _EXPECTED as error:
            click.echo(f"cbin: {message(error, path)}", err=True)
            sys.exit(EXIT_FAILED)


@contextmanager
def interruptible() -> Iterator[None]:
    """End with a line and the usual code when the person presses Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("cbin: interrupted; run the same command again to go on.", err=True)
        sys.exit(EXIT_INTERRUPTED)


def message(error: Exception, path: Path) -> str:
    """An exception in one line that names the file."""
    if isinstance(error, CbinError):
        text = str(error) if error.file is not None else f"{path}: {error}"
    elif isinstance(error, OSError):
        text = f"{error.filename or path}: {error.strerror or error}"
    else:
        text = f"{path}: not enough memory"
    return " ".join(text.split())


@contextmanager
def progress_bar(title: str, wanted: bool = True) -> Iterator[Progress | None]:
    """A bar on standard error with rate and time left, where that is a terminal."""
    if not (wanted and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        task = shown.add_task(title, total=None)
        drawn = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal drawn
            now = time.monotonic()
            if now - drawn > 0.05 or done == total:
                drawn = now
                shown.update(task, completed=done, total=total)

        yield progress
