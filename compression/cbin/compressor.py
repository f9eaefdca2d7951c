"""Compressing a raw recording: threads that read, transform, deflate and verify chunks, and one that writes them."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from . import disk
from .codec import EFFORTS, decode, encode, forward
from .errors import FormatError, OutputExists, VerificationFailed
from .format import MAX_CHUNK_BYTES, Header, check_dtype, default_paths
from .inflate import InflateError
from .journal import Journal
from .layout import Plan, plan
from .report import Progress, Report, package_version
from .source import Source, likelier_channels, shape_of, thread_count
from .verify import compare_with_raw

JOURNAL = ".journal"
_AHEAD_BYTES = 1 << 22
"""Raw bytes that may wait for the chunk before them, beyond a chunk per thread and two more."""

_SYNC_BYTES = 1 << 26
"""Compressed bytes after which the system is asked to write to the disk what it holds, while compression goes on."""


def compress(
    path: str | Path,
    out: str | Path | None = None,
    *,
    meta_out: str | Path | None = None,
    n_channels: int | None = None,
    sample_rate: float | None = None,
    dtype: str | np.dtype = "int16",
    layout: str = "auto",
    effort: str = "default",
    chunk_duration: float | None = None,
    order: str | None = None,
    time_diff: bool = True,
    spatial_diff: bool | None = None,
    threads: int | None = None,
    verify: bool = True,
    overwrite: bool = False,
    remove_raw: bool = False,
    resume: bool = True,
    md5: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Compress a raw recording to a .cbin and a .ch that mtscomp and everything built on it can read.

    The output is written under a temporary name in its own folder, each chunk is read back and compared with the raw
    samples, and the final names appear when all is on the disk. A crash at any moment leaves the raw file and no
    half file under a final name; the next call continues where it ended.

    Parameters
    ----------
    path : path
        Raw samples, (n_samples, n_channels) in C order without header.
    out, meta_out : path, optional
        Where the .cbin and the .ch go; by default beside the raw file.
    n_channels, sample_rate : int, float (Hz), optional
        By default from the SpikeGLX .meta beside the raw file.
    dtype : NumPy type
        Any integer or float. Types whose differences are not exact (floats) are stored without differences.
    layout : {"auto", "compat", "access"}
        "compat" is mtscomp's own: channel after channel, chunks of 1 s. "access" is made for short reads: sample
        after sample, chunks of 0.1 s. "auto" measures a few chunks and takes the smaller order, with or without
        spatial differences, in chunks of 0.1 s.
    effort : {"default", "fast", "small"}
    chunk_duration, order, time_diff, spatial_diff
        What the layout decides otherwise: seconds; "F" channel after channel or "C" sample after sample; whether
        differences in time and between channels are stored.
    threads : int, optional
        By default as many as there are processors this process may use.
    verify : bool
        Whether to read back, decode and compare every chunk as it is written.
    overwrite : bool
        Whether an earlier pair under the same names may be replaced.
    remove_raw : bool
        Delete the raw file, but only after a second, independent verification: the finished file is read from the
        disk, inflated by another library and compared with the raw file byte by byte. With a finished pair from an
        earlier run already there, only this verification and the deletion are done.
    resume : bool
        Whether to keep what an interrupted run of the same settings had finished, after checking it.
    md5 : bool
        Whether to compute the MD5 of both files too (some 30 % slower).
    progress : function (done_bytes, total_bytes), optional
        Called from this thread after each chunk, in raw bytes.

    Raises
    ------
    CbinError
        See `cbin.errors`; the message names file, chunk and remedy.
    """
    began = time.perf_counter()
    raw = Path(path)
    out, meta_out = default_paths(raw, _path(out), _path(meta_out))
    if len({raw, out, meta_out}) < 3:
        raise FormatError("input and outputs must be different files.", file=raw, remedy="Give other names.")
    n_channels, sample_rate = shape_of(raw, n_channels, sample_rate)
    dtype = check_dtype(dtype, raw)
    if effort not in EFFORTS:
        raise FormatError(f"effort {effort!r} is none of {', '.join(EFFORTS)}.")
    threads = thread_count(threads)
    with ExitStack() as stack:
        fd = disk.open_to_read(raw)
        stack.callback(os.close, fd)
        source = Source(raw, fd, n_channels, dtype, os.fstat(fd))
        if out.exists() and not overwrite:
            if not (remove_raw and resume and meta_out.exists()):
                raise OutputExists(
                    "the compressed file is already there.", file=out, remedy="Move it, or allow overwriting."
                )
            report = compare_with_raw(out, meta_out, raw, threads)
            report.seconds = time.perf_counter() - began
            if not out.with_name(out.name + disk.PART).exists():  # that run was killed before it had tidied up
                out.with_name(out.name + JOURNAL).unlink(missing_ok=True)
            return _remove_raw(report, source)
        chosen = plan(
            layout, n_samples=source.n_samples, sample_rate=sample_rate, dtype=dtype, order=order,
            time_diff=time_diff, spatial_diff=spatial_diff, chunk_duration=chunk_duration, read=source.read,
        )  # fmt: skip
        if chosen.rows * source.row_bytes > MAX_CHUNK_BYTES:
            raise FormatError(f"chunks of {chosen.rows} samples are too large.", file=raw, remedy="Use shorter chunks.")
        job = _Job(source, out, chosen, effort, threads, verify, resume, md5, progress)
        header, report = job.run(sample_rate, meta_out)
        likelier = likelier_channels(source)
        if likelier is not None:
            report.warnings.append(
                f"the samples look like {likelier} channels rather than {n_channels}; the file is right, but larger."
            )
    if remove_raw:
        compare_with_raw(out, meta_out, raw, threads)
        _remove_raw(report, source)
    report.layout = layout
    report.seconds = time.perf_counter() - began
    return report


@dataclass
class _Chunk:
    """What a worker hands over: samples, compressed bytes, and where these lie already in the unfinished file."""

    samples: np.ndarray
    stream: np.ndarray | bytes | bytearray
    kept_at: int | None


class _Job:
    """One compression under way."""

    def __init__(
        self,
        source: Source,
        out: Path,
        chosen: Plan,
        effort: str,
        threads: int,
        verify: bool,
        resume: bool,
        md5: bool,
        progress: Progress | None,
    ) -> None:
        self.source, self.out, self.plan, self.effort = source, out, chosen, effort
        self.threads, self.verify, self.resume, self.progress = threads, verify, resume, progress
        self.bounds = [*range(0, source.n_samples, chosen.rows), source.n_samples]
        self.part = out.with_name(out.name + disk.PART)
        self.kept: list[int] = []
        self.hashers = [(hashlib.sha1(usedforsecurity=False), hashlib.sha1(usedforsecurity=False))]
        if md5:
            self.hashers.append((hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False)))
        self.local = threading.local()
        self.free: deque[np.ndarray] = deque()
        self.remedy = f"Free some space and run again to continue, or delete {self.part.name}."

    def run(self, sample_rate: float, meta_out: Path) -> tuple[Header, Report]:
        source, transform = self.source, self.plan.transform
        self.out.parent.mkdir(parents=True, exist_ok=True)
        settings = {
            "raw": str(source.path.resolve()), "size": source.size, "mtime_ns": source.stat.st_mtime_ns,
            "n_channels": source.n_channels, "sample_rate": sample_rate, "dtype": source.dtype.str,
            "rows": self.plan.rows, "order": transform.order, "time_diff": transform.time_diff,
            "spatial_diff": transform.spatial_diff, "effort": self.effort, "version": package_version(),
        }  # fmt: skip
        journal = Journal(self.out.with_name(self.out.name + JOURNAL), settings)
        finished = False
        try:
            fd = os.open(self.part, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
            try:
                self.kept = [0, *journal.ends] if self.resume else [0]
                with disk.disk_full_named(self.part, self.remedy):
                    ends, resumed = self._write_all(fd, journal)
                    os.ftruncate(fd, ends[-1])
                    os.fsync(fd)
            finally:
                os.close(fd)
            source.check_unchanged()
            header = Header(
                n_channels=source.n_channels, sample_rate=float(sample_rate), dtype=source.dtype,
                bounds=tuple(self.bounds), offsets=tuple(ends), order=transform.order, time_diff=transform.time_diff,
                spatial_diff=transform.spatial_diff, sha1_compressed=self.hashers[0][1].hexdigest(),
                sha1_uncompressed=self.hashers[0][0].hexdigest(), extra={"encoder": f"cbin {package_version()}"},
            )  # fmt: skip
            disk.publish(self.part, self.out, header.to_bytes(), meta_out)
            finished = True
        finally:
            journal.close(delete=finished or not self.resume)
            if not finished and not self.resume:
                self.part.unlink(missing_ok=True)
        md5s = [h.hexdigest() for h in self.hashers[1]] if len(self.hashers) > 1 else [None, None]
        return header, Report(
            source.path, self.out, meta_out, source.size, ends[-1], 0.0, reason=self.plan.reason,
            order=transform.order, time_diff=transform.time_diff, spatial_diff=transform.spatial_diff,
            chunk_seconds=self.plan.rows / sample_rate, effort=self.effort, n_channels=source.n_channels,
            n_samples=source.n_samples, sample_rate=float(sample_rate), sha1_raw=header.sha1_uncompressed,
            sha1_compressed=header.sha1_compressed, md5_raw=md5s[0], md5_compressed=md5s[1], verified=self.verify,
            resumed_chunks=resumed,
        )  # fmt: skip

    def _write_all(self, fd: int, journal: Journal) -> tuple[list[int], int]:
        """Write every chunk in order; returns where each ends, from 0 on, and how many were there already."""
        ends, resumed, synced = [0], 0, 0
        n_chunks = len(self.bounds) - 1
        chunk_bytes = self.plan.rows * self.source.row_bytes
        depth = self.threads + 2 + min(2 * self.threads, _AHEAD_BYTES // chunk_bytes)
        with ExitStack() as stack:
            hash_threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in self.hashers]
            sync_thread = stack.enter_context(ThreadPoolExecutor(1))
            pool = stack.enter_context(ThreadPoolExecutor(self.threads))
            coming: deque[Future[_Chunk]] = deque()
            hashing: deque[tuple[list[Future[Any]], np.ndarray]] = deque()
            syncing: Future[Any] | None = None
            started = 0
            try:
                for chunk in range(n_chunks):
                    while started < n_chunks and len(coming) < depth:
                        coming.append(pool.submit(self._chunk, fd, started))
                        started += 1
                    done = coming.popleft().result()
                    at, size = ends[-1], len(done.stream)
                    if done.kept_at == at:
                        resumed += 1
                    else:
                        disk.write_at(fd, done.stream, at)
                        if self.verify:
                            self._read_back(fd, done.stream, at, chunk)
                    ends.append(at + size)
                    journal.record(chunk, ends[-1])
                    futures = [
                        thread.submit(_hash, pair, done)
                        for thread, pair in zip(hash_threads, self.hashers, strict=True)
                    ]
                    hashing.append((futures, done.samples))
                    while len(hashing) > depth // 3 or (hashing and all(f.done() for f in hashing[0][0])):
                        futures, samples = hashing.popleft()
                        for future in futures:
                            future.result()
                        self.free.append(samples.reshape(-1))
                    if ends[-1] - synced > _SYNC_BYTES and (syncing is None or syncing.done()):
                        if syncing is not None:
                            syncing.result()
                        synced, syncing = ends[-1], sync_thread.submit(os.fdatasync, fd)
                    if self.progress is not None:
                        self.progress(self.bounds[chunk + 1] * self.source.row_bytes, self.source.size)
                for futures, _ in hashing:
                    for future in futures:
                        future.result()
                if syncing is not None:
                    syncing.result()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        return ends, resumed

    def _chunk(self, fd: int, chunk: int) -> _Chunk:
        """Read, transform, deflate and verify one chunk; runs in a worker thread."""
        first, last = self.bounds[chunk], self.bounds[chunk + 1]
        samples = self._samples_buffer(last - first)
        self.source.read(first, last, samples, chunk)
        if chunk + 1 < len(self.kept):
            kept = self._kept_chunk(fd, chunk, samples)
            if kept is not None:
                return _Chunk(samples, kept, self.kept[chunk])
        differences = forward(samples, self.plan.transform, self._buffer("differences", samples.dtype))
        stream = encode(differences, self.effort)
        if self.verify and not self._same(np.frombuffer(stream, np.uint8), samples):
            raise VerificationFailed(
                "the chunk does not decode to its samples.",
                file=self.source.path,
                chunk=chunk,
                remedy="Run again; if it fails again, the memory of this machine may be faulty. The raw file is whole.",
            )
        return _Chunk(samples, stream, None)

    def _kept_chunk(self, fd: int, chunk: int, samples: np.ndarray) -> np.ndarray | None:
        """A chunk that an interrupted run wrote, if it decodes to the samples."""
        start, stop = self.kept[chunk], self.kept[chunk + 1]
        if not 0 < stop - start <= 2 * samples.nbytes + 1024 or os.fstat(fd).st_size < stop:
            return None
        stream = np.empty(stop - start, np.uint8)
        disk.read_into(fd, stream, start, self.part, chunk)
        return stream if self._same(stream, samples) else None

    def _same(self, stream: np.ndarray, samples: np.ndarray) -> bool:
        n, m = samples.shape  # the differences are not needed any more: their memory takes the decoded samples
        scratch, decoded = self._buffer("inflated", np.dtype(np.uint8)), self._buffer("differences", samples.dtype)
        try:
            decoded = decode(
                stream, n, m, samples.dtype, self.plan.transform, decoded[: samples.size].reshape(n, m), scratch
            )
        except InflateError:
            return False
        return np.array_equal(decoded.view(np.uint8), samples.view(np.uint8))

    def _read_back(self, fd: int, stream: Any, at: int, chunk: int) -> None:
        back = np.empty(len(stream), np.uint8)
        disk.read_into(fd, back, at, self.part, chunk)
        if not np.array_equal(back, np.frombuffer(stream, np.uint8)):
            raise VerificationFailed(
                "the file does not hold what was written to it.",
                file=self.part,
                chunk=chunk,
                remedy="Check the disk, and run again on another. The raw file is whole.",
            )

    def _samples_buffer(self, rows: int) -> np.ndarray:
        size = rows * self.source.n_channels
        try:
            flat = self.free.pop()
        except IndexError:
            flat = np.empty(self.plan.rows * self.source.n_channels, self.source.dtype)
        if flat.size < size:
            flat = np.empty(self.plan.rows * self.source.n_channels, self.source.dtype)
        return flat[:size].reshape(rows, self.source.n_channels)

    def _buffer(self, name: str, dtype: np.dtype) -> np.ndarray:
        """A buffer of this thread, large enough for any chunk."""
        held = self.local.__dict__.get(name)
        if held is None:
            held = self.local.__dict__[name] = np.empty(self.plan.rows * self.source.row_bytes, np.uint8)
        return held.view(dtype)


def _hash(pair: Any, done: _Chunk) -> None:
    """Add a chunk to the hashes of the raw file and of the compressed one."""
    pair[0].update(done.samples)
    pair[1].update(done.stream)


def _remove_raw(report: Report, source: Source) -> Report:
    """Delete the raw file, which must be the one that was compressed."""
    source.check_unchanged()
    source.path.unlink()
    disk.sync_folder(source.path.parent)
    report.raw_removed = True
    return report


def _path(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path)
