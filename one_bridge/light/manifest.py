"""What a release holds, as its own files say it: `release.json` about the whole, `manifest.tsv` with a line a file."""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pipeline.errors import NeurojointError

INFO, MANIFEST, SUMS = "release.json", "manifest.tsv", "SHA256SUMS"
FORMAT = 1
"""Of these files; a higher number is refused."""
_HEX = {32: re.compile(r"[0-9a-f]{32}"), 64: re.compile(r"[0-9a-f]{64}")}


class DamagedRelease(NeurojointError):
    """A release that does not hold what it says."""


class File(NamedTuple):
    """One dataset of a release."""

    path: str
    """Below the folder of the release: lab/Subjects/subject/date/number/…"""
    size: int  # byte
    md5: str
    sha256: str
    dataset: str  # identifier
    eid: str

    @property
    def rel_path(self) -> str:
        """Below the session folder."""
        return self.path.split("/", 5)[5]

    @property
    def session(self) -> str:
        """lab/Subjects/subject/date/number"""
        return "/".join(self.path.split("/", 5)[:5])

    @property
    def line(self) -> str:
        """As `manifest.tsv` has it."""
        return "\t".join(map(str, self))


@dataclass(frozen=True)
class Manifest:
    """A release as its own files describe it.

    Attributes
    ----------
    info : what `release.json` says.
    others : files of the release that are no datasets -> sha256; without `SHA256SUMS` itself.
    """

    info: dict[str, Any]
    files: list[File] = field(default_factory=list)
    others: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name and version, as folders and zips are called."""
        return f"{self.info['name']}-v{self.info['version']}"

    def choose(
        self,
        lab: str | None = None,
        subject: str | None = None,
        date: str | None = None,
        session: str | None = None,
        datasets: Iterable[str] = (),
    ) -> list[File]:
        """The files that are asked for; of several names between commas one must fit.

        Parameters
        ----------
        date : a day, or its beginning, e.g. 2020-01.
        session : an eid, or the end of a path, e.g. KS014/2020-01-01/001.
        datasets : patterns of names or of paths below the session, types such as trials.choice, or objects.
        """
        patterns = tuple(datasets)

        def wanted(one: File) -> bool:
            parts = one.path.split("/")
            return bool(
                (lab is None or parts[0] in _names(lab))
                and (subject is None or parts[2] in _names(subject))
                and (date is None or any(parts[3].startswith(day) for day in _names(date)))
                and (session is None or any(_is_session(one, name) for name in _names(session)))
                and (not patterns or any(matches(one.rel_path, pattern) for pattern in patterns))
            )

        return [file for file in self.files if wanted(file)]


def matches(rel_path: str, pattern: str) -> bool:
    """Whether a file is meant by a pattern, a dataset type or an object.

    >>> matches("alf/_ibl_trials.choice.npy", "trials.choice"), matches("alf/probe00/spikes.times.npy", "spikes")
    (True, True)
    >>> matches("alf/spikes.times.npy", "*.npy"), matches("alf/trials.choice.npy", "trials.cho")
    (True, False)

    With or without the namespace, as in the calls of old:

    >>> name = "alf/_ibl_trials.choice.npy"
    >>> [matches(name, asked) for asked in ("_ibl_trials.choice", "_ibl_trials", "_ibl_trials.*")]
    [True, True, True]
    """
    name = rel_path.rpartition("/")[2]
    plain = re.sub(r"^_[a-z0-9]+_", "", name)
    if any(fnmatch.fnmatchcase(item, pattern) for item in (rel_path, name, plain)):
        return True
    return any(item.startswith(f"{pattern}.") for item in (name, plain))


def safe(path: str) -> str:
    """A path below the folder of a release.

    Raises
    ------
    DamagedRelease : it leads out of it.

    >>> safe("../x")
    Traceback (most recent call last):
    one_bridge.light.manifest.DamagedRelease: the path '../x' leads out of the release: do not use it
    """
    unsafe = any(ord(letter) < 32 for letter in path) or "\\" in path or re.match(r"[A-Za-z]:", path)
    if not path or path.startswith("/") or unsafe or {"", ".", ".."} & set(path.split("/")):
        raise DamagedRelease(f"the path {path!r} leads out of the release", "do not use it")
    return path


def dump(files: Iterable[File]) -> bytes:
    """`manifest.tsv`: sorted by path, nothing in it but the content, so that its hash stands for the content."""
    return "".join(f"{file.line}\n" for file in sorted(files)).encode()


def parse(info: bytes, table: bytes, sums: bytes) -> Manifest:
    """A release from its files.

    Raises
    ------
    DamagedRelease : they contradict each other, or name paths that lead out of the release.
    """
    try:
        about = json.loads(info)
        said = about["manifest"]["sha256"]
        version = int(about["format"])
    except (ValueError, KeyError, TypeError):
        raise DamagedRelease(f"{INFO} is no description of a release", "check the address") from None
    if version > FORMAT:
        raise DamagedRelease(f"the release has format {version}", "install a newer version of neurojoint")
    if hashlib.sha256(table).hexdigest() != said:
        raise DamagedRelease(f"{MANIFEST} is not the one that {INFO} names", "do not use it; get the release again")
    files = [_parsed(number, line) for number, line in enumerate(table.decode().splitlines(), 1)]
    if len({file.path for file in files}) < len(files):
        raise DamagedRelease(f"{MANIFEST} names a path twice", "do not use it")
    return Manifest(about, files, _others(sums, {file.path: file.sha256 for file in files}))


def _parsed(number: int, line: str) -> File:
    parts = line.split("\t")
    try:
        path, size, md5, sha256, dataset, eid = parts
        if len(path.split("/")) < 6 or not _HEX[32].fullmatch(md5) or not _HEX[64].fullmatch(sha256) or int(size) < 0:
            raise ValueError
    except ValueError:
        raise DamagedRelease(f"{MANIFEST}, line {number} is no file", "do not use it; get the release again") from None
    return File(safe(path), int(size), md5, sha256, dataset, eid)


def _others(sums: bytes, datasets: dict[str, str]) -> dict[str, str]:
    others = {}
    for number, line in enumerate(sums.decode().splitlines(), 1):
        sha256, _, path = line.partition("  ")
        if not _HEX[64].fullmatch(sha256) or not path:
            raise DamagedRelease(f"{SUMS}, line {number} is no checksum", "do not use it; get the release again")
        if path not in datasets:
            others[safe(path)] = sha256
        elif datasets[path] != sha256:
            raise DamagedRelease(f"{SUMS} and {MANIFEST} differ on {path}", "do not use it; get the release again")
    return others


def _names(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _is_session(one: File, name: str) -> bool:
    return name.lower() == one.eid or one.session.endswith(f"/{name.strip('/')}") or one.session == name
