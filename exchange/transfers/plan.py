"""What is missing where: compares policies with the copies that were verified, in the database, and plans transfers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyarrow as pa

from exchange.transfers import ledger, policies, states
from exchange.transfers.ledger import Item
from exchange.transfers.repositories import Repository, by_distance, repositories, writable
from pipeline.database import sessions
from pipeline.database.bulk import fetch_sql
from pipeline.errors import NeurojointError
from pipeline.schemas import data, transfer

MOST_FILES, MOST_BYTES = 20_000, 2 << 40
"""A transfer has at most so much, so that several movers can work and a failure costs little."""

ASKED_AT_ONCE = 5_000
"""Datasets whose copies are looked up with one query."""


_COLUMNS: dict[str, pa.DataType | None] = {
    "dataset_id": pa.string(), "lab": pa.string(), "subject": pa.string(), "session_date": pa.date32(),
    "session_number": pa.int32(), "rel_path": pa.string(), "file_size": pa.int64(), "dataset_hash": pa.string(),
}  # fmt: skip


class Missing(NamedTuple):
    """A dataset that a repository lacks."""

    dataset_id: str
    source: str | None
    """The nearest repository with a good copy; None if there is none."""
    source_path: str
    path: str
    """Below the root of the destination."""
    known_path: str | None
    """The path that it has, or had, there."""
    size: int  # byte
    md5: str


@dataclass
class Plan:
    """What was planned.

    Attributes
    ----------
    transfers : identifiers
    files, size : how much; byte
    no_source : files that a policy wants elsewhere and that no repository has
    cancelled : waiting files that were registered again since
    """

    transfers: list[str] = field(default_factory=list)
    files: int = 0
    size: int = 0
    no_source: int = 0
    cancelled: int = 0


def plan(dry_run: bool = False) -> Plan:
    """Plan a transfer of all that a policy wants in a repository, that is not there and is not planned already.

    One planner works at a time; a second one finds nothing left to do.
    """
    known = repositories()
    done = Plan()
    with ledger.claimed("plan") as free:
        if not free:
            return done
        now = ledger.database_time()
        if not dry_run:
            done.cancelled = ledger.cancel_outdated(now)
        for destination, rules in _wanted(known).items():
            conditions = [policies.condition(policy, now.date()) for policy in rules]
            sql = " OR ".join(f"({one})" for one, _ in conditions)
            values = [value for _, some in conditions for value in some]
            _plan_into(known, destination, sql, values, "policy", done, dry_run)
    return done


def plan_copies(
    datasets: Any,
    destination: str,
    purpose: str,
    dry_run: bool = False,
    sources: Sequence[str] | None = None,
    keep_days: float | None = None,
) -> Plan:
    """Plan a transfer of some datasets into a repository, of those that are not there yet.

    Parameters
    ----------
    datasets : a query of data.Dataset; all of it counts, and only that.
    purpose : `retrieve`, `publish` or `repair`.
    sources : repositories to copy from; by default any.
    keep_days : the copies may be removed again after so many days.
    """
    known = repositories()
    if destination not in known:
        raise NeurojointError(f"there is no repository {destination!r}", f"there are: {', '.join(known)}")
    writable(known[destination])
    done = Plan()
    ids = data.Dataset.proj() & datasets
    sql = f"d.dataset_id IN (SELECT chosen.dataset_id FROM ({ids.make_sql(['dataset_id'])}) AS chosen)"
    with ledger.claimed("plan") as free:
        if not free:
            raise NeurojointError("another program is planning transfers", "try again in a moment")
        _plan_into(known, destination, sql, [], purpose, done, dry_run, sources, keep_days)
    return done


def _wanted(known: dict[str, Repository]) -> dict[str, list[dict[str, Any]]]:
    """Destination -> policies that want copies there; none that cannot be written or is switched off."""
    policies_by_destination: dict[str, list[dict[str, Any]]] = {}
    for policy in policies.enabled():
        for name in policy["destinations"]:
            if known[name].enabled:
                policies_by_destination.setdefault(name, []).append(policy)
    return policies_by_destination


def _plan_into(
    known: dict[str, Repository], destination: str, sql: str, values: Iterable[Any], purpose: str, done: Plan,
    dry_run: bool, sources: Sequence[str] | None = None, keep_days: float | None = None,
) -> None:  # fmt: skip
    chosen = {name: one for name, one in known.items() if name != destination and one.enabled}
    if sources is not None:
        chosen = {name: one for name, one in chosen.items() if name in sources}
    order = by_distance(chosen)
    batches: dict[tuple[str, bool], list[Item]] = {}
    sizes: dict[tuple[str, bool], int] = {}

    def enter(key: tuple[str, bool]) -> None:
        batch = batches.pop(key)
        done.files, done.size = done.files + len(batch), done.size + sizes.pop(key)
        if not dry_run:
            now = ledger.database_time()
            done.transfers.append(ledger.add(key[0], destination, purpose, key[1], batch, now, keep_days))

    with ledger.transaction():
        for entry in _missing(destination, sql, list(values), order):
            if entry.source is None:
                done.no_source += 1
                continue
            item = Item(
                "", entry.dataset_id, entry.source_path, entry.known_path or entry.path, entry.size, entry.md5,
                replace=entry.known_path is not None,
            )  # fmt: skip
            key = entry.source, entry.size > states.LARGE
            batch = batches.setdefault(key, [])
            batch.append(item)
            sizes[key] = sizes.get(key, 0) + item.size
            if len(batch) >= MOST_FILES or sizes[key] >= MOST_BYTES:
                enter(key)
        for key in sorted(batches):
            enter(key)


def _missing(destination: str, sql: str, values: list[Any], order: list[str]) -> Iterator[Missing]:
    """Datasets without a good copy in a repository and without one on its way there, with the nearest source.

    Call it in a transaction. Two indexes, of identifiers with hashes, tell which datasets lack a copy; rows are read
    only for these, and their other copies are looked up by a second question: the planners of databases guess the
    number of missing datasets wrongly, and would read all copies of everything for the sources of a few.
    """
    link = ledger.connection()
    sessions.answer_in_one_process(link)  # both indexes are read in order; several processes would hash instead
    dataset, record = data.Dataset().full_table_name, data.FileRecord().full_table_name
    one, item = transfer.Transfer().full_table_name, transfer.Transfer.Item().full_table_name
    opened = ", ".join(f"'{state}'" for state in states.OPEN)
    text = (
        "SELECT d.dataset_id, d.lab, d.subject, d.session_date, d.session_number, d.rel_path, d.file_size, "
        "d.dataset_hash "
        f"FROM (SELECT known.dataset_id FROM {dataset} AS known WHERE NOT EXISTS "
        f"(SELECT 1 FROM {record} AS r WHERE r.dataset_id = known.dataset_id AND r.repository = %s "
        "AND r.file_state = 'online' AND r.record_hash = known.dataset_hash)) AS lacking "
        f"JOIN {dataset} AS d ON d.dataset_id = lacking.dataset_id WHERE ({sql}) "
        f"AND NOT EXISTS (SELECT 1 FROM {item} AS i JOIN {one} AS t ON t.transfer_id = i.transfer_id "
        f"WHERE i.dataset_id = d.dataset_id AND t.destination_repository = %s AND i.item_state IN ({opened})) "
        "ORDER BY d.session_date DESC, d.dataset_id"
    )
    table = fetch_sql(link, text, _COLUMNS, (destination, *values, destination))
    for start in range(0, table.num_rows, ASKED_AT_ONCE):
        some = table.slice(start, ASKED_AT_ONCE)
        ids = some["dataset_id"].to_pylist()
        copies = link.query(
            "SELECT r.dataset_id, r.repository, r.file_path, r.file_state, r.record_hash "
            f"FROM {record} AS r WHERE {ledger.in_list('r.dataset_id', ids)}"
        ).fetchall()
        rows = list(zip(*(column.to_pylist() for column in some.columns), strict=True))
        yield from _with_sources(rows, copies, destination, order)


def _with_sources(
    rows: Sequence[tuple], copies: Iterable[tuple], destination: str, order: Sequence[str]
) -> Iterator[Missing]:
    """What is missing, each with the nearest good copy.

    Parameters
    ----------
    rows : dataset, lab, subject, date, number, path below the session, size, md5.
    copies : dataset, repository, path there, state, md5.
    order : repositories that may be sources, nearest first.
    """
    rank = {name: number for number, name in enumerate(order)}
    wanted = {row[0]: row[7] for row in rows}
    known: dict[str, str] = {}
    nearest: dict[str, tuple[int, str, str]] = {}
    for dataset_id, name, path, state, md5 in copies:
        if name == destination:
            known[dataset_id] = path
        elif name in rank and state == "online" and md5 == wanted[dataset_id]:
            nearest[dataset_id] = min(nearest.get(dataset_id, (len(rank), "", "")), (rank[name], name, path))
    for dataset_id, lab, subject, date, number, rel_path, size, md5 in rows:
        _, source, source_path = nearest.get(dataset_id, (0, None, ""))
        path = f"{lab}/Subjects/{subject}/{date}/{number:03d}/{rel_path}"
        yield Missing(dataset_id, source, source_path, path, known.get(dataset_id), size, md5)
