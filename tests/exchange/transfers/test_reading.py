"""Files are read back from the disk, many at once, with the same result as one by one."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from exchange.transfers.backends import reading
from exchange.transfers.protocol import Found

SIZES = [0, 1, 800, 4095, 4096, 4097, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 << 20, *[700] * 300]


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    paths = []
    for number, size in enumerate(SIZES):
        path = tmp_path / f"{number:03d}.npy"
        path.write_bytes(number.to_bytes(2, "little") * (size // 2) + b"x" * (size % 2))
        paths.append(str(path))
    return paths


def assert_found(result: list, paths: list[str]) -> None:
    for path, one in zip(paths, result, strict=True):
        content = Path(path).read_bytes()
        stat = Path(path).stat()
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert one == Found(digest, len(content), stat.st_mtime_ns), path


def read(paths: list[str], progress=lambda n: None) -> list:
    with contextlib.closing(reading.Readers()) as readers:
        return [*readers.read(paths, progress)]


def no_queue() -> None:
    return None


@pytest.mark.slow
@pytest.mark.parametrize("how", ["together", "no queue", "no direct reads", "one block of memory", "half taken"])
def test_files_of_all_sizes_are_found_as_they_are(files, monkeypatch, how):
    if how == "no queue":
        monkeypatch.setattr(reading._Queue, "open", no_queue)
    elif how == "no direct reads":
        open_file = os.open

        def refuse(path, flags, *args):
            if flags & os.O_DIRECT:
                raise OSError(errno.EINVAL, "Invalid argument")
            return open_file(path, flags, *args)

        monkeypatch.setattr(reading.os, "open", refuse)
    elif how == "one block of memory":
        monkeypatch.setattr(reading, "ARENA", reading.SMALL + reading.BLOCK)
    elif how == "half taken":  # the kernel refuses a file of the list, and what comes after it
        take = reading._Queue.read

        def some(self, descriptors, *args):
            return [size if number % 3 else -1 for number, size in enumerate(take(self, descriptors, *args))]

        monkeypatch.setattr(reading._Queue, "read", some)
    moved: list[int] = []
    assert_found(read(files, moved.append), files)
    assert sum(moved) == sum(SIZES)


def test_what_cannot_be_read_costs_nothing_else(files, tmp_path):
    (tmp_path / "folder").mkdir()
    wanted = [str(tmp_path / "missing.npy"), files[2], str(tmp_path / "folder"), files[9]]
    (
        missing,
        *_,
    ) = result = read(wanted)
    assert isinstance(missing, FileNotFoundError) and isinstance(result[2], OSError)
    assert_found([result[1], result[3]], [files[2], files[9]])


@pytest.mark.parametrize("size", [800, 3 << 20])
def test_a_file_that_grows_while_it_is_read_is_not_believed(tmp_path, monkeypatch, size):
    path = tmp_path / "a.npy"
    path.write_bytes(b"1" * size)
    stat, main = os.fstat, threading.get_ident()

    def grow(fd):
        before = stat(fd)
        if threading.get_ident() != main:
            with path.open("ab") as file:
                file.write(b"2")
        return before

    monkeypatch.setattr(reading.os, "fstat", grow)
    (result,) = read([str(path)])
    assert isinstance(result, OSError) and result.errno == errno.EBUSY


@pytest.mark.skipif(not hasattr(os, "RWF_NOWAIT"), reason="only Linux tells what it remembers of a file")
def test_small_files_come_from_the_disk_and_not_from_memory(files):
    reader = reading.Reader()
    paths = files[2:6]
    try:
        if reader._queue is None:
            pytest.skip("this kernel has no queue of reads")
        for path in paths:
            fd = os.open(path, os.O_RDONLY)
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(fd)
        result = reader.read(paths, lambda n: None)
    finally:
        reader.close()
    for path in paths:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.preadv(fd, [bytearray(1)], 0, os.RWF_NOWAIT)
        except BlockingIOError:
            pass  # nothing of it is in memory: what was found came from the disk
        except OSError as error:
            pytest.skip(f"this file system does not tell ({error})")
        else:
            raise AssertionError(f"{path} is in memory")
        finally:
            os.close(fd)
    assert_found(result, paths)
