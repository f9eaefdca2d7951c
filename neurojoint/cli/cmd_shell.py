"""An IPython shell: `neurojoint shell`."""

from __future__ import annotations

from neurojoint import scientists
from neurojoint.cli.group import main


@main.command()
def shell() -> None:
    """Open IPython, connected, with every schema by its name."""
    scientists.open_shell()
