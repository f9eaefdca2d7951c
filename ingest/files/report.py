"""What the inspection of session folders finds: files, objects, recordings, probes, clusterings; plain records."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ingest.files.channel_maps import ChannelMap
from ingest.files.scan import Folder, Problem
from ingest.files.session_metadata import Facts
from pipeline.electrophysiology import sorting

Known = Mapping[str, tuple]
"""Path below the session -> size (byte), time of change (ns) and md5 when the file was last read; SHA-1 too of a raw
recording that lies beside its compressed form."""


class Found(NamedTuple):
    """One accepted file: a dataset and where it is."""

    file_path: str  # below the root
    rel_path: str  # below the session, without a uuid in the name
    collection: str
    alf_object: str
    attribute: str
    extension: str
    revision: str
    dataset_type: str | None
    given_id: str  # uuid in the file's name, or empty
    derived_id: str  # uuid of the path
    md5: str
    size: int  # byte
    modified_ns: int  # ns since 1970
    is_read: bool  # its content was hashed now


class ObjectState(NamedTuple):
    """One ALF object: what may be read of it."""

    collection: str
    alf_object: str
    fingerprint: str
    accepted: list[str]
    refused: dict[str, str]


@dataclass(frozen=True)
class Compressed:
    """The compressed form of a recording, and its raw file where that lies beside it."""

    raw_path: str  # below the session
    raw_size: int  # byte
    raw_sha1: str  # empty where the .ch does not give it
    compressed_sha1: str
    layout: str
    encoder: str
    raw_md5: str = ""  # empty where the raw file is not beside it
    raw_modified_ns: int | None = None  # ns since 1970; None where the raw file is not beside it
    seconds: float | None = None  # s; None where another program compressed it


@dataclass(frozen=True)
class Recording:
    """One raw recording as its headers describe it."""

    rel_path: str  # of the form that is the dataset
    band: str  # ap, lf, nidq, obx
    probe_label: str  # empty for nidq and obx
    sampling_rate: float  # Hz
    n_channels: int
    n_samples: int  # per channel
    volts_per_bit: float | None  # V, of the first channel
    probe_serial: str | None
    probe_model: str | None
    compressed: Compressed | None = None
    channel_map: ChannelMap | None = None


@dataclass(frozen=True)
class Clustering:
    """One sorting of one insertion in one revision."""

    name: str  # folder below alf, with the revision
    probe_label: str
    sorter: str | None
    collection: str
    revision: str
    fingerprint: str  # md5
    files: dict[str, tuple[str, str]]  # object.attribute -> path below the session, md5; what may be read
    refused: dict[str, str]  # object.attribute -> reason
    reading: dict[str, Any]  # how they are to be read

    @property
    def is_readable(self) -> bool:
        """Whether its spikes may be read."""
        return all(name in self.files for name in sorting.NEEDED)


@dataclass(frozen=True)
class Probe:
    """An insertion that a session has."""

    label: str
    serial: str | None = None
    model: str | None = None


@dataclass
class Report:
    """What registration has to know of a session folder. Later steps (compression) may change `files` and `changes`."""

    folder: Folder
    files: list[Found] = field(default_factory=list)
    objects: list[ObjectState] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    facts: Facts = field(default_factory=Facts)
    recordings: list[Recording] = field(default_factory=list)
    probes: list[Probe] = field(default_factory=list)
    clusterings: list[Clustering] = field(default_factory=list)
    changes: list[tuple[str, str, str, str, str]] = field(default_factory=list)
    """For data.Change, beyond what registration sees itself: action, path, detail, old hash, new hash."""


Step = Callable[[Report, Path], Report]
"""A later step (compression, extraction) between examining a session folder and writing its rows: it may replace files
of the report by others, and tell so in `Report.changes`."""


def default_versions(files: list[tuple[str, str]]) -> set[tuple[str, str]]:
    """Of (path below the session without #revision#, revision), those that are read when no revision is asked for.

    As ONE has it: of each file, the revision that sorts last.

    >>> sorted(default_versions([("alf/a.b.npy", ""), ("alf/a.b.npy", "2024-01-01"), ("alf/c.d.npy", "")]))
    [('alf/a.b.npy', '2024-01-01'), ('alf/c.d.npy', '')]
    """
    last: dict[str, str] = {}
    for path, revision in files:
        last[path] = max(revision, last.get(path, ""))
    return set(last.items())


def without_revision(rel_path: str, revision: str) -> str:
    """The path of a dataset with the folder of the revision left out.

    >>> without_revision("alf/#r1#/a.b.npy", "r1")
    'alf/a.b.npy'
    """
    return rel_path.replace(f"#{revision}#/", "", 1) if revision else rel_path
