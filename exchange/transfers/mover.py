"""One transfer: files are begun in groups, sent, read where they arrived, and written down."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.transfers import ledger, patrol, states
from exchange.transfers.backends.folder import Folder
from exchange.transfers.ledger import Item
from exchange.transfers.protocol import (
    Backend,
    CannotDo,
    Found,
    Job,
    NameTaken,
    Rejected,
    SourceChanged,
    Unavailable,
    as_fault_of_place,
)
from exchange.transfers.repositories import Repository, repositories
from pipeline.database.bulk import fetch_columns
from pipeline.errors import NeurojointError, explain
from pipeline.schemas import data
from pipeline.settings import settings

GROUP_FILES, GROUP_BYTES = 2_000, 1 << 30
"""So much is begun, carried and written as one."""
Progress = Callable[["Summary"], None]


@dataclass
class Summary:
    """How far a run is, or what it did.

    Attributes
    ----------
    transfers : how many were worked on
    files, total_files, size, total_size : carried and verified, of those that were waiting; byte
    moved : bytes that went over, also of what failed
    failed : path -> why
    waiting : repositories that cannot be reached now -> why
    outside : transfers that wait for their nightly window
    elsewhere : transfers that a service carries, or another program
    """

    transfers: int = 0
    files: int = 0
    total_files: int = 0
    size: int = 0
    total_size: int = 0
    moved: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    outside: int = 0
    elsewhere: int = 0
    seconds: float = 0.0


def is_due(one: Item, now: Any) -> bool:
    """Whether a file may be carried now: one that failed waits for a while."""
    return one.state != "failed" or one.due <= now


class Mover:
    """One transfer, while this program has its lock.

    Parameters
    ----------
    row : of transfer.Transfer.
    book : where its files are written down: the tables, or a server that writes for us (`exchange.transfers.agent`).
    """

    def __init__(
        self, row: dict[str, Any], source: Repository, destination: Repository, summary: Summary, progress: Progress,
        until: Callable[[], bool], book: Any = ledger,
    ) -> None:  # fmt: skip
        self._book = book
        self.identifier, self.source, self.destination = row["transfer_id"], source, destination
        self._keep_days, self._is_retrieval = row["transfer_keep_days"], row["transfer_purpose"] == "retrieve"
        self.summary, self._progress, self._until = summary, progress, until
        self._message, self._interruptions = row.get("transfer_message", ""), row.get("transfer_attempts", 0)
        self._suspects: list[Item] = []
        self._fault: Unavailable | None = None  # of the place, found while files were carried
        self._opening = source  # the repository that is asked last, for the message if it does not answer

    def work(self) -> None:
        """Carry what is due; what cannot be reached stays as it is, and is said."""
        with contextlib.ExitStack() as stack:
            try:
                self.reading = self._open(stack, self.source, False)
                self.writing = self._open(stack, self.destination, True)
            except (Unavailable, CannotDo) as error:
                self._wait(error)
                return
            if self._message:
                self._book.update(self.identifier, transfer_message="")
            now = self._book.database_time()
            due = [item for item in self._book.items(self.identifier, "planned", "failed") if is_due(item, now)]
            while due and not self._until():
                group = self._next(due)
                due = due[len(group) :]
                try:
                    self._carry(group)
                except Unavailable as error:
                    self._wait(error)
                    break
        self._doubt_sources()
        self._book.settle(self.identifier)

    def _open(self, stack: contextlib.ExitStack, one: Repository, writing: bool) -> Backend:
        self._opening = one
        backend = one.open()
        stack.callback(backend.close)
        backend.check(writing)
        return backend

    def _wait(self, error: NeurojointError) -> None:
        self.summary.waiting[self._opening.name] = explain(error)
        self._book.update(self.identifier, transfer_message=explain(error)[:1000])
        self._book.interrupt(self.identifier, self._book.database_time(), explain(error))
        self._book.settle(self.identifier)

    def _next(self, due: Sequence[Item]) -> list[Item]:
        """The files that are carried next, as one: fewer after interruptions, more again after each group."""
        most = states.group_size(GROUP_FILES, self._interruptions)
        group: list[Item] = []
        size = 0
        for item in due[:most]:
            size += item.size
            if group and size > GROUP_BYTES:
                break
            group.append(item)
        return group

    def _carry(self, group: list[Item]) -> None:
        """Carry some files: begun, sent, read back, written."""
        self._book.update(self.identifier, transfer_attempts=self._interruptions + 1)
        group = self._book.begin(self.identifier, group, self._book.database_time())
        failed: list[Item] = []
        self._fault = None
        here, group = self._present(group, failed)
        try:
            sent = list(self._send(group, failed)) if group else []
        except OSError as error:  # no file of it: nothing at all can be written there
            sent = []
            self._fault = as_fault_of_place(error, self.destination.name) or Unavailable(
                f"{self.destination.name} cannot be written ({error})"[:900], "mend it, then `neurojoint transfer run`"
            )
        self._judge([*here, *sent], failed)
        self._book.fail(failed)
        self.summary.failed |= {item.destination_path: item.message for item in failed}
        if self._fault is not None:
            raise self._fault  # what was done is written; the rest is no fault of the files
        self._interruptions = max(0, self._interruptions - 1)
        self._book.update(self.identifier, transfer_attempts=self._interruptions)
        self._progress(self.summary)

    def _present(self, group: list[Item], failed: list[Item]) -> tuple[list[Item], list[Item]]:
        """Which files are at the destination already (whole, from an earlier attempt) and which are to be sent."""
        now = self._book.database_time()
        stats = self.writing.stat([member.destination_path for member in group])
        same = [
            member
            for member in group
            if member.destination_path in stats and stats[member.destination_path].size == member.size
        ]
        digests = dict(self.writing.read([item.destination_path for item in same], lambda n: None)) if same else {}
        here, there = [], []
        for member in group:
            what = digests.get(member.destination_path)
            if isinstance(what, Found) and what.md5 == member.md5:
                here.append(member)
            elif member.destination_path in stats and not (member.replace or member.attempts > 0):
                error = NameTaken(
                    f"another file lies at {self.destination.name}:{member.destination_path}",
                    "move it away, then `neurojoint transfer retry`",
                )
                failed.append(member.failed(now, explain(error), final=True))
            else:
                there.append(member)
        return here, there

    def _send(self, group: list[Item], failed: list[Item]) -> Iterator[Item]:
        """Carry files over; those that went over come back, the others go into `failed`."""
        by_path = {member.destination_path: member for member in group}
        if isinstance(self.reading, Folder):
            outcomes = self.writing.send(self._local_jobs(group, failed), self._count)
            yield from self._sorted(outcomes, by_path, failed)
            return
        with self._staging() as stage:
            jobs = [Job(stage(number), one.source_path, one.size, one.md5) for number, one in enumerate(group)]
            waiting = dict(zip([job.local for job in jobs], group, strict=True))
            fetched: list[Job] = []
            now = self._book.database_time()
            for job, error in self.reading.fetch(jobs, self._count):
                one = waiting[job.local]
                if isinstance(error, Unavailable):
                    self._opening, self._fault = self.source, error
                    break
                if error is None and job.local.stat().st_size == one.size:
                    fetched.append(Job(job.local, one.destination_path, one.size, one.md5))
                else:
                    self._suspects.append(one)
                    short = Rejected(f"{self.source.name}:{one.source_path} came over incomplete", "it is tried again")
                    failed.append(one.failed(now, explain(error or short)))
            if isinstance(self.writing, Folder):
                for job in fetched:
                    try:
                        self.writing.adopt(job)
                        yield by_path[job.path]
                    except Exception as error:
                        failed.append(by_path[job.path].failed(now, explain(error)))
            else:
                yield from self._sorted(self.writing.send(fetched, lambda n: None), by_path, failed)

    def _local_jobs(self, group: list[Item], failed: list[Item]) -> Iterator[Job]:
        """Jobs for files of a folder, of those that are there with the size that was registered."""
        folder = self.reading
        if not isinstance(folder, Folder):
            raise AssertionError("files of another computer are fetched first")
        stats = folder.stat([member.source_path for member in group])
        now = self._book.database_time()
        for member in group:
            stat = stats.get(member.source_path)
            if stat is None or stat.size != member.size:
                self._suspects.append(member)
                what = "is not there" if stat is None else f"has {stat.size} byte, not {member.size}"
                error = SourceChanged(
                    f"{self.source.name}:{member.source_path} {what}", "run `neurojoint ingest` on its folder"
                )
                failed.append(member.failed(now, explain(error)))
            else:
                yield Job(folder.local(member.source_path), member.destination_path, member.size, member.md5)

    def _sorted(self, outcomes: Any, by_path: dict[str, Item], failed: list[Item]) -> Iterator[Item]:
        now = self._book.database_time()
        for job, error in outcomes:
            one = by_path[job.path]
            if error is None:
                yield one
                continue
            if fault := as_fault_of_place(error, f"{self.destination.name}:{job.path}"):
                self._fault = fault
                if isinstance(error, Unavailable):
                    break  # it would be asked in vain for every file
                continue
            if isinstance(error, FileNotFoundError | SourceChanged):
                self._suspects.append(one)
            failed.append(one.failed(now, explain(error)))

    def _judge(self, arrived: Sequence[Item], failed: list[Item]) -> None:
        """Read what arrived, where it arrived, and write what is as it should be."""
        if not arrived:
            return
        now = self._book.database_time()
        self._book.advance(arrived, "arrived", now)
        by_path = {item.destination_path: item for item in arrived}
        good: list[tuple[Item, Found]] = []
        bad: list[Item] = []
        for path, what in self.writing.read(list(by_path), lambda n: None):
            one = by_path[path]
            if isinstance(what, Unavailable):
                self._fault = what
                break
            if isinstance(what, Exception):
                failed.append(one.failed(now, explain(what)))
            elif (what.md5, what.size) == (one.md5, one.size):
                good.append((one, what))
            else:
                bad.append(one)
                said = f"the copy at {self.destination.name}:{path} has md5 {what.md5} and {what.size} byte"
                failed.append(one.failed(now, explain(Rejected(said, "it was removed and is made again"))))
        if bad:
            self.writing.delete([item.destination_path for item in bad])
            self._suspects += bad
        self._book.verify(self.destination.name, good, self._book.database_time())
        if self._is_retrieval:
            self._book.keep_until(self.destination.name, [one.dataset_id for one, _ in good], self._keep_days)
        self.summary.files += len(good)
        self.summary.size += sum(one.size for one, _ in good)

    def _doubt_sources(self) -> None:
        """Read those sources again from which no good copy came: a damaged one is not copied from any more."""
        if not self._suspects or self._book is not ledger:
            return
        ids = list({suspect.dataset_id for suspect in self._suspects})
        chosen = data.FileRecord & {"repository": self.source.name, "file_state": "online"}
        rows = fetch_columns(chosen & ledger.in_list("dataset_id", ids)).to_pylist()
        report = patrol.examine(self.source, rows)
        bad = {row["dataset_id"] for row in rows} - self._still_online(ids)
        for problem in report.problems:
            self.summary.waiting.setdefault(self.source.name, problem)
        if bad:
            now = ledger.database_time()
            ledger.cancel(self.identifier, bad, "its source is damaged or gone: another is looked for", now)
            patrol.repair(report, repositories())

    def _still_online(self, ids: list[str]) -> set[str]:
        chosen = data.FileRecord & {"repository": self.source.name, "file_state": "online"}
        return set(fetch_columns(chosen & ledger.in_list("dataset_id", ids), "dataset_id")["dataset_id"].to_pylist())

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Callable[[int], Path]]:
        """Names for files on their way: at the destination if it is a folder, else in the scratch folder."""
        if isinstance(self.writing, Folder):
            incoming = self.writing.incoming()
            made = [incoming.with_name(f"{incoming.name}-{number}") for number in range(GROUP_FILES)]
            try:
                yield lambda number: made[number]
            finally:
                for item in made:
                    item.unlink(missing_ok=True)
            return
        scratch = settings().scratch or settings().home / "scratch"
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="transfer-", dir=scratch) as folder:
            yield lambda number: Path(folder, str(number))

    def _count(self, n_bytes: int) -> None:
        self.summary.moved += n_bytes
        self._progress(self.summary)
