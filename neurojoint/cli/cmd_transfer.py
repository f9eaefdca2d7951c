"""Copies of files by policy: plan, run, status, and the rules."""

from __future__ import annotations

import contextlib
from typing import Any

import click

from exchange.transfers import agent, ledger, plan, policies, run
from exchange.transfers import nightly as service
from exchange.transfers.backends import globus
from exchange.transfers.repositories import WRITABLE, configure
from neurojoint.cli.group import main
from neurojoint.cli.progress import size
from neurojoint.cli.transfers import connect, report, summary_progress
from pipeline.errors import NeurojointError
from pipeline.queries.transfers import overview

NO_POLICY = "no policy wants copies anywhere: neurojoint transfer policy NAME --to REPOSITORY"


@main.group(invoke_without_command=True)
@click.option("--nightly", is_flag=True, help="Serve: plan and run each night in the windows of the repositories.")
@click.pass_context
def transfer(context: click.Context, nightly: bool) -> None:
    """Copy files to where policies want them, and verify each copy."""
    if context.invoked_subcommand is not None:
        return
    if not nightly:
        click.echo(context.get_help())
        return
    connect()

    service.serve(tell=click.echo)


@transfer.command("plan")
@click.option("--dry-run", is_flag=True, help="Write nothing; show how much would be copied.")
def transfer_plan(dry_run: bool) -> None:
    """Compare policies with copies, and plan what is missing."""
    connect()

    planned = plan.plan(dry_run)
    click.echo(f"{planned.files:,} files, {size(planned.size)}, {'would be ' if dry_run else ''}planned")
    if not policies.enabled():
        click.echo(NO_POLICY)
    if planned.cancelled:
        click.echo(f"{planned.cancelled:,} waiting files were cancelled: they were registered again")
    if planned.no_source:
        click.echo(f"{planned.no_source:,} files have no copy anywhere: neurojoint verify, neurojoint ingest", err=True)


@transfer.command("run")
@click.option("--plan/--no-plan", "do_plan", default=True, show_default=True, help="Plan first what is missing.")
@click.option("--bandwidth", type=click.FloatRange(0, min_open=True), help="Limit, MB/s, instead of the repositories'.")
@click.option("--in-window", is_flag=True, help="Only between repositories whose nightly window is open now.")
def transfer_run(do_plan: bool, bandwidth: float | None, in_window: bool) -> None:
    """Copy what is planned, small files first. Any number of these may run; a killed one loses nothing."""
    connect()

    if do_plan:
        plan.plan()
    with summary_progress() as show:
        summary = run.run(nightly=in_window, bandwidth=bandwidth, progress=show)
    report(summary)


@transfer.command("status", short_help="Show what is where, on its way, late or stuck.")
@click.option("--lab", help="Only files of this lab.")
def transfer_status(lab: str | None) -> None:
    """Show what is where, what is on its way, what is late or stuck, and why."""
    from rich.console import Console
    from rich.table import Table

    connect(create=False)

    summary = overview(lab)
    names = ("waiting", "under_way", "late", "failed", "stuck")
    shown = [name for name in names if summary.total(name)]
    columns = ["copies", "size", *[name.replace("_", " ") for name in shown], "oldest check"]
    grid = Table("lab", "repository", "kind", box=None, pad_edge=False)
    for column in columns:
        grid.add_column(column, no_wrap=column != "oldest check", justify="right")
    for copy in summary.copies:
        numbers = [f"{getattr(copy, name):,}" if getattr(copy, name) else "" for name in shown]
        checked = f"{copy.oldest_check:%Y-%m-%d}" if copy.oldest_check else ""
        kind = f"{copy.kind}, archive" if copy.archive else copy.kind
        style = "red" if copy.stuck else "yellow" if copy.late else None
        grid.add_row(
            copy.lab, copy.repository, kind, f"{copy.files:,}", size(copy.size), *numbers, checked, style=style
        )
    Console().print(grid)
    for problem in summary.problems:
        mark = "given up" if problem["stuck"] else f"attempt {problem['attempts']}" if problem["attempts"] else "waits"
        click.echo(f"{problem['destination']} ({mark}): {problem['message']}  [transfer {problem['transfer']}]")
    if any(problem["stuck"] for problem in summary.problems):
        click.echo("when the cause is mended: neurojoint transfer retry")


@transfer.command("retry", short_help="Try failed files again at once.")
@click.argument("identifier", required=False)
def transfer_retry(identifier: str | None) -> None:
    """Try failed files again at once, also those that were given up: of all transfers or of one."""
    connect()

    now = ledger.database_time()
    n_files = sum(ledger.retry(item, now) for item in _identifiers(identifier))
    click.echo(f"{n_files:,} files are tried again by the next `neurojoint transfer run`")


@transfer.command("cancel")
@click.argument("identifier", required=False)
@click.option("--all", "everything", is_flag=True, help="All transfers.")
def transfer_cancel(identifier: str | None, everything: bool) -> None:
    """Cancel the files that wait or have failed, of one transfer. What a policy wants is planned again."""
    if identifier is None and not everything:
        raise click.UsageError("name a transfer (neurojoint transfer status), or --all")
    connect()

    now = ledger.database_time()
    n_files = sum(run.cancel(item, "cancelled by hand", now) for item in _identifiers(identifier))
    click.echo(f"{n_files:,} files cancelled")


@transfer.command("repository", short_help="Say how and when a repository may be reached.")
@click.argument("name")
@click.option("--option", "options", multiple=True, help="Of its kind, NAME=VALUE, e.g. port=2222; may be repeated.")
@click.option("--lab", help="Where it stands; the window is in this lab's time zone.")
@click.option("--window", help="Nightly window, e.g. 22:00-06:00; `none` for any time.")
@click.option("--bandwidth", type=click.FloatRange(0), help="Limit of each transfer, MB/s; 0 for none.")
@click.option("--archive/--no-archive", default=None, help="An archive: read only when nothing else has a file.")
@click.option("--tape/--no-tape", default=None, help="Its files have to be recalled before they are read.")
@click.option("--enable/--disable", default=None, help="Whether transfers may begin.")
@click.option("--mark/--no-mark", default=True, show_default=True, help="Write the marker file below its root.")
def transfer_repository(
    name: str, options: tuple[str, ...], lab: str | None, window: str | None, bandwidth: float | None,
    archive: bool | None, tape: bool | None, enable: bool | None, mark: bool,
) -> None:  # fmt: skip
    """Say how and when transfers may reach the repository NAME (see `neurojoint repository define`)."""
    connect()
    rules: dict[str, Any] = {
        "lab": lab, "bandwidth_limit": bandwidth, "access_archive": archive, "access_offline": tape,
        "access_enabled": enable,
    }  # fmt: skip
    rules = {column: value for column, value in rules.items() if value is not None}
    if window is not None:
        start, _, end = ("", "", "") if window == "none" else window.partition("-")
        rules |= {"access_from": start, "access_until": end}
    given = dict(option.partition("=")[::2] for option in options)
    one = configure(name, mark=mark, options=given or None, **rules)
    backend = one.open()
    with contextlib.closing(backend):
        backend.check(writing=one.place.kind in WRITABLE)
    click.echo(f"{name} ({one.place.kind}) can be reached")


@transfer.command("agent")
@click.argument("address")
@click.argument("repositories", nargs=-1, required=True)
def transfer_agent(address: str, repositories: tuple[str, ...]) -> None:
    """Copy what is due, on a server without the database.

    ADDRESS is that of `neurojoint serve`, REPOSITORIES those that this computer reaches. The token of the account is
    in the variable NEUROJOINT_SERVER_TOKEN.
    """
    import os

    token = os.environ.get("NEUROJOINT_SERVER_TOKEN")
    if not token:
        raise click.UsageError("put the token of an account into NEUROJOINT_SERVER_TOKEN")
    with summary_progress() as show:
        summary = agent.work(agent.Server(address, token), repositories, progress=show)
    report(summary)


@transfer.command("login", short_help="Log in to Globus on this computer.")
def transfer_login() -> None:
    """Log in to Globus on this computer, for transfers that nobody watches."""
    globus.login()
    click.echo("logged in to Globus; the tokens are kept in the home of neurojoint")


@transfer.command("policy")
@click.argument("name", required=False)
@click.option("--to", "destinations", multiple=True, help="Repository that must have a copy; may be repeated.")
@click.option("--lab", "for_lab", help="Only this lab.")
@click.option("--project", "for_project", help="Only sessions of this project.")
@click.option("--paths", "for_paths", help="Patterns of the path below the session, e.g. 'raw_*,alf/*'.")
@click.option("--types", "for_types", help="Dataset types, e.g. trials.choice.")
@click.option("--qc", "for_worst_qc", help="Up to this outcome of QC, e.g. WARNING.")
@click.option("--smallest", "smallest_size", type=int, help="Byte.")
@click.option("--largest", "largest_size", type=int, help="Byte.")
@click.option("--age", "smallest_age", type=float, help="Days since the session.")
@click.option("--keep-local", type=float, help="Days after which local raw files may be removed by neurojoint free.")
@click.option("--copies", "minimum_copies", type=int, help="Verified copies elsewhere before that; at least 2.")
@click.option("--enable/--disable", "policy_enabled", default=None)
def transfer_policy(name: str | None, destinations: tuple[str, ...], **rules: Any) -> None:
    """List the policies, or make or change the policy NAME."""
    connect()

    if name is not None:
        given = {column: value for column, value in rules.items() if value is not None}
        policies.define(name, destinations or None, **given)
    rows = policies.every()
    if not rows:
        click.echo(NO_POLICY)
    for row in rows:
        rest = {
            k: v
            for k, v in row.items()
            if k not in ("policy", "destinations", "policy_enabled") and v not in ("", None, 0)
        }
        said = ", ".join(f"{column}={value}" for column, value in rest.items())
        off = "" if row["policy_enabled"] else " (disabled)"
        click.echo(f"{row['policy']}{off}: to {', '.join(row['destinations']) or 'nowhere'}; {said}")


def _identifiers(given: str | None) -> list[str]:
    known = [row["transfer_id"] for row in ledger.transfers()]
    chosen = [value for value in known if given is None or value.startswith(given)]
    if given is not None and not chosen:
        raise NeurojointError(f"no transfer {given!r} is open", "see `neurojoint transfer status`")
    return chosen
