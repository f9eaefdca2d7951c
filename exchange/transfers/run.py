"""Carries planned transfers out: copies, reads every copy where it arrived, and writes what was found.

Any number of these may run on any computers: each transfer is worked on by one at a time, and what a killed one left is
taken up by the next.
"""

from __future__ import annotations

import dataclasses
import datetime
import time
from collections.abc import Callable
from typing import Any

from exchange.transfers import ledger, service, states
from exchange.transfers.mover import Mover, Progress, Summary, is_due
from exchange.transfers.protocol import CannotDo, Unavailable
from exchange.transfers.repositories import Repository, repositories
from pipeline.errors import NeurojointError, explain

__all__ = ["Summary", "cancel", "run"]


def run(
    *,
    nightly: bool = False,
    restriction: Any = (),
    bandwidth: float | None = None,
    progress: Progress = lambda summary: None,
    until: Callable[[], bool] = lambda: False,
) -> Summary:
    """Work on all transfers that wait, small files before large ones.

    Parameters
    ----------
    nightly : only those whose repositories are in their window, and only until it closes.
    restriction : of transfer.Transfer.
    bandwidth : limit, 10^6 byte per s, instead of those of the repositories.
    progress : called now and then with the state so far.
    until : asked between groups of files; true ends the run.
    """
    began = time.monotonic()
    summary = Summary()
    ledger.expire(ledger.database_time())
    known = repositories()
    waiting = [row for row in ledger.transfers(restriction=restriction) if _can_begin(row)]
    summary.total_files = sum(row["transfer_files"] for row in waiting)
    summary.total_size = sum(row["transfer_bytes"] for row in waiting)
    for row in waiting:
        if until():
            break
        source, destination = (known[row[f"{end}_repository"]] for end in ("source", "destination"))
        if not (source.enabled and destination.enabled):
            continue
        if nightly and not _in_window(source, destination):
            summary.outside += 1
            continue
        with ledger.claimed(row["transfer_id"]) as free:
            if not free:
                summary.elsewhere += 1
                continue
            row = ledger.transfers(restriction={"transfer_id": row["transfer_id"]})[0]  # as it is under the lock
            if row["submission_id"].startswith(ledger.LEASE):
                summary.elsewhere += 1  # a server without the database copies it
                continue
            summary.transfers += 1
            if service.is_carried(source, destination):
                _step(row, source, destination, summary)
                continue
            ends = _limited(source, bandwidth), _limited(destination, bandwidth)
            over = _until_closed(until, source, destination) if nightly else until
            Mover(row, *ends, summary, progress, over).work()
    summary.seconds = time.monotonic() - began
    return summary


def cancel(identifier: str, why: str, now: datetime.datetime) -> int:
    """Cancel what waits or has failed of a transfer, and the task of a service; how many files."""
    known = repositories()
    (row,) = ledger.transfers(restriction={"transfer_id": identifier})
    source, destination = (known[row[f"{end}_repository"]] for end in ("source", "destination"))
    if row["submission_id"]:
        with ledger.claimed(identifier) as free:
            if not free:
                raise NeurojointError(f"another program works on the transfer {identifier}", "try again in a moment")
            return service.Carried(row, source, destination, is_due).cancel(why)
    return ledger.cancel(identifier, None, why, now)


def _step(row: dict[str, Any], source: Repository, destination: Repository, summary: Summary) -> None:
    """Go one step on with a transfer that a service carries."""
    carried = None
    try:
        carried = service.Carried(row, source, destination, is_due)
        carried.work()
    except (Unavailable, CannotDo) as error:
        summary.waiting[destination.name] = explain(error)
        ledger.update(row["transfer_id"], transfer_message=explain(error)[:1000])
        return
    summary.files += len(carried.done)
    summary.size += sum(item.size for item in carried.done)
    summary.moved += sum(item.size for item in carried.done)
    summary.failed |= {item.destination_path: item.message for item in carried.failed}
    summary.elsewhere += carried.state in ("active", "paused")
    if carried.state == "paused":
        summary.waiting[destination.name] = carried.message


def _can_begin(row: dict[str, Any]) -> bool:
    now = ledger.database_time()
    return any(is_due(item, now) for item in ledger.items(row["transfer_id"], *states.OPEN))


def _in_window(*ends: Repository) -> bool:
    now = ledger.database_time()
    return all(end.window is None or end.window.is_open(now) for end in ends)


def _until_closed(until: Callable[[], bool], *ends: Repository) -> Callable[[], bool]:
    """Also true once the window of one of the ends has closed."""
    return lambda: until() or not _in_window(*ends)


def _limited(one: Repository, bandwidth: float | None) -> Repository:
    if bandwidth is None:
        return one
    return dataclasses.replace(one, place=dataclasses.replace(one.place, bandwidth=bandwidth))
