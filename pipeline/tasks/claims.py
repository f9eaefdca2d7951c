"""How a computer gets its next task: one statement that chooses and takes it, so that no two get the same one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.tasks.task_rows import Sql, TaskRows, _assigned

CANDIDATES = 16
"""MySQL looks at so many tasks; when others took all of them meanwhile, it looks again."""
_ORDER = "ORDER BY t.task_order, t.task_level, t.task_name, t.task_uuid"


@dataclass(frozen=True)
class Capability:
    """What a computer can take on now.

    Attributes
    ----------
    host : its name.
    kinds : of tasks that it knows.
    environments : whose programs it has.
    cores, gpus : free processors and graphics processors.
    most_cores : all processors that its tasks may use: a task that would use more gets these.
    memory : MiB that are free.
    scratch : byte that are free.
    io : load on its disk that it can still take, 0-100.
    labs : whose tasks it may have; None: all.
    repository : the files that it reaches; empty: the data root of the server.
    """

    host: str
    kinds: tuple[str, ...]
    environments: tuple[str, ...] = ()
    cores: int = 1
    gpus: int = 0
    memory: int = 4096
    scratch: int = 1 << 62
    io: int = 100
    labs: tuple[str, ...] | None = None
    repository: str = ""
    most_cores: int = 32767


class Claims(TaskRows):
    """Takes tasks under a lease of so many seconds."""

    lease: float

    def _claim_next(self, can: Capability, token: str) -> dict[str, Any] | None:
        """The task of an earlier claim with this token, if it still runs; else the next that a computer can take on."""
        find = self._claim_in_one if self.backend == "postgresql" else self._claim_by_candidates
        rows = find(can, token)
        return rows[0] if rows and rows[0]["task_state"] == "Started" else None

    def _claim_in_one(self, can: Capability, token: str) -> list[dict[str, Any]]:
        """One statement. A claim that is lost when the database's computer dies costs another run: nobody waits for the
        disk to have it."""
        where, values = self._claimable(can)
        assigned, given = _assigned(self._taken(can.host, token))
        return self._rows(
            "WITH chosen AS (SELECT t.task_uuid, set_config('synchronous_commit', 'off', true) "
            f"FROM {self.task} AS t WHERE {where} "
            f"AND NOT EXISTS (SELECT 1 FROM {self.task} AS mine WHERE mine.lease_token = %s) "
            f"{_ORDER} LIMIT 1 FOR UPDATE OF t SKIP LOCKED), "
            f"taken AS (UPDATE {self.task} AS u SET {assigned} FROM chosen WHERE u.task_uuid = chosen.task_uuid "
            "RETURNING u.*) "
            f"SELECT * FROM taken UNION ALL SELECT * FROM {self.task} WHERE lease_token = %s",
            *values, token, *given, token,
        )  # fmt: skip

    def _claim_by_candidates(self, can: Capability, token: str) -> list[dict[str, Any]]:
        """Look without locks, then take the first that nobody took meanwhile: InnoDB locks all that it passes by, and
        others would not see those."""
        if again := self._rows(f"SELECT * FROM {self.task} WHERE lease_token = %s", token):
            return again
        where, values = self._claimable(can)
        while True:
            rows = self._all(
                f"SELECT t.task_uuid FROM {self.task} AS t WHERE {where} {_ORDER} LIMIT {CANDIDATES}", *values
            )
            for (identifier,) in rows:
                if self._take(identifier, can.host, token):
                    return [self.get(identifier)]
            if len(rows) < CANDIDATES:
                return []

    def _claimable(self, can: Capability) -> tuple[str, list[Any]]:
        """Conditions on the alias `t` with their values."""
        conditions = [
            "t.task_state = 'Waiting' AND NOT t.task_held",
            f"(t.task_not_before IS NULL OR t.task_not_before <= {self.time()})",
            f"t.kind_name IN ({', '.join(['%s'] * len(can.kinds))})",
            f"t.task_environment IN ({', '.join(['%s'] * (1 + len(can.environments)))})",
            "LEAST(t.task_cores, %s) <= %s AND t.task_gpus <= %s AND t.task_memory <= %s AND t.task_scratch <= %s",
            "t.task_io <= %s AND t.task_repository = %s",
        ]
        values: list[Any] = [*can.kinds, "", *can.environments, can.most_cores, can.cores, can.gpus, can.memory,
                             can.scratch, can.io, can.repository]  # fmt: skip
        if can.labs is not None:
            conditions.append(f"t.lab IN ({', '.join(['%s'] * len(can.labs))})" if can.labs else "1 = 0")
            values += can.labs
        return " AND ".join([*conditions, f"NOT {self.blocked('t')}"]), values

    def _take(self, identifier: str, host: str, token: str) -> bool:
        """One conditional update: of any number of claimants one changes the row."""
        free = "task_uuid = %s AND task_state = 'Waiting' AND NOT task_held"
        return bool(self._update(self._taken(host, token), free, identifier))

    def _taken(self, host: str, token: str) -> dict[str, Any]:
        """The columns of a task that somebody takes."""
        now = self.time()
        return {
            "task_state": "Started", "lease_token": token, "lease_until": self.time(self.lease),
            "task_host": host[:64], "task_attempts": Sql("task_attempts + 1"), "task_started": now,
            "task_heartbeat": now, "task_changed": now, "task_ended": None, "task_progress": None,
            "task_activity": "", "task_exit": "", "task_message": "", "task_log": "",
        }  # fmt: skip
