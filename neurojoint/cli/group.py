"""The group of all commands: sections of its help, how errors are shown, and what is logged."""

from __future__ import annotations

import importlib
import logging

import click

from neurojoint.cli.commands import COMMANDS
from pipeline.errors import explain


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
            stopped = 130 if isinstance(error, KeyboardInterrupt) else 1
            ctx.exit(getattr(error, "exit_code", stopped))


@click.group(cls=ExplainedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurojoint")
@click.option("--debug", is_flag=True, help="Show where an error arose, and what the programs log.")
def main(debug: bool) -> None:
    """Run a neuroscience lab's data pipeline: from ALF files to tables, training status and plots."""
    # Settings are read by the commands: here only what shows progress and warnings, on standard error.
    logging.basicConfig(level="DEBUG" if debug else "WARNING", format="%(message)s")
