"""The group of all commands: sections of its help, how errors are shown, and what is logged."""

from __future__ import annotations

import importlib
import logging
import os
import sys
from pathlib import Path

import click

from neurojoint.cli.commands import COMMANDS
from pipeline.alf import disks
from pipeline.errors import explain

STOPPED = 130
"""Exit code of a command that Ctrl-C or SIGTERM ended."""


class ExplainedGroup(click.Group):
    """Commands in sections, each imported when it is run, whose errors are one line that says what to do.

    `--debug` before the command shows where an error arose.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """List the names of all commands."""
        return sorted(name for section in COMMANDS.values() for name in section)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, whose module adds it to this group."""
        if any(cmd_name in section for section in COMMANDS.values()):
            importlib.import_module(f"neurojoint.cli.cmd_{cmd_name.replace('-', '_')}")
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find a command, and see to it that it ends where its disk hangs."""
        if args[0] not in _STAYING:
            disks.watch(_leave)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each section; none is imported for it."""
        for section, commands in COMMANDS.items():
            with formatter.section(section):
                formatter.write_dl(list(commands.items()))

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("debug"):
                raise

            click.echo(f"neurojoint: {explain(error)}", err=True)
            stopped = STOPPED if isinstance(error, KeyboardInterrupt) else 1
            ctx.exit(getattr(error, "exit_code", stopped))


_STAYING = {"agent", "dashboard", "jupyter", "serve", "shell", "work"}
"""Commands that go on without a disk that hangs, by other means."""


def _leave(folder: Path) -> None:
    """End a command whose disk has begun to hang: what waits for it cannot be called back."""
    remedy = "look at the network disk below it (mount, server), and run the same command again; what was done is kept"
    print(f"\nneurojoint: {folder} does not answer any more: {remedy}", file=sys.stderr, flush=True)
    os._exit(1)


@click.group(cls=ExplainedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurojoint")
@click.option("--debug", is_flag=True, help="Show where an error arose, and what the programs log.")
def main(debug: bool) -> None:
    """Run a neuroscience lab's data pipeline: from ALF files to tables, training status and plots."""
    # Settings are read by the commands: here only what shows progress and warnings, on standard error.
    logging.basicConfig(level="DEBUG" if debug else "WARNING", format="%(message)s")
