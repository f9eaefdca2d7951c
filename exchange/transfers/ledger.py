"""The rows of transfers: read, claimed and moved from state to state, by whole groups."""

from __future__ import annotations

import contextlib
import datetime
import getpass
import platform
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import datajoint as dj

from exchange.transfers import states
from exchange.transfers.protocol import Found
from pipeline.database.bulk import fetch_columns, insert_many
from pipeline.schemas import data, transfer
from pipeline.settings import settings
from pipeline.worker import heartbeat, locks

SMALL = 1 << 20
"""Files up to this size (byte) go first."""
LEASE = "http:"
"""Begins the submission of a transfer that was handed to a server without the database."""
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_COLUMNS = (
    "transfer_id", "dataset_id", "source_path", "destination_path", "item_size", "item_hash", "item_state",
    "item_attempts", "item_replace", "item_due", "item_message",
)  # fmt: skip


class Item(NamedTuple):
    """A file of a transfer, as a row of `transfer.Transfer.Item`."""

    transfer_id: str
    dataset_id: str
    source_path: str
    destination_path: str
    size: int
    md5: str
    state: str = "planned"
    attempts: int = 0
    replace: bool = False
    due: datetime.datetime = states.NEVER
    message: str = ""

    def moved(self, state: str, now: datetime.datetime, message: str = "", attempts: int | None = None) -> Item:
        """The same file in another state."""
        attempts = self.attempts if attempts is None else attempts
        return self._replace(
            state=state, attempts=attempts, message=message[:1000], due=states.due(state, now, self.size, attempts)
        )

    def failed(self, now: datetime.datetime, message: str, final: bool = False) -> Item:
        """The same file after one more attempt that failed; `final`: another would not help."""
        attempts = states.MOST_ATTEMPTS if final else self.attempts + 1
        return self.moved("failed", now, message, attempts)


def connection() -> dj.Connection:
    """The connection that the tables are bound to."""
    return transfer.Transfer().connection


def database_time() -> datetime.datetime:
    """The clock of the database, UTC: all deadlines are by it, however wrong that of this computer is."""
    now = heartbeat.database_time(connection())
    return now.replace(tzinfo=None)


@contextlib.contextmanager
def claimed(name: str) -> Iterator[bool]:
    """Hold the lock of a name while in the block; whether it was free, or its holder is dead."""
    with locks.attempt(connection(), lock_name(name), "transfer of files") as holder:
        yield holder is None


def lock_name(name: str) -> str:
    """The lock of a transfer, or of `plan`, among those of all pipelines of the database."""
    return f"{settings().prefix}transfer:{name}"[: locks.LONGEST_NAME]


def add(
    source: str,
    destination: str,
    purpose: str,
    large: bool,
    items: Sequence[Item],
    now: datetime.datetime,
    keep_days: float | None = None,
) -> str:
    """Write a new transfer with its files; returns its identifier."""
    identifier = str(uuid.uuid4())
    size = sum(item.size for item in items)
    row = {
        "transfer_id": identifier, "source_repository": source, "destination_repository": destination,
        "transfer_purpose": purpose, "transfer_state": "planned", "transfer_large": large,
        "transfer_files": len(items), "transfer_bytes": size, "transfer_created": now,
        "transfer_keep_days": keep_days,
    }  # fmt: skip
    columns: dict[str, Any] = dict(zip(_COLUMNS, zip(*items, strict=True), strict=True))
    columns |= {"transfer_id": identifier, "item_state": "planned", "item_due": states.due("planned", now)}
    with transaction():
        transfer.Transfer.insert1(row)
        insert_many(transfer.Transfer.Item, columns)
        note([("planned", f"transfer/{identifier}", f"{source} to {destination}: {len(items)} files, {size} byte", "")])
    return identifier


def put(items: Sequence[Item]) -> None:
    """Write rows of files as they are now."""
    if items:
        columns = dict(zip(_COLUMNS, zip(*items, strict=True), strict=True))
        insert_many(transfer.Transfer.Item, columns, "update")


def advance(group: Sequence[Item], state: str, now: datetime.datetime) -> list[Item]:
    """Move files of one transfer to the next state, with one deadline, since they are carried as one; as they are now.

    Parameters
    ----------
    state : `submitted`, `arrived` or `verified`.
    """
    if not group:
        return []
    until = states.due(state, now, sum(item.size for item in group))
    connection().query(
        f"UPDATE {transfer.Transfer.Item().full_table_name} SET item_state = %s, item_due = %s, item_message = '' "
        f"WHERE transfer_id = %s AND {in_list('dataset_id', [item.dataset_id for item in group])}",
        (state, until, group[0].transfer_id),
    )
    return [item._replace(state=state, due=until, message="") for item in group]


def items(identifier: str, *wanted: str) -> list[Item]:
    """Files of a transfer in some states (by default in all), small ones first, those of a folder together."""
    query = transfer.Transfer.Item & {"transfer_id": identifier}
    if wanted:
        query &= [{"item_state": value} for value in wanted]
    table = fetch_columns(query, *_COLUMNS, order_by="destination_path")
    rows = [Item(*row) for row in zip(*(table[name].to_pylist() for name in _COLUMNS), strict=True)]
    return sorted(rows, key=lambda one: one.size > SMALL)


def transfers(*wanted: str, restriction: Any = ()) -> list[dict[str, Any]]:
    """Transfers in some states, in the order in which they run: small files first, then by age."""
    query = transfer.Transfer & [{"transfer_state": value} for value in wanted or states.OPEN]
    if restriction != ():
        query &= restriction
    return query.to_dicts(order_by="transfer_large, transfer_created, transfer_id")


def update(identifier: str, **columns: Any) -> None:
    """Change columns of a transfer."""
    transfer.Transfer.update1({"transfer_id": identifier} | columns)


def begin(identifier: str, group: Sequence[Item], now: datetime.datetime) -> list[Item]:
    """Mark files as under way, before anything is done with them."""
    with transaction():
        begun = advance(group, "submitted", now)
        row = (transfer.Transfer & {"transfer_id": identifier}).fetch1()
        update(
            identifier, transfer_state="submitted", transfer_host=platform.node()[:255],
            transfer_started=row["transfer_started"] or now,
        )  # fmt: skip
    return begun


def settle(identifier: str) -> str:
    """Make the state of a transfer what those of its files say; returns it."""
    name = transfer.Transfer.Item().full_table_name
    sql = f"SELECT CONCAT(item_state, ''), count(*) FROM {name} WHERE transfer_id = %s GROUP BY item_state"
    counts = dict(connection().query(sql, (identifier,)).fetchall())
    state = states.of_transfer(counts)
    ended = state in ("verified", "cancelled")
    update(identifier, transfer_state=state, transfer_finished=database_time() if ended else None)
    return state


def fail(failed: Sequence[Item]) -> None:
    """Write what failed, with the reasons."""
    if failed:
        with transaction():
            put(failed)
            note(("failed", item.destination_path, item.message, item.md5) for item in failed)


def verify(destination: str, arrived: Sequence[tuple[Item, Found]], now: datetime.datetime) -> None:
    """Write copies that somebody read at the destination and found to be what was registered."""
    if not arrived:
        return
    with transaction():
        there = known_datasets([one.dataset_id for one, _ in arrived])
        good = [(one, digest) for one, digest in arrived if one.dataset_id in there]
        advance([one for one, _ in good], "verified", now)
        records(
            destination,
            [(one.dataset_id, one.destination_path, digest) for one, digest in good],
            now,
        )
        note(("verified", f"{destination}:{one.destination_path}", digest.how, one.md5) for one, digest in good)


def keep_until(repository: str, ids: Sequence[str], days: float | None) -> None:
    """Write until when files that were brought back are kept; of several times the longest counts."""
    now = database_time()
    until = None if days is None else now + datetime.timedelta(days=days)
    chosen = {"repository": repository}
    there = fetch_columns(data.FileRecord & chosen & in_list("dataset_id", ids), "dataset_id")["dataset_id"].to_pylist()
    rows = (transfer.Retrieval & chosen & in_list("dataset_id", there)).to_dicts()
    before = {row["dataset_id"]: row["retrieved_until"] for row in rows}
    longer = [item for item in there if item not in before or _is_longer(before[item], until)]
    if longer:
        columns = {"dataset_id": longer, "repository": repository, "retrieved_at": now, "retrieved_until": until}
        insert_many(transfer.Retrieval, columns | {"retrieved_by": getpass.getuser()[:64]}, "update")


def _is_longer(before: datetime.datetime | None, now: datetime.datetime | None) -> bool:
    return before is not None and (now is None or now > before)


def records(repository: str, copies: Sequence[tuple[str, str, Found]], now: datetime.datetime) -> None:
    """Write copies that were read: dataset, path below the root, what was found. Call it in a transaction."""
    if not copies:
        return
    insert_many(
        data.FileRecord,
        {
            "dataset_id": [item[0] for item in copies],
            "repository": repository,
            "file_path": [item[1] for item in copies],
            "file_state": "online",
            "record_size": [item[2].size for item in copies],
            "record_hash": [item[2].md5 for item in copies],
            "modified_ns": [item[2].modified_ns for item in copies],
            "verified": now,
        },
        "update",
    )
    note_online([item[0] for item in copies])


def lose(
    repository: str, lost: Sequence[Mapping[str, Any]], action: str, why: Mapping[str, str], now: datetime.datetime
) -> None:
    """Mark copies as not there (rows of FileRecord), with an entry in data.Change for each."""
    if not lost:
        return
    with transaction():
        names = ("dataset_id", "repository", "file_path", "record_size", "record_hash", "modified_ns", "verified")
        columns: dict[str, Any] = {name: [row[name] for row in lost] for name in names}
        insert_many(data.FileRecord, columns | {"file_state": "missing"}, "update")
        note_online([row["dataset_id"] for row in lost])
        note(
            (action, f"{repository}:{row['file_path']}", why.get(row["dataset_id"], ""), row["record_hash"])
            for row in lost
        )


def note_online(ids: Sequence[str]) -> None:
    """See `pipeline.schemas.data.note_online`, for many datasets."""
    for start in range(0, len(ids), 5_000):
        data.note_online(data.Dataset & in_list("dataset_id", ids[start : start + 5_000]))


def known_datasets(ids: Sequence[str]) -> set[str]:
    """Those of some datasets that are still registered."""
    known: set[str] = set()
    for start in range(0, len(ids), 5_000):
        some = data.Dataset & in_list("dataset_id", ids[start : start + 5_000])
        known.update(fetch_columns(some, "dataset_id")["dataset_id"].to_pylist())
    return known


def in_list(column: str, ids: Sequence[str]) -> str:
    """A restriction to rows whose column is one of some uuids.

    >>> in_list("dataset_id", [])
    'FALSE'
    """
    if not ids:
        return "FALSE"
    for id_ in ids:
        if not _UUID.fullmatch(id_):
            raise ValueError(f"{id_!r} is no uuid")
    return f"{column} IN ('" + "', '".join(ids) + "')"


def note(changes: Iterable[tuple[str, str, str, str]]) -> None:
    """Write into data.Change what happened, by the clock of the database: action, path, detail, md5."""
    data.Change.record(
        (data.ChangeNote(action, path, detail, new_hash=md5) for action, path, detail, md5 in changes),
        time=database_time(),
    )


def expire(now: datetime.datetime) -> int:
    """Fail what stayed longer in a state than it may, and cancel what was registered again since; how many files.

    Only transfers that nobody works on are looked at.
    """
    n_done = 0
    for row in transfers():
        with claimed(row["transfer_id"]) as free:
            if not free or (row["submission_id"] and not _is_over(row, now)):
                continue
            if row["submission_id"]:
                update(row["transfer_id"], submission_id="", task_deadline=None)
            n_done += interrupt(row["transfer_id"], now, "the program that copied it was stopped")
    return n_done + cancel_outdated(now)


def interrupt(identifier: str, now: datetime.datetime, why: str) -> int:
    """Plan files again whose copying was cut off: the program was stopped, or a connection was lost; how many.

    It counts as an attempt only of a file that was under way alone: of several nobody knows which one was at fault, if
    any was. `states.group_size` sees to it that after some interruptions there is one alone.
    """
    cut_off = items(identifier, "submitted", "arrived")
    if len(cut_off) == 1:
        fail([cut_off[0].failed(now, why)])
    elif cut_off:
        created = (transfer.Transfer & {"transfer_id": identifier}).fetch1("transfer_created")
        again = [item.moved("planned", created, why) for item in cut_off]  # late by when it was planned first
        put([item._replace(replace=True) for item in again])  # what lies there may be half of it
    if cut_off:
        settle(identifier)
    return len(cut_off)


def _is_over(row: Mapping[str, Any], now: datetime.datetime) -> bool:
    """Whether files that were handed out have not come back in time."""
    return row["submission_id"].startswith(LEASE) and row["task_deadline"] < now


def cancel_outdated(now: datetime.datetime) -> int:
    """Cancel waiting files whose dataset has another content by now; the next plan takes up the new one."""
    table, dataset = transfer.Transfer.Item().full_table_name, data.Dataset().full_table_name
    sql = (
        f"SELECT i.transfer_id, i.dataset_id FROM {table} AS i JOIN {dataset} AS d ON d.dataset_id = i.dataset_id "
        "WHERE i.item_state IN ('planned', 'failed') AND d.dataset_hash <> i.item_hash"
    )
    rows = connection().query(sql).fetchall()
    per_transfer: dict[str, set[str]] = {}
    for identifier, dataset_id in rows:
        per_transfer.setdefault(identifier, set()).add(dataset_id)
    for identifier, ids in per_transfer.items():
        cancel(identifier, ids, "the file was registered again", now)
    return len(rows)


def cancel(identifier: str, only: set[str] | None, why: str, now: datetime.datetime) -> int:
    """Cancel the files of a transfer that wait or have failed, all or some datasets; how many."""
    waiting = [item for item in items(identifier, "planned", "failed") if only is None or item.dataset_id in only]
    if waiting:
        with transaction():
            put([item.moved("cancelled", now, why) for item in waiting])
            note(("cancelled", item.destination_path, why, item.md5) for item in waiting)
        settle(identifier)
    return len(waiting)


def retry(identifier: str, now: datetime.datetime) -> int:
    """Try the failed files of a transfer again at once, also those that were given up; how many."""
    failed = items(identifier, "failed")
    put([item.moved("planned", now, item.message, attempts=0) for item in failed])
    if failed:
        settle(identifier)
    return len(failed)


def counts() -> Counter[tuple[str, str]]:
    """How many files by destination and state."""
    item, one = transfer.Transfer.Item().full_table_name, transfer.Transfer().full_table_name
    sql = (
        f"SELECT t.destination_repository, CONCAT(i.item_state, ''), count(*) FROM {item} AS i "
        f"JOIN {one} AS t ON t.transfer_id = i.transfer_id GROUP BY 1, 2"
    )
    return Counter({(name, state): number for name, state, number in connection().query(sql).fetchall()})


@contextlib.contextmanager
def transaction() -> Iterator[None]:
    """DataJoint's transaction if one is open, else one of its own."""
    link = connection()
    if link.in_transaction:
        yield
    else:
        with link.transaction:
            yield
