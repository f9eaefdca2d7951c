"""Files one by one, and contents that arrive block by block: saved, or hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from exchange.transfers.protocol import Job, Outcome, Progress
from exchange.transfers.throttle import Throttle


def one_by_one(
    jobs: Iterable[Job], copy: Callable[[Job], None], explain: Callable[[Exception], Exception] = lambda error: error
) -> Iterator[Outcome]:
    """Copy file after file: an error is the outcome of its file, in the words of `explain`, and the others go on."""
    for job in jobs:
        try:
            copy(job)
            yield job, None
        except Exception as error:
            yield job, explain(error)


def save(path: Path, blocks: Iterable[bytes], progress: Progress, throttle: Throttle) -> None:
    """Write blocks into a file, no faster than the throttle allows."""
    with path.open("wb") as file:
        for block in blocks:
            file.write(block)
            progress(len(block))
            throttle(len(block))


def md5_and_size(blocks: Iterable[bytes], progress: Progress) -> tuple[str, int]:
    """MD5 and size (byte) of blocks."""
    digest, size = hashlib.md5(usedforsecurity=False), 0
    for block in blocks:
        digest.update(block)
        size += len(block)
        progress(len(block))
    return digest.hexdigest(), size
