"""Where is my session? One time line from rig to figure."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.queries import timeline


@main.command()
@click.argument("session")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def where(session: str, as_json: bool) -> None:
    """Show where SESSION stands and who must act.

    From the rig to the tables: files, tasks, transfers, quarantine.

    SESSION is lab/Subjects/subject/date/number, subject/date/number, or an eid.
    """
    import dataclasses
    import json

    pipeline.connect()

    steps = timeline.of_session(timeline.session_key(session))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(item) for item in steps], default=str, indent=1))
        return
    for item in steps:
        at = "" if item.time is None else item.time.strftime("%Y-%m-%d %H:%M")
        lasted = "" if item.seconds is None else f" ({item.seconds:,.1f} s)"
        click.echo(f"{item.mark}  {at:16}  {item.stage:12}  {item.what}{lasted}")
        if item.who:
            click.echo(f"   {'':16}  {'':12}  -> {item.who}")
