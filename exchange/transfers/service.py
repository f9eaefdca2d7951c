"""Transfers that a service carries: submitted once, asked about now and then, reconciled file by file."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from exchange.transfers import ledger
from exchange.transfers.backends.globus import GlobusService, full
from exchange.transfers.ledger import Item
from exchange.transfers.protocol import CannotDo, Found, Service, ServiceJob, Task, TaskRejected
from exchange.transfers.repositories import Repository
from pipeline.errors import explain

MOST_TASKS = 6
"""So many tasks at once: the service runs three of a user, the others wait there."""
GRACE = datetime.timedelta(hours=80)
"""After that a task counts as lost: the service extends its deadline to 72 h after the last progress."""


def is_carried(source: Repository, destination: Repository) -> bool:
    """Whether a service carries files between two repositories."""
    return "globus" in (source.place.kind, destination.place.kind)


def make_service(source: Repository, destination: Repository) -> Service:
    """The service between two repositories."""
    wanting = [
        item.collection[0]
        for item in (source, destination)
        if item.collection and item.place.options.get("data_access")
    ]
    return GlobusService(wanting, destination.place.options.get("sync_level"))


class Carried:
    """One transfer that a service carries, while this program has its lock.

    Parameters
    ----------
    row : of transfer.Transfer.
    is_due : which files may be submitted now.
    """

    def __init__(
        self, row: dict[str, Any], source: Repository, destination: Repository, is_due: Callable[[Item, Any], bool]
    ) -> None:
        self.row, self.source, self.destination, self._is_due = row, source, destination, is_due
        self.identifier: str = row["transfer_id"]
        self.service = make_service(source, destination)
        self.done: list[Item] = []
        self.failed: list[Item] = []
        self.state = self.message = ""

    def work(self) -> None:
        """One step: submit, or ask and reconcile.

        Raises
        ------
        Unavailable : the service or a collection cannot be reached; nothing is concluded.
        CannotDo : one of the repositories has no collection.
        """
        for item in (self.source, self.destination):
            if item.collection is None:
                raise CannotDo(
                    f"the repository {item.name} has no collection of Globus",
                    f"neurojoint transfer repository {item.name} --option globus_collection=… --option globus_root=…",
                )
        if not self.row["submission_id"]:
            self._submit_new()
        elif not self.row["task_id"]:
            begun = ledger.items(self.identifier, "submitted")  # a program died, or an answer was lost
            until = self.row["task_deadline"]
            if until is not None and ledger.database_time() > until:
                self._give_up(begun, f"Globus did not take it in time: {self.row['transfer_message']}"[:1000])
            else:
                self._submit(begun)
        else:
            self._follow()
        ledger.settle(self.identifier)

    def cancel(self, why: str) -> int:
        """Stop the task and cancel its files; how many."""
        now = ledger.database_time()
        if self.row["task_id"]:
            self.service.cancel(self.row["task_id"])
        begun = ledger.items(self.identifier, "submitted", "arrived")
        ledger.put([item.moved("cancelled", now, why) for item in begun])
        ledger.update(self.identifier, submission_id="", task_id="", task_deadline=None)
        return len(begun) + ledger.cancel(self.identifier, None, why, now)

    def _submit_new(self) -> None:
        now = ledger.database_time()
        due = [item for item in ledger.items(self.identifier, "planned", "failed") if self._is_due(item, now)]
        if not due:
            return
        running = [row for row in ledger.transfers("submitted") if row["task_id"]]
        if len(running) >= MOST_TASKS:
            ledger.update(self.identifier, transfer_message=f"{len(running)} tasks are running at Globus: it waits")
            return
        for item in (self.source, self.destination):
            if item.place.kind == "globus":
                item.open().check()
        submission = self.service.reserve()
        begun = ledger.begin(self.identifier, due, now)
        ledger.update(self.identifier, submission_id=submission, task_deadline=now + GRACE)
        self.row["submission_id"] = submission
        self._submit(begun)

    def _submit(self, begun: Sequence[Item]) -> None:
        jobs = [ServiceJob(item.source_path, item.destination_path, item.size, item.md5) for item in begun]
        try:
            task = self.service.submit(
                self.row["submission_id"], _collection(self.source), _collection(self.destination), jobs,
                f"neurojoint {self.source.name} to {self.destination.name}",
            )  # fmt: skip
        except TaskRejected as error:
            self._give_up(begun, explain(error))
            return
        now = ledger.database_time()
        ledger.update(
            self.identifier, task_id=task, task_deadline=now + GRACE, transfer_message="",
            transfer_attempts=self.row["transfer_attempts"] + 1,
        )  # fmt: skip
        ledger.note([("submitted", f"transfer/{self.identifier}", f"{len(jobs)} files, task {task} of Globus", "")])
        self.state = "active"

    def _give_up(self, begun: Sequence[Item], why: str) -> None:
        """There is no task, and with this submission there will be none: the files wait for a new one."""
        now = ledger.database_time()
        self.failed = [item.failed(now, why) for item in begun]
        ledger.fail(self.failed)
        ledger.update(self.identifier, submission_id="", task_deadline=None, transfer_message=why[:1000])

    def _follow(self) -> None:
        task = self.service.poll(self.row["task_id"])
        self.state = task.state
        now = ledger.database_time()
        if task.state in ("active", "paused"):
            if now > self.row["task_deadline"]:
                self.service.cancel(self.row["task_id"])
                task = self.service.poll(self.row["task_id"])
                task = Task("failed", task.arrived, task.problems, "it was not done in time, and was cancelled")
            else:
                self.message = f"Globus: {task.state} {task.message}"[:900]
                if task.state == "paused":
                    self.message += f"; look at the task {self.row['task_id']} in the web app of Globus"
                ledger.update(self.identifier, transfer_message=self.message)
                self._prolong(now)
                return
        self._reconcile(task, now)

    def _prolong(self, now: datetime.datetime) -> None:
        """While a task runs, its own deadline is that of its files."""
        waiting = [item for item in ledger.items(self.identifier, "submitted") if item.due < now]
        if waiting:
            ledger.put([item._replace(due=self.row["task_deadline"]) for item in waiting])

    def _reconcile(self, task: Task, now: datetime.datetime) -> None:
        """What became of each file: only what the service lists as transferred, and a listing shows, is there."""
        begun = ledger.items(self.identifier, "submitted", "arrived")
        source_root, root = _collection(self.source)[1], _collection(self.destination)[1]
        arrived = [item for item in begun if full(root, item.destination_path) in task.arrived]
        stats = self._listing([item.destination_path for item in arrived])
        ledger.advance(arrived, "arrived", now)
        good: list[tuple[Item, Found]] = []
        named = {item.dataset_id for item in begun if full(source_root, item.source_path) in task.problems
                 or (task.message and item.source_path in task.message)
                 or (task.message and item.destination_path in task.message)}  # fmt: skip
        for one in begun:
            stat = stats.get(one.destination_path)
            if stat is not None and stat.size == one.size:
                good.append((one, Found(one.md5, stat.size, stat.modified_ns, "checksum of Globus, equal to ours")))
                continue
            problem = task.problems.get(full(source_root, one.source_path))
            if problem is not None:
                self.failed.append(one.failed(now, f"Globus did not copy it: {problem}"))
            elif stat is not None:
                self.failed.append(one.failed(now, f"it has {stat.size} byte at the destination, not {one.size}"))
            elif task.state == "succeeded":
                self.failed.append(one.failed(now, "Globus passed it over, so nobody compared it with what we know"))
            elif named and one.dataset_id not in named:
                ledger.put([one.moved("planned", now, f"the task failed for another file: {task.message}")])
            else:
                self.failed.append(one.failed(now, f"the task of Globus {task.state}: {task.message}"))
        ledger.fail(self.failed)
        ledger.verify(self.destination.name, good, now)
        self.done = [one for one, _ in good]
        ledger.update(
            self.identifier, submission_id="", task_id="", task_deadline=None,
            transfer_message=f"Globus: {task.state} {task.message}"[:1000],
        )  # fmt: skip

    def _listing(self, paths: Sequence[str]) -> dict[str, Any]:
        """Sizes at the destination, from a listing by the service or from the place itself."""
        if not paths:
            return {}
        backend = self.destination.open()
        try:
            return backend.stat(paths)
        finally:
            backend.close()


def _collection(repository: Repository) -> tuple[str, str]:
    """The collection of a repository that has one, and its root."""
    if repository.collection is None:
        raise AssertionError(f"{repository.name} has no collection")
    return repository.collection
