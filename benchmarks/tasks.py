"""How many tasks a second the server hands out to 100 agents over HTTP, and how long one claim takes.

    python -m benchmarks.tasks [--agents 100] [--tasks 3000]

The agents are threads of another process, each with a connection and a token; a task is a claim and a report.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path

import requests


def work(url: str, token: str, agents: int) -> None:
    """The agents' side: prints tasks/s and the latencies of claims."""
    latencies: list[float] = []
    done = 0
    lock = threading.Lock()

    def one(number: int) -> None:
        nonlocal done
        http = requests.Session()
        http.headers["Authorization"] = f"Token {token}"
        while True:
            body = {"host": f"h{number}", "kinds": ["bench"], "token": str(uuid.uuid4()), "cores": 8, "memory": 64000}
            began = time.perf_counter()
            task = http.post(f"{url}/tasks/claim", json=body, timeout=60).json()
            taken = time.perf_counter() - began
            if not task:
                return
            report = {"token": task["token"], "state": "Complete", "elapsed": 0.0}
            http.post(f"{url}/tasks/{task['id']}/finish", json=report, timeout=60).raise_for_status()
            with lock:
                latencies.append(taken)
                done += 1

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(agents) as pool:
        list(pool.map(one, range(agents)))
    seconds = time.perf_counter() - began
    middle = statistics.median(latencies) * 1000
    print(f"{agents} agents: {done} tasks in {seconds:.1f} s = {done / seconds:.0f}/s; claim {middle:.1f} ms (median)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--agents", type=int, default=100)
    parser.add_argument("--tasks", type=int, default=3000)
    parser.add_argument("--work", nargs=2)
    options = parser.parse_args()
    if options.work:
        work(*options.work, options.agents)
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
                for agents in (1, options.agents):
                    n_tasks = options.tasks if agents > 1 else 300
                    with served.app.state.bridge.database.writing():
                        Queue().add([New(f"t{number}", "bench") for number in range(n_tasks)])
                    command = [sys.executable, __file__, "--agents", str(agents), "--work", served.url, token]
                    subprocess.run(command, check=True)
        finally:
            connection.close()
            embedded.stop(home)


if __name__ == "__main__":
    main()
