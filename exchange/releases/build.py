"""From a frozen release to a folder that the ONE client loads, and zips of it: the same to the byte each time."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import os
import tempfile
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from exchange.releases import frozen, texts
from exchange.releases.frozen import Release
from exchange.releases.stored_zip import StoredZip
from one_bridge import cache, frames
from one_bridge.light import manifest
from one_bridge.light.manifest import INFO, MANIFEST, SUMS
from pipeline.database.bulk import fetch_columns
from pipeline.errors import ConflictError, NeurojointError
from pipeline.schemas import publication

SMALL = 1 << 20  # byte; larger files go into a zip in pieces
SHARE_FILES, SHARE_BYTES = 200, 4 << 20
"""So much a thread reads ahead of small files at once."""
FEW, MANY, SLOW_S = 1, 8, 5e-4
"""So many more shares are read ahead; the larger number where a file takes longer than that, as on network storage. On
a fast disk more threads would wait for each other."""
Progress = Callable[[int], None]
"""Called with the number of bytes written since the last call."""


@dataclass
class Built:
    """What was written.

    Attributes
    ----------
    folder : of the release; None where only zips were asked for.
    zips : in order.
    """

    folder: Path | None = None
    zips: list[Path] = field(default_factory=list)


def build(
    release: Release,
    out: Path,
    *,
    folder: bool = True,
    zips: bool = True,
    zip_size: int = 20 * 10**9,
    progress: Progress = lambda n: None,
) -> Built:
    """Write folder and zips of a release below `out`; what is there and right stays, the rest appears when it is whole.

    Parameters
    ----------
    zip_size : byte; a larger release goes into several zips, of which each holds whole sessions where they fit.

    Raises
    ------
    ConflictError : a file is no longer what was frozen.
    NeurojointError : a file is not here, or the disk is full; what was written before it is no release.
    """
    files = release.files()
    parts = _parts(files, zip_size)
    others = descriptions(release, files, parts=len(parts))
    paths = release.local_paths(files)
    missing = [file for file in files if file.dataset not in paths]
    if missing:
        raise NeurojointError(
            f"{len(missing)} files are not here, e.g. {missing[0].path}", "mount their disk, or `neurojoint retrieve`"
        )
    out.mkdir(parents=True, exist_ok=True)
    built = Built()
    try:
        if folder:
            built.folder = _write_folder(out / release.name, files, others, paths, progress)
        if zips:
            built.zips = _write_zips(out, release, parts, others, paths, progress)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise NeurojointError(f"the disk of {out} is full", "free some space, then run the same command") from None
    return built


def descriptions(release: Release, files: Sequence[manifest.File], parts: int = 1) -> dict[str, bytes]:
    """The files of a release that are no datasets: path -> content, the same each time.

    Parameters
    ----------
    parts : into how many zips the release goes.
    """
    table = manifest.dump(files)
    row = release.row
    if hashlib.sha256(table).hexdigest() != row["manifest_hash"]:
        raise ConflictError(
            f"the rows of the release {release.name} are not those that were frozen", "restore a backup"
        )
    info = {
        "format": manifest.FORMAT,
        "name": row["release"],
        "version": row["release_version"],
        "title": row["release_title"],
        "created": f"{row['release_frozen']:%Y-%m-%dT%H:%M:%SZ}",
        "license": row["release_license"],
        "authors": row["release_authors"],
        "previous_version": row["previous_version"],
        "policy": row["release_policy"],
        "manifest": {
            "sha256": row["manifest_hash"],
            "files": row["release_files"],
            "bytes": row["release_bytes"],
        },
    }
    previous = publication.Release & {"release": row["release"], "release_version": row["previous_version"] or 0}
    doi = (previous.to_dicts() or [{"release_doi": ""}])[0]["release_doi"]
    contents = {
        INFO: (json.dumps(info, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode(),
        MANIFEST: table,
        "README.md": texts.readme(row, parts).encode(),
        "LICENSE": texts.license_text(row).encode(),
        "CITATION.cff": texts.citation(row).encode(),
        "datacite.json": texts.datacite(row, doi).encode(),
        **_tables(release),
    }
    sums = [(file.path, file.sha256) for file in files]
    sums += [(name, hashlib.sha256(content).hexdigest()) for name, content in contents.items()]
    contents[SUMS] = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums)).encode()
    return contents


def _tables(release: Release) -> dict[str, bytes]:
    """The client's tables, with the identifiers of the database."""
    sessions = fetch_columns(publication.Release.Session & release.key, order_by="release_eid")
    files = fetch_columns(publication.Release.File & release.key, order_by="release_file_eid, release_dataset")
    frozen_at = f"{release.row['release_frozen']:%Y-%m-%d %H:%M}"
    marks = {"date_created": frozen_at, "origin": cache.ORIGIN, "min_api_version": cache.OLDEST_CLIENT}
    rows = {
        "sessions": pa.table(
            {
                "eid": sessions["release_eid"],
                "lab": sessions["release_lab"],
                "subject": sessions["release_subject"],
                "date": sessions["release_date"],
                "number": sessions["release_number"],
                "task_protocol": _text(sessions["release_protocol"]),
                "projects": _text(sessions["release_projects"]),
            }
        ),
        "datasets": pa.table(
            {
                "eid": files["release_file_eid"],
                "id": files["release_dataset"],
                "rel_path": files["release_rel_path"],
                "file_size": files["release_size"].cast(pa.uint64()),
                "hash": files["release_md5"],
                "exists": pa.array([True] * files.num_rows, pa.bool_()),
                "qc": files["release_qc"],
                "default_revision": files["release_default"].cast(pa.bool_()),
            }
        ),
    }
    tables = {}
    for name, table in rows.items():
        sink = pa.BufferOutputStream()
        pq.write_table(frames.table(name, table, marks), sink)
        tables[f"{name}.pqt"] = sink.getvalue().to_pybytes()
    return tables


def _text(column: pa.ChunkedArray) -> pa.Array:
    return pa.array([row or "" for row in column.to_pylist()], pa.string())


def _write_folder(
    folder: Path, files: Sequence[manifest.File], others: dict[str, bytes], paths: dict[str, str], progress: Progress
) -> Path:
    """The folder; `SHA256SUMS` comes last, so that a folder that has it is whole."""
    sums = folder / SUMS
    if sums.exists() and sums.read_bytes() != others[SUMS]:
        raise ConflictError(f"{folder} holds another release", "choose another folder, or remove that one")
    for item in files:
        target = folder / item.path
        if target.exists() and target.stat().st_size == item.size:
            digest, _ = frozen.digest_of(target)
            if digest.sha256 == item.sha256:
                progress(item.size)
                continue
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.name}.part")
        try:
            with partial.open("wb", buffering=0) as file:
                _copy(item, paths[item.dataset], file.write, progress)
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    for name, content in others.items():
        if name != SUMS:
            (folder / name).write_bytes(content)
    sums.write_bytes(others[SUMS])
    return folder


def _copy(one: manifest.File, source: str, write: Callable[[bytes], Any], progress: Progress) -> None:
    """Copy what the release holds of a file; it must be what was frozen."""
    digest = hashlib.sha256()
    for block in frozen.content(source):
        digest.update(block)
        write(block)
        progress(len(block))
    _check(one, source, digest.hexdigest())


def _check(one: manifest.File, source: str, sha256: str) -> None:
    if sha256 != one.sha256:
        raise ConflictError(
            f"{source} is no longer what was frozen", "restore it, or make a new version: `neurojoint release create`"
        )


def _parts(files: Sequence[manifest.File], largest: int) -> list[list[manifest.File]]:
    """The files of each zip: sessions stay together where they fit."""
    parts: list[list[manifest.File]] = [[]]
    size = 0
    for session in _sessions(files):
        n_bytes = sum(item.size + 2 * len(item.path) + 200 for item in session)
        if parts[-1] and size + n_bytes > largest:
            parts.append([])
            size = 0
        parts[-1] += session
        size += n_bytes
    return parts


def _sessions(files: Sequence[manifest.File]) -> Iterator[list[manifest.File]]:
    for _, group in itertools.groupby(files, key=lambda file: file.session):
        yield list(group)


def _write_zips(
    out: Path,
    release: Release,
    parts: Sequence[Sequence[manifest.File]],
    others: dict[str, bytes],
    paths: dict[str, str],
    progress: Progress,
) -> list[Path]:
    """The zips, not compressed, since arrays hardly shrink; the first has what describes the release."""
    written = []
    for number, part in enumerate(parts, 1):
        suffix = f".part{number:03d}" if len(parts) > 1 else ""
        target = out / f"{release.name}{suffix}.zip"
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=out)
        try:
            with os.fdopen(handle, "wb", buffering=1 << 20) as file:
                archive = StoredZip(file)
                for path, content in sorted(others.items()) if number == 1 else ():
                    archive.add(path, content, zlib.crc32(content))
                _fill(archive, part, paths, progress)
                archive.close()
            Path(name).chmod(0o644)
            Path(name).replace(target)
        finally:
            Path(name).unlink(missing_ok=True)
        written.append(target)
    return written


def _fill(archive: StoredZip, part: Sequence[manifest.File], paths: dict[str, str], progress: Progress) -> None:
    """Write files into a zip: small ones are read ahead by threads, some hundred at once, large ones in pieces."""
    shares, n_threads = _shares(part), FEW
    ahead: deque[tuple[list[manifest.File], Future[_Read] | None]] = deque()
    with ThreadPoolExecutor(MANY) as pool:
        while True:
            while len(ahead) <= n_threads and (share := next(shares, None)) is not None:
                ahead.append((share, pool.submit(_read, share, paths) if share[0].size <= SMALL else None))
            if not ahead:
                return
            share, reading = ahead.popleft()
            if reading is None:
                _fill_large(archive, share[0], paths[share[0].dataset], progress)
                continue
            done = reading.result()
            archive.add_many(done.members)
            n_threads = MANY if done.seconds > SLOW_S * len(share) else FEW
            progress(sum(item.size for item in share))


class _Read(NamedTuple):
    """Small files as they go into a zip (path, content, CRC-32), and how long reading them took (s)."""

    members: list[tuple[str, bytes, int]]
    seconds: float


def _read(some: Sequence[manifest.File], paths: dict[str, str]) -> _Read:
    began, members = time.monotonic(), []
    for one in some:
        content = frozen.small_content(paths[one.dataset], one.size)
        _check(one, paths[one.dataset], hashlib.sha256(content).hexdigest())
        members.append((one.path, content, zlib.crc32(content)))
    return _Read(members, time.monotonic() - began)


def _fill_large(archive: StoredZip, one: manifest.File, source: str, progress: Progress) -> None:
    crc = 0

    def write(block: bytes) -> None:
        nonlocal crc
        crc = zlib.crc32(block, crc)
        archive.write(block)

    archive.begin(one.path, one.size)
    _copy(one, source, write, progress)
    archive.finish(crc)


def _shares(files: Sequence[manifest.File]) -> Iterator[list[manifest.File]]:
    """Files in their order, small ones some hundred at once, a large one alone."""
    share: list[manifest.File] = []
    n_bytes = 0
    for file in files:
        if share and (file.size > SMALL or len(share) >= SHARE_FILES or n_bytes >= SHARE_BYTES):
            yield share
            share, n_bytes = [], 0
        share.append(file)
        n_bytes += file.size
        if file.size > SMALL:
            yield share
            share, n_bytes = [], 0
    if share:
        yield share
