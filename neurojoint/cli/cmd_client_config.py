"""Parameter files of the ONE client."""

from __future__ import annotations

from pathlib import Path

import click

from neurojoint.cli.group import main


@main.command("client-config", section="People")
@click.option("--url", required=True, help="Address of the server, e.g. http://127.0.0.1:8000")
@click.option("--user", "name", required=True, help="Your account.")
@click.option("--token", help="A token of it; by default one is fetched with the password, which is asked for.")
@click.option("--cache-dir", type=click.Path(path_type=Path), help="Where the client keeps downloads.")
@click.option("--default", "make_default", is_flag=True, help="ONE() without an address means this server.")
def client_config(url: str, name: str, token: str | None, cache_dir: Path | None, make_default: bool) -> None:
    """Configure the ONE client for this server.

    Writes its parameter files, so that ONE(base_url=URL) asks nothing.
    """
    from one_bridge import client_config as room

    url = room.checked_url(url)
    if token is None:
        token = room.login(url, name, click.prompt("password", hide_input=True, err=True))
    for path in room.configure(url, name, token, cache_dir, make_default):
        click.echo(path)
