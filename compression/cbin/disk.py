"""Files that are never half there: whole reads and writes, flushing, locking, and publishing under the final name."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .errors import Busy, DiskFull, MissingFile, TruncatedFile

try:
    import fcntl
except ImportError:  # Windows: no advisory locks
    fcntl = None  # type: ignore[assignment]

PART = ".part"
"""Ending of files that are not finished; they lie in the folder of the file they become."""

_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def open_to_read(path: Path) -> int:
    """A read-only file descriptor.

    Raises
    ------
    MissingFile
        There is no such file.
    """
    try:
        return os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise MissingFile("there is no such file.", file=path) from None


def read_into(fd: int, buffer: np.ndarray, offset: int, path: Path, chunk: int | None = None) -> None:
    """Fill a contiguous array with the file's bytes from `offset` on, without moving the file's position.

    Raises
    ------
    TruncatedFile
        The file ends first.
    """
    view = memoryview(buffer).cast("B") if buffer.size else memoryview(b"")
    done = 0
    while done < len(view):
        got = os.preadv(fd, [view[done:]], offset + done)
        if got == 0:
            raise TruncatedFile(
                f"the file ends at byte {offset + done}, {len(view) - done} bytes too early.",
                file=path,
                chunk=chunk,
                remedy="It was cut while it was being read, or the disk fails: fetch or restore it.",
            )
        done += got


def write_at(fd: int, data: Any, offset: int) -> None:
    """Write all of `data` (anything with a buffer) at `offset`."""
    view = memoryview(data).cast("B") if len(data) else memoryview(b"")
    while len(view):
        wrote = os.pwrite(fd, view, offset)
        view = view[wrote:]
        offset += wrote


@contextlib.contextmanager
def disk_full_named(path: Path, remedy: str) -> Iterator[None]:
    """Turn the system's "no space left" into `DiskFull` with the file's name."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        raise DiskFull(f"no room left on the disk ({error.strerror}).", file=path, remedy=remedy) from error


def sync_folder(folder: Path) -> None:
    """Make renames and deletions in a folder survive a power cut, where the system can."""
    with contextlib.suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def write_whole(path: Path, data: bytes) -> None:
    """Put `data` under `path` in one step: whoever opens `path` finds the old contents or the new, never a mixture."""
    part = path.with_name(path.name + PART)
    with disk_full_named(path, "Free some space and run again."):
        fd = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            write_at(fd, data, 0)
            os.fsync(fd)
        finally:
            os.close(fd)
    part.replace(path)
    sync_folder(path.parent)


def publish(part: Path, out: Path, header: bytes, meta_out: Path) -> None:
    """Give a finished .cbin and its .ch their names, such that a reader never finds two that do not belong together.

    The .ch comes first and the .cbin last, so a .cbin is complete as soon as it can be seen. An earlier pair under
    the same names loses its .cbin first. `part` must have been flushed to the disk.
    """
    if out.exists():
        out.unlink()
        sync_folder(out.parent)
    write_whole(meta_out, header)
    part.replace(out)
    sync_folder(out.parent)


@contextlib.contextmanager
def locked(fd: int, path: Path) -> Iterator[None]:
    """Hold a file for this process.

    Raises
    ------
    Busy
        Another process holds it.
    """
    if fcntl is not None:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.EAGAIN):
                raise
            raise _busy(path) from None
    try:
        same = path.stat().st_ino == os.fstat(fd).st_ino
    except FileNotFoundError:
        same = False
    if not same:  # its last holder finished and deleted it after it had been opened here
        raise _busy(path)
    yield


def forget_cached(fd: int) -> None:
    """Ask the system to drop its copy of a file in memory, so that the next read comes from the disk."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def _busy(path: Path) -> Busy:
    return Busy("another process is writing this file.", file=path, remedy="Wait until it has ended, or end it.")
