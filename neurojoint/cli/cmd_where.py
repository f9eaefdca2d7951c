"""Where is my session? One time line from rig to figure."""

from __future__ import annotations

import click

from neurojoint.cli.group import main


@main.command(section="Data")
@click.argument("session")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def where(session: str, as_json: bool) -> None:
    """Show where SESSION stands and who must act.

    From the rig to the tables: files, tasks, transfers, quarantine.

    SESSION is lab/Subjects/subject/date/number, subject/date/number, or an eid.
    """
    import dataclasses
    import json

    import pipeline

    pipeline.connect()
    from pipeline.queries import timeline

    found = timeline.of_session(timeline.session_key(session))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(one) for one in found], default=str, indent=1))
        return
    for one in found:
        at = "" if one.time is None else one.time.strftime("%Y-%m-%d %H:%M")
        lasted = "" if one.seconds is None else f" ({one.seconds:,.1f} s)"
        click.echo(f"{one.mark}  {at:16}  {one.stage:12}  {one.what}{lasted}")
        if one.who:
            click.echo(f"   {'':16}  {'':12}  -> {one.who}")
