"""The group of all commands: sections of its help, how errors are shown, and what is logged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

SECTIONS = ("Start here", "Data", "Computing", "Server", "People", "Sharing", "Database")
"""Headings of `neurojoint --help`, in this order."""


class ExplainedGroup(click.Group):
    """Commands in sections, whose errors are one line that says what to do.

    `--debug` before the command shows where an error arose.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, str] = {}

    def command(self, *args: Any, section: str = "Data", **kwargs: Any) -> Any:  # as click: decorator or command
        """Declare a command of a section of the help."""
        return self._in_section(super().command(*args, **kwargs), section)

    def group(self, *args: Any, section: str = "Data", **kwargs: Any) -> Any:
        """Declare a group of commands in a section of the help."""
        return self._in_section(super().group(*args, **kwargs), section)

    def _in_section(self, decorate: Callable, section: str) -> Callable:
        if section not in SECTIONS:
            raise ValueError(f"{section!r} is not one of {SECTIONS}")

        def declare(function: Callable) -> Any:
            command = decorate(function)
            self.sections[command.name] = section
            return command

        return declare

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands of each section."""
        for section in SECTIONS:
            names = [name for name in self.list_commands(ctx) if self.sections[name] == section]
            rows = [(name, self.commands[name].get_short_help_str(limit=200)) for name in names]
            if rows:
                with formatter.section(section):
                    formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params.get("debug"):
                raise
            from pipeline.errors import explain

            click.echo(f"neurojoint: {explain(error)}", err=True)
            stopped = 130 if isinstance(error, KeyboardInterrupt) else 1
            ctx.exit(getattr(error, "exit_code", stopped))


@click.group(cls=ExplainedGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="neurojoint")
@click.option("--debug", is_flag=True, help="Show where an error arose, and what the programs log.")
def main(debug: bool) -> None:
    """Run a neuroscience lab's data pipeline: from ALF files to tables, training status and plots."""
    import logging

    # Settings are read by the commands: here only what shows progress and warnings, on standard error.
    logging.basicConfig(level="DEBUG" if debug else "WARNING", format="%(message)s")
