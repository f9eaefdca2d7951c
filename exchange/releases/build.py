"""From a frozen release to a folder that the ONE client loads, and zips of it: the same to the byte each time."""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from exchange.releases import contents, packing, texts
from exchange.releases.frozen import Release
from exchange.releases.stored_zip import StoredZip
from ingest.parallel import workers
from one_bridge import cache, frames
from one_bridge.light import manifest
from one_bridge.light.manifest import INFO, MANIFEST, SUMS
from pipeline.database.bulk import fetch_columns
from pipeline.errors import ConflictError, NeurojointError
from pipeline.schemas import publication
from pipeline.settings import settings
from pipeline.unfinished import unfinished

SMALL = 1 << 20  # byte; larger files go into a zip in pieces
SHARE_FILES, SHARE_BYTES = 200, 4 << 20
"""So much of small files is read and written at once."""
FEW = 40_000
"""Below so many small files, starting processes costs more than it saves."""
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
    others = {
        INFO: (json.dumps(info, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode(),
        MANIFEST: table,
        "README.md": texts.readme(row, parts).encode(),
        "LICENSE": texts.license_text(row).encode(),
        "CITATION.cff": texts.citation(row).encode(),
        "datacite.json": texts.datacite(row, doi).encode(),
        **_tables(release),
    }
    sums = [(file.path, file.sha256) for file in files]
    sums += [(name, hashlib.sha256(content).hexdigest()) for name, content in others.items()]
    others[SUMS] = "".join(f"{sha256}  {path}\n" for path, sha256 in sorted(sums)).encode()
    return others


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
            digest, _ = contents.digest_of(target)
            if digest.sha256 == item.sha256:
                progress(item.size)
                continue
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished(target) as partial:
            with partial.open("wb", buffering=0) as file:
                _copy(item, paths[item.dataset], file.write, progress)
            partial.replace(target)
    for name, content in others.items():
        if name != SUMS:
            (folder / name).write_bytes(content)
    sums.write_bytes(others[SUMS])
    return folder


def _copy(one: manifest.File, source: str, write: Callable[[bytes], Any], progress: Progress) -> None:
    """Copy what the release holds of a file; it must be what was frozen."""
    digest = hashlib.sha256()
    for block in contents.content(source):
        digest.update(block)
        write(block)
        progress(len(block))
    packing.check(source, digest.hexdigest(), one.sha256)


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
        with unfinished(target) as partial:
            with partial.open("wb", buffering=1 << 20) as file:
                archive = StoredZip(file)
                for path, content in sorted(others.items()) if number == 1 else ():
                    archive.add(path, content, zlib.crc32(content))
                _fill(archive, str(partial), part, paths, progress)
                archive.close()
            partial.chmod(0o644)
            partial.replace(target)
        written.append(target)
    return written


def _fill(
    archive: StoredZip, target: str, part: Sequence[manifest.File], paths: dict[str, str], progress: Progress
) -> None:
    """Write files into a zip: small ones by processes, each share into its room; large ones in pieces meanwhile."""

    def shares() -> Iterator[tuple[str, packing.Share]]:
        for some in _shares(part):
            if some[0].size > SMALL:
                _fill_large(archive, some[0], paths[some[0].dataset], progress)
                continue
            names, sizes = [file.path for file in some], [file.size for file in some]
            sources, hashes = [paths[file.dataset] for file in some], [file.sha256 for file in some]
            yield target, packing.Share(archive.reserve(names, sizes), names, sources, sizes, hashes)

    n_small = sum(file.size <= SMALL for file in part)
    with workers(settings().processes if n_small >= FEW else 1, preload="exchange.releases.packing") as run:
        for done in run(packing.pack, shares()):
            archive.settle(done.room, done.records)
            progress(done.size)


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
