"""Whether a folder answers: a network disk that hangs blocks whoever asks for a file on it, for ever."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
from pathlib import Path

PATIENCE = 10.0  # s

logger = logging.getLogger(__name__)


class _Question:
    """A thread that looks into a folder; where the folder hangs, the thread stays behind."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began = folder, time.monotonic()
        self.is_there, self.said = False, False
        self.answered = threading.Event()
        threading.Thread(target=self._look, daemon=True, name=f"look into {folder}").start()

    def _look(self) -> None:
        try:
            if self.folder.is_dir():
                self.is_there = True
                with contextlib.suppress(OSError), os.scandir(self.folder) as entries:
                    next(entries, None)  # attributes may come from a cache, what is in it does not
        finally:
            self.answered.set()


_open: dict[Path, _Question] = {}
_lock = threading.Lock()


def is_there(folder: Path) -> bool:
    """Whether a folder is there and answers within `PATIENCE`; one that has been hanging is not waited for again."""
    question = _ask(folder)
    return question.answered.is_set() and question.is_there


def hangs(folder: Path) -> bool:
    """Whether a folder gives no answer within `PATIENCE`."""
    return not _ask(folder).answered.is_set()


def _ask(folder: Path) -> _Question:
    with _lock:
        question = _open.get(folder)
        if question is None or question.answered.is_set():
            question = _open[folder] = _Question(folder)
    if not question.answered.wait(max(0.0, question.began + PATIENCE - time.monotonic())) and not question.said:
        question.said = True
        logger.warning("%s does not answer (a network disk that hangs?): the other places go on without it", folder)
    return question
