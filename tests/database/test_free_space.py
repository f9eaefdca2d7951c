"""A disk that is full is said before anything is written."""

from __future__ import annotations

from collections import namedtuple

import pytest

from pipeline.database import embedded, free_space
from pipeline.errors import OperatorError

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def full(monkeypatch):
    monkeypatch.setattr(free_space.shutil, "disk_usage", lambda path: Usage(10**9, 10**9, 5_000_000))


def test_the_words_say_where_and_how_much(tmp_path, full):
    with pytest.raises(OperatorError, match=r"no space left \(5 MB free, 105 MB needed\)"):
        free_space.check(tmp_path / "not" / "there")


def test_the_embedded_database_does_not_begin_on_a_full_disk(tmp_path, full):
    with pytest.raises(OperatorError, match="no space left"):
        embedded.start(tmp_path / "home")
    assert not (tmp_path / "home" / "postgres").exists()
