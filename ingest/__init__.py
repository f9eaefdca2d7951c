"""From files to rows: `register` brings the tables up to what is in an ALF tree, and quarantines what is invalid;
`compress` then puts compressed files into the place of raw recordings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ingest import compression
    from ingest.registration import Progress, Step, Summary

__all__ = ["compress", "register"]


def register(
    root: Path | str,
    *,
    lab: str | None = None,
    metadata: Iterable[Path | str] = (),
    repository: str | None = None,
    dry_run: bool = False,
    processes: int | None = None,
    accept_missing: bool = False,
    layout: str | None = None,
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
    metadata : csv and json files (`ingest.metadata.files.FILES`), or folders that hold them.
    repository : name under which the root is known; by default that of the folder.
    dry_run : write nothing, return the same summary.
    processes : how many read at once; by default the setting `processes`.
    accept_missing : mark sessions as missing even where a large share of them is gone.
    layout : one of `ingest.scan.LAYOUTS`, in place of the layout that was decided for the root when it was first
        registered.
    progress : called with phase (`look`, `read`), done and total.
    steps : what happens to the report of a session between reading and writing (see
        `ingest.files.report.Report`).

    Raises
    ------
    NeurojointError : the root cannot be read or names no lab, another registration of it is running, a metadata file
        is not there.
    """
    from ingest import registration

    return registration.register(
        root, lab_name=lab, metadata=metadata, repository=repository, dry_run=dry_run, processes=processes,
        accept_missing=accept_missing, layout=layout, progress=progress, steps=steps,
    )  # fmt: skip


def compress(
    root: Path | str,
    *,
    remove_raw: bool = False,
    layout: str = "auto",
    effort: str = "default",
    threads: int | None = None,
    dry_run: bool = False,
    progress: compression.Progress | None = None,
) -> compression.Summary:
    """Compress the registered raw recordings below `root`; each compressed file takes the place of the raw one.

    Needs `pipeline.connect()` before. Each recording is read back and compared before its compressed file appears; the
    dataset keeps its identifier. Stopped anywhere, the next call continues. What goes wrong with one recording is in
    the summary, and does not stop the others.

    Parameters
    ----------
    root : a data root that was registered, or any folder below it.
    remove_raw : delete each raw file, also those that earlier runs left, once the compressed file was read from the
        disk again, decoded by another library and found equal, and its hashes are those that are registered.
    layout, effort, threads : see `cbin.compress`.
    dry_run : write nothing, count what would be done.
    progress : called with the name of a file, the raw bytes that are done and those there are.

    Raises
    ------
    NeurojointError : the root cannot be read, or is not registered.
    """
    from ingest import compression

    return compression.compress(
        root, remove_raw=remove_raw, layout=layout, effort=effort, threads=threads, dry_run=dry_run, progress=progress
    )


def __dir__() -> list[str]:
    return __all__
