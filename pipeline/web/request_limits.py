"""What a client may make a server wait for: the time to send its headers and its body, and how large that body is.

A body that is not complete holds a socket and some memory, never a thread: applications that answer in threads get a
request only when all of it is here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

LOGIN_BODY = 64 << 10  # byte; a name and a password
HEADER_SECONDS = 20.0  # from the connection to the end of the headers
MOST_HEADERS = 64 << 10  # byte of an address and headers, or of what else stands before and behind a body
FIRST_SECONDS = 10.0  # of a body, however small
SLOWEST_RATE = 16 << 10  # byte/s of a body after that, on average
MOST_HELD = 64 << 20  # byte of unfinished bodies at once, of one server process

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Asgi = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger(__name__)


class BodyRefused(Exception):
    """A body that is too large or comes too slowly; `status` is that of the answer."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status, self.words = status, words


class Disconnected(Exception):
    """The client went away before its body was complete: nobody waits for an answer."""


class Memory:
    """How much of unfinished bodies a process holds."""

    def __init__(self, most: int = MOST_HELD) -> None:
        self.most, self.held = most, 0

    @contextlib.contextmanager
    def counting(self):
        """A function that counts what one request holds, until the block ends."""
        mine = 0

        def more(n_bytes: int) -> None:
            nonlocal mine
            mine += n_bytes
            self.held += n_bytes
            if self.held > self.most:
                raise BodyRefused(503, "The server is busy with other large requests: try again in a moment.")

        try:
            yield more
        finally:
            self.held -= mine


_memory = Memory()


async def read_body(receive: Receive, largest: int, declared: str | bytes = b"", memory: Memory = _memory) -> bytes:
    """The whole body of a request.

    Parameters
    ----------
    receive : of the ASGI application.
    largest : in bytes.
    declared : the value of Content-Length, by which a body that is too large is refused before it comes.

    Raises
    ------
    BodyRefused : too large, too slow, or too much at once.
    Disconnected : the client is gone.
    """
    if declared and declared.isdigit() and int(declared) > largest:
        raise BodyRefused(413, "The request is too large.")
    parts: list[bytes] = []
    size, began = 0, time.monotonic()
    with memory.counting() as count:
        while True:
            left = began + FIRST_SECONDS + size / SLOWEST_RATE - time.monotonic()
            try:
                message = await asyncio.wait_for(receive(), max(left, 0.001))
            except TimeoutError:
                raise BodyRefused(408, "The request came too slowly.") from None
            if message["type"] == "http.disconnect":
                raise Disconnected
            part = message.get("body", b"")
            size += len(part)
            if size > largest:
                raise BodyRefused(413, "The request is too large.")
            count(len(part))
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)


class WholeBodies:
    """An ASGI application that hands on a request only when its body is complete.

    Parameters
    ----------
    app : the application, e.g. one that answers in threads.
    largest : how many bytes the body of a request may have, by its scope.
    """

    def __init__(self, app: Asgi, largest: Callable[[Scope], int]) -> None:
        self.app, self.largest = app, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"")
        try:
            body = await read_body(receive, self.largest(scope), declared)
        except Disconnected:
            return
        except BodyRefused as error:
            await _refuse(send, error)
            return
        handed_on = False

        async def whole() -> MutableMapping[str, Any]:
            nonlocal handed_on
            if handed_on:
                return await receive()
            handed_on = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, whole, send)


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which closes connections whose headers are too long or not complete in time."""

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._watched: Any = None
        self._n_held = 0  # bytes since the parser last passed the end of headers, or a piece of a body, on
        self._watch()

    def data_received(self, data: bytes) -> None:
        self._n_held += len(data)
        super().data_received(data)
        if self._n_held > MOST_HEADERS and not self.transport.is_closing():
            self.send_400_response(f"The address and headers of a request are longer than {MOST_HEADERS >> 10} kB.")

    def on_headers_complete(self) -> None:
        self._n_held = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._n_held = 0
        super().on_body(body)

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        super().connection_lost(exc)

    def _watch(self) -> None:
        self._timer = self.loop.call_later(HEADER_SECONDS, self._look)

    def _look(self) -> None:
        is_waiting = self.cycle is None or self.cycle.response_complete
        if is_waiting and self.cycle is self._watched:  # no request since the last look
            self.transport.close()
            return
        self._watched = self.cycle
        self._watch()


def many_connections() -> None:
    """Let this process have as many connections as the system allows, not the 1024 that it gives by default."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def server_options(trusted_proxies: tuple[str, ...] = ()) -> dict[str, Any]:
    """What both servers tell uvicorn.

    Parameters
    ----------
    trusted_proxies : addresses of the proxies whose X-Forwarded-For and -Proto are believed; nobody's by default, since
        who may name another address is not limited by it.
    """
    many_connections()
    return {
        "http": Protocol,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": bool(trusted_proxies),
        "forwarded_allow_ips": ",".join(trusted_proxies) or None,
        "backlog": 2048,
        "timeout_keep_alive": 15,
    }


async def _refuse(send: Send, error: BodyRefused) -> None:
    body = json.dumps({"detail": error.words, "status_code": error.status}).encode()
    headers = [
        (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), (b"connection", b"close"),
    ]  # fmt: skip
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
