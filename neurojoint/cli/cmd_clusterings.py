"""Commands about sorted spikes: clusterings."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.electrophysiology import clusterings as room


@main.command()
@click.argument("pid", required=False)
@click.option("--default", "chosen", metavar="NAME", help="Make this clustering the default of insertion PID.")
@click.option("--by-rules", is_flag=True, help="Let the rules choose the default of insertion PID again.")
def clusterings(pid: str | None, chosen: str | None, by_rules: bool) -> None:
    """List spike sortings and choose the default ones.

    Lists the clusterings of all insertions, or of insertion PID.
    """
    if (chosen and by_rules) or (pid is None and (chosen or by_rules)):
        raise click.UsageError("name the PID, and either --default NAME or --by-rules")
    pipeline.connect()
    if pid is not None and (chosen or by_rules):
        click.echo(f"the default is {room.choose(pid, chosen)}")
    rows = room.overview(pid)
    width = max((len(row["clustering"]) for row in rows), default=0)
    for row in rows:
        mark = "*" if row["default_clustering"] else " "
        numbers = "" if row["n_clusters"] is None else f"{row['n_clusters']:,} units, {row['n_spikes']:,} spikes"
        session = f"{row['lab']}/{row['subject']}/{row['session_date']}/{row['session_number']:03d}"
        name = f"{mark} {row['clustering']:<{width}}  {row['clustering_state']:<7}"
        click.echo(f"{row['pid']} {name}  {session}  {numbers}")
    click.echo("* the default of its insertion" if rows else "there are no sorted spikes")
