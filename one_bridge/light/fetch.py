"""Copy what is asked for out of a release: every file is checked, and the tables name what is there."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from one_bridge.light.manifest import INFO, MANIFEST, SUMS, DamagedRelease, File, Manifest
from one_bridge.light.places import LARGEST_DESCRIPTION, Place, description
from pipeline.alf import parquet
from pipeline.errors import NeurojointError

TABLES = ("sessions.pqt", "datasets.pqt")
Progress = Callable[[int], None]
"""Called with the number of bytes that came since the last call."""


@dataclass
class Fetched:
    """What a call brought.

    Attributes
    ----------
    files : paths that were downloaded.
    size : of these, byte.
    present : how many were there already, and right.
    """

    files: list[str]
    size: int = 0
    present: int = 0


def fetch(
    place: Place, manifest: Manifest, chosen: Sequence[File], folder: Path, progress: Progress = lambda n: None
) -> Fetched:
    """Bring files of a release into a folder that the ONE client can read; those that are there and right stay.

    Parameters
    ----------
    manifest : the manifest of the release.
    chosen : of its files those that are wanted.

    Raises
    ------
    DamagedRelease : a file is not what the manifest says; the others are there.
    NeurojointError : the folder holds another release, or its disk is full.
    """
    _claim(folder, manifest)
    result = Fetched([])
    lock = threading.Lock()

    def one(file: File) -> None:
        if _is(folder / file.path, file.size, file.sha256):
            with lock:
                result.present += 1
            return
        bring(place, file.path, folder / file.path, file.sha256, file.size, progress)
        with lock:
            result.files.append(file.path)
            result.size += file.size

    try:
        with ThreadPoolExecutor(place.threads) as pool:
            futures = [pool.submit(one, file) for file in chosen]
            try:
                for future in as_completed(futures):
                    future.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        for name, sha256 in manifest.others.items():
            if name not in (*TABLES, INFO, MANIFEST) and not _is(folder / name, None, sha256):
                bring(place, name, folder / name, sha256)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise NeurojointError(
            f"the disk of {folder} is full", "free some space and run the same command: it goes on"
        ) from None
    finally:
        if result.files or not (folder / TABLES[0]).exists():
            _write_tables(place, manifest, folder)
    result.files.sort()
    return result


def bring(
    place: Place,
    path: str,
    target: Path,
    sha256: str,
    size: int | None = None,
    progress: Progress = lambda n: None,
) -> None:
    """Copy one file; it gets its name when it is whole and right. What was left of an earlier try is continued.

    Raises
    ------
    DamagedRelease : it is not what was promised.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.part")
    digest, at = hashlib.sha256(), 0
    if partial.exists():
        with partial.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
                at += len(block)
    with partial.open("ab") as file:
        for block in place.chunks(path, at):
            at += len(block)
            if at > (LARGEST_DESCRIPTION if size is None else size):
                break
            file.write(block)
            digest.update(block)
            progress(len(block))
    if (size is not None and at != size) or digest.hexdigest() != sha256:
        partial.unlink()
        raise DamagedRelease(
            f"{path} is not what the release says (size or SHA-256)", "do not use it; tell its authors"
        )
    partial.replace(target)


def _claim(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder with another release in it."""
    import json

    with contextlib.suppress(FileNotFoundError, ValueError):
        there = json.loads((folder / INFO).read_text(encoding="utf-8"))
        if there.get("manifest") != manifest.info["manifest"]:
            raise NeurojointError(f"{folder} holds another release, {there.get('name')}", "choose another folder")
    folder.mkdir(parents=True, exist_ok=True)


def _is(path: Path, size: int | None, sha256: str) -> bool:
    try:
        if size is not None and path.stat().st_size != size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False


def _write_tables(place: Place, manifest: Manifest, folder: Path) -> None:
    """The client's tables with the datasets whose files are in the folder, and what describes the release."""
    present = [file for file in manifest.files if (folder / file.path).is_file()]
    if not present:
        return
    hidden = folder / ".release"
    hidden.mkdir(exist_ok=True)
    for name in (*TABLES, INFO, MANIFEST):
        if name in manifest.others and not _is(hidden / name, None, manifest.others[name]):
            bring(place, name, hidden / name, manifest.others[name])
    if not (hidden / SUMS).exists():
        (hidden / SUMS).write_bytes(description(place, SUMS))
    datasets = parquet.read(hidden / TABLES[1])
    datasets = datasets.filter(pc.is_in(datasets["id"], pa.array([item.dataset for item in present])))
    sessions = parquet.read(hidden / TABLES[0])
    sessions = sessions.filter(pc.is_in(sessions["id"], pa.array(sorted({item.eid for item in present}))))
    for name, table in zip(TABLES, (sessions, datasets), strict=True):
        partial = folder / f".{name}.part"
        pq.write_table(table, partial)
        partial.replace(folder / name)
    for name in (INFO, MANIFEST):
        (folder / f".{name}.part").write_bytes((hidden / name).read_bytes())
        (folder / f".{name}.part").replace(folder / name)
