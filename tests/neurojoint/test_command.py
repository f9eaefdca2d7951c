"""At the end of a command its output arrives, what was registered is done, and the exit code is right."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

END = """
import atexit, sys, threading, time
from pathlib import Path
from neurojoint import command

def work():
    time.sleep(0.2)
    Path(sys.argv[1], "worked").touch()

def wait():
    time.sleep(600)

atexit.register(Path(sys.argv[1], "registered").touch)
threading.Thread(target=work).start()
threading.Thread(target=wait, daemon=True).start()
print("the last line", end="")
command._end({code!r})
"""


def end(folder: Path, code: object, **options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", END.format(code=code), str(folder)], stderr=subprocess.PIPE, text=True, timeout=60,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        **({"stdout": subprocess.PIPE} | options),
    )  # fmt: skip


@pytest.mark.parametrize(("code", "number"), [(None, 0), (0, 0), (1, 1), (130, 130), ("no such animal", 1)])
def test_what_is_under_way_ends_first(tmp_path, code, number):
    ended = end(tmp_path, code)
    assert (ended.returncode, ended.stdout) == (number, "the last line")
    assert ended.stderr == (f"{code}\n" if isinstance(code, str) else "")
    assert {path.name for path in tmp_path.iterdir()} == {"worked", "registered"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_output_that_nobody_could_read_is_an_error(tmp_path):
    with Path("/dev/full").open("w") as full:
        ended = end(tmp_path, 0, stdout=full)
    assert (
        ended.returncode == 1
        and ended.stderr == "neurojoint: the output could not be written: No space left on device\n"
    )


def test_a_reader_that_has_gone_is_no_error(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    ended = end(tmp_path, 0, stdout=writing)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_command_without_an_output_ends_well(tmp_path):
    """As a service manager or `>&-` may start it."""
    program = f'exec "{sys.executable}" -c "import sys; from neurojoint import command; command._end(0)" >&-'
    ended = subprocess.run(["sh", "-c", program], stderr=subprocess.PIPE, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")
