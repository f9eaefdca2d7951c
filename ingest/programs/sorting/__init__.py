"""Spike sorting by programs of others, in environments of their own: job in, folder of results out, ALF files, rows.

`sort(root, "name")` runs the sorter that the settings know under that name over the raw recordings below a root.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ingest.programs.sorting import work

if TYPE_CHECKING:
    from ingest.programs.sorting.work import Summary, Tell

__all__ = ["sort"]


def sort(
    root: Path | str,
    sorter: str,
    *,
    parameters: Mapping[str, Any] | None = None,
    probe: str | None = None,
    again: bool = False,
    dry_run: bool = False,
    tell: Tell | None = None,
) -> Summary:
    """Sort the registered AP recordings below `root` that this sorter has not sorted with these parameters.

    Needs `pipeline.connect()` before. The results become ALF files below `alf/<probe>/<sorter>`, in a new revision
    where there are some already, and are registered as all files are. Each is a task of the kind
    `sort_spikes`; what goes wrong with one recording is recorded there, is in the summary and does not stop the others.

    Parameters
    ----------
    root : a data root that was registered, or any folder below it.
    sorter : its name in the settings (`[sorters.<name>]`).
    parameters : go before those of the settings.
    probe : label of the insertions that are meant; by default all.
    again : sort also what is sorted with the same parameters.
    dry_run : write nothing, count what would be done.
    tell : called with a line at each step.

    Raises
    ------
    NeurojointError : the settings know no such sorter, the root cannot be read or is not registered.
    """
    return work.sort(
        root, sorter, parameters=parameters, probe=probe, again=again, dry_run=dry_run, tell=tell or (lambda line: None)
    )
