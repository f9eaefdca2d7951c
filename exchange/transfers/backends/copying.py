"""Writes copies on this computer: by the kernel where it can, then to the disk."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from exchange.transfers.backends.reading import CHUNK, SMALL
from exchange.transfers.protocol import Progress
from exchange.transfers.throttle import Throttle


def copy(source: str, target: str, size: int, progress: Progress, throttle: Throttle) -> None:
    """Copy content and time of change. The kernel does it where it can; nothing is synchronised here."""
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o664)
        try:
            if size <= SMALL:
                copied = 0
                while block := os.read(reading, size + 1):  # a much larger buffer would take longer than the copy
                    _write_all(writing, block)
                    copied += len(block)
                    throttle(len(block))
                    if copied == size:
                        break  # whole; what somebody appends meanwhile, the copy's hash tells
                progress(copied)
            else:
                _copy_large(reading, writing, progress, throttle)
            stat = os.fstat(reading)
            os.utime(writing, ns=(stat.st_atime_ns, stat.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _copy_large(reading: int, writing: int, progress: Progress, throttle: Throttle) -> None:
    """Copy block by block; each goes to the disk while the next is copied, and is then forgotten by the kernel."""
    by_kernel = hasattr(os, "copy_file_range")
    while True:
        if by_kernel:
            try:
                count = os.copy_file_range(reading, writing, CHUNK * 4)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                    raise
                by_kernel = False
                continue
        else:
            block = os.read(reading, CHUNK)
            count = len(block)
            _write_all(writing, block)
        if not count:
            return
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(writing, 0, 0, os.POSIX_FADV_DONTNEED)
        progress(count)
        throttle(count)


def _write_all(fd: int, block: bytes) -> None:
    view = memoryview(block)
    while view:
        view = view[os.write(fd, view) :]


def sync_file_system(folder: Path) -> None:
    """Put on the disk what was written to the file system of a folder."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        syncfs = getattr(_libc(), "syncfs", None)
        if syncfs is None:
            os.sync()
        elif syncfs(fd):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(fd)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def sync_folder(folder: Path) -> None:
    """Put on the disk which files a folder has."""
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
