"""The HTTP server that answers the ONE client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from dashboard.server.serve import address, onto
from exchange.transfers.endpoints import add_routes
from neurojoint.cli.group import main
from one_bridge.server.serve import LOCAL
from one_bridge.server.serve import serve as serve_bridge


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 for all networks.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(1, 65535))
@click.option("--public-read", is_flag=True, help="Allow anonymous reading.")
@click.option("--root", type=click.Path(path_type=Path, exists=True, file_okay=False), help="The data root.")
@click.option(
    "--dashboard", is_flag=True, help="Serve the training dashboard too, below /app/, with the same accounts."
)
@click.option("--public-dashboard", is_flag=True, help="The same, with anonymous read-only access (pseudonyms).")
def serve(host: str, port: int, public_read: bool, root: Path | None, dashboard: bool, public_dashboard: bool) -> None:
    """Serve ONE over HTTP (Alyx's REST interface)."""
    options: dict[str, Any] = {"beside": add_routes}
    click.echo(f"http://{host}:{port} (stop with Ctrl-C)")
    if dashboard or public_dashboard:
        options["beside"] = lambda api: onto(
            add_routes(api), api.state.bridge.database, api.state.bridge.gate.throttle, public_dashboard
        )
        click.echo(f"the site: {address(host, port)}")
    if host not in LOCAL:
        click.echo("passwords travel unencrypted: put a proxy with TLS before it (docs/server.md)", err=True)
    serve_bridge(host, port, public_read, root, **options)
