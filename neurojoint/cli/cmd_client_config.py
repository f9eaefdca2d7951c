"""Parameter files of the ONE client."""

from __future__ import annotations

from pathlib import Path

import click

from neurojoint.cli.group import main
from one_bridge import client_config as room


@main.command("client-config")
@click.option("--url", required=True, help="Address of the server, e.g. http://127.0.0.1:8000")
@click.option("--user", "name", required=True, help="Your account.")
@click.option("--token", help="A token of it; by default one is fetched with the password, which is asked for.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where the client keeps downloads.")
@click.option("--default", "make_default", is_flag=True, help="ONE() without an address means this server.")
def client_config(
    url: str, name: str, token: str | None, password_stdin: bool, cache_dir: Path | None, make_default: bool
) -> None:
    """Configure the ONE client for this server.

    Writes its parameter files, so that ONE(base_url=URL) asks nothing.
    """
    import sys

    if token is not None and password_stdin:
        raise click.UsageError("a token needs no password: leave out --token or --password-stdin")
    url = room.checked_url(url)
    if token is None:
        asked = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
        token = room.login(url, name, asked or click.prompt("password", hide_input=True, err=True))
    for path in room.configure(url, name, token, cache_dir, make_default):
        click.echo(path)
