"""`neurojoint check`: the database against the files, the copies and itself, in one report."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj

from pipeline.alf import disks
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns
from pipeline.provenance import staleness
from pipeline.schemas import behavior, data, task
from pipeline.worker import heartbeat, locks

MOST_EXAMPLES = 3


@dataclass
class Finding:
    """One rule that everything should obey.

    Attributes
    ----------
    rule : what should be so.
    n_checked, n_wrong : how many things were looked at, and how many do not obey.
    remedy : what to do about it.
    examples : some of those that do not.
    """

    rule: str
    remedy: str
    n_checked: int = 0
    n_wrong: int = 0
    examples: list[str] = field(default_factory=list)

    def wrong(self, example: str) -> None:
        """Count one that does not obey."""
        self.n_wrong += 1
        if len(self.examples) < MOST_EXAMPLES:
            self.examples.append(example)


def check(hashes: bool = False) -> Iterator[Finding]:
    """Check all rules; each is yielded when it is done.

    Parameters
    ----------
    hashes : also read every file and compare its md5.
    """
    connection = dj.conn()
    yield from _files(hashes)
    yield _rows(
        connection, "a dataset is online where one of its copies is", "neurojoint ingest ROOT",
        f"SELECT d.rel_path FROM {_name(data.Dataset)} AS d WHERE d.dataset_online <> EXISTS "
        f"(SELECT 1 FROM {_name(data.FileRecord)} AS r WHERE r.dataset_id = d.dataset_id AND r.file_state = 'online')",
        data.Dataset,
    )  # fmt: skip
    yield _rows(
        connection, "a set of trials has as many rows as it says", "neurojoint refresh, then neurojoint work --once",
        f"SELECT CONCAT(s.subject, ' ', s.session_date) FROM {_name(behavior.TrialSet)} AS s WHERE s.n_trials <> "
        f"(SELECT COUNT(*) FROM {_name(behavior.TrialSet.Trial)} AS t WHERE {_same(behavior.TrialSet, 's', 't')})",
        behavior.TrialSet,
    )  # fmt: skip
    yield _parts(connection)
    yield _stale()
    yield _jobs(connection)
    yield _locks(connection)


def _files(hashes: bool) -> Iterator[Finding]:
    """Every copy that is online on this computer, against the disk."""
    there = Finding("a registered file is on its disk", "mount the disk, or neurojoint ingest ROOT")
    size = Finding("a registered file has the size that it had", "neurojoint ingest ROOT, then neurojoint refresh")
    same = Finding("a registered file has the content that it had", "bring it back from a copy (docs/reliability.md)")
    for repository in (data.Repository & {"repository_kind": "local"}).to_dicts():
        root = Path(repository["repository_root"])
        records = data.FileRecord & {"repository": repository["repository"], "file_state": "online"}
        rows = fetch_columns(records, "file_path", "record_size", "record_hash").to_pylist()
        if rows and disks.hangs(root):
            there.n_checked += len(rows)
            there.wrong(f"{root} does not answer (a network disk that hangs?): its files were not looked at")
            continue
        disks.use(root)
        for row in rows:
            path = root / row["file_path"]
            there.n_checked += 1
            try:
                size_now = path.stat().st_size
            except OSError as error:
                there.wrong(f"{path} ({error.strerror})")
                continue
            size.n_checked += 1
            if size_now != row["record_size"]:
                size.wrong(f"{path}: {size_now:,} bytes, registered with {row['record_size']:,}")
            elif hashes:
                same.n_checked += 1
                try:
                    if _md5(path) != row["record_hash"]:
                        same.wrong(str(path))
                except OSError as error:
                    same.wrong(f"{path} ({error.strerror})")
    yield from (there, size, *([same] if hashes else []))


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _rows(connection: dj.Connection, rule: str, remedy: str, sql: str, table: type[dj.Table]) -> Finding:
    finding = Finding(rule, remedy, n_checked=len(table()))
    for (example,) in connection.query(sql).fetchall():
        finding.wrong(str(example))
    return finding


def _parts(connection: dj.Connection) -> Finding:
    """Rows of parts whose master is gone: the database itself forbids it, but a restore by hand may not have."""
    finding = Finding("a part has its master, a row what it refers to", "restore a backup: the database is damaged")
    for table in registry.tables():
        for part in registry.parts(table):
            finding.n_checked += 1
            sql = (
                f"SELECT COUNT(*) FROM {_name(part)} AS p WHERE NOT EXISTS "
                f"(SELECT 1 FROM {_name(table)} AS m WHERE {_same(table, 'm', 'p')})"
            )
            if n_rows := connection.query(sql).fetchone()[0]:
                finding.wrong(f"{registry.label(table)}.{part.__name__}: {n_rows:,} rows")
    return finding


def _stale() -> Finding:
    finding = Finding("a computed row is made from the files as they are registered", "neurojoint refresh")
    stale = staleness.find()
    finding.n_checked = sum(len(table()) for table in registry.populated_tables() if hasattr(table, "fingerprint"))
    for label, keys in stale.keys.items():
        finding.n_wrong += len(keys)
        finding.examples.append(f"{label}: {len(keys):,} rows")
    finding.examples = finding.examples[:MOST_EXAMPLES]
    return finding


def _jobs(connection: dj.Connection) -> Finding:
    finding = Finding("a reserved job has a living worker", "neurojoint work: the next worker takes it up")
    for table in registry.populated_tables():
        sql = (
            f"SELECT host, pid, max(reserved_time) FROM {registry.jobs_name(table)} WHERE status = 'reserved' "
            "GROUP BY host, pid"
        )
        holders = [heartbeat.Holder(*row) for row in connection.query(sql).fetchall()]
        finding.n_checked += len(holders)
        for host, pid in heartbeat.examine(connection, holders).dead:
            finding.wrong(f"{registry.label(table)}: process {pid} on {host}")
    return finding


def _locks(connection: dj.Connection) -> Finding:
    finding = Finding("a lock has a living holder", "neurojoint work: whoever needs it takes it")
    for row in task.Lock().to_dicts():
        finding.n_checked += 1
        holder = locks.holder_of(connection, row["lock_name"])
        if holder is not None and holder.is_dead:
            finding.wrong(f"{row['lock_name']}: {holder}")
    return finding


def _name(table: Any) -> str:
    return table().full_table_name


def _same(table: type[dj.Table], left: str, right: str) -> str:
    quote = table().connection.adapter.quote_identifier
    return " AND ".join(f"{left}.{quote(name)} = {right}.{quote(name)}" for name in table().primary_key)
