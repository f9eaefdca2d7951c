"""The checks beside other work: a process of its own that lasts as long as what started it, and is started again; and
the watch over checks that another program should do.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

from pipeline.notifications import service

logger = logging.getLogger(__name__)

PROGRAM = "from neurojoint.command import run; run()"
AGAIN_S = 60.0
"""Before a process that ended is started again."""
PATIENCE_S = 10.0
WATCH_S = 900.0


@contextlib.contextmanager
def notifying(say: Callable[[str], None] = lambda _: None, again_s: float = AGAIN_S) -> Iterator[None]:
    """Check what is due and deliver messages while the block runs.

    The process reads its standard input, which ends with this program even where that is killed.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            child = subprocess.Popen(
                [sys.executable, "-c", PROGRAM, "notify", "--until-input-ends"],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
            while child.poll() is None and not over.wait(0.2):
                pass
            if over.is_set():
                _end(child)
                return
            say(f"the checks of animals and messages ended ({child.returncode}): starting them again")
            over.wait(again_s)

    thread = threading.Thread(target=watch, name="notify", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(2 * PATIENCE_S)


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


def _end(child: subprocess.Popen) -> None:
    if child.stdin is not None:
        child.stdin.close()
    child.terminate()
    try:
        child.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        logger.warning("the checks do not end: killing them")
        child.kill()
        child.wait()
