"""Run by test_compression.py in a process of its own: register, compress, remove; kill -9, and look at what is left.

    python killing_compression.py ROOT SETTINGS COUNT

Each child is a process with a connection of its own. Prints one line of JSON: how many were killed, how many ended, how
many recordings were finished, and what was lost or wrong (nothing, that is).
"""

import json
import os
import random
import signal
import sys
import time
import warnings
from pathlib import Path

import cbin
import numpy as np
from cbin.synthetic import write_recording

import pipeline
from ingest import compress, register
from pipeline import settings

warnings.simplefilter("ignore")
PER_SESSION = 2
LEFT_BEHIND: list = []
"""Connections of the parent, which a child must neither use nor close."""


def child(root: Path, connection) -> int:
    """Fork a process that registers and compresses what is below `root`, as `neurojoint ingest --remove-raw` does."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        LEFT_BEHIND.append(connection._conn)
        connection.connect()
        register(root, repository="r", processes=1)
        summary = compress(root, remove_raw=True, threads=2)
        os._exit(0 if not summary.failures else 3)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)


def fresh(root: Path, number: int, templates: list[Path]) -> dict[Path, bytes]:
    """One more session with short recordings; raw path -> its bytes."""
    folder = root / f"mylab/Subjects/m{number % 3}/2020-{1 + number // 28 % 12:02d}-{1 + number % 28:02d}/001"
    made = {}
    for probe, template in enumerate(templates):
        place = folder / f"raw_ephys_data/probe{probe:02d}"
        place.mkdir(parents=True)
        raw = place / f"_spikeglx_ephysData_g0_t0.imec{probe}.ap.bin"
        raw.with_suffix(".meta").write_bytes(template.with_suffix(".meta").read_bytes())
        made[raw] = template.read_bytes()
        raw.write_bytes(made[raw])
    return made


def wrong(expected: dict[Path, bytes]) -> list[str]:
    """What is lost or wrong: each recording must be whole in one form at least, and in each that has a final name."""
    collected = []
    for raw, content in expected.items():
        packed, whole = raw.with_suffix(".cbin"), 0
        if raw.exists():
            whole += 1
            if raw.read_bytes() != content:
                collected.append(f"{raw}: the raw file changed")
        if packed.exists():
            whole += 1
            with cbin.open(packed, threads=1) as recording:
                if not np.array_equal(recording[:].ravel(), np.frombuffer(content, np.int16)):
                    collected.append(f"{packed}: other samples")
        if not whole:
            collected.append(f"{raw}: lost")
    return collected


def main(root: Path, chosen: dict, count: int) -> dict:
    rng = random.Random(11)
    templates = [
        write_recording(root.parent / f"template{n}.ap.bin", 0.2, n_channels=9, seed=n) for n in range(PER_SESSION)
    ]
    with settings.override(**chosen):
        connection = pipeline.connect()
        root.mkdir()
        number, expected = 0, fresh(root, 0, templates)
        everything = dict(expected)
        cbin.compress(templates[0], threads=2)  # what is compiled once is no part of what is measured
        began = time.perf_counter()
        os.waitpid(child(root, connection), 0)
        span = time.perf_counter() - began
        killed = ended = 0
        problems: list[str] = wrong(expected)
        while killed < count and not problems:
            if not any(raw.exists() for raw in expected):
                number += 1
                expected = fresh(root, number, templates)
                everything |= expected
            pid = child(root, connection)
            time.sleep(rng.uniform(0, span))
            os.kill(pid, signal.SIGKILL)
            _, status = os.waitpid(pid, 0)
            if os.WIFSIGNALED(status):
                killed += 1
            else:
                ended += 1
                if os.WEXITSTATUS(status):
                    problems.append(f"a run ended with {os.WEXITSTATUS(status)}")
            problems += wrong(expected)
        _, status = os.waitpid(child(root, connection), 0)
        if status:
            problems.append(f"the last run ended with {status}")
        problems += wrong(everything)
        problems += [f"{path} stayed" for path in root.rglob("*") if path.suffix in (".part", ".journal", ".bin")]
    return {"killed": killed, "ended": ended, "finished": len(everything), "problems": problems}


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))))
