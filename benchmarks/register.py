"""Claim: registering 16,000 sessions with 400,000 small files stays below 1 GB, and an unchanged second run is 20 times
faster than the first. The peer is ONE-api's `make_parquet_db`, which lists the same tree without reading a file.

Run: python benchmarks/register.py [--sessions N] [--processes N] [--root FOLDER]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

FILES_PER_SESSION = 25
LEAST_RATIO = 20
MOST_MEMORY = 1e9  # byte


class PeakMemory:
    """Samples the memory of this process and its children while a `with` block runs (shared pages counted once)."""

    def __enter__(self) -> PeakMemory:
        self.peak, self._stop = 0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def __str__(self) -> str:
        return f"peak {self.peak / 1e6:,.0f} MB"

    def _sample(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(0.25):
            total = 0
            for process in (me, *me.children(recursive=True)):
                try:
                    if "postgres" not in process.name():
                        total += process.memory_full_info().pss
                except psutil.Error:
                    continue
            self.peak = max(self.peak, total)


def timed(what: Callable[[], Any]) -> tuple[float, Any]:
    begin = time.perf_counter()
    result = what()
    return time.perf_counter() - begin, result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", type=int, default=16_000)
    parser.add_argument("--processes", type=int, default=None)
    parser.add_argument("--root", type=Path, default=None, help="an existing tree of write_many, to save its writing")
    parser.add_argument("--no-peer", action="store_true")
    options = parser.parse_args()
    import pipeline
    from ingest import register
    from ingest.simulate import write_many
    from pipeline import settings
    from pipeline.database import embedded

    with tempfile.TemporaryDirectory(prefix="register_", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        root = options.root or Path(folder) / "root"
        if not root.exists():
            seconds, _ = timed(lambda: write_many(root, options.sessions, FILES_PER_SESSION))
            print(f"wrote {options.sessions:,} sessions in {seconds:.0f} s")
        with settings.override(home=Path(folder) / "home"):
            pipeline.connect()
            with PeakMemory() as first_memory:
                first, summary = timed(lambda: register(root, processes=options.processes))
            n_files = summary.files
            print(
                f"first run   {first:8.1f} s  {n_files / first:10,.0f} files/s  peak {first_memory.peak / 1e6:,.0f} MB"
            )
            assert summary.files_new == n_files and not summary.quarantined, summary
            again = []
            with PeakMemory() as second_memory:
                for _ in range(3):
                    seconds, summary = timed(lambda: register(root, processes=options.processes))
                    again.append(seconds)
                    assert not summary.files_new + summary.files_replaced + summary.files_missing
            second = statistics.median(again)
            print(f"second run  {second:8.2f} s  {n_files / second:10,.0f} files/s  {second_memory}")
            print(f"first / second: {first / second:.1f} (at least {LEAST_RATIO})")
            embedded.stop(Path(folder) / "home")
        if not options.no_peer:
            from one.alf.cache import make_parquet_db

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                peer, _ = timed(lambda: make_parquet_db(root, out_dir=folder, hash_files=False))
            print(f"make_parquet_db (names and sizes only, no hash, no check) {peer:.1f} s")
            print(f"peer / our first run: {peer / first:.2f}; peer / our second run: {peer / second:.1f}")
    peak = max(first_memory.peak, second_memory.peak)
    assert peak < MOST_MEMORY, f"peak memory {peak / 1e6:.0f} MB"
    assert options.sessions < 10_000 or first / second >= LEAST_RATIO, "the second run is too slow"


if __name__ == "__main__":
    main()
