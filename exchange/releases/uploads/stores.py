"""Places that hold the files of a release one by one: folders, buckets, other computers. The transfers carry them."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from exchange.releases.uploads.service import Item, Progress
from exchange.transfers.backends import open_backend
from exchange.transfers.protocol import Backend, Job, Place, Unavailable
from one_bridge.light.manifest import INFO, SUMS
from pipeline.errors import ConflictError, NeurojointError

GROUP = 2_000


def place(target: str, manifest_hash: str) -> Place:
    """The place that is meant by a target.

    >>> place("s3://bucket/paper", "").kind, place("me@host:/data", "").kind, place("sftp://me@host:2222/d", "").options
    ('s3', 'ssh', {'port': 2222})
    """
    if target.startswith("s3://"):
        return Place("release", "s3", target)
    token = manifest_hash[:36]  # of the marker file, by which the place is known to hold this release
    if match := re.fullmatch(r"sftp://([^/:]+)(?::(\d+))?(/.*)", target):
        options = {"port": int(match[2])} if match[2] else {}
        return Place("release", "sftp", match[3], match[1], options, token)
    if match := re.fullmatch(r"([\w.-]+@[\w.-]+):(/.*)", target):
        return Place("release", "ssh", match[2], match[1], {}, token)
    return Place("release", "local", str(Path(target).expanduser().absolute()), "", {}, token)


def put(where: Place, items: list[Item], progress: Progress) -> None:
    """Bring a place to hold these files; what is there and right stays. Every file is read back.

    What says that the release is whole goes last.

    Raises
    ------
    ConflictError : another release lies there.
    NeurojointError : files could not be copied; the same call goes on.
    """
    backend = open_backend(where)
    try:
        _mark(backend)
        there = {entry.path: entry.size for entry in backend.list()}
        last = {INFO, SUMS}
        for some in (
            [item for item in items if item.name not in last],
            [item for item in items if item.name in last],
        ):
            for start in range(0, len(some), GROUP):
                _put(backend, some[start : start + GROUP], there, progress)
    finally:
        backend.close()


def _put(backend: Backend, items: list[Item], there: dict[str, int], progress: Progress) -> None:
    by_path = {item.name: item for item in items}
    same = [item.name for item in items if there.get(item.name) == item.size]
    right = set()
    for path, result in backend.read(same, lambda n: None):
        if not isinstance(result, Exception) and result.md5 == by_path[path].md5:
            right.add(path)
            progress(by_path[path].size)
    foreign = [path for path in by_path if path in there and path not in right and path in (INFO,)]
    if foreign:
        raise ConflictError(f"{backend.place.root} holds another release", "choose another place")
    missing = [Job(item.path, item.name, item.size, item.md5) for item in items if item.name not in right]
    failed = {job.path: error for job, error in backend.send(missing, progress) if error is not None}
    sent = [job.path for job in missing if job.path not in failed]
    for path, result in backend.read(sent, lambda n: None):
        if isinstance(result, Exception):
            failed[path] = result
        elif result.md5 != by_path[path].md5:
            failed[path] = NeurojointError("another content arrived")
    if failed:
        path, why = next(iter(failed.items()))
        raise NeurojointError(
            f"{len(failed)} files did not arrive in {backend.place.root}, e.g. {path}: {why}",
            "run the same command again: it goes on",
        )


def _mark(backend: Backend) -> None:
    """Make sure that the place is the one of this release; a new one is marked as such."""
    try:
        backend.check(writing=True)
    except (Unavailable, FileNotFoundError) as error:
        if "another repository" in str(error) or not backend.place.token:
            raise ConflictError(
                f"{backend.place.root} holds something else ({error})", "choose another place"
            ) from None
        backend.mark(backend.place.token)
        backend.check(writing=True)


def md5_of(path: Path) -> str:
    """Hash of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
