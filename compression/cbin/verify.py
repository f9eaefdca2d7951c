"""Checking finished files: every chunk with its sizes and hashes, and a comparison with the raw file by other means."""

from __future__ import annotations

import hashlib
import os
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from . import disk
from .codec import Transform, decode
from .errors import CbinError, CorruptChunk, SizeMismatch, VerificationFailed
from .format import Header, check_size, header_of, read_header
from .inflate import InflateError
from .report import CheckReport, Progress, Report
from .source import thread_count


def check(
    path: str | Path,
    meta: str | Path | None = None,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Read a .cbin completely: sizes, every chunk inflated and decoded, SHA-1 of both forms against the header.

    Nothing is raised for what is wrong with the file: the report holds every error found.

    Parameters
    ----------
    path : path
        The .cbin.
    meta : path, optional
        Its .ch, when it has another name.
    threads : int, optional
    progress : function (done_bytes, total_bytes), optional
        In raw bytes.
    """
    began = time.perf_counter()
    path = Path(path)
    report = CheckReport(path, [])
    try:
        header = header_of(path, meta)
        report.n_chunks, report.n_samples, report.n_channels = header.n_chunks, header.n_samples, header.n_channels
        report.raw_bytes = header.raw_bytes
        report.sha1_known = header.sha1_compressed is not None and header.sha1_uncompressed is not None
        fd = disk.open_to_read(path)
    except CbinError as error:
        report.errors.append(error)
        return report
    try:
        report.compressed_bytes = os.fstat(fd).st_size
        _check_chunks(path, fd, header, report, threads, progress)
    finally:
        os.close(fd)
    report.seconds = time.perf_counter() - began
    return report


def _check_chunks(
    path: Path, fd: int, header: Header, report: CheckReport, threads: int | None, progress: Progress | None
) -> None:
    try:
        check_size(header, report.compressed_bytes, path)
    except CbinError as error:
        report.errors.append(error)
    whole = int(np.searchsorted(header.offsets, report.compressed_bytes, side="right")) - 1
    raw_hash, file_hash = hashlib.sha1(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
    transform = Transform.of(header)

    def read(chunk: int) -> Any:
        stream = read_stream(fd, header, chunk, path)
        try:
            return stream, decode_chunk(stream, header, chunk, path, transform), None
        except CorruptChunk as error:
            return stream, None, error

    for chunk, (stream, samples, wrong) in enumerate(in_order(read, range(min(whole, header.n_chunks)), threads)):
        file_hash.update(stream)
        if wrong is not None:
            report.errors.append(wrong)
        elif not report.errors:
            raw_hash.update(samples)
        if progress is not None:
            progress(header.bounds[chunk + 1] * header.row_bytes, header.raw_bytes)
    if whole < header.n_chunks:
        return
    report.sha1_compressed = file_hash.hexdigest()
    if report.errors:
        return
    report.sha1_raw = raw_hash.hexdigest()
    for what, expected, actual in (
        ("the compressed file", header.sha1_compressed, report.sha1_compressed),
        ("the samples", header.sha1_uncompressed, report.sha1_raw),
    ):
        if expected is not None and expected != actual:
            report.errors.append(
                SizeMismatch(
                    f"the SHA-1 of {what} is {actual}, not {expected} as in the header.",
                    file=path,
                    remedy="Every chunk can be read, but it is not the file that was written: fetch both files again.",
                )
            )


def read_stream(fd: int, header: Header, chunk: int, path: Path) -> np.ndarray:
    """The compressed bytes of one chunk."""
    start, stop = header.offsets[chunk], header.offsets[chunk + 1]
    stream = np.empty(stop - start, np.uint8)
    disk.read_into(fd, stream, start, path, chunk)
    return stream


def decode_chunk(
    stream: np.ndarray,
    header: Header,
    chunk: int,
    path: Path,
    transform: Transform,
    out: Any = None,
    scratch: Any = None,
) -> np.ndarray:
    """The samples of one chunk; an error names it.

    Raises
    ------
    CorruptChunk
        The stream does not inflate to them.
    """
    rows = header.bounds[chunk + 1] - header.bounds[chunk]
    try:
        return decode(stream, rows, header.n_channels, header.dtype, transform, out=out, scratch=scratch)
    except InflateError as error:
        raise corrupt(path, chunk, error) from error


def corrupt(path: Path, chunk: int, error: InflateError) -> CorruptChunk:
    """The error for a chunk that does not inflate."""
    return CorruptChunk(
        str(error),
        file=path,
        chunk=chunk,
        remedy="Fetch the file again or restore it; `cbin check` lists every bad chunk, the others can be read.",
    )


def in_order(function: Callable[..., Any], items: Iterable[Any], threads: int | None) -> Iterator[Any]:
    """Results of a function over items, computed by threads a few ahead, given back in order."""
    count = thread_count(threads)
    with ThreadPoolExecutor(count) as pool:
        coming: deque[Future[Any]] = deque()
        try:
            for item in items:
                coming.append(pool.submit(function, item))
                if len(coming) > count + 1:
                    yield coming.popleft().result()
            while coming:
                yield coming.popleft().result()
        finally:
            for future in coming:
                future.cancel()


def compare_with_raw(cbin: Path, meta: Path, raw: Path, threads: int | None = None) -> Report:
    """Compare a finished pair with its raw file, sharing no codec with the way it was written.

    The compressed file is read from the disk rather than from memory where the system lets us, inflated by zlib, and
    summed by NumPy. Both SHA-1 must be those of the header.

    Raises
    ------
    VerificationFailed
        A sample, a hash or the length differs. Nothing must be deleted then.
    """
    header = read_header(meta)
    fd, raw_fd = disk.open_to_read(cbin), disk.open_to_read(raw)
    remedy = "Keep the raw file; delete the .cbin and the .ch, check the disk, and compress again."
    try:
        size, raw_size = os.fstat(fd).st_size, os.fstat(raw_fd).st_size
        check_size(header, size, cbin)
        if raw_size != header.raw_bytes:
            raise VerificationFailed(
                f"it holds {header.raw_bytes} raw bytes, but {raw} has {raw_size}.", file=cbin, remedy=remedy
            )
        os.fsync(fd)
        disk.forget_cached(fd)

        def read(chunk: int) -> Any:
            stream = read_stream(fd, header, chunk, cbin)
            first, last = header.bounds[chunk], header.bounds[chunk + 1]
            expected = np.empty((last - first, header.n_channels), header.dtype)
            disk.read_into(raw_fd, expected, first * header.row_bytes, raw, chunk)
            return chunk, stream, expected, _plain_decode(stream, header, chunk)

        sums = hashlib.sha1(usedforsecurity=False), hashlib.sha1(usedforsecurity=False)
        for chunk, stream, expected, actual in in_order(read, range(header.n_chunks), threads):
            if actual is None or actual.tobytes() != expected.tobytes():
                raise VerificationFailed(
                    "its samples are not those of the raw file.", file=cbin, chunk=chunk, remedy=remedy
                )
            sums[0].update(expected)
            sums[1].update(stream)
    finally:
        os.close(fd)
        os.close(raw_fd)
    hashes = sums[0].hexdigest(), sums[1].hexdigest()
    for known, actual in zip((header.sha1_uncompressed, header.sha1_compressed), hashes, strict=True):
        if known is not None and known != actual:
            raise VerificationFailed(f"a SHA-1 is {actual}, not {known} as in the header.", file=cbin, remedy=remedy)
    return Report(
        raw, cbin, meta, raw_size, size, 0.0, reason="finished by an earlier run", order=header.order,
        time_diff=header.time_diff, spatial_diff=header.spatial_diff, n_channels=header.n_channels,
        n_samples=header.n_samples, sample_rate=header.sample_rate, sha1_raw=hashes[0], sha1_compressed=hashes[1],
        chunk_seconds=header.chunk_seconds, verified=True,
    )  # fmt: skip


def _plain_decode(stream: np.ndarray, header: Header, chunk: int) -> np.ndarray | None:
    """A chunk as mtscomp decodes it, by zlib and NumPy; None when the stream is not valid or not of its size."""
    inflater = zlib.decompressobj()
    size = header.chunk_bytes(chunk)
    try:
        inflated = inflater.decompress(stream, size + 1)
    except zlib.error:
        return None
    if len(inflated) != size or not inflater.eof:
        return None
    order: Any = header.order
    stored = np.frombuffer(inflated, header.dtype).reshape(
        (header.bounds[chunk + 1] - header.bounds[chunk], header.n_channels), order=order
    )
    for axis, on in ((1, header.spatial_diff), (0, header.time_diff)):
        if on:
            stored = np.cumsum(stored, axis=axis, dtype=header.dtype)
    return stored
