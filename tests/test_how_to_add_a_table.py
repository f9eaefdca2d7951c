"""Protects the how-to "Add a table": what it says is done to the letter in a copy of the sources, and works."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SOURCES = Path(__file__).parents[1]
PAGE = SOURCES / "docs" / "how-to" / "add-a-table.md"
ROOMS = ("neurojoint", "pipeline", "ingest", "one_bridge", "dashboard", "exchange", "compression", "docs", "tests")


@pytest.mark.slow
@pytest.mark.one_database
def test_the_page_is_followed_by_the_letter(tmp_path):
    for room in ROOMS:
        shutil.copytree(SOURCES / room, tmp_path / room, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md"):
        shutil.copy(SOURCES / name, tmp_path / name)
    home = Path(tempfile.mkdtemp(prefix="neurojoint-"))
    home.chmod(0o711)  # as root the database runs as another user
    rooms = os.pathsep.join([str(tmp_path), str(tmp_path / "compression")])
    scripts = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"NEUROJOINT_HOME": str(home), "PYTHONPATH": rooms, "PATH": scripts}

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    try:
        run("neurojoint", "simulate", "lab", "--mice", "1", "--sessions", "1", "--ephys", "0", "--no-wheel")
        run("neurojoint", "ingest", "lab")
        run("neurojoint", "work", "--once", "--table", "TrialSet")
        show = follow(tmp_path, PAGE.read_text(encoding="utf-8"), run)
        for code in show:
            run(sys.executable, "-c", f"import neurojoint as nj\nnj.connect()\nassert len({code.strip()}) == 1")
    finally:
        subprocess.run(["neurojoint", "db", "stop"], cwd=tmp_path, env=environment, capture_output=True)
        shutil.rmtree(home, ignore_errors=True)


def follow(root: Path, page: str, run) -> list[str]:
    """Do the steps of the page in a copy of the sources; returns the code that shows the table."""
    show = []
    for step in re.split(r"(?m)^(?=\*\*\d\.)", page)[1:]:
        files = re.findall(r"`(pipeline/[\w/]+\.py)`", step)
        blocks = re.findall(r"```python\n(.*?)```", step, re.DOTALL)
        for code in blocks:
            if not files:
                show.append(code)
                continue
            path = root / files[0]
            before = path.read_text(encoding="utf-8") if path.exists() else ""
            path.write_text(f"{before}\n\n{code}" if before else code, encoding="utf-8")
        for line in re.findall(r"at the top of that module: `(from .*?)`", step):
            text = path.read_text(encoding="utf-8")
            path.write_text(text.replace("\nfrom pipeline", f"\n{line}\nfrom pipeline", 1), encoding="utf-8")
        commands = re.findall(r"(?m)^    (neurojoint .*)$", step) + re.findall(r"`((?:python|pytest) [^`]+)`", step)
        for command in commands:
            program, *arguments = command.split()
            more = ["-q", "-n", "0", "-k", "not mysql"] if program == "pytest" else []
            run(*([sys.executable, "-m", "pytest"] if program == "pytest" else [program]), *arguments, *more)
    assert show
    return show
