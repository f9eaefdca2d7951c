"""The command of those who look: the site for trainers."""

from __future__ import annotations

import click

from dashboard.server import serve as room
from neurojoint.cli.group import main


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all networks.")
@click.option("--port", default=8050, show_default=True, type=click.IntRange(1, 65535))
@click.option("--public", is_flag=True, help="Allow anonymous read-only access (pseudonyms; no notes or people).")
@click.option("--processes", default=1, show_default=True, type=click.IntRange(1, 64), help="Server processes.")
def dashboard(host: str, port: int, public: bool, processes: int) -> None:
    """Serve the training dashboard.

    People sign in with the accounts of `neurojoint user`. While there are none, the address that is printed
    holds a key that
    signs in; then only this computer can reach the site.
    """
    key = room.new_key(public)
    room.check(host, key)
    click.echo(f"{room.address(host, port, key)} (stop with Ctrl-C)")
    if host not in room.LOCAL:
        click.echo("passwords travel unencrypted: put a proxy with TLS before it (docs/dashboard.md)", err=True)
    room.serve(host, port, public, key, processes)
