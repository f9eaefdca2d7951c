"""Where the files of datasets lie on this computer, and whether they are still what was registered."""

from __future__ import annotations

import hashlib
import logging
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import datajoint as dj
import pyarrow as pa
import pyarrow.compute as pc

from one_bridge.matching import by_ids
from one_bridge.terms import online
from pipeline.alf import disks
from pipeline.database.bulk import fetch_columns
from pipeline.schemas import data
from pipeline.schemas.inputs import remote_files

logger = logging.getLogger(__name__)

_hashes: dict[tuple[Path, int, int], str] = {}
"""What this process has read: path, size (byte), time of change (ns) -> md5."""


class Copy(NamedTuple):
    """A copy of a dataset on this computer, as it was when it was registered."""

    root: Path
    place: str
    size: int  # byte
    modified_ns: int  # ns since 1970
    md5: str

    @property
    def path(self) -> Path:
        """Where it lies; made when it is asked for, since of hundreds of thousands of copies that takes seconds."""
        return Path(self.place)


def local_roots() -> dict[str, Path]:
    """The folders of the repositories that this computer has: name -> folder."""
    rows = (data.Repository() & {"repository_kind": "local"}).to_dicts(order_by="repository")
    roots = {row["repository"]: Path(row["repository_root"]) for row in rows}
    return {name: root for name, root in roots.items() if disks.is_there(root)}


def locate(dataset_ids: Iterable[object], elsewhere: Path | None = None) -> dict[str, Copy]:
    """The copies of datasets that are online here; those that are not have no entry.

    Parameters
    ----------
    elsewhere : a folder that mirrors the repositories; it is looked in first.
    """
    records = online() & by_ids("dataset_id", dataset_ids)
    columns = ("dataset_id", "repository", "file_path", "record_size", "modified_ns", "record_hash")
    return _there(fetch_columns(records, *columns, order_by="dataset_id, repository"), elsewhere)


def fetch(dataset_ids: Iterable[object]) -> dict[str, Copy]:
    """Copies of datasets that are online elsewhere, brought into the cache of this computer from the nearest place."""
    records = online() & by_ids("dataset_id", dataset_ids)
    columns = ("dataset_id", "repository", "file_path", "record_size", "record_hash")
    rows = fetch_columns(records * data.Dataset.proj("dataset_hash"), *columns, "dataset_hash").to_pylist()
    copies = {}
    for dataset_id, path in remote_files.fetch(
        row for row in rows if row["record_hash"] == row["dataset_hash"]
    ).items():
        there, md5 = path.stat(), path.relative_to(remote_files.cache_root()).parts[1]
        copies[dataset_id] = Copy(remote_files.cache_root(), str(path), there.st_size, there.st_mtime_ns, md5)
    return copies


def locate_aggregates(aggregate_ids: Iterable[object], elsewhere: Path | None = None) -> dict[str, Copy]:
    """The same of files over many sessions."""
    rows = data.Aggregate() & by_ids("aggregate_id", aggregate_ids)
    columns = ("aggregate_id", "repository", "aggregate_path", "aggregate_size", "aggregate_modified_ns",
               "aggregate_hash")  # fmt: skip
    return _there(fetch_columns(rows, *columns), elsewhere)


def places(records: dj.expression.QueryExpression) -> dict[str, str]:
    """Where copies lie on this computer, of hundreds of thousands: dataset -> path; those that are elsewhere lack.

    Parameters
    ----------
    records : data.FileRecord, restricted.
    """
    rows = fetch_columns(records, "dataset_id", "repository", "file_path").sort_by("repository")
    identifiers = rows["dataset_id"].to_pylist()
    return {identifiers[at]: place for at, _, place in _found(rows, identifiers, None)}


def _there(rows: pa.Table, elsewhere: Path | None) -> dict[str, Copy]:
    """Of identifier, repository, path, size, time of change and md5 the first that is a file below its root."""
    identifiers = rows.column(0).to_pylist()
    sizes, times, hashes = (rows.column(at).to_pylist() for at in (3, 4, 5))
    return {
        identifiers[at]: Copy(root, place, sizes[at], times[at], hashes[at].strip())
        for at, root, place in _found(rows, identifiers, elsewhere)
    }


def _found(rows: pa.Table, identifiers: list[str], elsewhere: Path | None) -> Iterator[tuple[int, Path, str]]:
    """Row, root and path of the first copy of each identifier that is a file below its root."""
    roots = local_roots()
    candidates = {
        repository: [(root, str(root)) for root in (elsewhere, roots.get(repository)) if root is not None]
        for repository in pc.unique(rows["repository"]).to_pylist()
    }
    is_inside, done = _Inside(), set()
    repositories, paths = rows["repository"].to_pylist(), rows.column(2).to_pylist()
    for at, (repository, path) in enumerate(zip(repositories, paths, strict=True)):
        if identifiers[at] in done:
            continue
        for root, name in candidates[repository]:
            if is_inside(root, path):
                done.add(identifiers[at])
                yield at, root, f"{name}/{path}"
                break


class _Inside:
    """Whether a path below a root is a file, and no link leads out of the root; each folder is looked at once.

    A folder of which a second file is asked for is listed, which takes less than looking at each of its files.
    """

    def __init__(self) -> None:
        self._folders: dict[str, bool] = {}
        self._roots: dict[Path, tuple[str, Path]] = {}
        self._files: dict[str, set[str]] = {}

    def __call__(self, root: Path, path: str) -> bool:
        if root not in self._roots:
            self._roots[root] = str(root), root.resolve()
        name, resolved = self._roots[root]
        whole = f"{name}/{path}"
        folder, _, file = whole.rpartition("/")
        try:
            if not self._is_plain_file(whole, folder, file):
                return Path(whole).is_file() and Path(whole).resolve().is_relative_to(resolved)
            inside = self._folders.get(folder)
            return self._is_inside(folder, name, resolved) if inside is None else inside
        except (OSError, ValueError):
            return False

    def _is_plain_file(self, whole: str, folder: str, file: str) -> bool:
        files = self._files.get(folder)
        if files is None:
            self._files[folder] = set()
            return stat.S_ISREG(os.lstat(whole).st_mode)  # noqa: PTH116 - by the hundred thousand
        if not files:
            with os.scandir(folder) as entries:
                files |= {entry.name for entry in entries if entry.is_file(follow_symlinks=False)}
        return file in files

    def _is_inside(self, folder: str, name: str, resolved: Path) -> bool:
        """Of a folder below the root `name`: its last part is no link and the folder above inside; else resolved."""
        if folder == name:
            return True
        if folder not in self._folders:
            above, _, last = folder.rpartition("/")
            mode = os.lstat(folder).st_mode  # noqa: PTH116
            is_plain = stat.S_ISDIR(mode) and last not in ("", ".", "..") and len(above) >= len(name)
            self._folders[folder] = (
                self._is_inside(above, name, resolved) if is_plain else Path(folder).resolve().is_relative_to(resolved)
            )
        return self._folders[folder]


def changed(copy: Copy, size: int, md5: str, check_hash: bool = True) -> str:
    """What differs between a copy and its dataset, `file size` or `md5`; empty where nothing does.

    A file that has the size and time of change that were registered is not read again; any other is read once.
    """
    there = copy.path.stat()
    if size and there.st_size != size:
        return "file size"
    if not check_hash or not md5:
        return ""
    unchanged = (there.st_size, there.st_mtime_ns) == (copy.size, copy.modified_ns)
    now = copy.md5 if unchanged and copy.md5 else _md5(copy.path, there.st_size, there.st_mtime_ns)
    return "" if now == md5 else "md5"


def session_folder(session: dj.Table, roots: Iterable[Path]) -> Path | None:
    """The folder of a session by the path of one of its files, for trees that are not lab/Subjects/subject/date/NNN."""
    copies = (data.Dataset() & session.proj()).proj("rel_path") * online().proj("file_path")
    rows = copies.to_dicts(limit=1)
    if not rows or not rows[0]["file_path"].endswith(rows[0]["rel_path"]):
        return None
    folder = rows[0]["file_path"][: -len(rows[0]["rel_path"])].rstrip("/")
    return next((root / folder for root in roots if (root / folder).is_dir()), None)


def _md5(path: Path, size: int, modified_ns: int) -> str:
    known = _hashes.get((path, size, modified_ns))
    if known is None:
        with path.open("rb") as file:
            known = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        _hashes[path, size, modified_ns] = known
    return known
