"""Requests that wait for a disk that hangs are answered without it, and what they hold is replaced.

A thread that reads from such a disk cannot be called back. It keeps its place in the pool of threads, its connection to
the database and perhaps the turn to write; a few of them would hold the whole service.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.alf import disks
from pipeline.web.request_limits import Asgi, Receive, Scope, Send

WAITED_S = 30.0  # without a sign of an answer, while a disk hangs, until a request is given up
PERIOD_S = 1.0

logger = logging.getLogger(__name__)


class GivenUp(Exception):
    """Nobody waits for this answer any more."""


class WithoutHangingDisks:
    """An ASGI application whose requests are given up where they wait for a disk that hangs.

    Parameters
    ----------
    app : the application, which answers in threads.
    lend : called with 1 when a request is given up, so that others get what it holds, and with -1 when it ends.
    """

    def __init__(self, app: Asgi, lend: Callable[[int], None]) -> None:
        self.app, self.lend = app, lend

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        has_begun, is_over, last = False, False, time.monotonic()

        async def pass_on(message: Any) -> None:
            nonlocal has_begun, last
            if is_over and not has_begun:
                return  # answered already
            if is_over:
                raise GivenUp
            has_begun = True
            await send(message)
            last = time.monotonic()

        task: asyncio.Future[None] = asyncio.ensure_future(self.app(scope, receive, pass_on))
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=max(WAITED_S - (time.monotonic() - last), PERIOD_S))
                if not task.done() and time.monotonic() - last >= WAITED_S and (folders := disks.hanging()):
                    is_over = True
                    logger.warning("a request to %s waits for %s, which does not answer", scope["path"], folders[0])
                    self.lend(1)
                    task.add_done_callback(self._take_back)
                    if has_begun:
                        raise GivenUp  # the server closes the connection, so that the client knows
                    await _answer(send)
                    return
        except asyncio.CancelledError:
            task.cancel()
            raise
        await task

    def _take_back(self, task: asyncio.Future[None]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            task.exception()
        self.lend(-1)


def widen(pool: ThreadPoolExecutor, number: int) -> None:
    """Let a pool have so many more threads, also for what waits in it already."""
    pool._max_workers += number
    if number > 0:
        pool._adjust_thread_count()


async def _answer(send: Send) -> None:
    words = "A disk of the server does not answer: try again in some minutes."
    body = json.dumps({"status_code": 503, "detail": words}).encode()
    headers = [(b"content-type", b"application/json"), (b"retry-after", b"60")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body})
