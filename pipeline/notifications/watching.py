"""The watch over checks that another program should do: the site looks whether they run, and tells people if not."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from pipeline.notifications import service

logger = logging.getLogger(__name__)

WATCH_S = 900.0


def watching(
    working: Callable[[], contextlib.AbstractContextManager], over: threading.Event | None = None,
    every_s: float = WATCH_S,
) -> threading.Thread:  # fmt: skip
    """Look from time to time, in a thread, whether the checks run, and tell people by mail if they do not.

    Parameters
    ----------
    working : gives the thread the database.
    over : ends the thread; without one it ends with the program.
    every_s : how often.
    """
    over = over or threading.Event()

    def watch() -> None:
        while not over.wait(every_s):
            try:
                with working():
                    service.watch()
            except Exception:  # the program that is being run goes on
                logger.warning("nobody could see whether the checks run", exc_info=True)

    thread = threading.Thread(target=watch, name="watch over checks", daemon=True)
    thread.start()
    return thread
