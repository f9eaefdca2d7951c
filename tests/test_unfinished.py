"""What is not complete yet has no name that somebody could take for it, and is gone at the end, whatever happens."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from pipeline.unfinished import unfinished


@pytest.mark.parametrize("is_folder", [False, True])
def test_only_its_owner_reads_what_is_private(tmp_path, is_folder):
    for private in (False, True):
        with unfinished(tmp_path / "result", is_folder=is_folder, private=private) as path:
            assert (path.stat().st_mode & 0o077 == 0) == private


@pytest.mark.parametrize("is_folder", [False, True])
def test_it_is_gone_if_it_is_not_renamed(tmp_path, is_folder):
    target = tmp_path / "result"
    with unfinished(target, is_folder=is_folder) as path:
        assert path.parent == tmp_path and path.name.startswith(".result.")
        path.rename(target)
    assert target.is_dir() == is_folder and list(tmp_path.iterdir()) == [target]
    with pytest.raises(ValueError, match="not complete"), unfinished(target, is_folder=is_folder) as path:
        if is_folder:
            (path / "part").touch()
        raise ValueError("not complete")
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("is_folder", [False, True])
def test_an_interrupt_at_any_moment_leaves_nothing(tmp_path, is_folder):
    """Ctrl-C wherever Python looks for one: as each function begins, and after each call of compiled code."""

    def write() -> None:
        with unfinished(tmp_path / "result", is_folder=is_folder) as path:
            if is_folder:
                (path / "part").touch()

    def interrupt_at(number: int) -> bool:
        count = 0

        def look(_frame, event, _argument):
            nonlocal count
            if event in ("call", "c_return"):
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGINT)

        sys.setprofile(look)
        try:
            write()
        except KeyboardInterrupt:
            return True
        finally:
            sys.setprofile(None)
        return False

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        number = 1
        while interrupt_at(number):
            assert not list(tmp_path.iterdir()), number
            number += 1
    finally:
        signal.signal(signal.SIGINT, before)
    assert number > 10
