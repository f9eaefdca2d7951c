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
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import zarrzip
from .archived import LAYOUT_VERSION, ArchiveReader, ChunkCoder, in_order
from .compressor import thread_count
from .disk import PART, disk_full_named, locked, sync_folder, write_whole
from .errors import FormatError, OutputExists, VerificationFailed
from .reader import open as open_recording
from .recording import Recording
from .report import package_version
from .spikeglx import Meta, data_stem, find_meta, read_meta
from .zarrzip import TRACES, ZipWriter

SUFFIX = ".zarr.zip"
CHUNK_DURATION = 0.25  # s: a read of 10 ms decodes one chunk, 6 ms for 384 channels; an hour is 14,400 chunks
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class ArchiveReport:
    """What `pack`, `unpack` or `check` did."""

    path: Path
    n_samples: int
    n_channels: int
    raw_bytes: int
    archive_bytes: int
    seconds: float
    sha1: str  # of the raw file
    agrees_with_header: bool | None  # whether the SpikeGLX header states the same SHA-1; None where it states none

    @property
    def ratio(self) -> float:
        """Raw bytes per byte of the archive."""
        return self.raw_bytes / self.archive_bytes

    @property
    def rate(self) -> float:
        """Raw bytes per second."""
        return self.raw_bytes / max(self.seconds, 1e-9)


def pack(
    path: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    n_channels: int | None = None,
    sample_rate: float | None = None,
    dtype: str | None = None,
    chunk_duration: float = CHUNK_DURATION,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Write a recording (raw, or `.cbin`) as an archive; every chunk is decoded and compared before it is written.

    The file gets its name only when it is complete and on the disk. The source stays.

    Parameters
    ----------
    path : `.bin`, `.cbin` or any file that `cbin.open` reads
    out : file to write, ending in `.zarr.zip`; by default the source's name with that suffix
    n_channels, sample_rate, dtype : where neither a `.ch` nor a `.meta` says them; rate in Hz
    chunk_duration : s
    threads : number of threads; by default all processors
    progress : called with raw bytes done and in all

    Raises
    ------
    OutputExists, SizeMismatch, VerificationFailed, DiskFull, FormatError, MetaError

    Examples
    --------
    >>> import tempfile, cbin
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
    _refuse_existing(out, overwrite)
    with open_recording(path, n_channels=n_channels, sample_rate=sample_rate, dtype=dtype, threads=1) as source:
        meta = _header_of(source)
        rows = _rows_per_chunk(source, chunk_duration)
        document = zarrzip.array_document(source.shape, (rows, source.n_channels), source.dtype)
        coder = ChunkCoder(document, rows, source.n_channels, source.dtype, path)
        with _new_file(out) as (fd, finish):
            writer = ZipWriter(fd)
            sha1 = _write_chunks(writer, source, coder, thread_count(threads), progress)
            _expect_same(source, sha1)
            _write_group(writer, document, source, meta, sha1)
            writer.finish()
            finish()
        agrees = sha1 == meta.sha1 if meta is not None and meta.sha1 else None
        seconds = time.perf_counter() - started
        return ArchiveReport(out, *source.shape, source.nbytes, out.stat().st_size, seconds, sha1, agrees)


def unpack(
    path: str | os.PathLike,
    out: str | os.PathLike | None = None,
    *,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ArchiveReport:
    """Write the raw file of an archive again, and its `.meta` where none is there; compared with the SHA-1 kept.

    Raises
    ------
    OutputExists, CorruptChunk, VerificationFailed, DiskFull
    """
    started = time.perf_counter()
    with open(path, threads=threads) as archive:
        out = Path(out) if out is not None else archive.path.with_name(data_stem(archive.path) + _raw_suffix(archive))
        _refuse_existing(out, overwrite)
        with _new_file(out) as (fd, finish):
            with os.fdopen(fd, "wb", closefd=False) as file:
                sha1 = _hash(archive, file.write, progress)
            _expect_sha1(archive, sha1)
            os.fsync(fd)
            meta_file = out.with_name(data_stem(out) + ".meta")
            if archive.meta_text is not None and not meta_file.exists():
                write_whole(meta_file, archive.meta_text.encode())
            finish()
        return _report(archive, time.perf_counter() - started, sha1, out)


def check(path: str | os.PathLike, *, threads: int | None = None, progress: Progress | None = None) -> ArchiveReport:
    """Decode every chunk and compare the SHA-1 of the samples with the one kept.

    Raises
    ------
    CorruptChunk, VerificationFailed
    """
    started = time.perf_counter()
    with open(path, threads=threads) as archive:
        sha1 = _hash(archive, None, progress)
        _expect_sha1(archive, sha1)
        return _report(archive, time.perf_counter() - started, sha1, archive.path)


def open(path: str | os.PathLike, *, threads: int | None = None) -> ArchiveReader:  # noqa: A001 - as in gzip.open
    """Open an archive for reading: an array with the interface of `cbin.open`, and the archive's attributes.

    Raises
    ------
    MissingFile, TruncatedFile, FormatError
    """
    return ArchiveReader(path, threads=threads)


def default_path(path: str | os.PathLike) -> Path:
    """Where the archive of a data file goes.

    Examples
    --------
    >>> default_path("a.imec0.ap.cbin").name
    'a.imec0.ap.zarr.zip'
    """
    path = Path(path)
    return path.with_name(data_stem(path) + SUFFIX)


def is_archive(path: str | os.PathLike) -> bool:
    """Whether the name says that this is an archive."""
    return str(path).endswith(SUFFIX)


def _refuse_existing(out: Path, overwrite: bool) -> None:
    if out.exists() and not overwrite:
        raise OutputExists("the output is there already.", file=out, remedy="Move it, or allow overwriting.")


def _rows_per_chunk(source: Recording, seconds: float) -> int:
    if not 0 < seconds < float("inf"):
        raise FormatError(f"a chunk duration of {seconds} s is not positive.", file=source.path)
    if source.n_samples == 0:
        raise FormatError("there are no samples to archive.", file=source.path)
    rows = max(1, min(round(seconds * source.sample_rate), source.n_samples))
    if rows * source.n_channels * source.dtype.itemsize > zarrzip.MAX_CHUNK_BYTES:
        raise FormatError(f"chunks of {rows} samples are too large.", file=source.path, remedy="Use shorter chunks.")
    return rows


def _header_of(source: Recording) -> Meta | None:
    """The SpikeGLX header beside a recording, where there is one."""
    found = find_meta(source.path)
    meta = read_meta(found) if found else None
    if meta is not None and meta.n_channels != source.n_channels:
        problem = f"its .meta has {meta.n_channels} channels, the recording has {source.n_channels}."
        raise FormatError(problem, file=source.path)
    return meta


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
        stack.callback(part.unlink, missing_ok=True)
        os.ftruncate(fd, 0)

        def finish() -> None:
            part.replace(out)
            sync_folder(out.parent)

        yield fd, finish


def _write_chunks(writer: ZipWriter, source: Recording, coder: ChunkCoder, threads: int, progress) -> str:
    """Encode, verify and write every chunk; the SHA-1 of all samples."""

    def encoded(chunk: int) -> tuple[np.ndarray, bytes]:
        first = chunk * coder.rows
        samples = source.read(first, min(first + coder.rows, source.n_samples))
        return samples, coder.encode(samples, chunk)

    def written() -> Iterator[np.ndarray]:
        chunks = range(-(-source.n_samples // coder.rows))
        for chunk, (samples, stored) in enumerate(in_order(encoded, chunks, threads)):
            writer.put(f"{TRACES}/{chunk}.0", stored)
            yield samples

    return _sha1(written(), source.nbytes, progress)


def _write_group(writer: ZipWriter, document: dict, source: Recording, meta: Meta | None, sha1: str) -> None:
    """All that is not samples: documents, channel names, gains and attributes."""
    ours = {
        "layout_version": LAYOUT_VERSION,
        "written_by": f"cbin {package_version()}",
        "raw_name": data_stem(source.path) + (".bin" if meta is not None else _raw_suffix_of(source.path)),
        "raw_bytes": source.nbytes,
        "sha1": sha1,
    }
    gains = source.volts_per_bit
    names = meta.channel_names if meta is not None else [f"CH{i}" for i in range(source.n_channels)]
    if gains is not None:
        ours["volts_per_bit"] = gains.tolist()
    if meta is not None:
        ours |= {"meta": meta.text, "probe_serial": meta.serial, "probe": meta.probe_name}
    attributes = {"sampling_frequency": source.sample_rate, "num_segments": 1, "cbin": ours}
    writer.put_document(".zgroup", {"zarr_format": 2})
    writer.put_document(".zattrs", attributes)
    writer.put_document(f"{TRACES}/.zarray", document)
    writer.put_array("channel_ids", np.array(names))
    writer.put_document("properties/.zgroup", {"zarr_format": 2})
    if gains is not None:
        digital = list(meta.sync_channels) if meta is not None else []
        microvolts = gains * 1e6
        microvolts[digital] = 1.0  # words, not voltages: left as they are
        writer.put_array("properties/gain_to_uV", microvolts)
        writer.put_array("properties/offset_to_uV", np.zeros(source.n_channels))


def _hash(archive: ArchiveReader, consume: Callable | None, progress: Progress | None) -> str:
    """The SHA-1 of all samples of an archive, each chunk given to `consume` meanwhile."""

    def consumed() -> Iterator[np.ndarray]:
        for samples in archive.iter_parallel():
            if consume is not None:
                consume(samples.data)
            yield samples

    return _sha1(consumed(), archive.nbytes, progress)


def _sha1(pieces: Iterable[np.ndarray], total: int, progress: Progress | None) -> str:
    """The SHA-1 of arrays one after the other, computed by a thread of its own while the next is made."""
    sha1, done = hashlib.sha1(usedforsecurity=False), 0
    with ThreadPoolExecutor(1) as hasher:
        before = None
        for samples in pieces:
            if before is not None:
                before.result()
            before = hasher.submit(sha1.update, samples)
            done += samples.nbytes
            if progress is not None:
                progress(done, total)
    return sha1.hexdigest()


def _expect_same(source: Recording, sha1: str) -> None:
    """Raise when a `.cbin` holds other samples than its header says, or a raw file grew or shrank meanwhile."""
    known = source.header.sha1_uncompressed if hasattr(source, "header") else None
    if known and known != sha1:
        problem = f"its samples have the SHA-1 {sha1}, its .ch says {known}."
        raise VerificationFailed(problem, file=source.path, remedy="Run `cbin check` on it.")


def _expect_sha1(archive: ArchiveReader, sha1: str) -> None:
    if sha1 != archive.sha1:
        problem = f"its samples have the SHA-1 {sha1}, the archive says {archive.sha1}."
        raise VerificationFailed(problem, file=archive.path, remedy="Fetch the file again.")


def _report(archive: ArchiveReader, seconds: float, sha1: str, path: Path) -> ArchiveReport:
    return ArchiveReport(path, *archive.shape, archive.nbytes, archive.path.stat().st_size, seconds, sha1, None)


def _raw_suffix(archive: ArchiveReader) -> str:
    return Path(archive.raw_name).suffix or ".bin"


def _raw_suffix_of(path: Path) -> str:
    """The raw form of a suffix: `.cbin` is `.bin` compressed."""
    return "." + path.suffix[2:] if path.suffix.startswith(".c") else path.suffix or ".bin"
