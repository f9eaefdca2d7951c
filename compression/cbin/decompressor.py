"""Writing a compressed recording back to the raw file it came from."""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import numpy as np

from . import disk
from .codec import Transform, inverse_pieces
from .errors import CbinError, FormatError, OutputExists, VerificationFailed
from .format import header_path
from .inflate import InflateError, inflate_into
from .reader import open_pair
from .report import Progress, Report
from .verify import corrupt, in_order, read_stream


def decompress(
    path: str | Path,
    out: str | Path | None = None,
    *,
    meta: str | Path | None = None,
    threads: int | None = None,
    verify: bool = True,
    overwrite: bool = False,
    keep: bool = True,
    progress: Progress | None = None,
) -> Report:
    """Write the raw file of a compressed recording.

    The output is written under a temporary name in its own folder and renamed when all is on the disk.

    Parameters
    ----------
    path : path
        The .cbin.
    out : path, optional
        By default beside it: .cbin becomes .bin, .cdat becomes .dat.
    meta : path, optional
        The .ch, when it has another name.
    verify : bool
        Whether to compare the SHA-1 of what was written with the header's (when it has one), read back from the file.
        Every chunk's checksum is verified in any case.
    overwrite : bool
        Whether a file under the same name may be replaced.
    keep : bool
        Whether to keep the .cbin and the .ch; False deletes them once the raw file has been read back and found right,
        which needs a SHA-1 in the header.
    progress : function (done_bytes, total_bytes), optional

    Raises
    ------
    CbinError
        See `cbin.errors`. No file is left under the final name then.
    """
    began = time.perf_counter()
    path = Path(path)
    meta = Path(meta) if meta is not None else header_path(path)
    out = Path(out) if out is not None else _raw_path(path)
    if out in (path, meta):
        raise FormatError("input and output must be different files.", file=path, remedy="Give another name.")
    if out.exists() and not overwrite:
        raise OutputExists("the raw file is already there.", file=out, remedy="Move it, or allow overwriting.")
    fd, header = open_pair(path, meta)
    part = out.with_name(out.name + disk.PART)
    out.parent.mkdir(parents=True, exist_ok=True)
    local = threading.local()
    transform = Transform.of(header)
    largest = max(map(header.chunk_bytes, range(header.n_chunks)), default=0)
    done = False
    try:
        if not keep and (header.sha1_uncompressed is None or not verify):
            raise CbinError(
                "the compressed file is only deleted after verification against a SHA-1, which is missing here.",
                file=path,
                remedy="Keep it, or check the raw file yourself and delete it then.",
            )
        with disk.disk_full_named(part, "Free some space and run again."):
            target = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | getattr(os, "O_CLOEXEC", 0), 0o666)
            try:
                os.ftruncate(target, header.raw_bytes)

                def write(chunk: int) -> int:
                    if not local.__dict__:
                        local.inflated = np.empty(largest, np.uint8)
                    inflated = local.inflated[: header.chunk_bytes(chunk)]
                    stream = read_stream(fd, header, chunk, path)
                    try:
                        inflate_into(stream, inflated)
                    except InflateError as error:
                        raise corrupt(path, chunk, error) from error
                    rows = header.bounds[chunk + 1] - header.bounds[chunk]
                    at = header.bounds[chunk] * header.row_bytes
                    for piece in inverse_pieces(inflated, rows, header.n_channels, header.dtype, transform):
                        disk.write_at(target, piece, at)
                        at += piece.nbytes
                    return chunk

                for chunk in in_order(write, range(header.n_chunks), threads):
                    if progress is not None:
                        progress(header.bounds[chunk + 1] * header.row_bytes, header.raw_bytes)
                os.fsync(target)
                sha1 = _sha1(target, header.raw_bytes, part) if verify or not keep else None
            finally:
                os.close(target)
        if sha1 is not None and header.sha1_uncompressed not in (None, sha1):
            raise VerificationFailed(
                f"the SHA-1 of the raw file is {sha1}, not {header.sha1_uncompressed} as in the header.",
                file=path,
                remedy="The .cbin and the .ch do not belong together, or were changed: fetch both again.",
            )
        part.replace(out)
        disk.sync_folder(out.parent)
        done = True
        if not keep:
            path.unlink()
            meta.unlink()
            disk.sync_folder(path.parent)
    finally:
        os.close(fd)
        if not done:
            part.unlink(missing_ok=True)
    return Report(
        out, path, meta, header.raw_bytes, header.offsets[-1], time.perf_counter() - began, order=header.order,
        time_diff=header.time_diff, spatial_diff=header.spatial_diff, n_channels=header.n_channels,
        n_samples=header.n_samples, sample_rate=header.sample_rate, sha1_raw=sha1 or header.sha1_uncompressed,
        sha1_compressed=header.sha1_compressed, verified=sha1 is not None and header.sha1_uncompressed is not None,
        chunk_seconds=header.chunk_seconds,
    )  # fmt: skip


def _raw_path(path: Path) -> Path:
    suffix = "." + path.suffix[2:] if path.suffix.startswith(".c") and len(path.suffix) > 2 else ".bin"
    return path.with_suffix(suffix)


def _sha1(fd: int, size: int, path: Path) -> str:
    """SHA-1 of an open file, read in pieces."""
    sha1 = hashlib.sha1(usedforsecurity=False)
    buffer = np.empty(1 << 22, np.uint8)
    for start in range(0, size, buffer.size):
        piece = buffer[: min(buffer.size, size - start)]
        disk.read_into(fd, piece, start, path)
        sha1.update(piece)
    return sha1.hexdigest()
