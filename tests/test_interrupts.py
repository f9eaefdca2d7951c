"""Ctrl-C at any moment of a command ends it with one sentence."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import settings
from tests.ingest.tree import write

GO = "import neurojoint.command as c; print('go', flush=True); c.run()"
COMMANDS = [["status"], ["ingest", "{root}"], ["work", "--once", "--processes", "2"], ["quarantine"], ["--help"]]


def interrupted(command: list[str], after: float, environment: dict[str, str]) -> tuple[int, str]:
    """Exit code and standard error of a command that gets SIGINT, as do all its processes, `after` seconds."""
    process = subprocess.Popen(
        [sys.executable, "-c", GO, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True, env=os.environ | environment,
    )  # fmt: skip
    assert process.stdout.readline() == "go\n"
    time.sleep(after)
    os.killpg(process.pid, signal.SIGINT)
    _, words = process.communicate(timeout=120)
    return process.returncode, words


def interrupt_many(server: dict, tmp_path: Path, times: int) -> None:
    for day in range(1, 8):
        write(tmp_path, f"lab/Subjects/m1/2020-01-{day:02d}/001")
    environment = {"NEUROJOINT_HOME": str(server["home"])}
    rng = random.Random(7)  # noqa: S311 - a reproducible choice of moments
    for command in COMMANDS:
        filled = [part.format(root=tmp_path) for part in command]
        for _ in range(times):
            after = rng.uniform(0, 4)
            code, words = interrupted(filled, after, environment)
            assert "Traceback" not in words and "Exception ignored" not in words, (command, after, words)
            assert code in (0, 130, 1), (command, after, code, words)
            assert code == 0 or "stop" in words or "Aborted" in words, (command, after, words)


@pytest.fixture
def postgresql(request, server):
    if "home" not in server or "database_url" in server:
        pytest.skip("once is enough")
    with settings.override(**server):
        yield server


@pytest.mark.slow
def test_an_interrupt_ends_a_command_with_one_sentence(postgresql, tmp_path):
    interrupt_many(postgresql, tmp_path, 2)


@pytest.mark.soak
def test_interrupts_at_many_moments(postgresql, tmp_path):
    interrupt_many(postgresql, tmp_path, 200)
