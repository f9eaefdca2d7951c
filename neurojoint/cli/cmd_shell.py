"""An IPython shell: `neurojoint shell`."""

from __future__ import annotations

from neurojoint.cli.group import main


@main.command(section="Start here")
def shell() -> None:
    """Open IPython, connected, with every schema by its name."""
    from neurojoint import scientists

    scientists.open_shell()
