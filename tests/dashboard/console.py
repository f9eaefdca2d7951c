"""Another program on the database of a site, to look at its tables and to change them behind its back.

It is started once: a program that connects takes seconds, and a test asks it many times.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from tests.dashboard.browser import REPOSITORY, Served

PROGRAM = """
import json, sys, traceback
import pipeline
pipeline.connect()
from pipeline import acquisition, action, behavior, behavior_analysis, data, entry, lab, subject
names = dict(globals())
for line in sys.stdin:
    source = json.loads(line)
    try:
        try:
            told = {"value": eval(source, names)}
        except SyntaxError:
            exec(source, names)
            told = {"value": None}
    except Exception:
        told = {"error": traceback.format_exc()}
    print(json.dumps(told, default=str), flush=True)
"""


class Console:
    """Evaluates an expression of Python, or runs statements, in the other program; `close` ends it."""

    def __init__(self, served: Served) -> None:
        self.program = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROGRAM], env=served.environment(), cwd=REPOSITORY, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def __call__(self, source: str) -> Any:
        assert self.program.stdin is not None and self.program.stdout is not None
        self.program.stdin.write(json.dumps(source) + "\n")
        self.program.stdin.flush()
        while not (line := self.program.stdout.readline()).startswith('{"'):
            assert line, f"the program ended with {self.program.wait()}"
        told = json.loads(line)
        assert "error" not in told, told["error"]
        return told["value"]

    def close(self) -> None:
        """End the program."""
        assert self.program.stdin is not None
        self.program.stdin.close()
        self.program.wait(60)


@contextlib.contextmanager
def opened(served: Served) -> Iterator[Console]:
    """A console as long as the block lasts."""
    console = Console(served)
    try:
        yield console
    finally:
        console.close()
