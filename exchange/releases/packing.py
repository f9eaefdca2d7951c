"""Small files go into their room in a zip, many at once; imports little, as processes start with it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from exchange.releases import contents, stored_zip
from pipeline.errors import ConflictError

THREADS, SLOW_S = 8, 5e-4
"""So many threads read where a file takes longer than that, as on network storage. On a fast disk they would only wait
for each other."""
_pace: list[float] = []
"""Seconds that a file took in the last share of this process."""


class Share(NamedTuple):
    """Files, a column each, and the place in a zip that is kept for them."""

    room: stored_zip.Room
    paths: list[str]
    sources: list[str]
    sizes: list[int]
    hashes: list[str]
    """SHA-256 that each must have."""


class Packed(NamedTuple):
    """What became of a share: the records of its files for the list of the zip, and how large they are (byte)."""

    room: stored_zip.Room
    records: bytes
    size: int


def pack(target: str, share: Share) -> Packed:
    """Read files, check them and write them into a zip.

    Raises
    ------
    ConflictError : a file is no longer what was frozen.
    """
    began = time.monotonic()
    wanted = zip(share.sources, share.sizes, share.hashes, strict=True)
    if _pace and _pace[0] > SLOW_S:
        with ThreadPoolExecutor(THREADS) as pool:
            read = list(pool.map(lambda one: _read(*one), wanted))
    else:
        read = [_read(*one) for one in wanted]
    _pace[:] = [(time.monotonic() - began) / len(read)]
    members = zip(share.paths, read, map(zlib.crc32, read), strict=True)
    written, records = stored_zip.packed(share.room.offset, members)
    _write(target, share.room.offset, written)
    return Packed(share.room, records, sum(share.sizes))


def check(source: str, sha256: str, expected: str) -> None:
    """Raise where a file is no longer what was frozen."""
    if sha256 != expected:
        raise ConflictError(
            f"{source} is no longer what was frozen", "restore it, or make a new version: `neurojoint release create`"
        )


def _read(source: str, size: int, expected: str) -> bytes:
    content = contents.small_content(source, size)
    check(source, hashlib.sha256(content).hexdigest(), expected)
    return content


def _write(target: str, offset: int, block: bytes) -> None:
    file = os.open(target, os.O_WRONLY | os.O_CLOEXEC)
    with contextlib.closing(os.fdopen(file, "wb", buffering=0)) as opened:
        opened.seek(offset)
        rest = memoryview(block)
        while rest:
            rest = rest[opened.write(rest) :]
