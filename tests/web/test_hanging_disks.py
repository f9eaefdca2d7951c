"""A disk that hangs costs those an answer who ask for what is on it, and nobody else anything."""

from __future__ import annotations

import contextlib
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn
from a2wsgi import WSGIMiddleware
from anyio import to_thread
from fastapi import FastAPI
from fastapi.responses import FileResponse

from pipeline.alf import disks
from pipeline.web import hanging_disks
from pipeline.web.hanging_disks import WithoutHangingDisks, widen
from pipeline.web.request_limits import server_options
from tests.hanging_disk import hanging_disk

pytestmark = pytest.mark.slow

THREADS = 2


@pytest.fixture
def disk(tmp_path, monkeypatch):
    monkeypatch.setattr(disks, "PATIENCE", 0.3)
    monkeypatch.setattr(hanging_disks, "WAITED_S", 1.0)
    monkeypatch.setattr(hanging_disks, "PERIOD_S", 0.1)
    (tmp_path / "source").mkdir()
    (tmp_path / "source/large.bin").write_bytes(bytes(8 << 20))
    with hanging_disk(tmp_path / "source", tmp_path / "away") as made:
        assert disks.is_there(made.mount)
        yield made
        made.answer()


@contextlib.contextmanager
def served(app) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **server_options()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = server.force_exit = True
    thread.join(20)


def status(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - of this test
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def site(folder: Path) -> tuple[WithoutHangingDisks, list[int]]:
    """An application that answers in threads, as the site does."""

    def answer(environ, start_response):
        content = b"ok" if environ["PATH_INFO"] == "/" else (folder / "large.bin").read_bytes()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [content]

    threads, lent = WSGIMiddleware(answer, workers=THREADS), []

    def lend(number: int) -> None:
        lent.append(number)
        widen(threads.executor, number)

    return WithoutHangingDisks(threads, lend), lent


def rest(folder: Path) -> tuple[FastAPI, list[int]]:
    """The same of what answers as REST does, with as few threads."""
    api, lent = FastAPI(), []

    def lend(number: int) -> None:
        lent.append(number)
        to_thread.current_default_thread_limiter().total_tokens += number

    @api.get("/")
    def ok() -> str:
        return "ok"

    @api.get("/few")
    async def few() -> None:
        to_thread.current_default_thread_limiter().total_tokens = THREADS

    @api.get("/file")
    def file() -> FileResponse:
        return FileResponse(folder / "large.bin")

    api.add_middleware(WithoutHangingDisks, lend=lend)
    return api, lent


@pytest.mark.parametrize("make", [site, rest])
def test_those_who_ask_for_other_things_are_answered(disk, make):
    app, lent = make(disk.mount)
    with served(app) as url, ThreadPoolExecutor(3 * THREADS) as clients:
        assert make is site or status(f"{url}/few") == 200
        assert status(f"{url}/file") == status(url) == 200
        disk.hang()
        waiting = [clients.submit(status, f"{url}/file") for _ in range(2 * THREADS)]
        end = time.monotonic() + 30
        while lent.count(1) < THREADS and time.monotonic() < end:
            time.sleep(0.05)
        assert [status(url) for _ in range(5)] == [200] * 5
        assert {one.result() for one in waiting} == {503}
        disk.answer()
        end = time.monotonic() + 30
        while sum(lent) and time.monotonic() < end:
            time.sleep(0.05)
        assert sum(lent) == 0 and lent.count(1) == 2 * THREADS
        assert status(f"{url}/file") == status(url) == 200
