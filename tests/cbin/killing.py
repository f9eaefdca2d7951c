"""Run by test_interruption.py in a process of its own: compress with replacement, kill -9, and look at what is left.

    python killing.py FOLDER random COUNT      kills at random moments
    python killing.py FOLDER steps             kills before each call that changes the file system

Prints one line of JSON: how many runs were killed, how many finished, and what was lost or wrong (nothing, that is).
"""

import itertools
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import cbin
import numpy as np
from signals import neural, read_with_mtscomp, write_raw

SAMPLES = neural(6000, 8)
OPTIONS = {"n_channels": 8, "sample_rate": 1000, "chunk_duration": 0.25, "layout": "access", "threads": 2}
CHANGES = ("pwrite", "fsync", "fdatasync", "ftruncate", "replace", "unlink", "write", "rename")


def child(raw, kill_before=None):
    """Fork a process that compresses and removes the raw file, and kills itself before its n-th change if asked."""
    pid = os.fork()
    if pid:
        return pid
    try:
        if kill_before is not None:
            counter = itertools.count()
            for name in CHANGES:
                setattr(os, name, _deadly(getattr(os, name), counter, kill_before))
        cbin.compress(raw, remove_raw=True, overwrite=False, **OPTIONS)
        os._exit(0)
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        os._exit(1)


def _deadly(function, counter, kill_before):
    def call(*args, **kwargs):
        if next(counter) == kill_before:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    return call


def wrong(raw):
    """What is lost or wrong in the folder; an empty list if each final name holds all samples, and one of them does."""
    collected, whole = [], 0
    if raw.exists():
        whole += 1
        if raw.read_bytes() != SAMPLES.tobytes():
            collected.append("raw file changed")
    compressed = raw.with_suffix(".cbin")
    if compressed.exists():
        whole += 1
        if not cbin.check(compressed, threads=1).ok or not np.array_equal(read_with_mtscomp(compressed), SAMPLES):
            collected.append("compressed file wrong")
    return collected if whole else [*collected, "recording lost"]


def fresh(folder, number):
    folder = folder / str(number)
    folder.mkdir()
    return write_raw(folder / "x.bin", SAMPLES)


def kill_at_random(folder, count):
    rng = random.Random(7)
    began = time.perf_counter()
    os.waitpid(child(fresh(folder, "warm")), 0)
    span = (time.perf_counter() - began) * 1.1
    killed = finished = attempts = 0
    problems = []
    number, raw = 0, fresh(folder, 0)
    while killed < count and attempts < 20 * count:
        attempts += 1
        pid = child(raw)
        time.sleep(rng.uniform(0, span))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        problems += [f"{raw}: {problem}" for problem in wrong(raw)]
        if os.WIFSIGNALED(status):
            killed += 1
        elif os.WEXITSTATUS(status):
            problems.append(f"{raw}: error {os.WEXITSTATUS(status)}")
        if not raw.exists() or problems:
            finished += not raw.exists()
            number += 1
            raw = fresh(folder, number)
    return {"killed": killed, "finished": finished, "problems": problems}


def kill_at_each_step(folder):
    killed = finished = 0
    problems = []
    for step in itertools.count():
        raw = fresh(folder, step)
        _, status = os.waitpid(child(raw, step), 0)
        problems += [f"step {step}: {problem}" for problem in wrong(raw)]
        if not os.WIFSIGNALED(status):
            finished += status == 0
            break
        killed += 1
        _, status = os.waitpid(child(raw), 0) if raw.exists() else (0, 0)
        left = sorted(p.name for p in raw.parent.iterdir())
        if status or left != ["x.cbin", "x.ch"]:
            problems.append(f"step {step}: status {status} and {left} after another run")
        problems += [f"step {step}, after another run: {problem}" for problem in wrong(raw)]
    return {"killed": killed, "finished": finished, "problems": problems}


if __name__ == "__main__":
    cbin.compress(fresh(Path(sys.argv[1]), "first"), **OPTIONS)  # compiles what the children use
    if sys.argv[2] == "random":
        print(json.dumps(kill_at_random(Path(sys.argv[1]), int(sys.argv[3]))))
    else:
        print(json.dumps(kill_at_each_step(Path(sys.argv[1]))))
