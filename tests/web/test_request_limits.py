"""No client holds a server: what is slow, large or broken costs it an answer of its own and nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import uvicorn
from a2wsgi import WSGIMiddleware

from pipeline.web import request_limits
from pipeline.web.request_limits import BodyRefused, Disconnected, Memory, WholeBodies, read_body, server_options

THREADS = 2


def run(coroutine: Coroutine) -> Any:
    """What a coroutine returns; in a thread of its own, since a browser of other tests keeps a loop in this one."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def fed(*messages):
    """A `receive` that gives these messages, then nothing for ever."""
    left = list(messages)

    async def receive():
        if not left:
            await asyncio.sleep(3600)
        return left.pop(0)

    return receive


def part(content: bytes, more: bool = True) -> dict:
    return {"type": "http.request", "body": content, "more_body": more}


def test_a_body_comes_whole_whatever_its_parts():
    assert run(read_body(fed(part(b"ab"), part(b""), part(b"c", False)), 10)) == b"abc"


@pytest.mark.parametrize("declared", ["", "11", "99999999999999999999"])
def test_a_body_that_is_too_large_is_refused(declared):
    with pytest.raises(BodyRefused) as refused:
        run(read_body(fed(part(b"x" * 6), part(b"x" * 6, False)), 10, declared))
    assert refused.value.status == 413


def test_a_body_that_comes_too_slowly_is_refused(monkeypatch):
    monkeypatch.setattr(request_limits, "FIRST_SECONDS", 0.05)
    with pytest.raises(BodyRefused) as refused:
        run(read_body(fed(part(b"name=a")), 1000))
    assert refused.value.status == 408


def test_a_client_that_goes_away_is_no_error():
    with pytest.raises(Disconnected):
        run(read_body(fed(part(b"x"), {"type": "http.disconnect"}), 10))


def test_unfinished_bodies_of_all_clients_together_have_a_limit():
    memory = Memory(10)

    async def two():
        first = asyncio.create_task(read_body(fed(part(b"x" * 8)), 100, memory=memory))
        await asyncio.sleep(0)
        with pytest.raises(BodyRefused) as refused:
            await read_body(fed(part(b"x" * 8, False)), 100, memory=memory)
        assert refused.value.status == 503
        first.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await first
        assert await read_body(fed(part(b"x" * 8, False)), 100, memory=memory)

    run(two())
    assert memory.held == 0


def application(environ, start_response):
    """Answers in a thread, as the site does."""
    length = len(environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({"length": length}).encode()]


@pytest.fixture
def port() -> Iterator[int]:
    app = WholeBodies(WSGIMiddleware(application, workers=THREADS), lambda scope: 1000)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **server_options()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join(20)


def ask(port: int, body: bytes = b"x") -> dict:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", data=body, timeout=60) as answer:
        return json.load(answer)


def begin(port: int, text: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port))
    connection.sendall(text)
    return connection


UNFINISHED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\nname=a"


def test_unfinished_bodies_take_no_thread(port):
    slow = [begin(port, UNFINISHED) for _ in range(10 * THREADS)]
    assert ask(port) == {"length": 1}
    for connection in slow:
        connection.close()


def test_headers_that_never_end_close_the_connection(port, monkeypatch):
    monkeypatch.setattr(request_limits, "HEADER_SECONDS", 0.2)
    with contextlib.closing(begin(port, b"GET / HTTP/1.1\r\nHost:")) as connection:
        connection.settimeout(60)
        assert connection.recv(100) == b""
    assert ask(port) == {"length": 1}


CHUNKED = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "endless",
    [
        b"GET /?" + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 1_000_000,
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Many: a\r\n" * 100_000,
        CHUNKED + b"1;" + b"a" * 1_000_000,
        CHUNKED + b"1\r\nx\r\n0\r\n" + b"X-Many: a\r\n" * 100_000,
    ],
    ids=["address", "header", "headers", "chunk extension", "trailers"],
)
def test_headers_without_end_are_not_kept(port, endless, monkeypatch):
    monkeypatch.setattr(request_limits, "HEADER_SECONDS", 600)
    monkeypatch.setattr(request_limits, "FIRST_SECONDS", 600)
    answer = b""
    with contextlib.closing(begin(port, b"")) as connection:
        connection.settimeout(60)
        with contextlib.suppress(ConnectionError):  # it is closed while this is sent
            connection.sendall(endless)
            while piece := connection.recv(1000):
                answer += piece
    assert not answer or b"longer than 64 kB" in answer
    assert ask(port) == {"length": 1}


def test_a_connection_that_is_used_stays(port, monkeypatch):
    monkeypatch.setattr(request_limits, "HEADER_SECONDS", 0.5)
    whole = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
    with contextlib.closing(begin(port, b"")) as connection:
        connection.settimeout(60)
        for _ in range(5):
            time.sleep(0.2)
            connection.sendall(whole)
            answer = b""
            while not answer.endswith(b"0\r\n\r\n"):
                assert (part_of_it := connection.recv(1000)), "closed"
                answer += part_of_it
            assert answer.startswith(b"HTTP/1.1 200")


def test_a_body_beyond_the_limit_is_answered_413(port):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(port, b"x" * 1001)
    assert refused.value.code == 413


def test_an_upload_that_is_broken_off_is_not_worth_a_traceback(port, caplog):
    with caplog.at_level(logging.INFO):
        for _ in range(20):
            begin(port, UNFINISHED).close()
        assert ask(port) == {"length": 1}
    assert "Traceback" not in caplog.text
