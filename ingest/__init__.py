"""From files to rows: `register` brings the tables up to what is in an ALF tree, and quarantines what is invalid."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest.registration import Progress, Step, Summary

__all__ = ["register"]


def register(
    root: Path | str,
    *,
    lab: str | None = None,
    metadata: Iterable[Path | str] = (),
    repository: str | None = None,
    dry_run: bool = False,
    processes: int | None = None,
    accept_missing: bool = False,
    progress: Progress | None = None,
    steps: Sequence[Step] = (),
) -> Summary:
    """Register the ALF files below `root`: subjects, sessions, datasets, copies; quarantine what is invalid.

    Needs `pipeline.connect()` before. A session folder that has not changed since the last run costs one look at its
    names, sizes and times. Stopped anywhere, the next run continues.

    Parameters
    ----------
    root : a data root (`lab/Subjects/subject/date/number`), a lab's folder, a `Subjects` folder, a folder of subjects
        (with `lab`), or any folder below a root that was registered before.
    lab : the lab, where the tree has no folder for it.
    metadata : csv and json files (`ingest.metadata.FILES`), or folders that hold them.
    repository : name under which the root is known; by default that of the folder.
    dry_run : write nothing, return the same summary.
    processes : how many read at once; by default the setting `processes`.
    accept_missing : mark sessions as missing even where a large share of them is gone.
    progress : called with phase (`look`, `read`), done and total.
    steps : what happens to the report of a session between reading and writing (see `ingest.examine.Report`).

    Raises
    ------
    NeurojointError : the root cannot be read or names no lab, another registration of it is running, a metadata file
        is not there.
    """
    from ingest import registration

    return registration.register(
        root, lab_name=lab, metadata=metadata, repository=repository, dry_run=dry_run, processes=processes,
        accept_missing=accept_missing, progress=progress, steps=steps,
    )  # fmt: skip
