"""Accounts of the servers."""

from __future__ import annotations

import click

import pipeline
from neurojoint.cli.group import main
from one_bridge.server import accounts
from pipeline.database import accounts as database_accounts
from pipeline.errors import UserError
from pipeline.settings import settings


@main.group()
def user() -> None:
    """Manage accounts and tokens of the servers."""


@user.command("add", short_help="Add an account, or change its password or role.")
@click.argument("name")
@click.option(
    "--role",
    type=click.Choice(["public", "member", "manager", "admin"]),
    default="member",
    show_default=True,
    help="public reads; member also writes; manager also deletes and edits what labs share; admin everything.",
)
@click.option("--database", "database_role", is_flag=False, flag_value="scientist", default=None,
              type=click.Choice(["reader", "scientist", "worker", "manager"]),
              help="Add an account of the database server instead, with this role. reader reads all; scientist, the "
              "default, also has a schema of its own; worker writes what is computed; manager all.")  # fmt: skip
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
def user_add(name: str, role: str, database_role: str | None, password_stdin: bool) -> None:
    """Add the account NAME, or give it a new password and role; asks for the password."""
    import sys

    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("password", hide_input=True, confirmation_prompt=True, err=True)
    if database_role is None:
        click.echo(accounts.add(name, password, role))
        return
    if settings().database_url is None and settings().embedded_tcp_port is None:
        raise UserError(
            "the embedded database has one account, yours",
            "set NEUROJOINT_DATABASE_URL to a database server, or NEUROJOINT_EMBEDDED_TCP_PORT, first",
        )
    own = database_accounts.add(pipeline.connect(), settings().prefix, name, database_role, password)
    click.echo(f"{name} may use the database as {database_role}" + (f"; own schema {own}" if own else ""))


@user.command("list")
def user_list() -> None:
    """List the accounts."""
    for line in accounts.lines():
        click.echo(line)


@user.command("disable")
@click.argument("name")
@click.option("--enable", is_flag=True, help="Enable it again.")
def user_disable(name: str, enable: bool) -> None:
    """Disable the account NAME. Its tokens are revoked at once."""
    accounts.store().disable(name, enabled=enable)


@user.command("token")
@click.argument("name")
@click.option("--revoke", is_flag=True, help="End all its tokens instead.")
@click.option("--label", default="", help="What the token is for.")
@click.option("--scope", type=click.Choice(["public", "member", "manager", "admin"]), default=None,
              help="The most that the token may do; by default as much as the account.")  # fmt: skip
@click.option(
    "--lab", "labs", multiple=True, help="It is for the tasks of this lab, and nothing else; may be repeated."
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="After which it ends; by default never.")
def user_token(
    name: str, revoke: bool, label: str, scope: str | None, labs: tuple[str, ...], days: float | None
) -> None:
    """Print a new token of the account NAME; it is shown only once."""
    if revoke:
        click.echo(f"{accounts.store().revoke_tokens(name)} tokens ended")
    else:
        click.echo(accounts.store().issue_token(name, label, scope or "", days, labs))


@user.command("sessions")
@click.argument("name")
@click.option("--end", is_flag=True, help="Sign the account out everywhere; tokens for programs stay.")
def user_sessions(name: str, end: bool) -> None:
    """List where the account NAME is signed in, and its tokens."""
    if end:
        click.echo(f"{accounts.store().end_sessions(name)} sessions ended")
    else:
        for line in accounts.session_lines(name):
            click.echo(line)


@user.command("sign-ins")
@click.argument("name", required=False)
def user_sign_ins(name: str | None) -> None:
    """List the last attempts to sign in, of all accounts or of NAME."""
    for line in accounts.sign_in_lines(name):
        click.echo(line)
