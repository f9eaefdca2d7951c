"""Modules name what they import at the top; what is imported within a function starts a program sooner, and says so."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = {"neurojoint", "pipeline", "ingest", "one_bridge", "dashboard", "exchange", "cbin"}
SOURCES = ("neurojoint", "pipeline", "ingest", "one_bridge", "dashboard", "exchange", "compression")
MARK = "# start-up time"


def imports_in_functions(path: Path) -> Iterator[tuple[str, str]]:
    """Place and line of each import of the project's own packages within a function of a module."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    numbers = {
        node.lineno
        for function in functions
        for node in ast.walk(function)
        if (isinstance(node, ast.ImportFrom) and (node.level or str(node.module).split(".")[0] in PACKAGES))
        or (isinstance(node, ast.Import) and any(name.name.split(".")[0] in PACKAGES for name in node.names))
    }
    for number in sorted(numbers):
        yield f"{path.relative_to(ROOT)}:{number}", lines[number - 1]


@pytest.mark.slow
def test_few_imports_are_within_functions_and_each_says_why():
    """Each is marked by `# start-up time`; modules that import each other in a circle want a seam instead."""
    places = [
        place for source in SOURCES for path in (ROOT / source).rglob("*.py") for place in imports_in_functions(path)
    ]
    assert places and len(places) <= 30
    assert not [place for place, line in places if MARK not in line]
