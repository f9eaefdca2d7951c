"""Archives: recordings a fifth smaller than `.cbin`, as chunked Zarr that every reader with `numcodecs` can open.

The samples are coded by pcodec (first differences along time, channel after channel), which is about 1.3 times smaller
than mtscomp's deflate and faster in both directions; the file is one uncompressed zip (`x.zarr.zip`) with random
access, and holds the rate, the volts per bit, the SpikeGLX header and the SHA-1 of the raw file (docs/cbin.md).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .archive_reader import ArchiveReader
from .archive_writer import ChunkCoder, rows_per_chunk, sha1_of, write_chunks, write_group
from .disk import PART, disk_full_named, forget_cached, locked, open_to_read, sync_folder, write_at, write_whole
from .errors import FormatError, OutputExists, RawChanged, VerificationFailed
from .format import header_path
from .reader import open as open_recording
from .recording import Recording
from .report import Progress
from .spikeglx import Meta, data_stem, find_meta, parse_meta, read_meta
from .zarrzip import ZipWriter, array_document

SUFFIX = ".zarr.zip"
CHUNK_DURATION = (
    0.1  # s: a read of 10 ms takes some 3 ms for 385 channels; an hour is 36,000 chunks, which take 0.1 s to list
)


@dataclass(frozen=True)
class ArchiveReport:
    """What `pack`, `unpack` or `check` did."""

    path: Path
    n_samples: int
    n_channels: int
    raw_bytes: int
    archive_bytes: int
    seconds: float
    sha1: str | None  # of the raw file; None where it was not computed
    agrees_with_header: bool | None = None  # whether the SpikeGLX header states this SHA-1; None where it states none
    source_removed: bool = False

    @property
    def ratio(self) -> float:
        """Raw bytes per byte of the archive."""
        return self.raw_bytes / self.archive_bytes

    @property
    def rate(self) -> float:
        """Raw bytes per second."""
        return self.raw_bytes / max(self.seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values, for JSON or a table row."""
        values = asdict(self) | {"ratio": self.ratio, "megabytes_per_second": self.rate / 1e6}
        return values | {"path": str(self.path)}


def pack(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    n_channels: int | None = None,
    sample_rate: float | None = None,
    dtype: str | None = None,
    chunk_duration: float = CHUNK_DURATION,
    threads: int | None = None,
    overwrite: bool = False,
    remove_source: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Write a recording (raw, or `.cbin`) as an archive; every chunk is decoded and compared before it is written.

    The file gets its name only when it is complete and on the disk.

    Parameters
    ----------
    path : `.bin`, `.cbin` or any file that `cbin.open` reads
    out : file to write, ending in `.zarr.zip`; by default the source's name with that suffix
    n_channels, sample_rate, dtype : where neither a `.ch` nor a `.meta` says them; rate in Hz
    chunk_duration : s
    threads : number of threads; by default all processors
    remove_source : delete the source (a `.cbin` with its `.ch`), but only after the finished archive has been read
        from the disk again and decoded to the same SHA-1, and if the source has not changed meanwhile; with an archive
        there already, only this comparison and the deletion are done
    progress : called with raw bytes done and in all

    Raises
    ------
    OutputExists, SizeMismatch, VerificationFailed, RawChanged, DiskFull, FormatError, MetaError

    Examples
    --------
    >>> import tempfile, cbin, numpy as np
    >>> from cbin.synthetic import write_recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     raw = write_recording(Path(folder) / "a.ap.bin", 0.5, n_channels=33)
    ...     report = pack(raw)
    ...     with cbin.archive.open(report.path) as archive:
    ...         same = np.array_equal(archive[:], np.fromfile(raw, np.int16).reshape(-1, 33))
    >>> report.path.name, same, report.agrees_with_header
    ('a.ap.zarr.zip', True, True)
    """
    started = time.perf_counter()
    path = Path(path)
    out = Path(out) if out is not None else default_path(path)
    with open_recording(path, n_channels=n_channels, sample_rate=sample_rate, dtype=dtype, threads=1) as source:
        if out.exists() and not overwrite and remove_source:
            return _remove_archived(source, out, threads, progress)
        _refuse_existing(out, overwrite)
        before, meta = _identity(source.path), header_of(source)
        rows = rows_per_chunk(source, chunk_duration)
        document = array_document(source.shape, (rows, source.n_channels), source.dtype)
        coder = ChunkCoder(document, rows, source.n_channels, source.dtype, path)
        with _new_file(out) as (fd, finish), ZipWriter(fd) as writer:
            sha1 = write_chunks(writer, source, coder, threads, progress)
            _expect_same(source, sha1, before)
            write_group(writer, document, source, meta, sha1)
            writer.finish()
            finish()
        agrees = sha1 == meta.sha1 if meta is not None and meta.sha1 else None
        if remove_source:
            _expect_sha1_of(out, sha1, threads)
            _remove(source, before)
        seconds, size = time.perf_counter() - started, out.stat().st_size
        n_samples, n_channels = source.shape
        return ArchiveReport(out, n_samples, n_channels, source.nbytes, size, seconds, sha1, agrees, remove_source)


def unpack(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    verify: bool = True,
    remove_archive: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Write the raw file of an archive again, and its `.meta` where none is there.

    Parameters
    ----------
    out : raw file to write; by default beside the archive
    verify : compare the SHA-1 of all samples with the one kept; each chunk's checksum is compared in any case
    remove_archive : delete the archive, but only after the finished raw file has been read from the disk again and has
        that SHA-1

    Raises
    ------
    OutputExists, CorruptChunk, VerificationFailed, DiskFull
    """
    started = time.perf_counter()
    verify |= remove_archive
    with open(path, threads=threads) as archive:
        out = Path(out) if out is not None else archive.path.with_name(data_stem(archive.path) + _raw_suffix(archive))
        _refuse_existing(out, overwrite)
        with _new_file(out) as (fd, finish):
            row = archive.n_channels * archive.dtype.itemsize
            os.ftruncate(fd, archive.nbytes)
            pieces = archive.decode_all(lambda first, samples: write_at(fd, samples, first * row))
            sha1 = sha1_of(pieces, archive.nbytes, progress, compute=verify)
            if verify:
                _expect_sha1(archive, sha1)
            os.fsync(fd)
            meta_file = out.with_name(data_stem(out) + ".meta")
            if archive.meta_text is not None and not meta_file.exists():
                write_whole(meta_file, archive.meta_text.encode())
            finish()
        report = _report(archive, time.perf_counter() - started, sha1, out, remove_archive)
    if remove_archive:
        _forget_cached(out)
        with out.open("rb") as file:
            digest = hashlib.file_digest(file, "sha1").hexdigest()
        if digest != sha1:
            raise VerificationFailed(f"it has the SHA-1 {digest} on the disk, not {sha1}.", file=out)
        Path(path).unlink()
        sync_folder(Path(path).parent)
    return report


def check(
    path: str | os.PathLike[str], *, threads: int | None = None, progress: Progress | None = None
) -> ArchiveReport:
    """Decode every chunk and compare the SHA-1 of the samples with the one kept.

    Raises
    ------
    CorruptChunk, VerificationFailed
    """
    started = time.perf_counter()
    with open(path, threads=threads) as archive:
        sha1 = sha1_of(archive.decode_all(), archive.nbytes, progress)
        _expect_sha1(archive, sha1)
        return _report(archive, time.perf_counter() - started, sha1, archive.path)


def open(path: str | os.PathLike[str], *, threads: int | None = None) -> ArchiveReader:  # noqa: A001 - as in gzip.open
    """Open an archive for reading: an array with the interface of `cbin.open`, and the archive's attributes.

    Raises
    ------
    MissingFile, TruncatedFile, FormatError
    """
    return ArchiveReader(Path(path), threads=threads)


def default_path(path: str | os.PathLike[str]) -> Path:
    """Where the archive of a data file goes.

    Examples
    --------
    >>> default_path("a.imec0.ap.cbin").name
    'a.imec0.ap.zarr.zip'
    """
    path = Path(path)
    return path.with_name(data_stem(path) + SUFFIX)


def header_of(recording: Recording) -> Meta | None:
    """The SpikeGLX header of a recording: the one that an archive keeps, or the one beside the file.

    Raises
    ------
    MetaError, FormatError : it is malformed, or for another number of channels
    """
    if isinstance(recording, ArchiveReader):
        return None if recording.meta_text is None else parse_meta(recording.meta_text, recording.path)
    path = find_meta(recording.path)
    meta = read_meta(path) if path is not None else None
    if meta is not None and meta.n_channels != recording.n_channels:
        problem = f"its .meta has {meta.n_channels} channels, the recording has {recording.n_channels}."
        raise FormatError(problem, file=recording.path)
    return meta


def is_archive(path: str | os.PathLike[str]) -> bool:
    """Whether the name says that this is an archive."""
    return str(path).endswith(SUFFIX)


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise OutputExists("the output is there already.", file=out, remedy="Move it, or allow overwriting.")


@contextlib.contextmanager
def _new_file(out: Path) -> Iterator[tuple[int, Callable[[], None]]]:
    """A file under a temporary name, held for this process, and the function that gives it its name.

    Without that call, or with an error, nothing is left.
    """
    part = out.with_name(out.name + PART)
    out.parent.mkdir(parents=True, exist_ok=True)
    with disk_full_named(out, "Free some space and run again."), contextlib.ExitStack() as stack:
        fd = os.open(part, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o666)
        stack.callback(os.close, fd)
        stack.enter_context(locked(fd, part))
        unfinished = stack.enter_context(contextlib.ExitStack())
        unfinished.callback(part.unlink, missing_ok=True)
        os.ftruncate(fd, 0)

        def finish() -> None:
            part.replace(out)
            unfinished.pop_all()
            sync_folder(out.parent)

        yield fd, finish


def _expect_same(source: Recording, sha1: str | None, before: tuple[int, int, int]) -> None:
    """Raise when a `.cbin` holds other samples than its header says, or the source changed while it was read."""
    known = source.header.sha1_uncompressed if hasattr(source, "header") else None
    if known and known != sha1:
        problem = f"its samples have the SHA-1 {sha1}, its .ch says {known}."
        raise VerificationFailed(problem, file=source.path, remedy="Run `cbin check` on it.")
    _expect_unchanged(source, before)


def _expect_unchanged(source: Recording, before: tuple[int, int, int]) -> None:
    if _identity(source.path) != before:
        raise RawChanged("it changed meanwhile.", file=source.path, remedy="Wait until the recording is closed.")


def _expect_sha1(archive: ArchiveReader, sha1: str | None) -> None:
    if sha1 != archive.sha1:
        problem = f"its samples have the SHA-1 {sha1}, the archive says {archive.sha1}."
        raise VerificationFailed(problem, file=archive.path, remedy="Fetch the file again.")


def _report(
    archive: ArchiveReader, seconds: float, sha1: str | None, path: Path, removed: bool = False
) -> ArchiveReport:
    size = archive.path.stat().st_size
    n_samples, n_channels = archive.shape
    return ArchiveReport(path, n_samples, n_channels, archive.nbytes, size, seconds, sha1, source_removed=removed)


def _expect_sha1_of(path: Path, sha1: str | None, threads: int | None) -> None:
    """Decode an archive from the disk and compare with the SHA-1 of what it was made of."""
    _forget_cached(path)
    with open(path, threads=threads) as archive:
        if sha1_of(archive.decode_all(), archive.nbytes, None) != sha1:
            raise VerificationFailed("the archive does not give the samples back.", file=path)


def _remove_archived(source: Recording, out: Path, threads: int | None, progress: Progress | None) -> ArchiveReport:
    """Delete a source whose archive is there already, once it is seen to hold the same samples."""
    started, before = time.perf_counter(), _identity(source.path)
    sha1 = sha1_of((samples for _, samples in source.iter_chunks()), source.nbytes, progress)
    _expect_sha1_of(out, sha1, threads)
    _remove(source, before)
    with open(out) as archive:
        return _report(archive, time.perf_counter() - started, sha1, out, removed=True)


def _forget_cached(path: Path) -> None:
    """Have the next read of a file come from the disk, where the system can."""
    fd = open_to_read(path)
    try:
        forget_cached(fd)
    finally:
        os.close(fd)


def _identity(path: Path) -> tuple[int, int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def _remove(source: Recording, before: tuple[int, int, int]) -> None:
    """Delete a source that is still the file that was read."""
    _expect_unchanged(source, before)
    source.path.unlink()
    if hasattr(source, "header"):
        header_path(source.path).unlink(missing_ok=True)
    sync_folder(source.path.parent)


def _raw_suffix(archive: ArchiveReader) -> str:
    return Path(archive.raw_name).suffix or ".bin"
