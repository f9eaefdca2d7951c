"""What a backend is: the few things that the transfers ask of a place that holds files.

A new backend is one module in `exchange.transfers.backends` and one line in its table.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipeline.errors import NeurojointError

Progress = Callable[[int], None]
"""Called with the number of bytes that went over since the last call."""


class Unavailable(NeurojointError):
    """A repository that cannot be reached or is not mounted: nothing is known of its files, so nothing is concluded."""


def as_fault_of_place(error: Exception | None, name: str) -> Unavailable | None:
    """An error that is no fault of the file: the repository cannot be reached, or takes nothing more; else None."""
    if isinstance(error, Unavailable):
        return error
    remedy = _PLACE_FAULTS.get(error.errno or 0) if isinstance(error, OSError) else None
    if remedy is None:
        return None
    return Unavailable(f"{name} cannot be written ({error})"[:900], f"{remedy}, then `neurojoint transfer run`")


_PLACE_FAULTS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room, or let the quota of this account be raised",
    errno.EROFS: "mount it so that it can be written, and look at its disk: a system mounts a broken one read-only",
    errno.EIO: "look at its disk (`dmesg`)",
    errno.ESTALE: "mount it again",
}


class CannotDo(NeurojointError):
    """What a kind of repository does not offer, e.g. writing over HTTP."""


@dataclass(frozen=True)
class Place:
    """A repository as a backend needs it.

    Attributes
    ----------
    root : folder, address or bucket, see docs/transfers.md.
    host : computer, `user@host`, or collection of Globus.
    options : of the kind; never a secret.
    token : what the marker file below the root says; empty: there is no marker.
    bandwidth : of a transfer, 10^6 byte per s; 0 for no limit.
    """

    name: str
    kind: str
    root: str
    host: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    token: str = ""
    bandwidth: float = 0.0


@dataclass(frozen=True)
class Stat:
    """A file as a repository lists it: its path below the root, size (byte) and time of change (ns since 1970)."""

    path: str
    size: int
    modified_ns: int = 0


@dataclass(frozen=True)
class Found:
    """What somebody found who read a whole file in the repository.

    Attributes
    ----------
    md5 : of the content
    size : byte
    modified_ns : time of change, ns since 1970; 0 where the place does not keep one
    how : by what means it was read
    """

    md5: str
    size: int
    modified_ns: int = 0
    how: str = "read back"


@dataclass(frozen=True)
class Job:
    """One file to carry: where it is on this computer and where it goes, or the other way round.

    Attributes
    ----------
    local : file on this computer
    path : below the root of the repository
    size, md5 : that it must have
    """

    local: Path
    path: str
    size: int
    md5: str


Outcome = tuple[Job, Exception | None]


class Backend(Protocol):
    """A repository that can be read, and mostly written. Paths are below its root, with `/`.

    `send` and `fetch` are generators: they yield each job when it is done or has failed, in any order, so that a caller
    can count and show it. A failure of the whole (a lost connection) fails the jobs that were not done yet.
    """

    place: Place

    def check(self, writing: bool = False) -> None:
        """Raise `Unavailable` unless the repository can be reached and is the one it is taken for."""

    def mark(self, token: str) -> None:
        """Write the marker file by which `check` knows the repository."""

    def stat(self, paths: Sequence[str]) -> dict[str, Stat]:
        """Of those paths that are files, size and time."""

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All files below a folder, in no order; what transfers leave behind when they are cut off is left out."""

    def send(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """Copy files of this computer into the repository; a name appears only with the whole content behind it."""

    def fetch(self, jobs: Iterable[Job], progress: Progress) -> Iterator[Outcome]:
        """Copy files of the repository to this computer; `local` is overwritten."""

    def read(self, paths: Sequence[str], progress: Progress) -> Iterator[tuple[str, Found | Exception]]:
        """Read files where they are, and say what was found. Never from memory of what was sent."""

    def delete(self, paths: Sequence[str]) -> None:
        """Remove files; those that are not there are passed over."""

    def close(self) -> None:
        """Give back connections."""


@dataclass(frozen=True)
class Task:
    """What a service says of a batch that it carries.

    Attributes
    ----------
    state : `active`, `paused`, `succeeded`, `failed` or `lost`
    arrived : paths at the destination, in the collection, of which the service says that they are there
    problems : source path in its collection -> what went wrong with it
    message : about the whole
    """

    state: str
    arrived: frozenset[str] = frozenset()
    problems: Mapping[str, str] = field(default_factory=dict)
    message: str = ""
    bytes_done: int = 0


class Service(Protocol):
    """A third party that carries batches between two of its repositories, while nobody here waits (Globus)."""

    def reserve(self) -> str:
        """An identifier of a submission; the same one never starts two tasks. Store it before `submit`."""

    def submit(
        self,
        submission: str,
        source: tuple[str, str],
        destination: tuple[str, str],
        jobs: Sequence[ServiceJob],
        label: str,
    ) -> str:
        """Hand over a batch between two collections (identifier, path); returns the identifier of the task."""

    def poll(self, task: str) -> Task:
        """How far a task is, with what became of each file, in few requests however many files it has."""

    def cancel(self, task: str) -> None:
        """Stop a task."""


@dataclass(frozen=True)
class ServiceJob:
    """One file that a service carries: paths below both roots, size (byte) and md5 that it must have."""

    source_path: str
    destination_path: str
    size: int
    md5: str


class NameTaken(NeurojointError):
    """A file that is not ours lies where a copy should go."""


class Rejected(NeurojointError):
    """A copy whose content is not what was registered."""


class TaskRejected(NeurojointError):
    """A task that a service does not take, and would not if it were asked again."""


class SourceChanged(NeurojointError):
    """A source file that is no longer what was registered."""


def inside(path: str) -> str:
    """A path below a root, as the tables hold it.

    Raises
    ------
    NeurojointError : it is absolute or leads out of the root.

    >>> inside("lab/Subjects/m1/2020-01-01/001/alf/#2020#/a b.npy")
    'lab/Subjects/m1/2020-01-01/001/alf/#2020#/a b.npy'
    >>> inside("lab/../../etc/passwd")
    Traceback (most recent call last):
    pipeline.errors.NeurojointError: the path 'lab/../../etc/passwd' leads out of its repository: correct its record
    """
    parts = path.split("/")
    if not path or path.startswith("/") or "\0" in path or "\n" in path or {"", ".", ".."} & set(parts):
        raise NeurojointError(f"the path {path!r} leads out of its repository", "correct its record")
    return path
