"""The `neurojoint` command: one module `cmd_NAME.py` for each command, each a call into code that works without it."""

from neurojoint.cli.group import ExplainedGroup, main

__all__ = ["ExplainedGroup", "main"]
