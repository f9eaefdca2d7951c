"""The `neurojoint` command: lists of commands, each a call into a room that works without it."""

from neurojoint.cli import bridge, dashboard, data, database, ephys, find, populate, sort  # noqa: F401 - they add commands
from neurojoint.cli.group import ExplainedGroup, main

__all__ = ["ExplainedGroup", "main"]
