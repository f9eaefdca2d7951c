"""How many tasks a second the server hands out to 100 agents over HTTP, and how long one claim takes.

    python -m benchmarks.tasks [--agents 100] [--tasks 3000] [--rate 200]

The agents are threads of another process, each with a connection; a task is a claim and a report. They speak HTTP by
`http.client`: an agent's own computing happens on a lab's computer, here it takes the server's processors. Three
figures: one agent alone; all agents as fast as they are answered (then a claim waits for those of 99 others, so its
time is the number of agents over the rate, and says nothing else); and all agents together asking for `--rate` tasks a
second, where the time of a claim is what a computer of a lab would see.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit


def work(url: str, token: str, agents: int, rate: float) -> None:
    """The agents' side: prints tasks/s and the times of claims; `rate`: tasks/s of all together, 0: no limit."""
    latencies: list[float] = []
    done = 0
    lock = threading.Lock()
    start = time.perf_counter() + 0.5

    def one(number: int) -> None:
        nonlocal done
        connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)

        def post(path: str, body: dict) -> dict | None:
            headers = {"Authorization": f"Token {token}", "Content-Type": "application/json"}
            connection.request("POST", path, json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= 400:
                raise RuntimeError(content.decode())
            return json.loads(content) if content else None

        due = start + number / rate if rate else start
        while True:
            time.sleep(max(due - time.perf_counter(), 0.0))
            due += agents / rate if rate else 0.0
            body = {"host": f"h{number}", "kinds": ["bench"], "token": str(uuid.uuid4()), "cores": 8, "memory": 64000}
            began = time.perf_counter()
            task = post("/tasks/claim", body)
            taken = time.perf_counter() - began
            if not task:
                return
            report = {"token": task["token"], "state": "Complete", "elapsed": 0.0}
            post(f"/tasks/{task['id']}/finish", report)
            with lock:
                latencies.append(taken)
                done += 1

    with concurrent.futures.ThreadPoolExecutor(agents) as pool:
        list(pool.map(one, range(agents)))
    seconds = time.perf_counter() - start
    middle = statistics.median(latencies) * 1000
    how = f"at {rate:.0f} tasks/s" if rate else "at full speed"
    print(f"{agents} agents {how}: {done} tasks in {seconds:.1f} s = {done / seconds:.0f}/s; "
          f"claim {middle:.1f} ms (median)")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--rate", type=float, default=200.0)
    parser.add_argument("--work", nargs=2)
    options = parser.parse_args()
    if options.work:
        work(*options.work, options.agents, options.rate)
        return
    import pipeline
    from pipeline import settings
    from pipeline.database import embedded
    from pipeline.tasks.queue import New, Queue
    from tests.one_bridge.serving import serving

    home = Path(tempfile.mkdtemp(prefix="neurojoint-"))
    home.chmod(0o711)
    with settings.override(home=home):
        connection = pipeline.connect()
        (home / "data").mkdir()
        try:
            with serving(connection, home / "data", home) as served:
                token = served.token("max")
                for agents, rate, n_tasks in [
                    (1, 0.0, 300), (options.agents, 0.0, options.tasks), (options.agents, options.rate, options.tasks)
                ]:  # fmt: skip
                    with served.app.state.bridge.database.writing():
                        Queue().add([New(f"t{number}", "bench") for number in range(n_tasks)])
                    command = [sys.executable, __file__, "--agents", str(agents), "--rate", str(rate)]
                    computing = time.process_time()
                    subprocess.run([*command, "--work", served.url, token], check=True)
                    computing = (time.process_time() - computing) / n_tasks
                    print(f"  the server computed {computing * 1000:.2f} ms for each")
        finally:
            connection.close()
            embedded.stop(home)
    print(f"load of the computer: {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
