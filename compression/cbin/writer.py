"""Compressing while a recording runs: samples go in as they come, whole chunks go out, readers see what is finished."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from . import disk
from .codec import EFFORTS, Transform, encode, forward, has_exact_differences
from .errors import FormatError, OutputExists, SizeMismatch
from .format import Header, check_dtype, header_path, read_header
from .report import package_version


class Writer:
    """A .cbin that grows.

    Each full chunk is appended to the .cbin and flushed to the disk, and only then does a new .ch name it, which
    replaces the old one in a single step. So a reader (this package's or mtscomp's) may open the pair at any moment,
    and a crash loses at most the samples that did not fill a chunk, and those of the last `publish_seconds`.

    Parameters
    ----------
    path : path
        The .cbin; its .ch lies beside it. With `append=True` it may exist and is continued.
    n_channels, sample_rate, dtype
        Of the samples; taken from the file when it is continued.
    chunk_duration : float
        Seconds.
    order, time_diff, spatial_diff, effort
        As in `cbin.compress`.
    publish_seconds : float
        How often at most the .ch is replaced; 0 means after every chunk.

    Raises
    ------
    OutputExists
        The file is there and is not to be continued.
    Busy
        Another process is writing it.
    FormatError
        Options are impossible, or do not fit the file that is continued.

    Examples
    --------
    >>> import tempfile, cbin
    >>> path = Path(tempfile.mkdtemp()) / "running.cbin"
    >>> with Writer(path, n_channels=4, sample_rate=100) as writer:
    ...     for second in range(3):
    ...         writer.write(np.full((100, 4), second, np.int16))
    >>> cbin.open(path).shape
    (300, 4)
    """

    def __init__(
        self,
        path: str | Path,
        n_channels: int | None = None,
        sample_rate: float | None = None,
        dtype: str | np.dtype = "int16",
        *,
        chunk_duration: float = 0.1,
        order: str = "C",
        time_diff: bool = True,
        spatial_diff: bool = False,
        effort: str = "default",
        append: bool = False,
        publish_seconds: float = 1.0,
    ) -> None:
        self.path, self.meta_path = Path(path), header_path(Path(path))
        if effort not in EFFORTS:
            raise FormatError(f"effort {effort!r} is none of {', '.join(EFFORTS)}.")
        continued = append and self.path.exists()
        if not continued and (self.path.exists() or self.meta_path.exists()):
            raise OutputExists("the file is already there.", file=self.path, remedy="Give another name, or append.")
        if continued:
            header = read_header(self.meta_path)
        else:
            dtype = check_dtype(dtype, self.path)
            exact = has_exact_differences(dtype)
            if not n_channels or not sample_rate:
                raise FormatError("a new file needs n_channels and sample_rate.", file=self.path)
            header = Header(
                int(n_channels), float(sample_rate), dtype, (0,), (0,), order, time_diff and exact,
                spatial_diff and exact, extra={"encoder": f"cbin {package_version()}"},
            )  # fmt: skip
        self.header = header
        self.effort, self.publish_seconds = effort, publish_seconds
        self.rows = max(1, round(chunk_duration * header.sample_rate))
        self._transform = Transform.of(header)
        self._bounds, self._offsets = list(header.bounds), list(header.offsets)
        self._pending: list[np.ndarray] = []
        self._n_pending = 0
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)
        self._lock = disk.locked(self._fd, self.path)
        try:
            self._lock.__enter__()
            if os.fstat(self._fd).st_size < self._offsets[-1]:
                raise SizeMismatch("the file is shorter than its header says.", file=self.path)
            self._publish(in_progress=True)
            os.ftruncate(self._fd, self._offsets[-1])  # what a crash left behind the last chunk
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise

    @property
    def n_samples(self) -> int:
        """Samples written so far, those that do not yet fill a chunk included."""
        return self._bounds[-1] + self._n_pending

    def write(self, samples: np.ndarray) -> None:
        """Add samples, (n, n_channels), of the file's type.

        Raises
        ------
        FormatError
            Shape or type do not fit.
        """
        if self._fd < 0:
            raise ValueError(f"{self.path} is closed")
        samples = np.asarray(samples)
        if samples.ndim != 2 or samples.shape[1] != self.header.n_channels or samples.dtype != self.header.dtype:
            raise FormatError(
                f"samples of shape {samples.shape} and type {samples.dtype} do not fit "
                f"{self.header.n_channels} channels of {self.header.dtype}.",
                file=self.path,
            )
        while len(samples):
            part, samples = samples[: self.rows - self._n_pending], samples[self.rows - self._n_pending :]
            self._pending.append(np.array(part, order="C"))
            self._n_pending += len(part)
            if self._n_pending == self.rows:
                self._write_chunk()

    def flush(self) -> None:
        """Write what is pending as a (shorter) chunk and let readers see it."""
        self._write_chunk()
        self._publish(in_progress=True)

    def close(self) -> None:
        """Write what is pending, and the final header."""
        if self._fd < 0:
            return
        try:
            self._write_chunk()
            self._publish(in_progress=False)
        finally:
            self._abandon()

    def _abandon(self) -> None:
        os.close(self._fd)
        self._fd = -1

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _write_chunk(self) -> None:
        if not self._n_pending:
            return
        samples = np.concatenate(self._pending)
        stream = encode(forward(samples, self._transform), self.effort)
        with disk.disk_full_named(self.path, "Free some space; everything up to the last full chunk is safe."):
            disk.write_at(self._fd, stream, self._offsets[-1])
        self._pending, self._n_pending = [], 0
        self._bounds.append(self._bounds[-1] + len(samples))
        self._offsets.append(self._offsets[-1] + len(stream))
        if time.monotonic() - self._published >= self.publish_seconds:
            self._publish(in_progress=True)

    def _publish(self, in_progress: bool) -> None:
        """Flush the .cbin, then replace the .ch; SHA-1 sums of a file that grew are not known."""
        os.fsync(self._fd)
        extra = {key: value for key, value in self.header.extra.items() if key != "in_progress"}
        grew = len(self._bounds) > self.header.n_chunks + 1
        changes = {"sha1_compressed": None, "sha1_uncompressed": None, "shape": ()} if grew or in_progress else {}
        header = self.header.with_changes(
            bounds=tuple(self._bounds),
            offsets=tuple(self._offsets),
            extra=extra | ({"in_progress": True} if in_progress else {}),
            **changes,
        )
        disk.write_whole(self.meta_path, header.to_bytes())
        self._published = time.monotonic()


def append(path: str | Path, samples: np.ndarray, **options: Any) -> Header:
    """Add samples to a .cbin as chunks of their own, creating it when it is not there (see `Writer` for the options).

    For a stream of small pieces keep a `Writer` open: it gathers them into full chunks.
    """
    with Writer(path, append=True, **options) as writer:
        writer.write(samples)
    return read_header(writer.meta_path)
