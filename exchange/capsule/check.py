"""Run a capsule again and compare what its notebooks show with what they showed when it was made."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from exchange.capsule import outputs
from exchange.capsule.create import EXPECTED, NOTEBOOKS
from pipeline.database import capsule
from pipeline.errors import NeurojointError

Tell = Callable[[str], None]
AS_STORED, DIFFERS = "all figures and tables are as stored", "differs: "


def check(path: Path, fresh: bool = True, tell: Tell = lambda words: None) -> list[str]:
    """What differs; empty where all figures and tables come out as stored.

    Parameters
    ----------
    path : of the capsule, folder or zip.
    fresh : in a new virtual environment with the packages of the lock file; else in this one.

    Raises
    ------
    NeurojointError : it is no capsule or not whole, packages cannot be installed, or a notebook fails.
    """
    folder = capsule.unpacked(path)
    capsule.verify(folder)
    if fresh:
        return _in_new_environment(folder, tell)
    notebooks = sorted((folder / NOTEBOOKS).glob("*.ipynb"))
    stored = {item.stem for item in (folder / EXPECTED).glob("*.json")}
    if odd := stored ^ {item.stem for item in notebooks}:
        raise NeurojointError(
            f"the capsule is not whole: of {min(odd)} there is only the notebook or only what it showed",
            "get the capsule again",
        )
    differences = []
    for notebook in notebooks:
        tell(f"running {notebook.name}")
        shown = json.loads(json.dumps(outputs.run(notebook, folder)))
        expected = json.loads((folder / EXPECTED / f"{notebook.stem}.json").read_text(encoding="utf-8"))
        differences += outputs.differences(expected, shown, notebook.name)
    return differences


def _in_new_environment(folder: Path, tell: Tell) -> list[str]:
    """What the capsule's own `run` says, in an environment made for this check and removed afterwards."""
    tell("making a new environment with the packages of the lock file")
    with tempfile.TemporaryDirectory(prefix="capsule-check-") as place:
        variables = {name: value for name, value in os.environ.items() if not name.startswith("NEUROJOINT_")}
        variables |= {"CAPSULE_VENV": str(Path(place, "venv")), "PYTHON": _interpreter()}
        done = subprocess.run(
            ["/bin/sh", str(folder / "run")], capture_output=True, text=True, check=False, env=variables
        )
    lines = done.stdout.splitlines()
    differing = [line for line in lines if line.startswith(DIFFERS)]
    if done.returncode == 0 and lines and lines[-1] == AS_STORED:
        return []
    if done.returncode == 1 and differing:
        return differing
    raise NeurojointError("the capsule fails in a new environment", done.stderr.strip()[-600:])


def _interpreter() -> str:
    """The Python that this one's virtual environment was made of."""
    return str(Path(sys.base_prefix, "bin", f"python{sys.version_info.major}.{sys.version_info.minor}"))


def main() -> None:
    """`python -m exchange.capsule FOLDER`: what `run` calls in the environment of the capsule."""
    differing = check(Path(sys.argv[1]), fresh=False, tell=print)
    for line in differing:
        print(f"{DIFFERS}{line}")
    print(AS_STORED if not differing else f"{len(differing)} differ")
    raise SystemExit(1 if differing else 0)
