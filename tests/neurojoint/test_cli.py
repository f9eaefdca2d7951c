"""The command line: help that fits the screen, one command a file, commands that messages and manuals name exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from neurojoint.cli import main
from neurojoint.cli.commands import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCES = ("neurojoint", "pipeline", "ingest", "one_bridge", "dashboard", "exchange", "docs")


def test_help_is_grouped_and_no_summary_is_cut_at_80_columns():
    shown = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    headings = re.findall(r"^([A-Z][\w ]+):$", shown, re.MULTILINE)
    assert headings == ["Options", *COMMANDS]
    lines = shown[shown.index("Start here:") :].splitlines()
    assert not [line for line in lines if len(line) > 80 or line.rstrip().endswith(("...", "…"))]
    assert not [line for line in lines if re.match(r" {8,}", line)], "a summary needs two lines: shorten it"


def test_every_command_is_a_file_of_its_own():
    files = {path.stem.removeprefix("cmd_").replace("_", "-") for path in (ROOT / "neurojoint/cli").glob("cmd_*.py")}
    assert sorted(files) == main.list_commands(click.Context(main))


def test_a_command_is_imported_only_when_it_is_run():
    code = "import sys; from neurojoint.cli import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "neurojoint.cli.commands" in shown and "neurojoint.cli.cmd_" not in shown and "datajoint" not in shown


def _commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands(command, (*path, name))


@pytest.mark.parametrize("name", [" ".join(path) for path, _ in _commands(main)])
def test_each_command_has_help(name):
    result = CliRunner().invoke(main, [*name.split(), "--help"])
    assert result.exit_code == 0 and len(result.output.splitlines()) > 2


def _named_commands() -> Iterator[tuple[str, list[str]]]:
    """Where code and manuals name a command, in backticks or as an indented line of a manual, and its words."""
    words = r"neurojoint ((?:[a-z][\w-]*)(?: [a-z-][\w=-]*)*)"
    for path in [ROOT / "README.md", *(path for room in SOURCES for path in (ROOT / room).rglob("*.[pm][yd]"))]:
        shown = rf"|^ {{4,}}{words}" if path.suffix == ".md" else ""
        for item in re.finditer(rf"`{words}{shown}", path.read_text(encoding="utf-8"), re.MULTILINE):
            command = next(filter(None, item.groups()))
            yield f"{path.relative_to(ROOT)}: neurojoint {command}", command.split()


def test_commands_that_messages_and_manuals_name_exist():
    """Text like `neurojoint db upgrade` in code and manuals names a command, and options that it has."""
    known = {" ".join(path): command for path, command in _commands(main)}
    wrong = []
    for place, words in _named_commands():
        command = known.get(words[0])
        if isinstance(command, click.Group) and len(words) > 1 and not words[1].startswith("-"):
            command = known.get(" ".join(words[:2]))
        if command is None:
            wrong.append(place)
            continue
        options = {"--help", "--debug", "--version"}
        options |= {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
        named = [word.partition("=")[0] for word in words if word.startswith("--")]
        wrong += [f"{place} has no {option}" for option in named if option not in options]
    assert not wrong, "\n".join(wrong)


def test_the_readme_lists_every_command():
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("| section | commands |")[1].split("\n\n")[0]
    names = set(main.list_commands(click.Context(main)))
    assert names <= {quoted.split()[0] for quoted in re.findall(r"`([^`]+)`", table)}


def test_no_summary_of_a_group_is_cut():
    groups = [path for path, command in _commands(main) if isinstance(command, click.Group)]
    assert len(groups) > 10
    for words in groups:
        shown = CliRunner().invoke(main, [*words, "--help"], terminal_width=80).output
        commands = shown[shown.index("\nCommands:") :] if "\nCommands:" in shown else ""
        assert not [line for line in commands.splitlines() if line.endswith("...")], words
