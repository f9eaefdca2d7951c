"""Protects people from remedies that cannot be followed: each command that a message or a page names is there."""

from __future__ import annotations

import re
from pathlib import Path

import click

from neurojoint.cli import main

ROOT = Path(__file__).parents[1]
SOURCES = ("neurojoint", "pipeline", "ingest", "one_bridge", "exchange", "dashboard", "docs")
_NAMED = re.compile(r"`neurojoint((?: [a-z][a-z-]*)+)")
_SHOWN = re.compile(r"^ {4,}neurojoint((?: [a-z][a-z-]*)+)", re.MULTILINE)


def named() -> dict[str, str]:
    """Words behind `neurojoint` in quoted code -> a file that has them."""
    found: dict[str, str] = {}
    files = [ROOT / "README.md", *(path for room in SOURCES for path in (ROOT / room).rglob("*.[pm][yd]"))]
    for path in files:
        text = path.read_text(encoding="utf-8")
        for pattern in (_NAMED, _SHOWN) if path.suffix == ".md" else (_NAMED,):
            for match in pattern.finditer(text):
                found.setdefault(match[1].strip(), str(path.relative_to(ROOT)))
    return found


def wrong(words: str) -> str | None:
    """The first word that is no command, where a command is expected; options and arguments end the search."""
    command: click.Command = main
    context = click.Context(main)
    for word in words.split():
        if not isinstance(command, click.Group):
            return None
        found = command.get_command(context, word)
        if found is None:
            return word
        command = found
    return None


def test_every_command_that_is_named_exists():
    missing = {words: path for words, path in named().items() if wrong(words)}
    assert len(named()) > 20 and not missing


def test_a_command_that_does_not_exist_is_noticed():
    assert wrong("quarantines") == "quarantines" and wrong("user adds mia") == "adds" and wrong("user add mia") is None
