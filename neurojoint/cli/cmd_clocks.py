"""The command that shows the clocks of a session, and writes them as ALF files."""

from __future__ import annotations

from pathlib import Path

import click

import pipeline
from ingest import sync_files
from ingest.programs.sorting.sessions import session_of
from ingest.rows.repository import existing
from neurojoint.cli.group import main
from pipeline.schemas import data, ephys


@main.command("clocks")
@click.argument("session", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--write", "is_writing", is_flag=True, help="Write timestamps and sync files beside the recordings.")
def clocks(session: Path, is_writing: bool) -> None:
    """Show how recordings and cameras are aligned.

    SESSION is the folder of a registered session. With --write its clocks become ALF files: NAME.timestamps.npy (rows
    of sample and s from session start) and _spikeglx_sync.times, channels and polarities, and, where lines have names,
    _spikeglx_syncLines.table.csv. Files that are there stay.
    """
    pipeline.connect()
    _, _, _, key = session_of(existing(session))
    chosen = dict(zip(("lab", "subject", "session_date", "session_number"), key, strict=True))

    rows = ((ephys.SessionClock.Stream & chosen) * data.Dataset.proj("rel_path")).to_dicts(order_by="rel_path")
    for row in rows:
        residual = (
            "" if row["clock_residual"] is None else f", {row['clock_residual'] * 1e3:.3f} ms at most from pulses"
        )
        drift = "" if row["clock_drift"] is None else f", {row['clock_drift']:+.2f} ppm"
        note = f" ({row['clock_note']})" if row["clock_note"] else ""
        click.echo(f"{row['rel_path']}: {row['clock_source']}{drift}{residual}, {row['clock_qc']}{note}")
        for line in (ephys.SessionClock.Line & chosen & {"dataset_id": row["dataset_id"]}).to_dicts(order_by="line"):
            if line["line_name"]:
                counts = f"rises {line['n_rising']:,} times, falls {line['n_falling']:,} times"
                click.echo(f"    line {line['line']} is {line['line_name']}: {counts}")
    for row in (ephys.SessionClock.Camera & chosen).to_dicts(order_by="camera"):
        fit = "no line has its pulses" if row["camera_line"] is None else (
            f"line {row['camera_line']}, {row['n_matched']:,} of {row['n_timed_frames']:,} frames, "
            f"{row['camera_residual'] * 1e3:.3f} ms at most from pulses"
        )  # fmt: skip
        click.echo(f"{row['camera']} camera: {fit}, {row['camera_qc']}")
    if not rows:
        click.echo("No clock is computed yet: run `neurojoint work`.", err=True)
    if is_writing:
        made = sync_files.write(session)
        for path in made.files:
            click.echo(f"written: {path}")
        for path in made.there:
            click.echo(f"left as it is: {path}")
