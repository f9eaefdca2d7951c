"""Folders of this computer, also mounted ones: copied by the kernel, written to disk, read back before they count."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from exchange.transfers.backends import copying, marker, reading, streams
from exchange.transfers.backends.marker import MARKER
from exchange.transfers.protocol import Found, Job, Outcome, Place, Progress, Stat, Unavailable, inside
from exchange.transfers.throttle import Throttle
from pipeline.alf import disks
from pipeline.errors import NeurojointError

INCOMING = ".neurojoint-incoming"
"""Folder below the root for files that are not whole yet; registration passes hidden folders by."""
_Any = TypeVar("_Any")
THREADS = 8
"""So many files are copied or read at once: small ones wait for the disk most of the time."""
SHARE_FILES, SHARE_BYTES = 32, 8 << 20
"""A thread takes so much at once: handing over each small file alone would cost as much as copying it."""
GROUP_FILES, GROUP_BYTES = 2_000, 256 << 20
"""So much is written before the file system is told to put it on the disk, once for all."""


class Folder:
    """A folder, on a disk of this computer or mounted."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.root = Path(place.root)
        self._folders: set[str] = set()
        self._readers = reading.Readers()

    def check(self, writing: bool = False) -> None:
        """See `Backend.check`; for writing, the marker file must be there and name this repository."""
        if not disks.is_there(self.root):
            raise Unavailable(
                f"the folder {self.root} of the repository {self.place.name} is not here",
                "mount its disk, then try again",
            )
        try:
            said = (self.root / MARKER).read_text(encoding="utf-8")
        except FileNotFoundError:
            said = ""
        except OSError as error:
            raise Unavailable(f"{self.root} cannot be read ({error.strerror})", "check its disk") from None
        marker.check(self.place, said, writing=writing)
        if not said.strip() and not any(os.scandir(self.root)):
            raise Unavailable(f"the folder {self.root} is empty", "its disk is probably not mounted")

    def local(self, path: str) -> Path:
        """A file below the root, which links do not lead out of.

        Raises
        ------
        NeurojointError : the path leads out of the root.
        """
        return self.root / inside(path)

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """See `Backend.stat`."""
        stats = {}
        for path in paths:
            try:
                stat = os.stat(f"{self.place.root}/{inside(path)}")  # noqa: PTH116 - by the hundred thousand
            except (FileNotFoundError, NotADirectoryError):
                continue
            stats[path] = Stat(path, stat.st_size, stat.st_mtime_ns)
        return stats

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """See `Backend.list`."""
        start = self.root / inside(prefix.rstrip("/")) if prefix else self.root
        for folder, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            for name in sorted(names):
                path = Path(folder, name)
                if not name.startswith(".") and path.is_file():
                    stat = path.stat()
                    yield Stat(path.relative_to(self.root).as_posix(), stat.st_size, stat.st_mtime_ns)

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.send`: whole groups are written, put on the disk with one call, then get their names.

        While one group goes to the disk, the next is copied.
        """
        self.check(writing=True)
        throttle = Throttle(self.place.bandwidth)
        count = _one_at_a_time(progress)

        def copy(some: Sequence[tuple[Job, str]]) -> list[Exception | None]:
            errors: list[Exception | None] = []
            for job, temporary in some:
                try:
                    copying.copy(str(job.local), temporary, job.size, count, throttle)
                    errors.append(None)
                except Exception as error:
                    _remove(temporary)
                    errors.append(error)
            return errors

        def finish(named: list[tuple[Job, str]], errors: list[Exception | None]) -> list[Outcome]:
            pairs = list(zip(named, errors, strict=True))
            outcomes: list[Outcome] = [(job, error) for (job, _), error in pairs if error is not None]
            outcomes += self._rename([one for one, error in pairs if error is None])
            for folder in {name.rpartition("/")[0] for _, name in named}:
                with contextlib.suppress(OSError):
                    Path(folder).rmdir()
            return outcomes

        finishing: Future[list[Outcome]] | None = None
        with ThreadPoolExecutor(1) as finisher, ThreadPoolExecutor(1 if self.place.bandwidth else THREADS) as pool:
            for group in _groups(jobs):
                named, failed = _names(self.root / INCOMING, group)
                yield from failed
                shares = _shares(named, lambda one: one[0].size)
                errors = [error for some in pool.map(copy, shares) for error in some]
                if finishing is not None:
                    yield from finishing.result()
                finishing = finisher.submit(finish, named, errors)  # while the next group is copied
            if finishing is not None:
                yield from finishing.result()

    def adopt(self, job: Job) -> None:
        """Make a file of the folder `incoming` one of the repository."""
        (outcome,) = self._rename([(job, str(job.local))])
        if outcome[1] is not None:
            raise outcome[1]

    def incoming(self) -> Path:
        """A file name below the root, on its file system, for what is to become a copy."""
        folder = self.root / INCOMING
        folder.mkdir(exist_ok=True)
        return folder / uuid.uuid4().hex

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """See `Backend.fetch`."""
        throttle = Throttle(self.place.bandwidth)
        return streams.one_by_one(
            jobs, lambda job: copying.copy(str(self.local(job.path)), str(job.local), job.size, progress, throttle)
        )

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """See `Backend.read`: from the disk, not from what the kernel remembers."""
        good, names = [], []
        for path in paths:
            try:
                names.append(f"{self.place.root}/{inside(path)}")
                good.append(path)
            except NeurojointError as error:
                yield path, error
        yield from zip(good, self._readers.read(names, progress), strict=True)

    def delete(self, paths: Sequence[str]) -> None:
        """See `Backend.delete`."""
        for path in paths:
            self.local(path).unlink(missing_ok=True)

    def mark(self, token: str) -> None:
        """Write the marker file, which says that this is the repository."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / MARKER).write_text(f"{token}\n", encoding="utf-8")

    def close(self) -> None:
        """Give back what files were read with. Files of transfers that were cut off a day ago are removed."""
        self._readers.close()
        incoming = self.root / INCOMING
        if incoming.is_dir():
            for item in os.scandir(incoming):
                with contextlib.suppress(OSError):
                    if time.time() - item.stat().st_mtime <= 86_400:
                        continue
                    if item.is_dir(follow_symlinks=False):
                        shutil.rmtree(item.path)
                    else:
                        Path(item.path).unlink()

    def _rename(self, group: Sequence[tuple[Job, str]]) -> Iterator[Outcome]:
        """Put files on the disk, then give them their names: a folder that is new gets its name as a whole."""
        if not group:
            return
        copying.sync_file_system(self.root / INCOMING)
        by_folder: dict[tuple[str, str], list[tuple[Job, str]]] = {}
        for job, temporary in group:
            key = job.path.rpartition("/")[0], temporary.rpartition("/")[0]
            by_folder.setdefault(key, []).append((job, temporary))
        touched = set()
        for (folder, temporary_folder), some in by_folder.items():
            try:
                whole = self._rename_folder(Path(temporary_folder), folder, len(some))
            except Exception as error:
                for job, temporary in some:
                    _remove(temporary)
                    yield job, error
                continue
            touched.add(folder)
            for job, temporary in some:
                try:
                    if not whole:
                        os.replace(temporary, self.root / job.path)  # noqa: PTH105 - by the hundred thousand
                    yield job, None
                except Exception as error:
                    _remove(temporary)
                    yield job, error
        if len(touched) > 1:
            copying.sync_file_system(self.root)  # once for all folders: each alone would wait for the disk
        else:
            for folder in touched:
                copying.sync_folder(self.root / folder)
                copying.sync_folder((self.root / folder).parent)

    def _rename_folder(self, temporary: Path, folder: str, n_files: int) -> bool:
        """Make a folder of the repository: of that with the new files, where there is none; whether that was so."""
        if folder in self._folders:
            return False
        target = self.root / folder
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = False
        is_ours = temporary.parent == self.root / INCOMING and len(os.listdir(temporary)) == n_files  # noqa: PTH208
        if is_ours and not os.path.lexists(target):
            self._check_inside(target.parent, folder)
            with contextlib.suppress(OSError):  # somebody made it in between
                temporary.rename(target)
                whole = True
        if not whole:
            target.mkdir(exist_ok=True)
            self._check_inside(target, folder)
        self._folders.add(folder)
        return whole

    def _check_inside(self, path: Path, folder: str) -> None:
        if not path.resolve().is_relative_to(self.root.resolve()):
            raise OSError(errno.ELOOP, f"{folder} leads out of {self.root}")


def _names(incoming: Path, group: Sequence[Job]) -> tuple[list[tuple[Job, str]], list[Outcome]]:
    """Jobs with a file name for each, in a new folder for each folder of the repository; and the jobs that get none.

    Files of one folder in one folder: it can be renamed as a whole, and threads do not wait for one another.
    """
    incoming.mkdir(exist_ok=True)
    folders: dict[tuple[str, int], str] = {}
    turns: Counter[str] = Counter()
    named: list[tuple[Job, str]] = []
    errors: list[Outcome] = []
    for job in group:
        try:
            place, _, name = inside(job.path).rpartition("/")
        except NeurojointError as error:
            errors.append((job, error))
            continue
        key = place, turns[job.path]
        turns[job.path] += 1
        if key not in folders:
            folders[key] = f"{incoming}/{uuid.uuid4().hex}"
            os.mkdir(folders[key])  # noqa: PTH102 - by the hundred thousand
        named.append((job, f"{folders[key]}/{name}"))
    return named, errors


def _groups(jobs: Iterable[Job]) -> Iterator[list[Job]]:
    group: list[Job] = []
    n_bytes = 0
    for job in jobs:
        group.append(job)
        n_bytes += job.size
        if len(group) >= GROUP_FILES or n_bytes >= GROUP_BYTES:
            yield group
            group, n_bytes = [], 0
    if group:
        yield group


def _shares(group: Sequence[_Any], size_of: Callable[[_Any], int]) -> Iterator[list[_Any]]:
    """A group in parts for threads, in its order; a large file is one alone."""
    share: list[_Any] = []
    n_bytes = 0
    for member in group:
        share.append(member)
        n_bytes += size_of(member)
        if len(share) >= SHARE_FILES or n_bytes >= SHARE_BYTES:
            yield share
            share, n_bytes = [], 0
    if share:
        yield share


def _one_at_a_time(progress: Progress) -> Progress:
    """The same for several threads."""
    lock = threading.Lock()

    def count(n_bytes: int) -> None:
        with lock:
            progress(n_bytes)

    return count


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        Path(path).unlink()
