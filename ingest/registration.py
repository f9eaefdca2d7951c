"""`neurojoint ingest`: walks a data root, reads what is new or changed in parallel, and writes the rows in batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import datajoint as dj

from ingest import folder_states
from ingest.files import inspect_session as examining
from ingest.files import scan
from ingest.files.report import Report, Step
from ingest.files.scan import Folder, Problem, SessionKey
from ingest.metadata import files as metadata_files
from ingest.parallel import Run, was_interrupted, workers
from ingest.rows import aggregates, layouts
from ingest.rows.lock import repository_lock
from ingest.rows.metadata_rows import MetadataRows, check_eids
from ingest.rows.quarantine import Entry, Quarantine
from ingest.rows.registrar import Registrar
from ingest.rows.renamed import RenamedFolders, under_current_keys
from ingest.rows.repository import begin_run, existing, repository_of
from ingest.rows.sessions import after_death
from ingest.rows.sources import Sources
from ingest.rows.writing import Writer
from pipeline.database import free_space
from pipeline.entry import zones as time_zones
from pipeline.entry.former_names import Former
from pipeline.errors import NeurojointError
from pipeline.schemas import data
from pipeline.settings import settings

SESSIONS_PER_TASK = 16
FILES_PER_BATCH = 8_000
SECONDS_PER_BATCH = 5.0
FEW_TO_LOOK_AT, FEW_TO_READ = 40_000, 3_000  # files
"""Below these, starting processes costs more than it saves."""
FILES_PER_SUBJECT = 1_000
"""What is assumed of a tree that was never looked at."""
BYTES_PER_FILE = 1 << 20
"""Reading so much costs more than opening a file."""

Progress = Callable[[str, int, int], None]
"""Called with the phase (`look`, `read`), how much of it is done and how much there is: subjects, files."""


@dataclass
class Summary:
    """What one run found and did."""

    root: str
    repository: str
    dry_run: bool = False
    run_id: str = ""
    labs: int = 0
    subjects: int = 0
    sessions: int = 0
    files: int = 0
    sessions_new: int = 0
    sessions_changed: int = 0
    sessions_vanished: int = 0
    files_new: int = 0
    files_replaced: int = 0
    files_missing: int = 0
    files_restored: int = 0
    files_compressed: int = 0
    metadata_rows: int = 0
    metadata_withdrawn: int = 0
    """Rows, or columns of rows, that a metadata file said before and does not say any more."""
    quarantined: int = 0
    resolved: int = 0
    withheld: int = 0
    """Sessions that lack files and were left as they were, since a disk may be absent."""
    files_withheld: int = 0
    withheld_because: dict[str, str] = field(default_factory=dict)
    """Place -> why."""
    reasons: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """All numbers."""
        return asdict(self)


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
    progress : called with phase (`looking at subjects`, `reading files`), done and total.
    steps : what happens to the report of a session between reading and writing (see
        `ingest.files.report.Report`).

    Raises
    ------
    NeurojointError : the root cannot be read or names no lab, another registration of it is running, a metadata file
        is not there.
    """
    begin = time.perf_counter()
    connection = dj.conn()
    if connection.address.is_socket:  # the embedded database
        free_space.check(settings().home, free_space.LEAST_TO_RUN)
    folder = existing(Path(root))
    name, base = repository_of(folder, repository)
    scope = "" if base == folder else f"{folder.relative_to(base).as_posix()}"
    processes = processes or settings().processes
    writer = Writer(connection, dry_run)
    summary = Summary(str(folder), name, dry_run, "" if dry_run else writer.run_id)
    tell = progress or (lambda *_: None)
    with (
        _obeying_ctrl_c(),
        repository_lock(connection, settings().prefix, name),
        workers_when_needed(processes) as run,
    ):
        decided, decided_lab = layouts.decided(name)
        lab = lab or (decided_lab if layout in (None, decided) else None)
        tree = folder_states.within(scan.layout(base, lab, layout or decided), scope)
        layouts.check_lab(base, tree)
        known = folder_states.scans(name)
        n_files = sum(value[1] for value in known.values()) if known else len(tree.subjects) * FILES_PER_SUBJECT
        folders, problems = folder_states.look(base, tree, scope, run(n_files, FEW_TO_LOOK_AT), tell)
        former = Former()
        folders, twice = under_current_keys(folders, former)
        problems += twice
        folders, problems = layouts.with_registered_places(name, base, known, folders, problems, scope)
        folders, undated = folder_states.dated(folders, known)
        problems += undated
        if not folders and not problems and not known:
            raise NeurojointError(
                f"{folder} holds no session folders", "check the path; docs/ingest.md shows the layout"
            )
        if not dry_run:
            begin_run(connection, writer, name, base, folder)
            if layout or (folders and decided is None):
                layouts.decide(name, tree, lab)
        _bring_up(
            writer, name, base, scope, known, folders, problems, run, tell, accept_missing, steps,
            [Path(item) for item in metadata], lab or folder_states.only_lab(tree), summary, former,
        )  # fmt: skip
        if not dry_run:
            data.IngestRun.update1({"run_id": writer.run_id, "run_end": writer.now})
    summary.seconds = time.perf_counter() - begin
    return summary


@contextlib.contextmanager
def _obeying_ctrl_c() -> Iterator[None]:
    """Let an interruption be one, also where it cut off a statement and the roll-back failed on that connection."""
    try:
        yield
    except Exception as error:
        if was_interrupted(error):
            raise KeyboardInterrupt from error
        raise


@contextlib.contextmanager
def workers_when_needed(processes: int) -> Iterator[Callable[[int, int], Run]]:
    """A function that gives the means to run tasks: here where there is little to do, else in processes."""
    with contextlib.ExitStack() as stack:
        started: list[Run] = []

        def choose(amount: int, few: int) -> Run:
            if processes <= 1 or amount < few:
                with workers(1) as here:
                    return here
            if not started:
                started.append(stack.enter_context(workers(processes)))
            return started[0]

        yield choose


def _bring_up(
    writer: Writer, repository: str, base: Path, scope: str, known: dict[SessionKey, tuple[str, int]],
    folders: dict[SessionKey, Folder], problems: list[Problem], run: Callable[[int, int], Run], tell: Progress,
    accept_missing: bool, steps: Sequence[Step], metadata: list[Path], default_lab: str | None, summary: Summary,
    former: Former,
) -> None:  # fmt: skip
    """Compare what is there with what is known, and write the difference."""
    changed = folder_states.changed(folders, known, time_zones.of_labs())
    quarantine = Quarantine(writer, repository)
    gone = folder_states.missing(known, folders, problems, scope, repository, writer.connection) if known else {}
    held = folder_states.withhold(
        repository, base, known, folders, changed, gone, problems, scope, accept_missing, writer.dry_run
    )
    changed = [item for item in changed if item.key not in held.sessions]
    gone = {key: path for key, path in gone.items() if key not in held.sessions}
    summary.withheld, summary.files_withheld = len(held.sessions), held.n_files
    summary.withheld_because = held.reasons
    covered = f"{scope}/" if scope else ""
    if not scope:
        with _transaction(writer):
            problems += aggregates.register(writer, repository, base)
            writer.flush_changes()
    if changed or gone or metadata or _zones_differ(writer, repository):
        zones = time_zones.of_labs()
        sources = Sources(writer, repository)
        metadata, waiting = _with_other_zones(metadata, base, sources, default_lab, zones)
        problems += waiting
        told = metadata_files.read_files(metadata, base, default_lab, zones)
        told.use_current_names(former)
        registrar = Registrar(writer, repository, quarantine)
        check_eids(told, registrar.sessions)
        written = MetadataRows(writer, told, registrar.sessions.sources)
        with _transaction(writer):
            summary.metadata_rows += written.animals()
            summary.metadata_rows += registrar.sessions.apply_metadata(told)
            writer.flush_changes()
        zones = time_zones.of_labs() | {r["lab"]: r["time_zone"] for r in told.rows["labs"] if r.get("time_zone")}
        # times in settings are read again where the time zone is another
        changed = [item for item in folder_states.changed(folders, known, zones) if item.key not in held.sessions]
        renamed = RenamedFolders(repository, base, known.keys() - folders.keys(), folders)
        n_files = sum(item.n_files for item in changed)
        tasks = _tasks(base, registrar, changed, zones, former)
        done = 0
        amount = n_files + sum(item.n_bytes for item in changed) // BYTES_PER_FILE
        for batch in _batches(run(amount, FEW_TO_READ)(examining.examine_all, tasks)):
            for step in steps:
                batch = [step(report, base) for report in batch]
            done += sum(report.folder.n_files for report in batch)
            batch, waiting = renamed.hold_back(batch, registrar.sessions.known)
            problems += waiting
            registrar.register(batch)
            tell("reading files", min(done, n_files), n_files)
        lost = list(gone)
        for start in range(0, len(lost), 100):
            registrar.lose(lost[start : start + 100])
        summary.sessions_vanished = len(lost)
        with _transaction(writer):
            summary.metadata_rows += written.actions(registrar.sessions)
            summary.metadata_rows += written.trajectories(registrar.sessions)
            summary.metadata_withdrawn = written.withdraw(registrar.sessions)
            writer.flush_changes()
            _settle(quarantine, [*problems, *after_death(folders)], told, covered)
        for name, value in vars(registrar.counts).items():
            setattr(summary, name, value)
    else:
        with _transaction(writer):
            _settle(quarantine, [*problems, *after_death(folders)], metadata_files.Metadata(), covered)
    summary.labs = len({key.lab for key in folders})
    summary.subjects = len({key[:2] for key in folders})
    summary.sessions, summary.files = len(folders), sum(item.n_files for item in folders.values())
    summary.quarantined, summary.resolved = quarantine.n_open, quarantine.n_resolved
    summary.reasons = quarantine.open_by_reason()


def _zones_differ(writer: Writer, repository: str) -> bool:
    """Whether a metadata file was read in another time zone than its lab has now."""
    return bool(Sources(writer, repository).under_other_zones(time_zones.of_labs()))


def _with_other_zones(
    metadata: list[Path], base: Path, sources: Sources, default_lab: str | None, zones: Mapping[str, str]
) -> tuple[list[Path], list[Problem]]:
    """The metadata files to read: those that are given, and those that were read in another time zone than is now.

    One that is not there any more is a problem.
    """
    labs = [item for item in metadata if item.is_dir() or item.name.lower().endswith("labs.csv")]
    if labs:
        told = metadata_files.read_files(labs, base, default_lab, zones)
        zones = dict(zones) | {row["lab"]: row["time_zone"] for row in told.rows["labs"] if row.get("time_zone")}
    given = {path.resolve() for path in metadata} | {
        path.resolve() for item in metadata if item.is_dir() for path in item.iterdir()
    }
    more, problems = [], []
    for file in sorted(sources.under_other_zones(zones)):
        path = base / file  # an absolute path stays as it is
        if path.resolve() in given:
            continue
        if path.is_file():
            more.append(path)
        else:
            detail = "it was read in another time zone than its lab has now: give it again with --metadata"
            problems.append(Problem(file, "bad_metadata", detail))
    return [*metadata, *more], problems


def _settle(quarantine: Quarantine, problems: list[Problem], told: metadata_files.Metadata, covered: str) -> None:
    """Bring the quarantine of what belongs to no session up to date, and date what is still there."""

    def is_covered(entry: Entry) -> bool:
        if entry.reason == "bad_metadata":
            return entry.path in told.files
        return entry.path.startswith(covered)

    quarantine.others_update([*problems, *told.problems()], is_covered)
    quarantine.see_again(covered)


def _tasks(
    base: Path, registrar: Registrar, changed: list[Folder], zones: Mapping[str, str], former: Former
) -> Iterator[tuple[Path, list]]:
    """Sessions to examine, some at a time, with what is known of their files; large ones first in line."""
    for start in range(0, len(changed), 200):
        some = changed[start : start + 200]
        known = registrar.known_files([item.key for item in some], {entry.key: entry.path for entry in some})
        todo = [
            (item.key, item.path, known[item.key], zones.get(item.key.lab, "UTC"), former.names(item.key))
            for item in some
        ]
        for first in range(0, len(todo), SESSIONS_PER_TASK):
            yield base, todo[first : first + SESSIONS_PER_TASK]


def _batches(results: Iterator[list[Report]]) -> Iterator[list[Report]]:
    """Reports in batches for one transaction each: of so many files, or what has come in a few seconds."""
    batch: list[Report] = []
    n_files, since = 0, time.monotonic()
    for reports in results:
        batch += reports
        n_files += sum(len(report.files) for report in reports)
        if n_files >= FILES_PER_BATCH or time.monotonic() - since > SECONDS_PER_BATCH:
            yield batch
            batch, n_files, since = [], 0, time.monotonic()
    if batch:
        yield batch


def _transaction(writer: Writer) -> contextlib.AbstractContextManager[Any]:
    return contextlib.nullcontext() if writer.dry_run else writer.connection.transaction
