"""A disk that is away is not a deletion: nothing behind it is marked missing until a person says so."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ingest.commands.register import report
from pipeline.schemas import data
from tests.ingest.tree import ingest, write

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def missing() -> int:
    return len(data.FileRecord & {"file_state": "missing"})


def two_labs(root: Path) -> None:
    """25 sessions of one lab, 5 of another: 17 % of all."""
    for mouse in range(5):
        for day in range(1, 6):
            write(root, f"biglab/Subjects/m{mouse}/2020-01-{day:02d}/001")
    for day in range(1, 6):
        write(root, f"smalllab/Subjects/s1/2020-01-{day:02d}/001")


def test_a_lab_whose_disk_is_away_is_left_as_it_was(database, tmp_path):
    root = tmp_path / "root"
    two_labs(root)
    ingest(root)
    (root / "smalllab").rename(tmp_path / "away")
    (root / "smalllab").mkdir()
    summary = ingest(root)
    assert (summary.withheld, summary.files_withheld, summary.sessions_vanished, missing()) == (5, 20, 0, 0)
    words = report(summary)
    assert "smalllab" in words and "--accept-missing" in words and "neurojoint refresh" not in words
    assert ingest(root).withheld == 5, "said again each time"
    (root / "smalllab").rmdir()
    (tmp_path / "away").rename(root / "smalllab")
    assert ingest(root).withheld == 0
    shutil.rmtree(root / "smalllab")
    assert ingest(root, accept_missing=True).files_missing == missing() == 20


def test_files_behind_links_to_a_disk_that_is_away_are_left_as_they_were(database, tmp_path):
    root = tmp_path / "root"
    for day in range(1, 6):
        session = write(root, f"lab/Subjects/m1/2020-01-{day:02d}/001")
        (session / "_iblrig_taskSettings.raw.json").write_text("{}")
        second = root / ".second" / str(day)
        second.parent.mkdir(exist_ok=True)
        (session / "alf").rename(second)
        (session / "alf").symlink_to(second)
    assert ingest(root).files == 25
    (root / ".second").rename(tmp_path / "away")
    summary = ingest(root)
    assert (summary.withheld, summary.files_missing, missing()) == (5, 0, 0)
    assert "a link to something that is not there" in report(summary)
    (tmp_path / "away").rename(root / ".second")
    assert ingest(root).files_restored == 0


@pytest.mark.parametrize("keep_folder", [True, False])
def test_a_subject_that_vanishes_as_a_whole_is_left_as_it_was(database, tmp_path, keep_folder):
    two_labs(tmp_path)
    ingest(tmp_path)
    shutil.rmtree(tmp_path / "biglab/Subjects/m1")
    if keep_folder:
        (tmp_path / "biglab/Subjects/m1").mkdir()
    assert (ingest(tmp_path).withheld, missing()) == (5, 0)


def test_the_files_of_one_session_whose_folder_is_suddenly_empty_are_left_as_they_were(database, tmp_path):
    two_labs(tmp_path)
    alf = tmp_path / "biglab/Subjects/m1/2020-01-01/001/alf"
    ingest(tmp_path)
    shutil.rmtree(alf)
    alf.mkdir()
    summary = ingest(tmp_path)
    assert (summary.withheld, missing()) == (1, 0)
    assert "an empty folder" in report(summary)


def test_what_a_person_deletes_here_and_there_is_missing_at_once(database, tmp_path):
    two_labs(tmp_path)
    ingest(tmp_path)
    shutil.rmtree(tmp_path / "biglab/Subjects/m1/2020-01-01")
    (tmp_path / "biglab/Subjects/m2/2020-01-01/001/alf/_ibl_trials.choice.npy").unlink()
    summary = ingest(tmp_path)
    assert (summary.withheld, summary.files_missing, missing()) == (0, 5, 5)


def test_files_that_go_from_many_sessions_at_once_are_left_as_they_were(database, tmp_path):
    for day in range(1, 9):
        write(tmp_path, f"lab/Subjects/m1/2020-01-{day:02d}/001")
    ingest(tmp_path)
    for day in range(1, 6):
        for name in ("choice", "feedbackType"):
            (tmp_path / f"lab/Subjects/m1/2020-01-{day:02d}/001/alf/_ibl_trials.{name}.npy").unlink()
    write(tmp_path, "lab/Subjects/m1/2020-02-01/001")
    summary = ingest(tmp_path)
    assert (summary.withheld, summary.files_withheld, summary.sessions_new, missing()) == (5, 10, 1, 0)


def test_a_mount_that_is_gone_is_known_even_where_little_is_behind_it(database, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    root = tmp_path / "root"
    two_labs(root)
    mount = root / "biglab/Subjects/m9"
    mount.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", mount], capture_output=True).returncode:
        pytest.skip("this machine mounts nothing")
    try:
        write(root, "biglab/Subjects/m9/2020-01-01/001")
        ingest(root)
        assert data.MountPoint.to_arrays("mount_path").tolist() == ["biglab/Subjects/m9"]
    finally:
        subprocess.run(["umount", "-l", mount], check=True)
    summary = ingest(root)
    assert (summary.withheld, missing()) == (1, 0)
    assert "a disk of its own" in report(summary)
    assert ingest(root, accept_missing=True).files_missing == 4
    assert not data.MountPoint()
