"""Options that several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

Command = Callable[..., Any]


def combined(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator that adds several options, in their order."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


session_options = combined(
    click.option("--lab", help="Names, separated by commas."),
    click.option("--subject", help="Names, separated by commas."),
    click.option("--since", help="First date of the session, e.g. 2024-01-31."),
    click.option("--until", help="Last date of the session."),
)
"""Of which sessions."""

unit_options = combined(
    click.option("--region", help="Acronyms of the Allen atlas, e.g. TH or VISp,MOs, with all within them."),
    click.option("--good", is_flag=True, help="Count only units that pass the criteria."),
    click.option("--criteria", help="What good is, e.g. ibl or ibl:1; means --good  [default: ibl]"),
    click.option("--min", "min_units", type=click.IntRange(0), help="Leave out insertions with fewer such units."),
)
"""Which units an insertion must have."""

status_option = click.option(
    "--status", help="Training status of the mouse then, e.g. trained_1b; trained_1b+ or higher."
)

table_options = combined(
    click.option("--json", "form", flag_value="json", help="All rows, for programs."),
    click.option("--csv", "form", flag_value="csv", help="All rows as a table, for programs."),
)
"""The form in which found rows are written."""
