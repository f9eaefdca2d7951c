"""What the worker processes of one supervisor tell each other without waiting: counters in shared memory."""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Mapping, Sequence

NOTHING = -1  # the current table of a worker that has no job


class Board:
    """Counters per worker slot and table, and when the queue was last filled.

    Each counter has one writer at a time; readers may see a value that is a moment old.

    Parameters
    ----------
    labels : the tables, in dependency order.
    n_slots : how many workers write to it.
    """

    def __init__(self, labels: Sequence[str], n_slots: int) -> None:
        memory = multiprocessing.get_context("spawn")
        self.labels = list(labels)
        self._n_slots = n_slots
        self._done = memory.RawArray("q", n_slots * len(labels))
        self._failed = memory.RawArray("q", n_slots * len(labels))
        self._current = memory.RawArray("i", [NOTHING] * n_slots)
        self._left = memory.RawArray("q", len(labels))
        self._done_before: ctypes.Array[ctypes.c_longlong] = memory.RawArray("q", len(labels))
        # end of the last pass (s since 1970), how long it took (s)
        self._when: ctypes.Array[ctypes.c_double] = memory.RawArray("d", 2)
        self._idle = memory.RawValue("b", 0)

    def note(self, slot: int, label: str, failed: bool) -> None:
        """Count one key of a table as done by a worker."""
        (self._failed if failed else self._done)[self._place(slot, label)] += 1

    def begin(self, slot: int, label: str | None) -> None:
        """The table that a worker turns to; None when it finds nothing to do."""
        self._current[slot] = NOTHING if label is None else self.labels.index(label)

    def current(self, slot: int) -> str | None:
        """The table that a worker is at."""
        number = self._current[slot]
        return None if number == NOTHING else self.labels[number]

    def is_alone(self, slot: int) -> bool:
        """Whether no other worker is at a table."""
        return all(number == NOTHING for other, number in enumerate(self._current) if other != slot)

    def done(self, slot: int | None = None) -> dict[str, int]:
        """Table label -> keys computed, by one worker or by all."""
        return self._sum(self._done, slot)

    def failed(self, slot: int | None = None) -> dict[str, int]:
        """Table label -> keys that failed, by one worker or by all."""
        return self._sum(self._failed, slot)

    def finished(self) -> dict[str, int]:
        """Table label -> keys that are done or failed."""
        failed = self.failed()
        return {label: n_keys + failed[label] for label, n_keys in self.done().items()}

    def record_pass(
        self, left: Mapping[str, int], is_idle: bool, finished_before: Mapping[str, int], began: float
    ) -> None:
        """Write down a filling of the queue: jobs left by table, and what was finished when it began."""
        for number, label in enumerate(self.labels):
            self._left[number] = left.get(label, 0)
            self._done_before[number] = finished_before[label]
        self._when[1] = time.time() - began
        self._idle.value = is_idle
        self._when[0] = time.time()

    def ask_for_pass(self) -> None:
        """Let the next worker that looks fill the queue, e.g. after a worker died."""
        self._idle.value = False
        self._when[0] = 0.0

    @property
    def since_pass(self) -> float:
        """Seconds since the queue was last filled; very many when it never was."""
        return time.time() - self._when[0]

    @property
    def pass_seconds(self) -> float:
        """How long the last filling took."""
        return self._when[1]

    @property
    def is_changed(self) -> bool:
        """Whether a key was finished since the last filling began, so that another may find more to do."""
        return self._when[0] == 0 or sum(self._done_before) != sum(self.finished().values())

    @property
    def is_idle(self) -> bool:
        """Whether the last filling found nothing to do, and nothing happened since."""
        return bool(self._idle.value) and not self.is_changed

    def left(self) -> dict[str, int]:
        """Table label -> jobs that were pending or running at the last filling, less what was finished since."""
        finished = self.finished()
        return {
            label: max(0, self._left[number] - finished[label] + self._done_before[number])
            for number, label in enumerate(self.labels)
        }

    def _place(self, slot: int, label: str) -> int:
        return slot * len(self.labels) + self.labels.index(label)

    def _sum(self, counters: Sequence[int], slot: int | None) -> dict[str, int]:
        slots = range(self._n_slots) if slot is None else (slot,)
        return {label: sum(counters[self._place(item, label)] for item in slots) for label in self.labels}
