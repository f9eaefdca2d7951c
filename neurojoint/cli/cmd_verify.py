"""Copies are read again, so that damage is found."""

from __future__ import annotations

import click

from exchange.transfers import patrol
from neurojoint.cli import progress
from neurojoint.cli.group import main
from neurojoint.cli.progress import size
from neurojoint.cli.transfers import connect


@main.command()
@click.argument("repositories", nargs=-1)
@click.option("--rate", type=click.FloatRange(0, min_open=True), help="Read at most so many MB/s.")
@click.option("--older-than", type=float, default=0.0, help="Only copies whose last check is so many days ago.")
@click.option("--most", type=click.IntRange(1), help="At most so many copies.")
def verify(repositories: tuple[str, ...], rate: float | None, older_than: float, most: int | None) -> None:
    """Read copies again, and replace damaged ones from good ones.

    Those first that were not read for longest.
    """
    import datetime
    import functools

    connect()

    with progress.shown() as tell:
        report = patrol.verify(
            repositories, rate=rate or 0.0, older_than=datetime.timedelta(days=older_than), most=most,
            progress=functools.partial(tell, "reading"),
        )  # fmt: skip
    click.echo(f"{report.verified:,} copies are as they should be ({size(report.size)} read)")
    for path, what in report.damaged.items():
        click.echo(f"damaged: {path}: {what}", err=True)
    for path in report.gone:
        click.echo(f"gone: {path}", err=True)
    for path in report.changed:
        click.echo(f"written since it was registered (neurojoint ingest): {path}", err=True)
    for problem in report.problems:
        click.echo(f"not checked: {problem}", err=True)
    if report.repairs:
        click.echo(f"{report.repairs:,} damaged copies are replaced by the next `neurojoint transfer run`")
    if report.no_good_copy:
        click.echo(f"{report.no_good_copy:,} damaged files have no good copy anywhere", err=True)
    if report.damaged or report.gone or report.problems:
        raise SystemExit(1)
