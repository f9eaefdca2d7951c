"""Brings files back from wherever a verified copy is, for a time or for good."""

from __future__ import annotations

from typing import Any

from exchange.transfers import ledger, run
from exchange.transfers.plan import plan_copies
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import data


def retrieve(
    datasets: Any, to: str | None = None, days: float | None = None, wait: bool = True, **options: Any
) -> run.Summary:
    """Copy datasets into a local repository, and only those that are asked for.

    Parameters
    ----------
    datasets : a query of data.Dataset.
    to : repository; by default the only local one whose folder is here and that is no archive.
    days : after so many days the copies may be removed again (`neurojoint free`); None: as the policies say.
    wait : copy now; else the next `neurojoint transfer run` does it.
    options : of `run.run`.
    """
    to = to or default_repository()
    ids = fetch_columns(data.Dataset & datasets, "dataset_id")["dataset_id"].to_pylist()
    if not ids:
        raise NeurojointError("no dataset fits", "see what there is with `neurojoint find` or one.list_datasets")
    planned = plan_copies(ledger.in_list("dataset_id", ids), to, "retrieve", keep_days=days)
    summary = run.Summary(total_files=planned.files, total_size=planned.size)
    if wait and planned.transfers:
        chosen = [{"transfer_id": one} for one in planned.transfers]
        summary = run.run(restriction=chosen, **options)
    ledger.keep_until(to, ids, days)
    if planned.no_source:
        summary.failed |= {f"{planned.no_source} files": "no repository holds a verified copy"}
    return summary


def bring(ids: list[str]) -> None:
    """Bring datasets back and wait for it, for `one_bridge.ONE`: `one.retriever = bring`."""
    retrieve(ledger.in_list("dataset_id", ids))


def default_repository() -> str:
    """The local repository to retrieve into.

    Raises
    ------
    NeurojointError : there is none here, or several.
    """
    from pathlib import Path

    from exchange.transfers.repositories import repositories

    here = [
        one.name
        for one in repositories().values()
        if one.place.kind == "local" and not one.archive and one.enabled and Path(one.place.root).is_dir()
    ]
    if len(here) != 1:
        raise NeurojointError(
            "it is not clear into which repository" if here else "no local repository is here",
            f"say which: --to {' or '.join(here)}" if here else "neurojoint repository define NAME --root FOLDER",
        )
    return here[0]
