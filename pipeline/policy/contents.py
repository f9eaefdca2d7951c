"""Whether text files say the names that a policy replaces: their content leaves as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from pipeline.errors import UserError

SUFFIXES = frozenset(
    {".csv", ".htsv", ".ini", ".json", ".jsonable", ".jsonl", ".log", ".md", ".meta", ".ssv", ".toml", ".tsv", ".txt",
     ".xml", ".yaml", ".yml"}
)  # fmt: skip
"""Of files that hold text."""
LARGEST = 64 << 20
"""So much of a file is looked at, byte."""


def names(path: Path, animal: str) -> bool:
    """Whether a text file says the name of an animal, as a word of its own and in any case."""
    if path.suffix.lower() not in SUFFIXES or not animal:
        return False
    with path.open("rb") as file:
        content = file.read(LARGEST)
    return re.search(rb"(?<![0-9A-Za-z])" + re.escape(animal.encode()) + rb"(?![0-9A-Za-z])", content, re.I) is not None


def check(files: Iterable[tuple[Path, str]]) -> None:
    """Refuse files that say the name of an animal that leaves under another.

    Parameters
    ----------
    files : each with the name of the animal that it is of.

    Raises
    ------
    UserError : some do; none may leave.
    """
    named = [path for path, animal in files if names(path, animal)]
    if named:
        raise UserError(
            f"{len(named)} text files say the name of their animal, which leaves under a pseudonym, e.g. {named[0]}",
            f"take them out of the tag, e.g. `neurojoint tag remove TAG --name '{named[0].name}'`",
        )
