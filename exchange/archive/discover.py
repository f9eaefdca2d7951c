"""What lies in a repository already: after being read, files of known datasets get a record, others become datasets."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from exchange.transfers import ledger
from exchange.transfers.protocol import Backend, Found, Stat
from exchange.transfers.repositories import repository as repository_named
from ingest.files.scan import SessionKey, ignored_file, ignored_folder
from ingest.rows.announced import Announced, announce
from ingest.rows.session_keys import keys_of
from ingest.rows.writing import Writer
from pipeline.alf import columns, identity
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.errors import explain
from pipeline.schemas import acquisition, data, lab, subject

GROUP = 500
_SESSION = re.compile(
    r"(?P<lab>\w+)/Subjects/(?P<subject>[\w.-]+)/(?P<date>\d{4}-\d{2}-\d{2})/(?P<number>\d{1,3})/(?P<path>.+)", re.ASCII
)


@dataclass
class Discovery:
    """What lies in a repository.

    Attributes
    ----------
    known : files that were recorded already, with the size that was registered
    recorded : files of known datasets that were read, are what was registered, and have a record now
    new : files that nobody here had: they were read, and are datasets now
    differing : path -> how the file differs from the dataset of its name; nothing was recorded
    unknown : files whose names say no session or are no ALF names
    absent : files that are recorded here and were not found
    unread : path -> why it could not be read
    sessions : how many sessions are new
    size : byte that were read
    """

    known: int = 0
    recorded: int = 0
    new: int = 0
    differing: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)
    sessions: int = 0
    size: int = 0


def discover(
    repository: str, prefix: str = "", *, dry_run: bool = False, progress: Callable[[int], None] = lambda n: None
) -> Discovery:
    """Look through a repository, and register what was not known.

    A record says that somebody read the copy, so every file that has none is read, once; interrupted anywhere, the next
    call goes on. Files that are recorded and were not found are only said: `neurojoint verify` decides.

    Parameters
    ----------
    prefix : only below this folder, e.g. `mylab/Subjects/m1`.
    dry_run : read and write nothing.
    progress : called with numbers of bytes that were read.
    """
    backend = repository_named(repository).open()
    discovery = Discovery()
    try:
        backend.check()
        records = _records(repository, prefix)
        group: list[tuple[Stat, SessionKey, str]] = []
        seen: set[str] = set()
        for stat in backend.list(prefix):
            seen.add(stat.path)
            if records.get(stat.path, ("", -1))[1] == stat.size:
                discovery.known += 1
                continue
            named = _named(stat.path)
            if named is None:
                if not _is_ignored(stat.path):
                    discovery.unknown.append(stat.path)
                continue
            group.append((stat, *named))
            if len(group) >= GROUP:
                _take(repository, backend, group, discovery, dry_run, progress)
                group = []
        _take(repository, backend, group, discovery, dry_run, progress)
        discovery.absent = sorted(path for path in records if path not in seen)
    finally:
        backend.close()
    return discovery


def _records(repository: str, prefix: str) -> dict[str, tuple[str, int]]:
    """Path -> dataset and size of the copies that are recorded as online."""
    query = data.FileRecord & {"repository": repository, "file_state": "online"}
    rows = fetch_columns(query, "file_path", "dataset_id", "record_size").to_pydict()
    below = f"{prefix.rstrip('/')}/" if prefix else ""
    columns_of_rows = zip(rows["file_path"], rows["dataset_id"], rows["record_size"], strict=True)
    return {path: (dataset_id, size) for path, dataset_id, size in columns_of_rows if path.startswith(below)}


def _named(path: str) -> tuple[SessionKey, str] | None:
    """The session of a file and its path below that; None where the names say none."""
    match = _SESSION.fullmatch(path)
    if match is None or _is_ignored(path):
        return None
    folder, _, name = match["path"].rpartition("/")
    if columns.parse_name(name) is None or columns.parse_folder(folder) is None:
        return None
    return SessionKey(match["lab"], match["subject"], match["date"], int(match["number"])), match["path"]


def _is_ignored(path: str) -> bool:
    *folders, name = path.split("/")
    return ignored_file(name) or any(ignored_folder(folder) for folder in folders)


def _take(
    repository: str, backend: Backend, group: list[tuple[Stat, SessionKey, str]], discovery: Discovery, dry_run: bool,
    progress: Callable[[int], None],
) -> None:  # fmt: skip
    """Read some files and write what they are, in one transaction."""
    if not group:
        return
    there = _datasets({key for _, key, _ in group})
    if dry_run:
        for _, key, path in group:
            name = (key, _plain(path))
            discovery.recorded += name in there
            discovery.new += name not in there
        return

    def count(n_bytes: int) -> None:
        discovery.size += n_bytes
        progress(n_bytes)

    read: list[tuple[Stat, SessionKey, str, Found]] = []
    by_path = {stat.path: (stat, key, path) for stat, key, path in group}
    for path, what in backend.read(list(by_path), count):
        if isinstance(what, Exception):
            discovery.unread[path] = explain(what)
            continue
        stat, key, rel_path = by_path[path]
        known = there.get((key, _plain(rel_path)))
        if known is not None and known[1] not in ("", what.md5):
            discovery.differing[path] = f"md5 {what.md5}, {what.size} byte; registered are {known[1]}, {known[2]} byte"
            continue
        read.append((stat, key, rel_path, what))
    link = ledger.connection()
    with link.transaction:
        writer = Writer(link, dry_run=False)
        discovery.sessions += _enter_sessions(writer, [key for _, key, _, _ in read])
        for key in {key for _, key, _, _ in read}:
            files = [Announced(path, what.md5, what.size) for _, one, path, what in read if one == key]
            announce(writer, key, files)
        after = _datasets({key for _, key, _, _ in read})
        rows = [(after[key, _plain(path)][0], stat.path, what) for stat, key, path, what in read]
        ledger.records(repository, rows, ledger.database_time())
        ledger.note(("discovered", f"{repository}:{path}", what.how, what.md5) for _, path, what in rows)
        writer.flush_changes()
    discovery.new += sum((key, _plain(path)) not in there for _, key, path, _ in read)
    discovery.recorded += sum((key, _plain(path)) in there for _, key, path, _ in read)


def _datasets(sessions: Iterable[SessionKey]) -> dict[tuple[SessionKey, str], tuple[str, str, int]]:
    """Session and path -> identifier, md5 and size of the datasets that are registered."""
    keys = list(sessions)
    if not keys:
        return {}
    names = ("dataset_id", *acquisition.Session.primary_key, "rel_path", "dataset_hash", "file_size")
    datasets = {}
    for row in fetch_columns(data.Dataset & keys_of(keys), *names).to_pylist():
        key = SessionKey(row["lab"], row["subject"], str(row["session_date"]), row["session_number"])
        datasets[key, row["rel_path"]] = (row["dataset_id"], row["dataset_hash"].strip(), row["file_size"])
    return datasets


def _plain(path: str) -> str:
    """A path without the uuid in the file's name."""
    folder, _, name = path.rpartition("/")
    parsed = columns.parse_name(name)
    plain = parsed.dataset if parsed is not None else name
    return f"{folder}/{plain}" if folder else plain


def _enter_sessions(writer: Writer, keys: list[SessionKey]) -> int:
    """Enter labs, subjects and sessions that are not there yet; how many sessions are new."""
    wanted = sorted(set(keys))
    if not wanted:
        return 0
    known = fetch_columns(acquisition.Session & keys_of(wanted), *acquisition.Session.primary_key).to_pylist()
    there = {(row["lab"], row["subject"], str(row["session_date"]), row["session_number"]) for row in known}
    new = [key for key in wanted if tuple(key) not in there]
    writer.ensure(lab.Lab, {(key.lab,) for key in new})
    subjects = {(key.lab, key.subject, identity.subject_uuid(key.lab, key.subject)) for key in new}
    writer.ensure(subject.Subject, subjects, ("lab", "subject", "subject_uuid"))
    if new:
        rows: dict[str, Any] = dict(zip(acquisition.Session.primary_key, zip(*_typed(new), strict=True), strict=True))
        eids = [identity.eid(identity.session_path(*key)) for key in new]
        insert_many(acquisition.Session, {name: list(column) for name, column in rows.items()} | {"eid": eids})
    return len(new)


def _typed(keys: list[SessionKey]) -> list[tuple]:
    import datetime

    return [(key.lab, key.subject, datetime.date.fromisoformat(key.date), key.number) for key in keys]
