"""An AVI file that is not whole is told by its structure, before its raw frames may go."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ingest.programs.avi import Avi, inspect


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def avi(n_frames: int = 3, stated: int | None = None, *, index: bool = True, parts: int = 1) -> bytes:
    """A file of `parts` RIFF parts with `n_frames` frames of odd and even sizes in each, one of them in a record."""
    header = struct.pack("<14I", 0, 0, 0, 0, n_frames * parts if stated is None else stated, *[0] * 9)
    frames = [chunk(b"00dc", b"x" * (5 + number)) for number in range(n_frames)] + [chunk(b"01wb", b"sound")]
    grouped = chunk(b"LIST", b"rec " + frames[0]) + b"".join(frames[1:])
    movie = chunk(b"LIST", b"movi" + grouped)
    first = b"AVI " + chunk(b"LIST", b"hdrl" + chunk(b"avih", header)) + movie + (chunk(b"idx1", b"i" * 16) * index)
    return chunk(b"RIFF", first) + chunk(b"RIFF", b"AVIX" + movie) * (parts - 1)


@pytest.fixture
def write(tmp_path: Path):
    def write(content: bytes) -> Avi:
        (tmp_path / "a.avi").write_bytes(content)
        return inspect(tmp_path / "a.avi")

    return write


def test_whole_files(write):
    assert write(avi()) == Avi(3, 3)
    assert write(avi(parts=3)) == Avi(9, 9)
    assert write(avi(index=False)) == Avi(3, 3), "a header that states the frames is enough"


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_file_that_was_cut_off_says_so(write, share):
    content = avi(20)
    assert write(content[: int(len(content) * share)]).problem


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"no video, but long enough", "no AVI file"),
        (avi(0, 0), "holds no frames"),
        (avi(2, 0, index=False), "has no index"),
        (avi() + b"what follows the file", "no part of it"),
    ],
)
def test_what_is_wrong_is_said(write, content, words):
    assert words in write(content).problem
