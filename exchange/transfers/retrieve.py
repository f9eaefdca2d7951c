"""Brings files back from wherever a verified copy is, for a time or for good."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from exchange.transfers import ledger, run
from exchange.transfers.plan import plan_copies
from exchange.transfers.repositories import repositories
from pipeline.alf import disks
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import data, transfer


def retrieve(
    datasets: Any, to: str | None = None, days: float | None = None, wait: bool = True, **options: Any
) -> run.Summary:
    """Copy datasets into a local repository, and only those that are asked for.

    Parameters
    ----------
    datasets : a query of data.Dataset.
    to : repository; by default that of `default_repository`.
    days : after so many days the copies may be removed again (`neurojoint free`); None: as the policies say.
    wait : copy now; else the next `neurojoint transfer run` does it.
    options : of `run.run`.
    """
    ids = fetch_columns(data.Dataset & datasets, "dataset_id")["dataset_id"].to_pylist()
    if not ids:
        raise NeurojointError("no dataset fits", "see what there is with `neurojoint find` or one.list_datasets")
    to = to or default_repository(ids)
    planned = plan_copies(ledger.in_list("dataset_id", ids), to, "retrieve", keep_days=days)
    summary = run.Summary(total_files=planned.files, total_size=planned.size)
    if wait and planned.transfers:
        chosen = [{"transfer_id": item} for item in planned.transfers]
        summary = run.run(restriction=chosen, **options)
    ledger.keep_until(to, ids, days)
    if planned.no_source:
        summary.failed |= {f"{planned.no_source} files": "no repository holds a verified copy"}
    return summary


def bring(ids: list[str], patience: float = 3_600) -> None:
    """Bring datasets back and wait until they are here, for `one_bridge.ONE`: `one.retriever = bring`.

    Also where another program brings them already, or was to bring them.

    Parameters
    ----------
    patience : s without a file that arrived after which waiting ends.

    Raises
    ------
    NeurojointError : some cannot be had; it says why. Those that arrived are here all the same.
    """
    to = default_repository(ids)
    retrieve(ledger.in_list("dataset_id", ids), to)
    waited, n_left = time.monotonic(), len(ids) + 1
    while left := set(ids) - _here(to, ids):
        if len(left) < n_left:
            waited, n_left = time.monotonic(), len(left)
        chosen = transfer.Transfer.Item & ledger.in_list("dataset_id", sorted(left))
        rows = (chosen * transfer.Transfer.proj("destination_repository") & {"destination_repository": to}).to_dicts()
        coming = {row["transfer_id"] for row in rows if row["item_state"] in ("planned", "submitted", "arrived")}
        why = next((row["item_message"] for row in rows if row["item_state"] == "failed"), "no verified copy is known")
        if not coming or time.monotonic() - waited > patience:
            raise NeurojointError(
                f"{len(left)} of {len(ids)} files could not be brought back: {why}",
                "see `neurojoint transfer status`",
            )
        if run.run(restriction=[{"transfer_id": item} for item in sorted(coming)]).files == 0:
            time.sleep(PAUSE)


PAUSE = 1.0  # s between two looks at what others bring


def _here(repository: str, ids: list[str]) -> set[str]:
    online = data.FileRecord & {"repository": repository, "file_state": "online"}
    return set(fetch_columns(online & ledger.in_list("dataset_id", ids), "dataset_id")["dataset_id"].to_pylist())


def default_repository(ids: Sequence[str] = ()) -> str:
    """The local repository to retrieve datasets into: the only one that is here, else that from which they were freed.

    Archives do not count, nor those that are switched off.

    Raises
    ------
    NeurojointError : there is none here, or several and nothing was freed from one of them alone.
    """
    from pathlib import Path

    here = [
        repository.name
        for repository in repositories().values()
        if repository.place.kind == "local"
        and not repository.archive
        and repository.enabled
        and disks.is_there(Path(repository.place.root))
    ]
    if len(here) > 1 and ids:
        freed = fetch_columns(transfer.Freed & ledger.in_list("dataset_id", ids), "repository")["repository"]
        here = sorted(set(here) & set(freed.to_pylist())) or here
    if len(here) != 1:
        raise NeurojointError(
            "it is not clear into which repository" if here else "no local repository is here",
            f"say which: --to {' or '.join(here)}" if here else "neurojoint repository define NAME --root FOLDER",
        )
    return here[0]
