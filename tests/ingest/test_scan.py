"""Protects the walk: every layout, no way out of the root, no trust in names, no stop at what cannot be read."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ingest.files import scan
from ingest.files.scan import SessionKey
from pipeline.errors import NeurojointError
from tests.ingest.tree import write

SESSION = "mylab/Subjects/m1/2020-01-01/001"
KEY = SessionKey("mylab", "m1", "2020-01-01", 1)


def walk(root, lab=None):
    tree = scan.layout(root, lab)
    folders, problems = [], list(tree.problems)
    for subject in tree.subjects:
        scan_subject, wrong = scan.scan_subject(root, *subject)
        folders += scan_subject
        problems += wrong
    return {folder.key: folder for folder in folders}, {(problem.path, problem.reason) for problem in problems}


@pytest.mark.parametrize(
    ("below", "root", "lab"),
    [
        (SESSION, ".", None),
        (SESSION, "mylab", None),
        (SESSION, "mylab/Subjects", None),
        ("Subjects/m1/2020-01-01/001", ".", "mylab"),
        ("m1/2020-01-01/001", ".", "mylab"),
        ("mylab/Subjects/m1/2020-01-01/1", ".", None),
    ],
)
def test_every_layout_gives_the_same_session(tmp_path, below, root, lab):
    write(tmp_path, below)
    sessions_read, problems = walk((tmp_path / root).resolve(), lab)
    assert list(sessions_read) == [KEY] and not problems


def test_a_tree_without_lab_asks_for_it(tmp_path):
    write(tmp_path, "m1/2020-01-01/001")
    with pytest.raises(NeurojointError, match="--lab"):
        scan.layout(tmp_path)


def test_a_lab_that_is_not_in_the_tree_is_refused(tmp_path):
    write(tmp_path, SESSION)
    with pytest.raises(NeurojointError, match="otherlab"):
        scan.layout(tmp_path, "otherlab")


def test_wrong_places_are_named(tmp_path):
    write(tmp_path, SESSION)
    write(tmp_path, "mylab/Subjects/m1/2020-13-45/001")
    write(tmp_path, "mylab/Subjects/m1/2020-02-30/002")
    write(tmp_path, "mylab/Subjects/m1/2020-01-02/first")
    write(tmp_path, "mylab/Subjects/m1/2020-01-01/1")
    write(tmp_path, "mylab/Subjects/m 2/2020-01-01/001")
    write(tmp_path, "my lab/Subjects/m1/2020-01-01/001")
    (tmp_path / "mylab/Subjects/m1/2020-01-01/notes.npy").write_bytes(b"x")
    (tmp_path / "mylab/Subjects/m1/.DS_Store").write_bytes(b"x")
    sessions_read, problems = walk(tmp_path)
    assert [key.number for key in sessions_read] == [1]
    assert problems == {
        (path, "bad_session_path")
        for path in (
            "mylab/Subjects/m1/2020-13-45/001", "mylab/Subjects/m1/2020-02-30/002", "mylab/Subjects/m 2", "my lab",
            "mylab/Subjects/m1/2020-01-01/1", "mylab/Subjects/m1/2020-01-02/first",
            "mylab/Subjects/m1/2020-01-01/notes.npy",
        )
    }  # fmt: skip


def test_links_out_of_the_root_are_refused_and_links_within_are_followed_once(tmp_path):
    root, outside = tmp_path / "root", tmp_path / "outside"
    session = write(root, SESSION)
    write(outside, "secret")
    np.save(outside / "a.b.npy", [1.0])
    (session / "alf" / "probe00").symlink_to(outside)
    (session / "alf" / "out.file.npy").symlink_to(outside / "a.b.npy")
    (session / "alf" / "gone.file.npy").symlink_to(root / "nothing")
    (session / "alf" / "round").symlink_to(session)
    (root / "store").mkdir()
    np.save(root / "store" / "x.y.npy", [1.0])
    (session / "inside").symlink_to(root / "store")
    (session / "again").symlink_to(root / "store")
    files, problems = scan.list_files(root, SESSION)
    assert sum(file.path.endswith("/x.y.npy") for file in files) == 1
    assert not any("secret" in file.path or "out.file" in file.path for file in files)
    named = {problem.path.removeprefix(f"{SESSION}/"): problem.reason for problem in problems}
    twice = named.keys() & {"inside", "again"}
    assert len(twice) == 1
    assert {path: reason for path, reason in named.items() if path not in twice} == {
        "alf/gone.file.npy": "vanished", "alf/out.file.npy": "symlink_outside", "alf/probe00": "symlink_outside",
        "alf/round": "symlink_outside",
    }  # fmt: skip


def test_a_pipe_is_not_opened(tmp_path):
    session = write(tmp_path, SESSION)
    os.mkfifo(session / "alf" / "a.b.npy")
    _, problems = scan.list_files(tmp_path, SESSION)
    assert [problem.reason for problem in problems] == ["unreadable_file"]


def test_the_signature_sees_a_change_and_nothing_else(tmp_path):
    session = write(tmp_path, SESSION)
    before = walk(tmp_path)[0][KEY].signature
    (session / "raw_session.flag").touch()
    (session / ".hidden").touch()
    assert walk(tmp_path)[0][KEY].signature == before
    path = session / "alf" / "_ibl_trials.choice.npy"
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert walk(tmp_path)[0][KEY].signature != before


def test_names_that_cannot_be_shown_are_escaped(tmp_path):
    session = write(tmp_path, SESSION)
    (session / "alf").joinpath("a\nb\x1b[31m.npy").touch()
    name = os.fsencode(session / "alf") + b"/\xff.x.npy"
    with open(name, "wb"):  # noqa: PTH123 - a name that is not text
        pass
    files, _ = scan.list_files(tmp_path, SESSION)
    shown = [scan.printable(file.path) for file in files]
    assert all(path.isprintable() and path.encode() for path in shown)


def test_an_unreadable_folder_is_a_problem_and_the_rest_goes_on(tmp_path, monkeypatch):
    """The superuser reads everything, so the refusal is put in by hand."""
    write(tmp_path, SESSION)
    write(tmp_path, "mylab/Subjects/m1/2020-01-02/001")
    real = os.scandir

    def scandir(path):
        if str(path).endswith("2020-01-01/001/alf"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    sessions_read, _ = walk(tmp_path)
    assert sessions_read[KEY].n_problems == 1 and sessions_read[KEY].n_files == 0
    assert sessions_read[KEY._replace(date="2020-01-02")].n_files == 4


def test_empty_folders_do_not_decide_the_layout(tmp_path):
    write(tmp_path, SESSION)
    (tmp_path / "Subjects").mkdir()
    (tmp_path / "backup" / "m1").mkdir(parents=True)
    sessions_read, problems = walk(tmp_path)
    assert list(sessions_read) == [KEY] and not problems


@pytest.mark.parametrize("stray", ["Subjects/m2/2020-01-01/001", "m2/2020-01-01/001"])
def test_mixed_layouts_are_named(tmp_path, stray):
    write(tmp_path, SESSION)
    write(tmp_path, stray)
    tree = scan.layout(tmp_path)
    assert tree.kind == "labs" and [path for _, path in tree.subjects] == ["mylab/Subjects/m1"]
    (problem,) = tree.problems
    assert problem.path == stray and "mixed layouts" in problem.detail and "lab/Subjects" in problem.detail


def test_a_decided_layout_stays(tmp_path):
    write(tmp_path, "Subjects/m1/2020-01-01/001")
    write(tmp_path, "newlab/Subjects/m2/2020-01-01/001")
    assert scan.layout(tmp_path).kind == "labs"
    tree = scan.layout(tmp_path, "mylab", decided="subjects_folder")
    assert tree.subjects == [("mylab", "Subjects/m1")]
    assert [problem.path for problem in tree.problems] == ["newlab/Subjects/m2/2020-01-01/001"]
