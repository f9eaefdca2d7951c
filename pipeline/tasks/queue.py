"""The queue: tasks are claimed under a lease by one conditional update, kept alive by heartbeats, and finished once.

All times are the database's. Nothing here knows HTTP: the server and an agent on the central machine both call it.
"""

from __future__ import annotations

import datetime
import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.errors import ConflictError, UserError
from pipeline.tasks import states
from pipeline.tasks.claims import Capability, Claims
from pipeline.tasks.task_rows import Sql

__all__ = ["Capability", "LeaseLost", "New", "Outcome", "Queue"]

EXPIRE_S = 1.0
"""Ended leases are looked for at most so often (s)."""
LOG_PIECE = 8000  # characters
LOG_PIECES = 200  # of an attempt; what a task says beyond is dropped
LOG_TAIL = 4000  # characters that stand in the row


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes
    ----------
    state : Complete, Incomplete, Empty or Errored.
    exit : see `states.Exit`.
    message : what went wrong, and what to do.
    elapsed : s
    version : of the kind or program that ran.
    """

    state: str
    exit: str = "ok"
    message: str = ""
    elapsed: float | None = None
    version: str = ""


@dataclass(frozen=True)
class New:
    """A task to be added; `parents` are names of others in the same call, or identifiers."""

    name: str
    kind: str = ""
    arguments: Mapping[str, Any] | None = None
    parents: tuple[str, ...] = ()
    unique: str = ""
    priority: int = 0
    level: int = 0
    columns: Mapping[str, Any] = field(default_factory=dict)


class LeaseLost(ConflictError):
    """The task is not this worker's any more: its lease ended and others have it, or a person took it back."""

    def __init__(self, task_uuid: str) -> None:
        super().__init__(f"task {task_uuid} is not held under this lease any more", "stop working on it")


class Queue(Claims):
    """The tasks of a database; `pipeline.connect()` first.

    Parameters
    ----------
    lease : s without a heartbeat after which a task goes back.
    clock : the time (UTC) instead of the database's; for tests.
    """

    def __init__(self, lease: float = states.LEASE_S, clock: Callable[[], datetime.datetime] | None = None) -> None:
        super().__init__(clock)
        self.lease = lease
        self._expired = float("-inf")

    # --- adding -------------------------------------------------------------------------------------------------

    def add(self, tasks: Sequence[New], session: Mapping[str, Any] | None = None) -> dict[str, str]:
        """Add tasks that are not there yet, with their edges, in one transaction; returns name -> identifier.

        A task that is there (the same `unique`) stays as it is.
        """
        with self.transaction():
            now = self.now()
            identifiers: dict[str, str] = {}
            edges: list[tuple[str, str]] = []
            for task in tasks:
                mark = task.unique or uuid.uuid4().hex
                row = self._one(f"SELECT task_uuid FROM {self.task} WHERE task_unique = %s", mark)
                if row is not None:
                    identifiers[task.name] = row[0]
                    continue
                identifier = str(uuid.uuid4())
                columns = {
                    "task_uuid": identifier, "task_name": task.name, "kind_name": task.kind, "task_unique": mark,
                    "task_state": "Waiting", "task_priority": task.priority, "task_level": task.level,
                    "task_order": now.replace(tzinfo=datetime.UTC).timestamp() - 3600.0 * task.priority,
                    "task_arguments": None if task.arguments is None else json.dumps(task.arguments),
                    "task_created": now, "task_changed": now,
                } | dict(session or {}) | dict(task.columns)  # fmt: skip
                self._insert(self.task, columns)
                identifiers[task.name] = identifier
                edges += [(identifier, identifiers.get(parent, parent)) for parent in task.parents]
            for child, parent in dict.fromkeys(edges):
                self._insert(self.edge, {"task_uuid": child, "parent_id": parent})
        return identifiers

    def set_parents(self, task_uuid: str, parents: Iterable[str]) -> None:
        """Say again what a task waits for.

        Raises
        ------
        UserError : it would wait for itself.
        """
        wanted = list(dict.fromkeys(parents))
        with self.transaction():
            above, todo = set(wanted), list(wanted)
            while todo:
                listed = ", ".join(["%s"] * len(todo))
                rows = self._all(f"SELECT parent_id FROM {self.edge} WHERE task_uuid IN ({listed})", *todo)
                todo = [row[0] for row in rows if row[0] not in above]
                above.update(todo)
            if task_uuid in above:
                raise UserError("a task cannot wait for itself", "leave it out of its parents")
            self._run(f"DELETE FROM {self.edge} WHERE task_uuid = %s", task_uuid)
            for parent in wanted:
                self._insert(self.edge, {"task_uuid": task_uuid, "parent_id": parent})

    # --- working ------------------------------------------------------------------------------------------------

    def claim(self, can: Capability, token: str) -> dict[str, Any] | None:
        """The next task for a computer, under a lease; None where there is none.

        Parameters
        ----------
        token : a uuid that the claimant makes. The same claim again, e.g. since the answer was lost, gives the same
            task.
        """
        if not _is_uuid(token):
            raise UserError("the token of a claim is a uuid", "make a new one for each claim")
        if not can.kinds:
            return None
        moment = self.clock().timestamp() if self.clock else time.monotonic()
        if moment - self._expired >= EXPIRE_S:
            if again := self._rows(f"SELECT * FROM {self.task} WHERE lease_token = %s", token):
                return again[0] if again[0]["task_state"] == "Started" else None  # also at the end of its lease
            self._expired = moment
            self.expire()
        return self._claim_next(can, token)

    def take(self, task_uuid: str, host: str, token: str) -> bool:
        """Take one task that somebody chose, under a lease; whether nobody else was first."""
        if not _is_uuid(token):
            raise UserError("the token of a claim is a uuid", "make a new one for each claim")
        if self._take(task_uuid, host, token):
            return True
        row = self.get(task_uuid)
        return row["lease_token"] == token and row["task_state"] == "Started"

    def start(self, task_uuid: str, host: str, seconds: float) -> None:
        """A client without a lease says that it works on a task (Alyx's `Started`): others get it after `seconds`.

        Raises
        ------
        ConflictError : somebody else holds it under a lease.
        """
        now = self.time()
        free = "task_uuid = %s AND (task_state <> 'Started' OR lease_token = '')"
        columns = {
            "task_state": "Started", "task_host": host, "lease_token": "", "lease_until": self.time(seconds),
            "task_started": now, "task_heartbeat": now, "task_changed": now, "task_ended": None, "task_exit": "",
            "task_message": "",
        }  # fmt: skip
        changed = self._update(columns, free, task_uuid)
        if not changed and not self._there(free, task_uuid):
            row = self.get(task_uuid)
            raise ConflictError(f"{row['task_host'] or 'another computer'} works on this task", "take another one")

    def heartbeat(self, task_uuid: str, token: str, progress: float | None = None, activity: str = "") -> None:
        """Keep a lease.

        Raises
        ------
        LeaseLost : others have the task.
        """
        done = None if progress is None or not 0 <= progress <= 1 else float(progress)
        columns = {
            "task_state": "Started", "lease_until": self.time(self.lease), "task_heartbeat": self.time(),
            "task_exit": "", "task_message": "", "task_ended": None, "task_not_before": None,
            "task_activity": activity[:255],
        } | ({} if done is None else {"task_progress": done})  # fmt: skip
        changed = self._update(columns, "task_uuid = %s AND " + self._mine(), task_uuid, token)
        if not changed and not self._there("task_uuid = %s AND " + self._mine(), task_uuid, token):
            raise LeaseLost(task_uuid)

    def finish(self, task_uuid: str, token: str, outcome: Outcome, row: Mapping[str, Any] | None = None) -> str:
        """End an attempt; returns the state of the task. The same report again changes nothing.

        Parameters
        ----------
        row : the task, by one who has just read it.

        Raises
        ------
        LeaseLost : others have the task.
        """
        _check(outcome)
        row = self.get(task_uuid) if row is None else row
        if token and row["lease_token"] == token and row["task_state"] != "Started" and row["task_exit"] != "lost":
            return row["task_state"]  # the answer to the first report was lost
        columns = self._ended(row, outcome)
        if not self._update(columns, "task_uuid = %s AND " + self._mine(), task_uuid, token):
            raise LeaseLost(task_uuid)
        return str(columns["task_state"])

    def release(self, task_uuid: str, token: str) -> None:
        """Give a task back that was not begun, or was interrupted by no fault of its own; it costs no attempt."""
        columns = {
            "task_state": "Waiting", "lease_token": "", "lease_until": None, "task_changed": self.time(),
            "task_attempts": Sql("task_attempts - 1"), "task_progress": None,
        }  # fmt: skip
        self._update(columns, "task_uuid = %s AND lease_token = %s AND task_state = 'Started'", task_uuid, token)

    def expire(self) -> int:
        """Take back the tasks whose lease has ended; returns how many there were."""
        rows = self._rows(f"SELECT * FROM {self.task} WHERE task_state = 'Started' AND lease_until < {self.time()}")
        ended = 0
        for row in rows:
            host = row["task_host"] or "its computer"
            lost = Outcome("Errored", "lost", f"{host} was not heard of any more; see whether it runs")
            ended += self._update(
                self._ended(row, lost),
                "task_uuid = %s AND task_state = 'Started' AND lease_token = %s AND lease_until = %s",
                row["task_uuid"], row["lease_token"], row["lease_until"],
            )  # fmt: skip
        return ended

    def log(self, task_uuid: str, token: str, piece: int, text: str) -> None:
        """Add to the log of a task; a piece that is there already is not added again.

        Parameters
        ----------
        piece : its number, from 0.

        Raises
        ------
        LeaseLost : others have the task.
        """
        text = text.replace("\x00", "")
        with self.transaction():
            row = self.get(task_uuid)
            if not token or row["lease_token"] != token:
                raise LeaseLost(task_uuid)
            if not text or not 0 <= piece < LOG_PIECES:
                return
            key = (task_uuid, row["task_attempts"], piece)
            known = f"SELECT 1 FROM {self.logs} WHERE task_uuid = %s AND log_attempt = %s AND log_piece = %s"
            if self._one(known, *key) is not None:
                return
            columns = dict(zip(("task_uuid", "log_attempt", "log_piece"), key, strict=True))
            self._insert(self.logs, columns | {"log_text": text[:LOG_PIECE], "log_time": self.time()})
            tail = (text if piece == 0 else row["task_log"] + text)[-LOG_TAIL:]
            self._update({"task_log": tail}, "task_uuid = %s", task_uuid)

    def log_text(self, task_uuid: str, attempt: int | None = None) -> str:
        """What a task said, in its last attempt or in one by its number."""
        if attempt is None:
            attempt = self._one(f"SELECT MAX(log_attempt) FROM {self.logs} WHERE task_uuid = %s", task_uuid)[0]
        rows = self._all(
            f"SELECT log_text FROM {self.logs} WHERE task_uuid = %s AND log_attempt = %s ORDER BY log_piece",
            task_uuid, attempt,
        )  # fmt: skip
        return "".join(row[0] for row in rows) or self.get(task_uuid)["task_log"]

    def note_outputs(self, task_uuid: str, outputs: Iterable[Mapping[str, Any]], version: str, inputs: str) -> None:
        """Note which files a task made."""
        with self.transaction():
            self._run(f"DELETE FROM {self.outputs} WHERE task_uuid = %s", task_uuid)
            for output in outputs:
                self._insert(self.outputs, {
                    "task_uuid": task_uuid, "output_path": output["path"], "output_hash": output["md5"],
                    "output_size": output["size"], "output_version": version[:64], "output_inputs": inputs,
                    "output_time": self.time(),
                })  # fmt: skip

    # --- people -------------------------------------------------------------------------------------------------

    def hold(self, ids: Iterable[str], held: bool = True) -> int:
        """Hold tasks back, or let them go; those that run go on."""
        return self._each(ids, {"task_held": held}, "task_held <> %s", held)

    def abandon(self, ids: Iterable[str]) -> int:
        """Give tasks up; who works on one hears at its next heartbeat that it lost it. Children go on waiting."""
        columns = {"task_state": "Abandoned", "lease_token": "", "lease_until": None,
                   "task_exit": "cancelled", "task_message": "abandoned by a person"}  # fmt: skip
        return self._each(ids, columns, "task_state NOT IN ('Abandoned', 'Complete')")

    def restart(self, ids: Iterable[str]) -> int:
        """Let tasks run again from the beginning, with all their attempts; those that run now go on."""
        columns = {
            "task_state": "Waiting", "task_held": False, "task_attempts": 0, "lease_token": "",
            "lease_until": None, "task_not_before": None, "task_exit": "", "task_message": "", "task_progress": None,
            "task_activity": "",
        }  # fmt: skip
        return self._each(ids, columns, "task_state <> 'Started'")

    def set_state(self, task_uuid: str, state: str, **columns: Any) -> None:
        """What a client without a lease says of a task (Alyx's PATCH).

        Raises
        ------
        ConflictError : somebody else holds it under a lease.
        """
        changed = dict(columns) | {"task_state": state, "task_changed": self.time()}
        if state in states.ENDED:
            changed |= {"task_ended": changed["task_changed"], "lease_until": None}
        if state == "Waiting":
            changed |= {"lease_until": None, "task_not_before": None, "task_attempts": 0}
        free = "task_uuid = %s AND (lease_token = '' OR task_state <> 'Started')"
        if not self._update(changed, free, task_uuid) and not self._there(free, task_uuid):
            row = self.get(task_uuid)
            raise ConflictError(f"{row['task_host'] or 'another computer'} works on this task", "abandon it first")

    # --- inside -------------------------------------------------------------------------------------------------

    def _ended(self, row: Mapping[str, Any], outcome: Outcome) -> dict[str, Any]:
        """The columns of a task after an attempt: done, failed, or waiting for the next."""
        state, not_before, memory = outcome.state, None, row["task_memory"]
        now = self.time()
        if state == "Errored" and outcome.exit in states.RETRIED and row["task_attempts"] < row["task_most_attempts"]:
            state = "Waiting"
            not_before = self.time(states.wait(row["task_attempts"]))
            if outcome.exit == "resource":
                memory = min(2 * memory, 1 << 24)
        return {
            "task_state": state, "task_not_before": not_before, "task_memory": memory, "lease_until": None,
            "task_ended": now, "task_changed": now, "task_exit": outcome.exit, "task_message": outcome.message[:1000],
            "task_elapsed": outcome.elapsed, "task_version": (outcome.version or row["task_version"])[:64],
            "task_progress": 1.0 if state in states.DONE else row["task_progress"],
        }  # fmt: skip

    @staticmethod
    def _mine() -> str:
        """Whether a task is still that of a lease, or was lost and nobody has it yet: then its work is not wasted."""
        lost = "(task_exit = 'lost' AND task_state IN ('Waiting', 'Errored'))"
        return f"lease_token = %s AND lease_token <> '' AND (task_state = 'Started' OR {lost})"


def _check(outcome: Outcome) -> None:
    if outcome.state not in ("Complete", "Incomplete", "Empty", "Errored") or outcome.exit not in states.EXITS:
        raise UserError(
            f"a task does not end as {outcome.state} ({outcome.exit})", "use Complete, Incomplete, Empty or Errored"
        )
    if (outcome.state == "Errored") == (outcome.exit == "ok"):
        raise UserError(f"{outcome.state} and {outcome.exit} do not go together", "say why it failed")


def _is_uuid(text: object) -> bool:
    try:
        return str(uuid.UUID(str(text))) == text
    except ValueError:
        return False
