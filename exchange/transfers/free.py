"""Removes local raw files that policies allow to go, once two other copies were verified and are there now."""

from __future__ import annotations

import contextlib
import datetime
import fcntl
import getpass
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from exchange.transfers import ledger, policies
from exchange.transfers.backends.folder import Folder
from exchange.transfers.protocol import Stat
from exchange.transfers.repositories import Repository, repositories
from ingest.rows.lock import repository_lock
from ingest.rows.repository import existing, repository_of
from pipeline.database.bulk import insert_many
from pipeline.errors import NeurojointError, explain
from pipeline.schemas import data, transfer
from pipeline.settings import settings


class Copy(NamedTuple):
    """A verified copy elsewhere, as it was recorded when it was read."""

    repository: str
    path: str
    modified_ns: int


@dataclass
class Candidate:
    """A raw file that may go: its record, why, and where the verified copies are."""

    dataset_id: str
    path: str
    size: int
    modified_ns: int
    md5: str
    reason: str
    copies: list[Copy]
    least: int


@dataclass
class Proposal:
    """What would go from a repository.

    Attributes
    ----------
    candidates : files that may go
    kept : path -> why it stays although a policy would let it go
    """

    repository: str
    root: Path
    candidates: list[Candidate] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the candidates."""
        return sum(candidate.size for candidate in self.candidates)


@dataclass
class Freed:
    """What went: how many files and bytes; and what stayed, with the reason."""

    files: int = 0
    size: int = 0
    kept: dict[str, str] = field(default_factory=dict)


def propose(root: Path | str) -> Proposal:
    """Which raw files below a folder may go: nothing is removed.

    A file may go when a policy says so for its age, it has not changed since it was registered, no protected tag has
    it, and at least two other repositories (more, where the policy says so) hold copies that were verified after it
    changed and are there now.
    """
    folder = existing(Path(root))
    name, base = repository_of(folder, None)
    known = repositories()
    if name not in known:
        raise NeurojointError(f"nothing below {folder} is registered", f"neurojoint ingest {folder}")
    Folder(known[name].place).check()
    scope = "" if base == folder else f"{folder.relative_to(base).as_posix()}/"
    proposal = Proposal(name, base)
    seen: set[str] = set()
    for candidate in [*_expired(name), *_by_policies(name)]:
        if candidate.path.startswith(scope) and candidate.dataset_id not in seen:
            seen.add(candidate.dataset_id)
            proposal.candidates.append(candidate)
    _check(proposal, known)
    return proposal


def free(proposal: Proposal) -> Freed:
    """Remove what was proposed, each file after a last look at it and at its copies.

    The record says first that the file is gone: what is killed between leaves a file too many, never one too few.
    """
    done = Freed(kept=dict(proposal.kept))
    link = ledger.connection()
    known = repositories()
    with repository_lock(link, settings().prefix, proposal.repository):
        Folder(known[proposal.repository].place).check()
        _check(proposal, known)
        done.kept |= proposal.kept
        for candidate in proposal.candidates:
            try:
                with _exclusive(proposal.root / candidate.path) as fd:
                    stat = os.fstat(fd)
                    if (stat.st_size, stat.st_mtime_ns) != (candidate.size, candidate.modified_ns):
                        raise NeurojointError("it changed since it was registered", "run `neurojoint ingest`")
                    if not _mark_freed(proposal.repository, candidate):
                        raise NeurojointError("its record changed meanwhile", "run it again")
                    (proposal.root / candidate.path).unlink()
                done.files += 1
                done.size += candidate.size
            except (NeurojointError, OSError) as error:
                done.kept[candidate.path] = explain(error)
    return done


def _by_policies(name: str) -> Iterator[Candidate]:
    today = ledger.database_time().date()
    for policy in policies.enabled():
        if policy["keep_local"] is None:
            continue
        sql, values = policies.removable(policy, today)
        reason = f"policy {policy['policy']}: older than {policy['keep_local']:g} days"
        yield from _candidates(name, sql, values, reason, max(2, policy["minimum_copies"]))


def _expired(name: str) -> Iterator[Candidate]:
    """Files that were retrieved for a time that is over."""
    table = transfer.Retrieval().full_table_name
    sql = (
        f"d.rel_path LIKE %s AND EXISTS (SELECT 1 FROM {table} AS g WHERE g.dataset_id = d.dataset_id "
        "AND g.repository = %s AND g.retrieved_until <= %s)"
    )
    values = [policies.RAW, name, ledger.database_time()]
    yield from _candidates(name, sql, values, "retrieved for a time that is over", 2)


def _candidates(name: str, sql: str, values: list[Any], reason: str, least: int) -> Iterator[Candidate]:
    """Local copies of the datasets that SQL selects, each with the other copies that were verified after it changed."""
    dataset, record = data.Dataset().full_table_name, data.FileRecord().full_table_name
    text = (
        "SELECT d.dataset_id, r.file_path, r.record_size, r.modified_ns, d.dataset_hash, r.verified, "
        "o.repository, o.file_path, o.verified, o.modified_ns "
        f"FROM {dataset} AS d JOIN {record} AS r ON r.dataset_id = d.dataset_id AND r.repository = %s "
        "AND r.file_state = 'online' AND r.record_hash = d.dataset_hash "
        f"LEFT JOIN {record} AS o ON o.dataset_id = d.dataset_id AND o.repository <> r.repository "
        "AND o.file_state = 'online' AND o.record_hash = d.dataset_hash AND o.record_size = r.record_size "
        f"WHERE {sql} ORDER BY r.file_path, o.repository"
    )
    candidates: dict[str, Candidate] = {}
    for row in ledger.connection().query(text, (name, *values)).fetchall():
        one = candidates.setdefault(row[0], Candidate(row[0], row[1], row[2], row[3], row[4], reason, [], least))
        if row[6] is not None and row[8].replace(tzinfo=datetime.UTC).timestamp() * 1e9 > row[3]:
            one.copies.append(Copy(row[6], row[7], row[9]))
    yield from candidates.values()


def _check(proposal: Proposal, known: dict[str, Repository]) -> None:
    """Keep what lacks copies; look at each copy where it is.

    What cannot be reached does not count, nor what was written since it was read, nor a second name of one file.
    """
    there: dict[str, dict[str, Stat]] = {}
    wanted: dict[str, list[str]] = {}
    for candidate in proposal.candidates:
        for copy in candidate.copies:
            wanted.setdefault(copy.repository, []).append(copy.path)
    problems = {}
    for name, paths in wanted.items():
        backend = None
        try:
            backend = known[name].open()
            backend.check()
            there[name] = backend.stat(paths)
        except NeurojointError as error:
            problems[name] = explain(error)
        finally:
            if backend is not None:
                backend.close()
    stay = []
    tags = _protected([candidate.dataset_id for candidate in proposal.candidates])
    for candidate in proposal.candidates:
        if candidate.dataset_id in tags:
            proposal.kept[candidate.path] = f"the tag {tags[candidate.dataset_id]} protects it"
            continue
        files = {_identity(proposal.root / candidate.path)}
        n_good = 0
        why = [problems[copy.repository] for copy in candidate.copies if copy.repository in problems]
        for copy in candidate.copies:
            stat = there.get(copy.repository, {}).get(copy.path)
            if stat is None or stat.size != candidate.size:
                continue
            place = known[copy.repository].place
            if _was_written(copy, stat, place.kind):
                why.append(f"{copy.repository} was written since it was read: neurojoint verify {copy.repository}")
            elif place.kind == "local" and (identity := _identity(Path(place.root, copy.path))) in files:
                why.append(f"{copy.repository} leads to the same file")
            else:
                if place.kind == "local":
                    files.add(identity)
                n_good += 1
        if n_good >= candidate.least:
            stay.append(candidate)
            continue
        said = f"{n_good} verified copies elsewhere, {candidate.least} are needed"
        proposal.kept[candidate.path] = f"{said} ({why[0]})" if why else said
    proposal.candidates = stay


def _was_written(copy: Copy, stat: Stat, kind: str) -> bool:
    """Whether a copy has another time than when it was read; other computers may round times."""
    if not copy.modified_ns or not stat.modified_ns:
        return False
    return abs(stat.modified_ns - copy.modified_ns) > (0 if kind == "local" else 2_000_000_000)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells one file of this computer from another, however many names lead to it; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _protected(ids: list[str]) -> dict[str, str]:
    """Datasets that a protected tag has -> the tag."""
    protected = data.DatasetTag & (data.Tag & {"tag_protected": True}) & ledger.in_list("dataset_id", ids)
    return {row["dataset_id"]: row["tag"] for row in protected.to_dicts(order_by="tag")}


def _mark_freed(repository: str, one: Candidate) -> bool:
    now = ledger.database_time()
    link = ledger.connection()
    names = ", ".join(copy.repository for copy in one.copies)
    with link.transaction:
        changed = link.query(
            f"UPDATE {data.FileRecord().full_table_name} SET file_state = 'missing' WHERE dataset_id = %s "
            "AND repository = %s AND file_state = 'online' AND record_hash = %s AND modified_ns = %s",
            (one.dataset_id, repository, one.md5, one.modified_ns),
        ).rowcount
        if changed != 1:
            return False
        key = {"dataset_id": one.dataset_id, "repository": repository}
        (transfer.Retrieval & key).delete_quick()
        reason = f"{one.reason}; copies in {names}"[:255]
        columns = {name: [value] for name, value in key.items()}
        insert_many(
            transfer.Freed,
            columns | {"freed_at": now, "freed_by": getpass.getuser()[:64], "freed_reason": reason},
            "update",
        )
        ledger.note_online([one.dataset_id])
        ledger.note([("freed", f"{repository}:{one.path}", reason, one.md5)])
    return True


@contextlib.contextmanager
def _exclusive(path: Path) -> Iterator[int]:
    """A file that nobody reads (see `pipeline.schemas.inputs.local_copies.shared_lock`), open and locked.

    Raises
    ------
    NeurojointError : somebody reads it, or a link is involved.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        raise NeurojointError(f"it cannot be opened ({error.strerror})", "links are not followed") from None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise NeurojointError("somebody reads it", "try again later") from None
        yield fd
    finally:
        os.close(fd)
