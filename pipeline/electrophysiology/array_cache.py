"""Arrays that can be made again, kept as memory-mapped files under the home: written once, whole, by one process.

An entry is a folder named by a key that stands for the content it was made from, so that an entry is never wrong, only
unused. The least recently used entries go when all together are larger than the setting `cache_size`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from pipeline.settings import settings

try:
    import fcntl
except ImportError:  # Windows: two processes may then build one entry at once; the first to end counts
    fcntl = None  # type: ignore[assignment]

_COMPLETE = "complete"  # a file that is written last; its time of change says when the entry was last used
_NOTED = 3600.0  # s between two notes that an entry is used
_ABANDONED = 24 * 3600.0  # s after which what a killed process began is thrown away


def arrays(room: str, key: str, build: Callable[[], Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The arrays of an entry, read-only and memory-mapped; built where they are not there yet.

    Parameters
    ----------
    room : kind of entries, a folder of the cache.
    key : stands for everything that the arrays are made from; letters, digits, `-` and `_`.
    build : makes the arrays; called at most once at a time on this computer.

    Raises
    ------
    OSError : the folder cannot be written.
    """
    folder = root() / room / key
    for _ in range(3):  # an entry may be thrown away between a look and the reading
        if (entry := _opened(folder)) is not None:
            return entry
        with _alone(folder):
            if not (folder / _COMPLETE).exists():
                _write(folder, build())
                prune(keep=folder)
    return {name: np.asarray(values) for name, values in build().items()}


def root() -> Path:
    """The folder of the cache."""
    return settings().home / "cache"


def prune(keep: Path | None = None, limit: int | None = None) -> int:
    """Throw away the least recently used entries until the rest is within the limit; returns how many went.

    Parameters
    ----------
    keep : an entry that stays.
    limit : byte; by default the setting `cache_size`.
    """
    limit = int(settings().cache_size * 1e9) if limit is None else limit
    entries, now = [], time.time()
    for folder in root().glob("*/*"):
        with contextlib.suppress(OSError):  # another process throws it away, too
            if folder.name.startswith("."):
                if now - folder.stat().st_mtime > _ABANDONED:
                    shutil.rmtree(folder, ignore_errors=True) if folder.is_dir() else folder.unlink()
            elif (folder / _COMPLETE).exists():
                size = sum(file.stat().st_size for file in folder.iterdir())
                entries.append(((folder / _COMPLETE).stat().st_mtime, size, folder))
    total, gone = sum(size for _, size, _ in entries), 0
    for _, size, folder in sorted(entries, key=lambda entry: entry[0]):
        if total <= limit:
            break
        if folder != keep:
            _throw_away(folder)
            total, gone = total - size, gone + 1
    return gone


def _opened(folder: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a complete entry; None where there is none."""
    try:
        marker = folder / _COMPLETE
        used = marker.stat().st_mtime
        names = marker.read_text(encoding="utf-8").split()
        mapped = {name: _mapped(folder / f"{name}.npy") for name in names}
    except FileNotFoundError:
        return None
    if time.time() - used > _NOTED:
        with contextlib.suppress(OSError):  # belongs to another account, or was thrown away: it is open all the same
            os.utime(marker)
    return mapped


def _mapped(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError:  # an array without values cannot be mapped
        return np.load(path, allow_pickle=False)


def _write(folder: Path, values: Mapping[str, np.ndarray]) -> None:
    """Write an entry beside its place, then move it there in one step."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    beside.mkdir()
    try:
        for name, array in values.items():
            np.save(beside / f"{name}.npy", array, allow_pickle=False)
        (beside / _COMPLETE).write_text(" ".join(values), encoding="utf-8")
        try:
            beside.rename(folder)
        except OSError:
            if not (folder / _COMPLETE).exists():
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _throw_away(folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}")
    with contextlib.suppress(OSError):  # another process was faster
        folder.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time build an entry."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    if fcntl is None:
        yield
        return
    lock = folder.with_name(f".{folder.name}.lock")
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
