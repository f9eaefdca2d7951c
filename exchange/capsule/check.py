"""Run a capsule again and compare what its notebooks show with what they showed when it was made."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from exchange.capsule import outputs
from exchange.capsule.create import EXPECTED, LOCK, NOTEBOOKS
from pipeline.database import capsule
from pipeline.errors import NeurojointError

Say = Callable[[str], None]


def check(path: Path, fresh: bool = True, say: Say = lambda words: None) -> list[str]:
    """What differs; empty where all figures and tables come out as stored.

    Parameters
    ----------
    path : of the capsule, folder or zip.
    fresh : in a new virtual environment with the packages of the lock file; else in this one.

    Raises
    ------
    NeurojointError : it is no capsule, packages cannot be installed, or a notebook fails.
    """
    folder = capsule.unpacked(path)
    if fresh:
        return _in_new_environment(folder, say)
    found = []
    for notebook in sorted((folder / NOTEBOOKS).glob("*.ipynb")):
        say(f"running {notebook.name}")
        shown = json.loads(json.dumps(outputs.run(notebook, folder)))
        expected = json.loads((folder / EXPECTED / f"{notebook.stem}.json").read_text(encoding="utf-8"))
        found += outputs.differences(expected, shown, notebook.name)
    return found


def _in_new_environment(folder: Path, say: Say) -> list[str]:
    home = folder / ".venv"
    say("making a new environment")
    venv.create(home, with_pip=True, clear=True)
    words = ["-m", "pip", "install", "--quiet", "--requirement", str(folder / LOCK), "--find-links", str(folder / "packages")]  # noqa: E501  # fmt: skip
    _run([str(home / "bin" / "python"), *words], "the packages of the lock file cannot be installed")
    done = _run([str(home / "bin" / "python"), "-m", "exchange.capsule", str(folder)], "", accept=1)
    return [line for line in done.stdout.splitlines() if line.startswith("differs: ")]


def _run(command: list[str], failure: str, accept: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, accept):
        raise NeurojointError(failure or "the capsule fails in a new environment", done.stderr.strip()[-400:])
    return done


def main() -> None:
    """`python -m exchange.capsule FOLDER`: what `run` calls in the environment of the capsule."""
    differing = check(Path(sys.argv[1]), fresh=False, say=print)
    for line in differing:
        print(f"differs: {line}")
    print("all figures and tables are as stored" if not differing else f"{len(differing)} differ")
    raise SystemExit(1 if differing else 0)
