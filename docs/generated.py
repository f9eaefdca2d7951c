"""Parts of the documentation that are written from the code when the site is built: a hook of mkdocs.

A line `<!-- generated: NAME -->` in a page is replaced by what the function of that name here returns.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

sys.path.insert(0, str(Path(__file__).parents[1]))

_PLACE = re.compile(r"^<!-- generated: (\w+) -->$", re.MULTILINE)


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the places of a page; mkdocs calls this for each page."""
    return _PLACE.sub(lambda match: PARTS[match[1]](), markdown)


def commands() -> str:
    """Every command with its options, by section."""
    from neurojoint.cli import main
    from neurojoint.cli.commands import COMMANDS

    lines = []
    for section, names in COMMANDS.items():
        lines += [f"## {section}", ""]
        for name in names:
            if (first := main.get_command(click.Context(main), name)) is not None:
                for path, command in _with_subcommands(first, (name,)):
                    lines += _command(path, command)
    return "\n".join(lines)


def _with_subcommands(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        for name in sorted(command.commands):
            yield from _with_subcommands(command.commands[name], (*path, name))


def _command(path: tuple[str, ...], command: click.Command) -> list[str]:
    context = click.Context(command, info_name=" ".join(("neurojoint", *path)))
    usage = " ".join(command.collect_usage_pieces(context))
    text = " ".join((command.help or "").split())
    lines = [f"### `neurojoint {' '.join(path)}`", "", text, "", f"    neurojoint {' '.join(path)} {usage}", ""]
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
    if options:
        lines += ["| option | |", "|---|---|"]
        for option in options:
            record = option.get_help_record(context)
            if record:
                lines.append(f"| `{record[0].replace('|', chr(92) + '|')}` | {record[1].replace('|', chr(92) + '|')} |")
        lines.append("")
    return lines


def settings() -> str:
    """Every setting with its default and meaning, from the settings object and the strings below its fields."""
    import ast
    import inspect

    from pipeline import settings as module

    tree = ast.parse(inspect.getsource(module.Settings))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    rows = ["| environment | `neurojoint.toml` | default | meaning |", "|---|---|---|---|"]
    for node, after in zip(body, [*body[1:], None], strict=True):
        if not isinstance(node, ast.AnnAssign) or not isinstance(node.target, ast.Name):
            continue
        name, described = node.target.id, isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        meaning = " ".join(str(after.value.value).split()) if described else ""  # type: ignore[union-attr]
        field = module.Settings.model_fields[name]
        default = "computed" if field.default_factory else ("none" if field.default is None else f"`{field.default}`")
        rows.append(f"| `NEUROJOINT_{name.upper()}` | `{name}` | {default} | {meaning} |")
    return "\n".join(rows)


def reasons() -> str:
    """Why files are rejected, and what to do."""
    from pipeline.alf.reasons import REASONS

    rows = ["| reason | what was found | what to do |", "|---|---|---|"]
    rows += [f"| `{getattr(name, 'value', name)}` | {reason} | {todo} |" for name, (reason, todo) in REASONS.items()]
    return "\n".join(rows)


def names() -> str:
    """What each kind of name may have."""
    from pipeline.alf.names import RULES

    rows = [
        f"| {kind} | {rule.longest} | {rule.allowed or _forbidden(rule.forbidden)} |" for kind, rule in RULES.items()
    ]
    return "\n".join(["| kind | characters | may have |", "|---|---|---|", *rows])


def fields() -> str:
    """Every column that can be entered, with its limits, by table."""
    from pipeline.entry.tables import TABLES

    parts = []
    for name, entry in TABLES.items():
        note = (
            "" if entry.can_create else "Rows are registered by `neurojoint ingest`; these columns can be changed.\n\n"
        )
        rows = "\n".join(_field(field) for field in entry.fields)
        parts.append(f"### {name}\n\n{note}| column | takes | remarks |\n|---|---|---|\n{rows}")
    return "\n\n".join(parts)


def _forbidden(signs: str) -> str:
    return "anything printable but " + " ".join("`\\|`" if sign == "|" else f"`{sign}`" for sign in signs)


def _field(field: Any) -> str:
    name = f"**{field.column}**" if field.required else field.column
    takes = field.limits() + (f" of {field.to}" if field.to and field.type == "name" else "")
    also = f"also {', '.join(field.aliases)}" if field.aliases else ""
    default = "" if field.default is None else f"else {field.default}"
    return f"| {name} | {takes} | {'; '.join(filter(None, (field.description, also, default)))} |"


PARTS = {"commands": commands, "settings": settings, "reasons": reasons, "names": names, "fields": fields}
