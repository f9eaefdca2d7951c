"""Local raw files that are safe elsewhere make room."""

from __future__ import annotations

from pathlib import Path

import click

from exchange.transfers import free as room
from neurojoint.cli.group import main
from neurojoint.cli.progress import size
from neurojoint.cli.transfers import connect


@main.command()
@click.argument("root", type=click.Path(path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--verbose", is_flag=True, help="Name every file.")
def free(root: Path, dry_run: bool, yes: bool, verbose: bool) -> None:
    """Remove local raw files of which two verified copies are elsewhere.

    Of those below ROOT, the ones that a policy lets go; it shows them first and asks.
    """
    connect()

    proposal = room.propose(root)
    shown = proposal.candidates if verbose else proposal.candidates[:10]
    for item in shown:
        names = ", ".join(copy.repository for copy in item.copies)
        click.echo(f"  {size(item.size):>10}  {item.path}  ({item.reason}; also in {names})")
    if len(shown) < len(proposal.candidates):
        click.echo(f"  and {len(proposal.candidates) - len(shown):,} more (--verbose)")
    click.echo(f"{len(proposal.candidates):,} files, {size(proposal.size)}, may go from {proposal.repository}")
    _show_kept(proposal.kept, verbose)
    if dry_run or not proposal.candidates:
        return
    if not yes:
        click.confirm("Remove them?", abort=True)
    done = room.free(proposal)
    click.echo(f"{done.files:,} files, {size(done.size)}, removed; neurojoint retrieve brings them back")
    if len(done.kept) > len(proposal.kept):
        _show_kept(done.kept, verbose)


def _show_kept(kept: dict[str, str], verbose: bool) -> None:
    for path, why in list(kept.items())[: None if verbose else 10]:
        click.echo(f"  stays: {path}: {why}")
    if not verbose and len(kept) > 10:
        click.echo(f"  and {len(kept) - 10:,} more stay (--verbose)")
