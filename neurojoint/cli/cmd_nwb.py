"""Commands that write, read and check NWB files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import pipeline
from exchange.nwb import check as look
from exchange.nwb import command, selection
from exchange.nwb import ingest as read
from exchange.nwb.export import Options
from exchange.nwb.export import export as write
from exchange.nwb.placing import Choices
from neurojoint.cli import progress
from neurojoint.cli.group import main
from neurojoint.cli.options import session_options, status_option, unit_options


@main.group()
def nwb() -> None:
    """Export sessions as NWB files, ingest and check NWB files."""


@nwb.command()
@click.argument("sessions", nargs=-1, metavar="[SESSION]...")
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--tag", help="Sessions with datasets of this release.")
@session_options
@unit_options
@status_option
@click.option("--raw", is_flag=True, help="With the raw recordings of the probes.")
@click.option(
    "--dandi", is_flag=True, help="Name and lay out files as DANDI wants; leave out what is for the lab only."
)
@click.option("--zarr", is_flag=True, help="Write Zarr stores instead of HDF5 files.")
@click.option("--incomplete", is_flag=True, help="Also where birth date, species or start time are not known.")
@click.option("--again", is_flag=True, help="Write also files that are there and equal.")
def export(
    sessions: tuple[str, ...],
    out: Path,
    raw: bool,
    dandi: bool,
    zarr: bool,
    incomplete: bool,
    again: bool,
    **asked: Any,
) -> None:
    """Write sessions as NWB files into the folder OUT.

    SESSION is an eid, an animal, or a path such as lab/KS014/2024-01-31/1. A file that is there and equal is passed
    over; stopped anywhere, the same command goes on.

    Example: neurojoint nwb export KS014 --since 2024-01-01 --dandi /data/nwb
    """
    pipeline.connect(create=False)
    keys = selection.sessions(sessions, **asked)
    options = Options(raw, dandi, incomplete, "zarr" if zarr else "hdf5")
    names: list[str] = []
    with progress.shown() as tell:

        def tell_number(name: str, done: int, total: int) -> None:
            if name not in names:
                names.append(name)
            tell(f"{len(names)} of {len(keys)}: {name}", done, total)

        results = write(keys, out, options, tell_number, again)
    click.echo(command.exported(results))
    if any(result.state == "failed" for result in results):
        raise SystemExit(1)


@nwb.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option(
    "--root", required=True, type=click.Path(path_type=Path), help="Data root below which sessions are written."
)
@click.option("--lab", help="Lab of files that other programs wrote.")
@click.option("--subject", help="Animal of such files, where they do not name it.")
@click.option("--number", type=click.IntRange(0, 999), help="Number of the session on its day  [default: 1]")
@click.option(
    "--column", "columns", multiple=True, metavar="ATTRIBUTE=COLUMN",
    help="State that a column of the trials is an attribute of ALF, e.g. choice=response; may be given several times.",
)  # fmt: skip
def ingest(files: tuple[Path, ...], root: Path, columns: tuple[str, ...], **asked: Any) -> None:
    """Write NWB files as ALF sessions and register them.

    Files that `neurojoint nwb export` wrote come back exactly. Of other files, what the standard states is taken; the
    report names each object and what became of it.

    Example: neurojoint nwb ingest /downloads/sub-01.nwb --root /data --lab smithlab
    """
    choices = Choices(columns=command.pairs(columns), **asked)
    pipeline.connect()
    results = read(files, root, choices)
    click.echo(command.ingested(results))
    if any(result.state == "failed" for result in results):
        raise SystemExit(1)


@nwb.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--lab", help="Lab of a file that another program wrote.")
@click.option("--subject", help="Animal of such a file, where it does not name it.")
def check(file: Path, lab: str | None, subject: str | None) -> None:
    """Show what an NWB file holds and what would be ingested.

    Also shows what nwbinspector and the validator of pynwb find. Nothing is written.
    """
    report = look(file, Choices(lab=lab, subject=subject))
    click.echo(command.checked(report))
    if report.problem or any(finding.importance in ("ERROR", "CRITICAL") for finding in report.findings):
        raise SystemExit(1)
