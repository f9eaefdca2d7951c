"""Processes that start together in a folder that nobody has used make each of its files once, and all use the same."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.policy import secret
from pipeline.web.accounts import Users

pytestmark = pytest.mark.slow

N, HOMES = 4, 5
START = """
import pathlib, sys, time
from pipeline.policy import secret
from pipeline.web.accounts import Users
from pipeline.web.throttle import Throttle
folder, own = pathlib.Path(sys.argv[1]), sys.argv[2]
print("ready", flush=True)
for number in range(int(sys.argv[3])):
    home = folder / str(number)
    while not (folder / f"go{number}").exists():
        time.sleep(0.001)
    found = secret.of(home / "dashboard").hex()
    users, throttle = Users(home / "users.sqlite"), Throttle(path=home / "sign_ins.sqlite")
    waits = throttle.begin("10.0.0.1", own)
    users.add(own, "correct horse", "member")
    print(found, waits, users.by_token(users.issue_token(own, "test")).name, flush=True)
"""


def test_all_files_of_a_new_home_are_made_once(tmp_path):
    processes = [
        subprocess.Popen([sys.executable, "-c", START, str(tmp_path), f"user{number}", str(HOMES)],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for number in range(N)
    ]  # fmt: skip
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * N
    said = []
    for number in range(HOMES):
        (tmp_path / f"go{number}").touch()
        said.append([process.stdout.readline().split() for process in processes])
    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * N, errors
    for number, lines in enumerate(said):
        home = tmp_path / str(number)
        assert {line[0] for line in lines} == {secret.of(home / "dashboard").hex()}
        assert [(float(line[1]), line[2]) for line in lines] == [(0, f"user{k}") for k in range(N)]
        assert {item.name for item in Users(home / "users.sqlite").list()} == {f"user{k}" for k in range(N)}
        assert all(path.stat().st_mode & 0o077 == 0 for path in home.rglob("*") if path.is_file())
        assert sorted(item.name for item in (home / "dashboard").iterdir()) == ["secret"]
