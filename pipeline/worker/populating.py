"""Populating from Python: everything that is pending, with a progress display."""

from __future__ import annotations

import datajoint as dj

from pipeline.database import registry
from pipeline.worker import notebook_tables, process
from pipeline.worker.display import Progress
from pipeline.worker.supervisor import Summary, work


def populate(*tables: type[dj.Table], processes: int | None = None, progress: bool = True) -> Summary:
    """Compute everything that is pending, in parallel, and return when it is done.

    Call `connect()` before. A key that fails is kept as an error of its job and does not stop the others.

    Parameters
    ----------
    *tables : type of dj.Table
        Populate only these, also tables of a personal schema; by default all Imported and Computed tables.
    processes : int, optional
        Number of worker processes; by default the setting `processes`.
    progress : bool
        Show the progress on standard error.

    Returns
    -------
    Summary
        How many keys of each table were computed, and how many failed.

    Raises
    ------
    DatabaseUnavailable
        The database cannot be reached.
    """
    open_tables = process.open_tables
    if not all(map(notebook_tables.is_importable, tables)):
        open_tables = notebook_tables.opener(tables)
    for table in tables:
        registry.declare_jobs(table)
    if not progress:
        return work(once=True, processes=processes, tables=tables or None, open_tables=open_tables)
    from rich.console import Console  # here since workers never need it

    with Progress(Console(stderr=True)) as shown:
        return work(once=True, processes=processes, tables=tables or None, watch=shown.watch, tell=shown.tell,
                    open_tables=open_tables)  # fmt: skip
