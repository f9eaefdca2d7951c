"""The page "Recover from a lost disk", word for word: its commands, on a computer that has the backup and the files."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.database import embedded
from tests.ingest.tree import write

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[2] / "docs/how-to/lost-disk.md"
COMMAND = "from neurojoint.command import run; run()"
SHOW = """
import pipeline
from pipeline.schemas import acquisition, action, audit, behavior, data
connection = pipeline.connect()
for table in (acquisition.Session, action.Weighing, audit.Edit, data.Dataset, behavior.TrialSet):
    print(table.__name__, sorted(map(str, table().proj().to_dicts())))
connection.close()
"""


@pytest.fixture
def homes() -> Iterator[list[Path]]:
    """The home of the program on two computers."""
    collected = [Path(tempfile.mkdtemp(prefix="neurojoint-")) for _ in range(2)]
    for home in collected:
        home.chmod(0o711)
    yield collected
    for home in collected:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


def run(home: Path, *arguments: str, code: str = COMMAND) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NEUROJOINT_")}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *arguments],
        env=environment | {"NEUROJOINT_HOME": str(home)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, (arguments, done.stdout[-1000:], done.stderr[-2000:])
    return done.stdout


def page_commands(title: str) -> list[list[str]]:
    """The commands below a title of the page, in their order."""
    _, _, section = PAGE.read_text().partition(f"## {title}\n")
    section = section.partition("\n## ")[0]
    return [item.split() for item in re.findall(r"`neurojoint ([^`]+)`", section)]


@pytest.mark.slow
def test_another_computer_goes_on_where_the_backup_ends(homes, tmp_path):
    first, other = homes
    root, backup = tmp_path / "data", tmp_path / "backup.dump"
    words = {"/data": str(root), "FILE": str(backup), "/backup/$(date": str(backup)}
    told = [[words.get(word, word) for word in page_command if not word.startswith("+%F")]
            for page_command in page_commands("The database is lost")]  # fmt: skip
    assert [item[0] for item in told] == ["db", "ingest", "work", "db"]
    restore, register, work, save = told
    write(root, "lab/Subjects/m1/2020-01-01/001")
    (root / "weighings.csv").write_text("subject,date_time,weight\nm1,2020-01-01T10:00:00,22.5\n")
    run(first, *register, "--metadata", str(root / "weighings.csv"), "--no-compress")
    run(first, *save)
    write(root, "lab/Subjects/m1/2020-01-02/001")  # after the backup
    run(first, *register, "--no-compress")
    run(first, *work, "--once")
    before = run(first, code=SHOW)
    assert before.count("2020, 1, 2") >= 2
    embedded.stop(first)
    shutil.rmtree(first)
    run(other, *restore)
    run(other, *register, "--no-compress")
    run(other, *work, "--once")
    assert run(other, code=SHOW) == before
    run(other, "check", "--hashes")  # its exit code is 1 where something is wrong
