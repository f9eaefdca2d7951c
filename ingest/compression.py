"""Compresses the raw recordings that are registered, one after another, and puts the compressed file into their place.

The raw file stays unless its removal is asked for, and then goes only after a second verification by other means.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import cbin
from cbin import Busy, CbinError, DiskFull, disk
from cbin.format import header_path
from cbin.spikeglx import read_meta

from ingest.files.recordings import md5_and_sha1
from ingest.files.report import Report
from ingest.files.scan import SessionKey
from ingest.one_session import register_session
from ingest.rows.recordings import SESSION
from ingest.rows.repository import existing, repository_of
from pipeline.alf.columns import compressed_form, raw_form
from pipeline.database.bulk import fetch_columns
from pipeline.electrophysiology import raw_formats
from pipeline.errors import NeurojointError, explain
from pipeline.schemas import data, ephys

EXPECTED_RATIO = 2.0
"""No compression begins where there is not room for the raw size over this; Neuropixels recordings reach 2.2 to 3.2."""
STILL_GROWING = 600.0
"""A recording whose .meta does not state its size yet, and that changed in the last so many seconds, is left alone."""

Progress = Callable[[str, int, int], None]
"""Called with the name of the file in work, the raw bytes that are done and those there are."""


@dataclass
class Summary:
    """What one run did."""

    root: str
    dry_run: bool = False
    recordings: int = 0
    """Raw recordings that waited for compression, or for the removal of their raw file."""
    compressed: int = 0
    removed: int = 0
    raw_bytes: int = 0
    """Of those that were compressed (in a dry run: would be)."""
    compressed_bytes: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Path below the root of the repository, and what went wrong."""
    waiting: list[str] = field(default_factory=list)
    """Recordings that are still growing, or that another process compresses."""
    seconds: float = 0.0
    compression_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All numbers."""
        return asdict(self)


@dataclass(frozen=True)
class Item:
    """A registered recording: its file and, where it is compressed, the raw file beside it."""

    session: SessionKey
    folder: str  # of the session, below the root of the repository
    dataset_id: str
    is_raw: bool
    path: str  # of the registered file, below the root of the repository
    size: int  # byte
    modified_ns: int  # ns since 1970
    md5: str
    raw_path: str = ""  # below the root; empty where there is no raw file beside a compressed one
    raw_size: int = 0  # byte
    raw_modified_ns: int = 0  # ns since 1970
    raw_sha1: str = ""

    @property
    def is_multiplexed(self) -> bool:
        """Whether it is nothing but int16, channels fastest, so that it has a compressed form."""
        return compressed_form(self.path) != self.path

    @property
    def stat(self) -> tuple[int, int]:
        return self.size, self.modified_ns


def compress(
    root: Path | str,
    *,
    remove_raw: bool = False,
    layout: str = "auto",
    effort: str = "default",
    threads: int | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> Summary:
    """Compress the registered raw recordings below `root`; each compressed file takes the place of the raw one.

    Needs `pipeline.connect()` before. Each recording is read back and compared before its compressed file appears; the
    dataset keeps its identifier. Stopped anywhere, the next call continues. What goes wrong with one recording is in
    the summary, and does not stop the others.

    Parameters
    ----------
    root : a data root that was registered, or any folder below it.
    remove_raw : delete each raw file, also those that earlier runs left, once the compressed file was read from the
        disk again, decoded by another library and found equal, and its hashes are those that are registered.
    layout, effort, threads : see `cbin.compress`.
    dry_run : write nothing, count what would be done.
    progress : called with the name of a file, the raw bytes that are done and those there are.

    Raises
    ------
    NeurojointError : the root cannot be read, or is not registered.
    """
    began = time.perf_counter()
    folder = existing(Path(root))
    repository, base = _known_repository(folder)
    scope = "" if base == folder else f"{folder.relative_to(base).as_posix()}/"
    items = [item for item in _items(repository) if item.path.startswith(scope)]
    todo = [item for item in items if (item.is_raw and item.is_multiplexed) or (remove_raw and item.raw_path)]
    summary = Summary(str(folder), dry_run, len(todo))
    if dry_run:
        summary.raw_bytes = sum(item.size for item in todo if item.is_raw)
        summary.compressed = sum(item.is_raw for item in todo)
        summary.removed = len(todo) if remove_raw else 0
        return summary
    for item in items:
        if not item.is_raw:
            _tidy(base / item.path)
    work = _Work(repository, base, remove_raw, {"layout": layout, "effort": effort, "threads": threads}, summary)
    work.total = sum(
        (item.size if item.is_raw else item.raw_size) * (1 + (remove_raw and item.is_raw)) for item in todo
    )
    work.tell = progress or (lambda *_: None)
    for item in todo:
        work.do(item)
    summary.seconds = time.perf_counter() - began
    return summary


class _Work:
    """One run over some recordings; what goes wrong with one is noted and does not stop the others."""

    def __init__(self, repository: str, base: Path, remove_raw: bool, options: dict, summary: Summary) -> None:
        self.repository, self.base, self.remove_raw = repository, base, remove_raw
        self.options, self.summary = options, summary
        self.done, self.total = 0, 0
        self.tell: Progress = lambda *_: None

    def do(self, one: Item) -> None:
        """Compress a recording, then remove its raw file if that was asked for."""
        before = self.done
        size = one.size if one.is_raw else one.raw_size
        try:
            current: Item | None = one
            if one.is_raw:
                current = self.compress(one)
                self.done = before + size
            if self.remove_raw and current is not None and current.raw_path:
                self.remove(current)
        except Busy:
            self.summary.waiting.append(one.path)
        except CbinError as error:
            self.summary.failures.append((one.path, " ".join(part for part in (error.problem, error.remedy) if part)))
            if not isinstance(error, DiskFull):
                with contextlib.suppress(NeurojointError, OSError):
                    self.register(one)  # a file that has changed since is judged again
        except (NeurojointError, OSError) as error:
            self.summary.failures.append((one.path, explain(error)))
        self.done = before + size * (1 + (self.remove_raw and one.is_raw))

    def compress(self, one: Item) -> Item | None:
        """Compress one recording and put the compressed file into its place; None where it must wait."""
        raw = self.base / one.path
        if _stat(raw) != one.stat:
            self.register(one)
            again = self.find(one)
            if again is None or not again.is_raw or _stat(raw) != again.stat:
                return again
            one = again
        inside = one.path[len(one.folder) + 1 :]
        shape: dict[str, Any] = {}
        if raw_formats.format_of(inside):
            told = raw_formats.describe(raw, inside)
            shape = {"n_channels": told.n_channels, "sample_rate": told.sampling_rate, "out": raw.with_suffix(".cbin")}
            is_whole = False  # nothing states the size of the file
        else:
            is_whole = bool(read_meta(raw).file_size)
        if not is_whole and time.time() - one.modified_ns / 1e9 < STILL_GROWING:
            self.summary.waiting.append(one.path)
            return None
        _check_room(raw, one.size)
        start = self.done
        self.tell(raw.name, start, self.total)
        try:
            report = cbin.compress(
                raw,
                md5=True,
                progress=lambda done, _: self.tell(raw.name, start + done, self.total),
                **shape,
                **self.options,
            )
        except cbin.DiskFull:
            for suffix in (".part", ".journal"):  # what was written would keep the disk full
                raw.with_name(f"{raw.stem}.cbin{suffix}").unlink(missing_ok=True)
            raise
        packed = report.cbin_path
        known = {
            one.path: (*one.stat, report.md5_raw, report.sha1_raw),
            packed.relative_to(self.base).as_posix(): (*_stat(packed), report.md5_compressed),
        }
        self.register(one, known, report.seconds)
        self.summary.compressed += 1
        self.summary.raw_bytes += report.raw_bytes
        self.summary.compressed_bytes += report.compressed_bytes
        self.summary.compression_seconds += report.seconds
        return self.find(one)

    def remove(self, one: Item) -> None:
        """Remove the raw file of a compressed recording once both are verified, by other means than at first.

        The compressed file is read from the disk, decoded by another library and compared with the raw file sample by
        sample; then it is checked against all its hashes, and its samples against the hash of the raw file as it was
        registered. Neither file may have changed since it was registered.
        """
        raw, packed = self.base / one.raw_path, self.base / one.path
        if raw.is_symlink() or packed.is_symlink():
            raise NeurojointError(f"{raw} was not removed, as a link is involved", "remove it by hand")
        expected = (one.raw_size, one.raw_modified_ns), one.stat
        if (_stat(raw), _stat(packed)) != expected:
            self.register(one)
            raise NeurojointError(f"{raw} was not removed: a file has changed since it was registered", "run it again")
        start, threads = self.done, self.options["threads"]
        self.tell(f"verifying {packed.name}", start, self.total)
        cbin.compare_with_raw(packed, header_path(packed), raw, threads)
        checked = cbin.check(
            packed, threads=threads, progress=lambda done, _: self.tell(packed.name, start + done, self.total)
        ).raise_if_bad()
        md5, sha1 = md5_and_sha1(packed)
        if (checked.sha1_raw, checked.sha1_compressed, md5) != (one.raw_sha1, sha1, one.md5):
            raise cbin.VerificationFailed(
                "its hashes are not those that were registered.", file=packed, remedy="Keep the raw file."
            )
        if (_stat(raw), _stat(packed)) != expected:
            raise cbin.RawChanged("a file changed meanwhile; the raw file stays.", file=raw, remedy="Run it again.")
        raw.unlink()
        disk.sync_folder(raw.parent)
        self.summary.removed += 1
        self.register(one)

    def register(self, one: Item, known: dict[str, tuple] | None = None, seconds: float | None = None) -> None:
        """Bring the tables up to the session folder; `known` are hashes of its files that were computed just now."""

        def step(report: Report, _: Path) -> Report:
            for number, recording in enumerate(report.recordings):
                form = recording.compressed
                if seconds is not None and form is not None and form.raw_path == one.path[len(one.folder) + 1 :]:
                    report.recordings[number] = replace(recording, compressed=replace(form, seconds=seconds))
            return report

        inside = {path[len(one.folder) + 1 :]: facts for path, facts in (known or {}).items()}
        register_session(self.repository, self.base, one.session, one.folder, inside, [step])

    def find(self, one: Item) -> Item | None:
        """The same recording as it is registered now; None where it is in quarantine or gone."""
        return next(_items(self.repository, {"dataset_id": one.dataset_id}), None)


def _known_repository(folder: Path) -> tuple[str, Path]:
    """Name and root of the repository that the folder is, or lies in."""
    rows = fetch_columns(data.Repository & {"repository_kind": "local"}).to_pylist()
    name, base = repository_of(folder, None)
    if name not in {row["repository"] for row in rows}:
        raise NeurojointError(f"nothing below {folder} is registered", f"neurojoint ingest {folder}")
    return name, base


def _items(repository: str, restriction: Any = None) -> Iterator[Item]:
    """The recordings of a repository that are online, by path."""
    recordings = ephys.Recording if restriction is None else ephys.Recording & restriction
    records = (data.FileRecord & {"repository": repository, "file_state": "online"}).proj(
        "file_path", "record_size", "modified_ns", "record_hash"
    )
    query = recordings.proj() * data.Dataset.proj(*SESSION, "rel_path") * records
    rows = sorted(fetch_columns(query).to_pylist(), key=lambda row: row["file_path"])
    beside = ephys.Compression & {"raw_repository": repository}
    beside = beside if restriction is None else beside & restriction
    names = ("raw_path", "raw_size", "raw_modified_ns", "raw_sha1")
    raws = {row["dataset_id"]: row for row in fetch_columns(beside, "dataset_id", *names).to_pylist()}
    for row in rows:
        path, depth = row["file_path"], row["rel_path"].count("/") + 1
        folder = path.rsplit("/", depth)[0]
        session = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        one = Item(
            session, folder, row["dataset_id"], raw_form(row["rel_path"]) == row["rel_path"], path,
            row["record_size"], row["modified_ns"], row["record_hash"],
        )  # fmt: skip
        raw = raws.get(row["dataset_id"])
        if raw is not None and not one.is_raw:
            one = replace(
                one, raw_path=f"{folder}/{raw['raw_path']}",
                raw_size=raw["raw_size"], raw_modified_ns=raw["raw_modified_ns"], raw_sha1=raw["raw_sha1"],
            )  # fmt: skip
        yield one


def _stat(path: Path) -> tuple[int, int]:
    """Size (byte) and time of last change (ns since 1970)."""
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


def _tidy(packed: Path) -> None:
    """Delete the journal that a compression left which was killed after its last step."""
    if not packed.with_name(f"{packed.name}.part").exists():
        with contextlib.suppress(OSError):
            packed.with_name(f"{packed.name}.journal").unlink()


def _check_room(raw: Path, size: int) -> None:
    """Refuse to begin what will most likely fill the disk."""
    unfinished = raw.with_name(f"{raw.stem}.cbin.part")
    there = unfinished.stat().st_size if unfinished.exists() else 0
    needed, free = size / EXPECTED_RATIO - there, shutil.disk_usage(raw.parent).free
    if free < needed:
        raise DiskFull(
            f"{free / 1e9:.1f} GB are free on its disk, and about {needed / 1e9:.1f} GB are needed.", file=raw,
            remedy="Free some space, then run again.",
        )  # fmt: skip
