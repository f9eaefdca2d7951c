"""JupyterLab with the notebooks that ship with the program: `neurojoint jupyter`."""

from __future__ import annotations

from pathlib import Path

import click

from neurojoint import scientists
from neurojoint.cli.group import main


@main.command()
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), default=None,
              help="Folder of your notebooks; by default notebooks in your home.")  # fmt: skip
@click.option("--port", type=int, default=8888, show_default=True, help="Port on 127.0.0.1.")
@click.option("--no-browser", is_flag=True, help="Do not open a browser.")
def jupyter(folder: Path | None, port: int, no_browser: bool) -> None:
    """Start JupyterLab in a folder of your notebooks."""
    scientists.open_jupyter(folder, port, not no_browser)
