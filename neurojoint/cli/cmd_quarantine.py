"""What registration rejected, and what to do about it."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data


@main.command()
@click.option("--lab", help="Only this lab.")
@click.option("--subject", help="Only this animal.")
@click.option("--reason", help="Only this reason, e.g. truncated.")
@click.option("--resolved", is_flag=True, help="Include what was corrected since.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def quarantine(lab: str | None, subject: str | None, reason: str | None, resolved: bool, as_json: bool) -> None:
    """List rejected files, why, and what to do."""
    import json

    pipeline.connect(create=False)

    asked = {"lab": lab, "subject": subject, "reason": reason}
    rows = data.Quarantine & {name: value for name, value in asked.items() if value is not None}
    if not resolved:
        rows &= "resolved IS NULL"
    order = "repository, quarantine_path, quarantine_column"
    columns = ("reason", "detail", "remedy", "last_seen", "resolved")
    rejected = fetch_columns(rows, *order.split(", "), *columns, order_by=order).to_pylist()
    if as_json:
        click.echo(json.dumps(rejected, default=str, indent=1))
        return
    for row in rejected:
        column = f" ({row['quarantine_column']})" if row["quarantine_column"] else ""
        mark = " (corrected since)" if row["resolved"] else ""
        click.echo(f"{row['repository']}: {row['quarantine_path']}{column}: {row['reason']}{mark}")
        click.echo(f"    {row['detail']}\n    to do: {row['remedy']}")
    click.echo(f"{len(rejected):,} rejected" if rejected else "nothing is in quarantine", err=True)
