"""What honest clients wait for while hundreds of slow and broken ones are connected to the site.

    python -m benchmarks.slow_clients [--clients 500] [--seconds 20]

Serves an application that answers in threads, as the site does, and asks it from 10 honest clients: alone, then beside
slow bodies, unfinished headers, uploads that are broken off and bodies that are too large. Prints the quantiles of
their waiting times and the ratio; without limits on bodies (`--unlimited`, the peer) nine slow clients stop everything.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import threading
import time

import numpy as np
import uvicorn
from a2wsgi import WSGIMiddleware

from pipeline.web.request_limits import WholeBodies, server_options

THREADS = 8
LARGEST = 64 << 10
_BEGIN = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: "
SENT = (_BEGIN + b"1000\r\n\r\nname", b"POST / HT", _BEGIN + b"9\r\n\r\nx", _BEGIN + b"99999999\r\n\r\n")
"""A slow body, unfinished headers, an upload that is then broken off, a body that is too large."""


def application(environ, start_response):
    """A form is read and answered."""
    environ["wsgi.input"].read()
    time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]


@contextlib.contextmanager
def served(unlimited: bool):
    app = WSGIMiddleware(application, workers=THREADS)
    app = app if unlimited else WholeBodies(app, lambda scope: LARGEST)
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, **server_options()))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = server.force_exit = True
    thread.join(20)


async def honest(port: int, until: float, waits: list[float]) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nname=a")
            answer = await asyncio.wait_for(reader.read(), 10)
            assert answer.startswith(b"HTTP/1.1 200"), answer
            writer.close()
        except (TimeoutError, OSError):
            pass
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.02)


async def dishonest(port: int, kind: int, until: float) -> None:
    while time.monotonic() < until:
        with contextlib.suppress(OSError, TimeoutError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(SENT[kind])
            if kind == 2:
                writer.close()
                await asyncio.sleep(0.5)
                continue
            await asyncio.wait_for(reader.read(), max(until - time.monotonic(), 0.1))
            writer.close()
        await asyncio.sleep(0.5)


async def measure(port: int, n_clients: int, seconds: float) -> np.ndarray:
    until, waits = time.monotonic() + seconds, []
    others = [dishonest(port, number % 4, until) for number in range(n_clients)]
    await asyncio.gather(*others, *(honest(port, until, waits) for _ in range(10)))
    return np.array(waits)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--unlimited", action="store_true")
    chosen = parser.parse_args()
    with served(chosen.unlimited) as port:
        alone = asyncio.run(measure(port, 0, chosen.seconds / 4))
        beside = asyncio.run(measure(port, chosen.clients, chosen.seconds))
    for name, waits in (("alone", alone), (f"beside {chosen.clients} others", beside)):
        median, p99 = np.quantile(waits, [0.5, 0.99])
        print(f"{name:24} {len(waits):6,} answers, median {median * 1e3:7.1f} ms, p99 {p99 * 1e3:7.1f} ms")
    print(f"p99 beside / alone: {np.quantile(beside, 0.99) / np.quantile(alone, 0.99):.1f}")


if __name__ == "__main__":
    main()
