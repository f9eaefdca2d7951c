"""A disk that returns errors (EIO, ESTALE of NFS): files that cannot be read wait, the others go on, none is lost."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipeline.schemas import data
from tests.ingest.tree import rows, write

COMMAND = "from neurojoint.command import run; run()"


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that makes reading fail."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("needs a C compiler: apt-get install gcc")
    built = tmp_path_factory.mktemp("library") / "bad_disk.so"
    source = Path(__file__).with_name("bad_disk.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", built, source, "-ldl"], check=True)
    return built


LOOK = """
import pathlib, sys
from pipeline.alf import disks
disks.PATIENCE = 1.0
here, hanging = map(pathlib.Path, sys.argv[1:])
print([disks.is_there(one) for one in (here, hanging, here / "no", hanging, here)], disks.hangs(hanging))
"""


def test_a_disk_that_hangs_is_passed_over_and_the_others_go_on(library, tmp_path):
    for name in ("here", "hanging"):
        (tmp_path / name).mkdir()
    result = subprocess.run(
        [sys.executable, "-c", LOOK, tmp_path / "here", tmp_path / "hanging"], capture_output=True, text=True,
        env=os.environ | {"LD_PRELOAD": str(library), "HANGING_DISK": "/hanging"}, timeout=120,
    )  # fmt: skip
    assert result.stdout == "[True, False, False, False, True] True\n", result.stderr
    assert result.stderr.count("does not answer") == 1


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_an_ingest_of_a_disk_that_hangs_ends_with_a_sentence(database, server, library, tmp_path):
    write(tmp_path / "hanging", "lab/Subjects/m1/2020-01-01/001")
    home = {f"NEUROJOINT_{name.upper()}": str(value) for name, value in server.items()}
    result = subprocess.run(
        [sys.executable, "-c", COMMAND, "ingest", str(tmp_path / "hanging")], capture_output=True, text=True,
        env=os.environ | home | {"LD_PRELOAD": str(library), "HANGING_DISK": "/hanging"}, timeout=300,
    )  # fmt: skip
    assert result.returncode == 1 and "does not answer within 10 s" in result.stderr, result.stdout + result.stderr
    assert not len(data.Dataset())


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
@pytest.mark.parametrize("number", [errno.EIO, pytest.param(errno.ESTALE, marks=pytest.mark.soak)])
def test_files_that_cannot_be_read_wait_and_cost_nothing_else(database, server, library, tmp_path, number):
    root = tmp_path / "root"
    write(root, "lab/Subjects/m1/2020-01-01/001")
    home = {f"NEUROJOINT_{name.upper()}": str(value) for name, value in server.items()}

    def ingest(**more: str) -> str:
        arguments = [sys.executable, "-c", COMMAND, "ingest", str(root), "--no-compress", "--repository", "r"]
        result = subprocess.run(arguments, env=os.environ | home | more, capture_output=True, text=True, timeout=120)
        assert "Traceback" not in result.stdout + result.stderr
        return result.stdout + result.stderr

    bad = {"LD_PRELOAD": str(library), "BAD_DISK": "choice.npy", "BAD_DISK_ERRNO": str(number)}
    said = ingest(**bad)
    registered = {path for (path,) in rows(data.Dataset, "rel_path")}
    assert len(registered) == 3 and not any("choice" in path for path in registered), said
    (problem,) = (data.Quarantine & "resolved IS NULL").to_dicts()
    assert "choice" in problem["quarantine_path"] and os.strerror(number) in problem["detail"]
    ingest()
    assert len(data.Dataset()) == 4 and not (data.Quarantine & "resolved IS NULL")

    before = rows(data.FileRecord, "file_path", "file_state", "record_hash")
    for number_of_session in (1, 2):  # a registered file was written again, and another session arrives
        write(root, f"lab/Subjects/m1/2020-01-01/00{number_of_session}", choice=np.ones(6))
    ingest(**bad)
    after = rows(data.FileRecord, "file_path", "file_state", "record_hash")
    assert [row for row in after if "/001/" in row[0]] == before  # neither missing nor changed: it was not read
    assert len(after) == 7
    ingest()
    assert len(data.Dataset()) == 8 and not (data.FileRecord & {"file_state": "missing"})
