"""What is missing where: compares policies with the copies that were verified, in the database, and plans transfers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from exchange.transfers import ledger, policies, states
from exchange.transfers.ledger import Item
from exchange.transfers.repositories import Repository, by_distance, repositories, writable
from pipeline.errors import NeurojointError
from pipeline.schemas import data, transfer

MOST_FILES, MOST_BYTES = 20_000, 2 << 40
"""A transfer has at most so much, so that several movers can work and a failure costs little."""


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
    found: dict[str, list[dict[str, Any]]] = {}
    for policy in policies.enabled():
        for name in policy["destinations"]:
            if known[name].enabled:
                found.setdefault(name, []).append(policy)
    return found


def _plan_into(
    known: dict[str, Repository], destination: str, sql: str, values: Iterable[Any], purpose: str, done: Plan,
    dry_run: bool, sources: Sequence[str] | None = None, keep_days: float | None = None,
) -> None:  # fmt: skip
    chosen = {name: one for name, one in known.items() if name != destination and one.enabled}
    if sources is not None:
        chosen = {name: one for name, one in chosen.items() if name in sources}
    order = by_distance(chosen)
    rows = _missing(destination, sql, list(values), order)
    batches: dict[tuple[str, bool], list[Item]] = {}
    for dataset_id, source, source_path, path, known_path, size, md5 in rows:
        if source is None:
            done.no_source += 1
            continue
        one = Item(
            "", dataset_id, source_path, known_path or path, size, md5, replace=known_path is not None
        )  # fmt: skip
        batches.setdefault((source, size > states.LARGE), []).append(one)
    for (source, large), found in sorted(batches.items()):
        for batch in _batches(found):
            done.files += len(batch)
            done.size += sum(one.size for one in batch)
            if not dry_run:
                now = ledger.database_time()
                done.transfers.append(ledger.add(source, destination, purpose, large, batch, now, keep_days))


def _missing(destination: str, sql: str, values: list[Any], order: list[str]) -> list[tuple]:
    """Datasets without a good copy in a repository and without one on its way there, with the nearest source.

    Rows of dataset, source, path there, path at the destination, path that it has or had there, size and md5.
    """
    link = ledger.connection()
    dataset, record = data.Dataset().full_table_name, data.FileRecord().full_table_name
    one, item = transfer.Transfer().full_table_name, transfer.Transfer.Item().full_table_name
    opened = ", ".join(f"'{state}'" for state in states.OPEN)
    rank = " ".join(f"WHEN %s THEN {number}" for number in range(len(order))) or "WHEN '' THEN 0"
    text = (
        f"WITH wanted AS (SELECT d.dataset_id, d.lab, d.subject, d.session_date, d.session_number, d.rel_path, "
        f"d.file_size, d.dataset_hash FROM {dataset} AS d WHERE ({sql}) "
        f"AND NOT EXISTS (SELECT 1 FROM {record} AS r WHERE r.dataset_id = d.dataset_id AND r.repository = %s "
        "AND r.file_state = 'online' AND r.record_hash = d.dataset_hash)), "
        f"way AS (SELECT i.dataset_id FROM {item} AS i JOIN {one} AS t ON t.transfer_id = i.transfer_id "
        f"WHERE t.destination_repository = %s AND i.item_state IN ({opened})), "
        "open_ones AS (SELECT w.* FROM wanted AS w WHERE NOT EXISTS "
        "(SELECT 1 FROM way WHERE way.dataset_id = w.dataset_id)), "
        "ranked AS (SELECT s.dataset_id, s.repository, s.file_path, ROW_NUMBER() OVER (PARTITION BY s.dataset_id "
        f"ORDER BY CASE s.repository {rank} ELSE 1000 END) AS place FROM open_ones AS w "
        f"JOIN {record} AS s ON s.dataset_id = w.dataset_id AND s.file_state = 'online' "
        f"AND s.record_hash = w.dataset_hash WHERE s.repository IN ({', '.join(['%s'] * len(order)) or 'NULL'})) "
        "SELECT w.dataset_id, n.repository, n.file_path, w.lab, w.subject, w.session_date, w.session_number, "
        "w.rel_path, h.file_path, w.file_size, w.dataset_hash FROM open_ones AS w "
        "LEFT JOIN ranked AS n ON n.dataset_id = w.dataset_id AND n.place = 1 "
        f"LEFT JOIN {record} AS h ON h.dataset_id = w.dataset_id AND h.repository = %s "
        "ORDER BY w.session_date DESC, w.dataset_id"
    )
    marks = (*values, destination, destination, *order, *order, destination)
    found = link.query(text, marks).fetchall()
    return [
        (row[0], row[1], row[2], f"{row[3]}/Subjects/{row[4]}/{row[5]}/{row[6]:03d}/{row[7]}", *row[8:])
        for row in found
    ]


def _batches(found: list[Item]) -> Iterable[list[Item]]:
    batch: list[Item] = []
    size = 0
    for one in found:
        batch.append(one)
        size += one.size
        if len(batch) >= MOST_FILES or size >= MOST_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
