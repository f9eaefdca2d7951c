"""Whether what lies somewhere is the release that was frozen: everything is read and hashed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from one_bridge.light import places
from one_bridge.light.manifest import Manifest
from pipeline.errors import NeurojointError

Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call."""


@dataclass
class Verdict:
    """What was found.

    Attributes
    ----------
    release : what the place says that it holds.
    problems : path -> what is wrong with it.
    """

    release: Manifest
    files: int = 0
    size: int = 0
    problems: dict[str, str] = field(default_factory=dict)


def verify(address: str | Path, expected: str | None = None, progress: Progress = lambda n: None) -> Verdict:
    """Read all files of a release at an address and compare them with its manifest.

    Parameters
    ----------
    expected : SHA-256 that the manifest must have; by default any that is consistent.

    Raises
    ------
    DamagedRelease : the place contradicts itself.
    """
    place = places.open_place(address)
    manifest = places.read_manifest(place, address)
    verdict = Verdict(manifest)
    if expected is not None and manifest.info["manifest"]["sha256"] != expected:
        verdict.problems["manifest.tsv"] = "is not that of the release that was frozen here"
    wanted = [(file.path, file.sha256, file.size) for file in manifest.files]
    wanted += [(path, sha256, -1) for path, sha256 in manifest.others.items()]

    def check(one: tuple[str, str, int]) -> str:
        path, sha256, size = one
        digest, n_bytes = hashlib.sha256(), 0
        try:
            for block in place.chunks(path):
                digest.update(block)
                n_bytes += len(block)
                progress(len(block))
        except NeurojointError as error:
            return str(error)
        verdict.size += n_bytes
        if size not in (-1, n_bytes):
            return f"has {n_bytes} byte instead of {size}"
        return "" if digest.hexdigest() == sha256 else "has another content"

    with ThreadPoolExecutor(place.threads) as pool:
        for (path, _, _), problem in zip(wanted, pool.map(check, wanted), strict=True):
            verdict.files += 1
            if problem:
                verdict.problems[path] = problem
    return verdict
