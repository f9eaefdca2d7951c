"""Protects copies of files: whole or not there, and equal where a hash is expected."""

from __future__ import annotations

import hashlib
import os

import pytest

from ingest.files import copying
from pipeline.errors import ConflictError

CONTENT = bytes(range(256)) * 40
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(1_600_000_000_000_000_000, 1_600_000_000_000_000_000))
    return path


def test_hashes_of_a_file(source):
    assert copying.hash_of(source) == MD5
    assert copying.hash_of(source, "sha256") == hashlib.sha256(CONTENT).hexdigest()


def test_a_copy_is_whole_and_keeps_its_time(source, tmp_path):
    target = tmp_path / "new" / "folder" / "a.bin"
    copying.copy(source, target, mark="x", expected=MD5)
    assert target.read_bytes() == CONTENT and target.stat().st_mtime_ns == source.stat().st_mtime_ns
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


def test_a_copy_that_is_not_what_was_expected_leaves_the_target_as_it_was(source, tmp_path):
    target = tmp_path / "b.bin"
    target.write_bytes(b"before")
    with pytest.raises(ConflictError, match="not equal"):
        copying.copy(source, target, expected="0" * 32)
    assert target.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "b.bin"]


def test_a_source_that_changes_meanwhile_is_no_copy(source, tmp_path, monkeypatch):
    def copy_while_it_grows(*paths):
        copyfile(*paths)
        with source.open("ab") as file:
            file.write(b"more")

    copyfile = copying.shutil.copyfile
    monkeypatch.setattr(copying.shutil, "copyfile", copy_while_it_grows)
    with pytest.raises(ConflictError):
        copying.copy(source, tmp_path / "b.bin", expected=MD5)
    assert not (tmp_path / "b.bin").exists()
