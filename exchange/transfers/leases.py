"""Files of transfers that are handed to servers without the database, for a limited time."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from exchange.transfers import ledger, states
from exchange.transfers.ledger import LEASE, Item
from exchange.transfers.protocol import Found
from pipeline.errors import NeurojointError


def lease(names: Sequence[str], host: str, most_files: int, most_bytes: int) -> dict[str, Any] | None:
    """Hand files of one transfer to somebody who has no database: those that are due, between repositories of his.

    Returns
    -------
    The row of the transfer and its `items`; None where nothing is due. They come back by `settle` before the
    `task_deadline` of the row, or are given to others.
    """
    now = ledger.database_time()
    for row in ledger.transfers():
        if row["source_repository"] not in names or row["destination_repository"] not in names:
            continue
        with ledger.claimed(row["transfer_id"]) as free:
            transfers = ledger.transfers(restriction={"transfer_id": row["transfer_id"]})[:1]
            if not free or not transfers or transfers[0]["submission_id"]:
                continue
            interruptions = transfers[0]["transfer_attempts"]
            most_files = states.group_size(most_files, interruptions)
            chosen: list[Item] = []
            for item in ledger.items(transfers[0]["transfer_id"], "planned", "failed"):
                too_much = sum(other.size for other in chosen) + item.size > most_bytes
                if len(chosen) >= most_files or (chosen and too_much):
                    break
                if item.state == "planned" or item.due <= now:
                    chosen.append(item)
            if not chosen:
                continue
            begun = ledger.begin(transfers[0]["transfer_id"], chosen, now)
            until = begun[0].due
            name = f"{LEASE}{uuid.uuid4()}"
            ledger.update(
                transfers[0]["transfer_id"], submission_id=name, task_deadline=until, transfer_host=host[:255],
                transfer_attempts=interruptions + 1,
            )  # fmt: skip
            return transfers[0] | {"submission_id": name, "task_deadline": until, "items": begun}
    return None


def settle(identifier: str, name: str, outcomes: Mapping[str, tuple[Found | None, str, bool]]) -> tuple[int, int]:
    """Write what became of files that were handed out: dataset -> what was read, else why not, and whether for good.

    Returns
    -------
    How many are verified, and how many failed; files that are not named are given to others.

    Raises
    ------
    NeurojointError : the time is over, and others have them.
    """
    with ledger.claimed(identifier) as free:
        rows = ledger.transfers(restriction={"transfer_id": identifier})
        if not free or not rows or rows[0]["submission_id"] != name:
            raise NeurojointError("these files were given to others: the time was over", "ask for new ones")
        now = ledger.database_time()
        good: list[tuple[Item, Found]] = []
        failed: list[Item] = []
        for item in ledger.items(identifier, "submitted"):
            if item.dataset_id not in outcomes:
                continue
            what, why, final = outcomes[item.dataset_id]
            if what is not None and (what.md5, what.size) == (item.md5, item.size):
                good.append((item, what))
            else:
                failed.append(item.failed(now, why or "its content is not what was registered", final))
        ledger.fail(failed)
        ledger.verify(rows[0]["destination_repository"], good, now)
        left = ledger.interrupt(identifier, now, "nothing was reported of it")
        attempts = rows[0]["transfer_attempts"] if left else max(0, rows[0]["transfer_attempts"] - 2)
        ledger.update(identifier, submission_id="", task_deadline=None, transfer_attempts=attempts)
        ledger.settle(identifier)
    return len(good), len(failed)
