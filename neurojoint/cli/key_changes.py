"""What the commands that rename, merge and move animals and sessions have in common: preview, question, change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

import pipeline
from pipeline.entry import key_changes as changes
from pipeline.entry import key_forms
from pipeline.schemas import identity

if TYPE_CHECKING:
    from pipeline.entry.key_changes import Change


def confirmed(command: Any) -> Any:
    """The options of a command that shows what it would do before it does it."""
    command = click.option("--yes", is_flag=True, help="Do not ask.")(command)
    return click.option("--dry-run", is_flag=True, help="Only show what would change.")(command)


def carry_out(change: Change, yes: bool, dry_run: bool) -> None:
    """Show what a change would do, ask, do it, and say how to take it back."""
    before, after = key_forms.path_of(change.before), key_forms.path_of(change.after)
    click.echo(f"{change.kind}: {before} becomes {after}")
    for label, count in change.preview().items():
        click.echo(f"  {count:>9,} {label}")
    if wrong := change.conflicts():
        raise click.ClickException("\n".join([*wrong, "nothing was changed"]))
    if dry_run:
        click.echo("nothing was changed (--dry-run)")
        return
    if not yes:
        click.confirm("Change these rows? Files stay where they are.", abort=True)
    change_id = change.apply()
    click.echo(f"done; to take it back: neurojoint {change.kind.split()[0]} undo {change_id}")
    click.echo("next: neurojoint work --once, if rows that are computed from all of an animal's data changed")


def undo(change_id: str) -> None:
    """Take a change back, and say what was changed."""
    pipeline.connect()

    counts = changes.undo(change_id)
    click.echo(f"undone: {sum(counts.values()):,} rows have their former key")


def list_changes(kind: str) -> None:
    """List the changes of animals or sessions, the last first."""
    pipeline.connect(create=False)

    rows = identity.KeyChange().to_dicts(order_by="key_change_time DESC")
    rows = [row for row in rows if row["key_change_kind"].startswith(kind)]
    for row in rows:
        before, after = (key_forms.path_of(key_forms.from_json(row[name])) for name in ("key_before", "key_after"))
        mark = " (undone)" if row["undone_time"] else ""
        when = f"{row['key_change_time']:%Y-%m-%d %H:%M}"
        click.echo(f"{row['key_change_id']}  {when} UTC  {row['key_change_user']}  {row['key_change_kind']}: "
                   f"{before} -> {after}{mark}")  # fmt: skip
    if not rows:
        click.echo("nothing was renamed, merged or moved", err=True)
