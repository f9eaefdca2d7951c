"""What a release holds of a file: its bytes and their hashes. Imports little, as processes start with it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from one_bridge import parquet_metadata

BLOCK = 1 << 20  # byte


class Digest(NamedTuple):
    """Size (byte) and hashes of what a release holds of a file."""

    size: int
    md5: str
    sha256: str


def content(path: str | Path) -> Iterator[bytes]:
    """What a release holds of a file: its bytes; of Parquet files that the client cannot read, with what they lack."""
    if os.fspath(path).endswith(".pqt"):
        footer = parquet_metadata.missing_footer(Path(path))
        if footer is not None:
            yield from parquet_metadata.content(Path(path), footer)
            return
    yield from _blocks(path)


def small_content(path: str, size: int) -> bytes:
    """The same of a small file at once; the fastest where it has the size (byte) that is expected."""
    if path.endswith(".pqt"):
        return b"".join(content(path))
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        block = os.read(fd, size + 1)  # of a file on a disk, less than was asked for is all
        return block if len(block) <= size else block + b"".join(iter(lambda: os.read(fd, BLOCK), b""))
    finally:
        os.close(fd)


def digest_of(path: str | Path) -> tuple[Digest, str]:
    """Hashes of what a release holds of a file, and the md5 of the file itself."""
    if not os.fspath(path).endswith(".pqt"):
        md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
        for block in _blocks(path):
            md5.update(block)
            sha256.update(block)
            size += len(block)
        return Digest(size, md5.hexdigest(), sha256.hexdigest()), md5.hexdigest()
    whole = Path(path).read_bytes()
    registered = hashlib.md5(whole, usedforsecurity=False).hexdigest()
    shown = b"".join(content(path))
    digest = Digest(
        len(shown), hashlib.md5(shown, usedforsecurity=False).hexdigest(), hashlib.sha256(shown).hexdigest()
    )
    return digest, registered


def _blocks(path: str | Path) -> Iterator[bytes]:
    """A file in blocks; a buffer that is much larger than a small file would take longer than reading it."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = min(os.fstat(fd).st_size + 1, BLOCK)
        while block := os.read(fd, size):
            yield block
    finally:
        os.close(fd)
