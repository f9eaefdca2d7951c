"""The checks beside other work: a process of its own that lasts as long as what started it, and is started again."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

PROGRAM = "from neurojoint.command import run; run()"
AGAIN_S = 60.0
"""Before a process that ended is started again."""
PATIENCE_S = 10.0


@contextlib.contextmanager
def notifying(say: Callable[[str], None] = lambda _: None, again_s: float = AGAIN_S) -> Iterator[None]:
    """Check what is due and deliver messages while the block runs.

    The process reads its standard input, which ends with this program even where that is killed.
    """
    over = threading.Event()

    def watch() -> None:
        while not over.is_set():
            try:
                child = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, "notify", "--until-input-ends"],
                    stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
            except OSError as error:  # no memory, no more processes, or the program is being upgraded
                say(f"the checks of animals and messages cannot start ({error}): trying again")
                over.wait(again_s)
                continue
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
