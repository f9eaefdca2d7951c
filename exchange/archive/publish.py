"""Raw files of sessions go to an archive, verified there."""

from __future__ import annotations

from typing import Any

from exchange.transfers import ledger, run
from exchange.transfers.plan import plan_copies
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError
from pipeline.schemas import data

RAW = "rel_path LIKE 'raw|_%%' ESCAPE '|'"


def publish(
    datasets: Any, repository: str, *, everything: bool = False, wait: bool = True, **options: Any
) -> run.Summary:
    """Copy the raw files among some datasets to an archive.

    Parameters
    ----------
    datasets : a restriction of data.Dataset; all of it counts, and only that.
    repository : the archive.
    everything : not only raw files.
    wait : copy now; else the next `neurojoint transfer run` does it.
    options : of `run.run`.

    Raises
    ------
    NeurojointError : nothing fits, or the repository cannot be written.
    """
    chosen = data.Dataset & datasets
    if not everything:
        chosen &= RAW
    ids = fetch_columns(chosen, "dataset_id")["dataset_id"].to_pylist()
    if not ids:
        raise NeurojointError("no raw file fits", "publish other files with --everything")
    planned = plan_copies(ledger.in_list("dataset_id", ids), repository, "publish")
    summary = run.Summary(total_files=planned.files, total_size=planned.size)
    if wait and planned.transfers:
        summary = run.run(restriction=[{"transfer_id": transfer} for transfer in planned.transfers], **options)
    if planned.no_source:
        summary.failed |= {f"{planned.no_source} files": "no repository holds a verified copy"}
    return summary
