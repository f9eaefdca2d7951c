"""Runs brainbox (ibllib) in an environment of its own, since it cannot share the project's; arrays go through files."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

HOW = """ibllib is not there. Make an environment for it and name its python:
    uv venv /tmp/ibl --python 3.11 && uv pip install --python /tmp/ibl/bin/python ibllib
    python -m {script} --ibllib-python /tmp/ibl/bin/python"""
PREAMBLE = """
import resource, sys, time, warnings, logging
import numpy as np
warnings.filterwarnings("ignore")
logging.disable(logging.CRITICAL)
folder = sys.argv[1]
given = {name: np.load(f"{folder}/{name}.npy") for name in sys.argv[2:]}
"""


def add_option(parser: argparse.ArgumentParser) -> None:
    """The option that names the python that can import brainbox."""
    own = os.environ.get("NEUROJOINT_IBLLIB_PYTHON", sys.executable)
    parser.add_argument("--ibllib-python", default=own, help="python that can import brainbox")


def check(python: str, script: str) -> None:
    """Exit with what to do where brainbox cannot be imported."""
    try:
        subprocess.run([python, "-c", "import brainbox.singlecell"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise SystemExit(HOW.format(script=script)) from error


def run(python: str, code: str, folder: Path, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run code that finds arrays in `given` and leaves arrays in a dictionary `found`; returns the latter."""
    for name, values in given.items():
        if not (folder / f"{name}.npy").exists():
            np.save(folder / f"{name}.npy", values)
    whole = PREAMBLE + code + '\nnp.savez(f"{folder}/found.npz", **found)\n'
    subprocess.run([python, "-c", whole, str(folder), *given], check=True)
    with np.load(folder / "found.npz") as arrays:
        return dict(arrays)
