"""Whether a folder answers: a network disk that hangs blocks whoever asks for a file on it, for ever.

A disk may begin to hang while a file on it is being read. Nothing can end such a call but the end of its process, so
commands and workers are watched (`watch`): one that has computed nothing while its disk gave no answer is ended, with
words. Servers give up the thread instead (`pipeline.web.hanging_disks`).
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE = 10.0  # s, until a folder counts as one that hangs
IDLE = 20.0  # s, without computing beside a disk that hangs, until a process is taken for waiting for it
LITTLE = 0.1  # of a processor: waiting takes less
PERIOD = 5.0  # s, between two looks
_MOUNTS_KEPT = 5.0  # s

logger = logging.getLogger(__name__)


class _Question:
    """A thread that looks into a folder; where the folder hangs, the thread stays behind."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began = folder, time.monotonic()
        self.is_there, self.said = False, False
        self.answered = threading.Event()
        threading.Thread(target=self._look, daemon=True, name=f"look into {folder}").start()

    def _look(self) -> None:
        with contextlib.suppress(OSError):  # a disk that returns errors is not there, and does not hang
            self.is_there = self.folder.is_dir()
        if self.is_there:
            with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
                next(entries, None)  # attributes may come from a cache, what is in it does not
            with contextlib.suppress(OSError, AttributeError):
                os.statvfs(self.folder)  # nor does what is free
        self.answered.set()

    @property
    def is_overdue(self) -> bool:
        """Whether the folder hangs."""
        return not self.answered.is_set() and time.monotonic() - self.began >= PATIENCE


_open: dict[Path, _Question] = {}
_lock = threading.Lock()
_used: set[Path] = set()
_act: Callable[[Path], None] | None = None
_watch: threading.Thread | None = None
_mounts: tuple[float, tuple[str, ...]] = (0.0, ())


def is_there(folder: Path) -> bool:
    """Whether a folder is there and answers within `PATIENCE`; one that has been hanging is not waited for again."""
    question = _ask(folder)
    return question.answered.is_set() and question.is_there


def hangs(folder: Path) -> bool:
    """Whether a folder gives no answer within `PATIENCE`."""
    return not _ask(folder).answered.is_set()


def is_cut_off(root: Path, path: str) -> bool:
    """Whether a file below a root that answers lies on a disk of its own, mounted below it, that does not."""
    top, whole = f"{root}/", f"{root}/{path}"
    below = [mount for mount in _mount_points() if mount.startswith(top) and whole.startswith(f"{mount}/")]
    return bool(below) and not is_there(Path(max(below, key=len)))


def use(folder: Path) -> None:
    """Say that files of a folder are about to be read: it is what a process may be waiting for (see `watch`)."""
    _used.add(folder)


def forget_uses() -> None:
    """Say that what was read so far is done with."""
    _used.clear()


def hanging() -> list[Path]:
    """The folders that were asked for in this process, and the disks mounted below them, that hang now.

    It does not wait: each folder is asked once more, and one is named that has owed its answer for `PATIENCE`.
    """
    with _lock:
        asked = set(_open)
    tops = tuple(f"{folder}/" for folder in asked)
    asked |= {Path(mount) for mount in _mount_points() if mount.startswith(tops)}
    return sorted(folder for folder in asked if _question(folder).is_overdue)


def watch(act: Callable[[Path], None]) -> None:
    """Call `act` with a folder in use that hangs while this process computes nothing.

    That a disk hangs which nobody reads ends nothing: what waits for the database or a network goes on. It is called in
    a thread, and should end the process: what waits for the disk cannot be called back.
    """
    global _act
    with _lock:
        _act = act
        if _open:
            _begin_watch()


def _ask(folder: Path) -> _Question:
    question = _question(folder)
    if not question.answered.wait(max(0.0, question.began + PATIENCE - time.monotonic())) and not question.said:
        question.said = True
        logger.warning("%s does not answer (a network disk that hangs?): the other places go on without it", folder)
    return question


def _question(folder: Path) -> _Question:
    """The question that is open, else a new one."""
    with _lock:
        question = _open.get(folder)
        if question is None or question.answered.is_set():
            question = _open[folder] = _Question(folder)
        if _act is not None:
            _begin_watch()
    return question


def _begin_watch() -> None:
    global _watch
    if _watch is None:
        _watch = threading.Thread(target=_look_on, daemon=True, name="watch disks")
        _watch.start()


def _look_on() -> None:
    since: dict[Path, tuple[float, float]] = {}  # folder that hangs -> time and processor time when last it computed
    while True:
        time.sleep(PERIOD)
        folders = [folder for folder in hanging() if _is_used(folder)]
        now, spent = time.monotonic(), _processor_seconds() if folders else 0.0
        since = {folder: since.get(folder, (now, spent)) for folder in folders}
        for folder, (began, before) in since.items():
            if spent - before > LITTLE * max(now - began, PERIOD):
                since[folder] = now, spent
            elif now - began >= IDLE and _act is not None:
                _act(folder)


def _is_used(folder: Path) -> bool:
    """Whether files of a folder, or of one in which it is mounted, are being read."""
    return any(folder.is_relative_to(used) for used in tuple(_used))


def _processor_seconds() -> float:
    """What this process and those that it started have computed."""
    import psutil

    total = time.process_time()
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                total += sum(child.cpu_times()[:2])
    return total


def _mount_points() -> tuple[str, ...]:
    """Where disks are mounted on this computer; nothing where the system does not say."""
    global _mounts
    when, points = _mounts
    if not when or time.monotonic() - when > _MOUNTS_KEPT:
        try:
            lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except OSError:
            lines = []
        points = tuple(line.split(" ")[4].replace("\\040", " ") for line in lines)
        _mounts = time.monotonic(), points
    return points
