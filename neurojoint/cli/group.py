"""The group of all commands: how their errors are shown, and what they log."""

from __future__ import annotations

import click


class ExplainedGroup(click.Group):
    """Commands whose errors are one line that says what to do; `--debug` before the command shows where they arose."""

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
