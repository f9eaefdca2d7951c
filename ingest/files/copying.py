"""Copies of files that survive a crash: written under another name, forced to the disk, then put into their place."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from pathlib import Path

from cbin import disk

from pipeline.errors import ConflictError


def hash_of(path: Path, kind: str = "md5") -> str:
    """The hash of the content of a file: md5, as registrations keep it, or another of `hashlib`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(kind, usedforsecurity=False)).hexdigest()


def copy(source: Path, target: Path, mark: str = "", expected: str = "", kind: str = "md5") -> None:
    """Copy a file with its times, so that the target is whole or not there, also after the power was cut.

    Parameters
    ----------
    mark : tells the unfinished copies of several programs apart.
    expected : hash that the copy must have when it is read back from the disk; without one it is not read back.
    kind : of that hash.

    Raises
    ------
    ConflictError : the copy is not what was expected, or the source changed meanwhile; the target stays as it was.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}{f'.{mark}' if mark else ''}.part")
    before = source.stat()
    try:
        shutil.copyfile(source, part)
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        shutil.copystat(source, part)
        if expected:
            with contextlib.suppress(OSError, AttributeError), part.open("rb") as file:  # it is read back from the disk
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            after = source.stat()
            is_same = (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
            if not is_same or hash_of(part, kind) != expected:
                raise ConflictError(f"the copy of {source.name} is not equal to it", "copy it again when it rests")
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    disk.sync_folder(target.parent)
