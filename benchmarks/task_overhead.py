"""What a task costs besides what its kind does: claim, process, log, outputs, delivery and registration over HTTP.

    python -m benchmarks.task_overhead [--tasks 20]

An agent with one processor works off tasks of a kind that writes one small file and takes no time; the figure is the
whole time over the number of tasks, with that of a bare Python process beside it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

KIND = """
from pipeline.tasks import Kind, register

def run(job):
    job.output(f"alf/made.{job.arguments['label']}.txt").write_text("made")

register(Kind("bench_thing", "1", run, outputs=("alf/made.*.txt",), required=("alf/made.*.txt",)))
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", type=int, default=20)
    options = parser.parse_args()
    import pipeline
    from ingest.agent.agent import Agent, Options
    from ingest.agent.desk import HttpDesk
    from pipeline import settings
    from pipeline.database import embedded
    from pipeline.schemas import acquisition, lab, subject, task
    from pipeline.tasks.queue import New, Queue
    from tests.one_bridge.serving import serving

    home = Path(tempfile.mkdtemp(prefix="neurojoint-"))
    home.chmod(0o711)
    (home / "bench_kinds.py").write_text(KIND)
    sys.path.insert(0, str(home))
    os.environ["PYTHONPATH"] = f"{home}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    import bench_kinds  # noqa: F401 - registers the kind

    key = {"lab": "a", "subject": "m", "session_date": "2024-01-01", "session_number": 1}
    with settings.override(home=home):
        connection = pipeline.connect()
        root = home / "data"
        (root / "a/Subjects/m/2024-01-01/001").mkdir(parents=True)
        (home / "rig/a/Subjects/m/2024-01-01/001").mkdir(parents=True)
        try:
            lab.Lab.insert1({"lab": "a"})
            subject.Subject.insert1(
                {"lab": "a", "subject": "m", "subject_uuid": "7b4ab8f0-5b0c-4d0e-8d8d-111111111111"}
            )
            eid = "7b4ab8f0-5b0c-4d0e-8d8d-222222222222"
            acquisition.Session.insert1(key | {"eid": eid, "start_time": "2024-01-01 10:00:00"})
            with serving(connection, root, home) as served:
                database: Any = served.app.state.bridge.database  # type: ignore[attr-defined]
                with database.writing():
                    new = [New(f"t{n}", "bench_thing", {"label": f"x{n}"}) for n in range(options.tasks)]
                    Queue().add(new, key)
                chosen = Options(home / "rig", home / "scratch", "pc", cores=1, memory=60_000, quiet=1e9,
                                 modules=("bench_kinds",))  # fmt: skip
                agent = Agent(HttpDesk(served.url, served.token("max")), chosen)
                began = time.perf_counter()
                agent.run(once=True)
                seconds = time.perf_counter() - began
                agent.stop()
                with database.writing():
                    done = len(task.Task & {"task_state": "Complete"})
        finally:
            connection.close()
            embedded.stop(home)
    began = time.perf_counter()
    for _ in range(5):
        subprocess.run([sys.executable, "-c", "pass"], check=True)
    bare = (time.perf_counter() - began) / 5
    print(f"{done} of {options.tasks} tasks in {seconds:.1f} s: {seconds / options.tasks:.3f} s each; "
          f"a bare Python process {bare:.3f} s")  # fmt: skip
    print(f"load of the computer: {os.getloadavg()[0]:.1f} of {os.cpu_count()} processors")


if __name__ == "__main__":
    main()
