"""Claims: cbin compresses Neuropixels recordings at least 12 times faster than mtscomp (11 times with verification on
both sides; 15 times with `fast`) into files at most 1/1.04 the size, decompresses mtscomp's own files 3 times faster on
a RAM disk, and reads 10 ms 3 times faster from them and 30 times (under 5 ms) from files of its own `access` layout.

Everything is measured in one run, in turns, on the same simulated recording with the same number of threads; speeds
are compared by medians of wall times. Beside them stand the limits: copying the raw bytes in memory, and inflating
alone. With `--scaling` also 1 to 4 threads.

    python benchmarks/cbin_speed.py [--seconds 60] [--rounds 3] [--threads 4] [--folder /dev/shm] [--scaling]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import cbin
import mtscomp
import numpy as np
from cbin.inflate import inflate_into
from cbin.synthetic import write_recording

N_CHANNELS, RATE = 385, 30000.0
SHAPE = {"n_channels": N_CHANNELS, "sample_rate": RATE}
READS = 9


class Bench:
    """Where the files are, how long each case took, and how many bytes there are."""

    def __init__(self, folder: Path, seconds: float, threads: int, kind: str) -> None:
        self.folder, self.threads = folder, threads
        self.raw = write_recording(folder / "x.ap.bin", seconds, N_CHANNELS, RATE, kind=kind)
        self.bytes = self.raw.stat().st_size
        self.times: dict[str, list[float]] = defaultdict(list)
        self.sizes: dict[str, int] = {}
        self.random = random.Random(0)

    def run(self, cases: dict[str, Callable], rounds: int) -> None:
        """Each case once per round, in turns."""
        for _ in range(rounds):
            for name, case in cases.items():
                with contextlib.redirect_stderr(io.StringIO()):
                    began = time.perf_counter()
                    took = case()
                    self.times[name].append(took if isinstance(took, float) else time.perf_counter() - began)

    def median(self, name: str) -> float:
        return statistics.median(self.times[name])

    def mtscomp_compress(self, check: bool) -> None:
        out = self.folder / "mtscomp.cbin"
        mtscomp.compress(
            self.raw, out, out.with_suffix(".ch"), RATE, N_CHANNELS, "int16", n_threads=self.threads, quiet=True,
            check_after_compress=check,
        )  # fmt: skip
        self.sizes["mtscomp"] = out.stat().st_size

    def compress(self, layout: str, effort: str, verify: bool, threads: int | None = None) -> None:
        name = f"{layout} {effort}"
        out = self.folder / f"{name.replace(' ', '-')}.cbin"
        report = cbin.compress(
            self.raw, out, **SHAPE, layout=layout, effort=effort, verify=verify, threads=threads or self.threads,
            overwrite=True,
        )  # fmt: skip
        self.sizes[name] = report.compressed_bytes

    def no_output(self) -> float:
        """Remove the output of the run before, for both programs alike; the time from which the run counts."""
        (self.folder / "out.bin").unlink(missing_ok=True)
        return time.perf_counter()

    def mtscomp_decompress(self, check: bool) -> float:
        began = self.no_output()
        reader = mtscomp.decompress(
            self.folder / "mtscomp.cbin",
            out=self.folder / "out.bin",
            n_threads=self.threads,
            quiet=True,
            check_after_decompress=check,
        )
        reader.close()
        return time.perf_counter() - began

    def decompress(self, name: str, verify: bool, threads: int | None = None) -> float:
        began = self.no_output()
        cbin.decompress(
            self.folder / f"{name}.cbin", self.folder / "out.bin", verify=verify, threads=threads or self.threads
        )
        return time.perf_counter() - began

    def read(self, name: str, seconds: float, with_mtscomp: bool, aligned: bool = False) -> float:
        """Median of single reads, each by a reader that has read nothing yet; opening is not counted."""
        path, n = self.folder / f"{name}.cbin", round(seconds * RATE)
        times = []
        for _ in range(READS):
            start = self.random.randrange(0, self.bytes // (2 * N_CHANNELS) - n - 1)
            start = start // 30000 * 30000 if aligned else start
            if with_mtscomp:
                reader = mtscomp.Reader(n_threads=self.threads, quiet=True)
                reader.open(path)
            else:
                reader = cbin.open(path, threads=self.threads)
            began = time.perf_counter()
            samples = reader[start : start + n]
            times.append(time.perf_counter() - began)
            assert len(samples) == n
            reader.close()
        return statistics.median(times)

    def inflate_alone(self, name: str, threads: int | None = None) -> float:
        header = cbin.read_header(self.folder / f"{name}.ch")
        data = np.fromfile(self.folder / f"{name}.cbin", np.uint8)
        began = time.perf_counter()
        with ThreadPoolExecutor(threads or self.threads) as pool:
            buffers = [np.empty(header.chunk_bytes(0), np.uint8) for _ in range(threads or self.threads)]

            def inflate(chunk: int) -> None:
                buffer = buffers.pop()
                inflate_into(
                    data[header.offsets[chunk] : header.offsets[chunk + 1]], buffer[: header.chunk_bytes(chunk)]
                )
                buffers.append(buffer)

            list(pool.map(inflate, range(header.n_chunks)))
        return time.perf_counter() - began

    def copy(self) -> float:
        source = np.fromfile(self.raw, np.uint8)
        target = np.ones_like(source)
        began = time.perf_counter()
        np.copyto(target, source)
        return time.perf_counter() - began


def peak_memory(code: str) -> float:
    """Peak resident megabytes of a process of its own."""
    code += "\nprint(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1]) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--kind", choices=["np1", "np2"], default="np1")
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)  # noqa: S108 - a RAM disk
    parser.add_argument("--only", choices=["compression", "decompression", "reading", "memory"], help="one part of it")
    parser.add_argument("--scaling", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="cbin-speed-") as folder:
        bench = Bench(Path(folder), options.seconds, options.threads, options.kind)
        print(f"{bench.bytes / 1e6:.0f} MB, {options.threads} threads, {options.rounds} rounds, {options.folder}")
        bench.run({"warm up": partial(bench.compress, "compat", "default", True)}, 1)
        parts = {"compression": compression, "decompression": decompression, "reading": reading, "memory": memory}
        if options.only not in (None, "compression"):
            access = partial(bench.compress, "access", "default", False)
            bench.run({"mtscomp": partial(bench.mtscomp_compress, False), "access default": access}, 1)
        for name, part in parts.items():
            if options.only in (None, name):
                part(bench, options.rounds)
        if options.scaling:
            scaling(bench, options.rounds)


def compression(bench: Bench, rounds: int) -> None:
    layouts = [
        ("compat", "default"),
        ("access", "default"),
        ("compat", "fast"),
        ("access", "fast"),
        ("access", "small"),
    ]
    cases = {
        "mtscomp": partial(bench.mtscomp_compress, False),
        "mtscomp, checked": partial(bench.mtscomp_compress, True),
    }
    for layout, effort in layouts:
        cases[f"{layout} {effort}"] = partial(bench.compress, layout, effort, False)
        cases[f"{layout} {effort}, checked"] = partial(bench.compress, layout, effort, True)
    cases["limit: memory copy"] = bench.copy
    bench.run(cases, rounds)
    print("\ncompression                  MB/s   times mtscomp   ratio   times mtscomp's")
    for name in cases:
        base = "mtscomp, checked" if name.endswith("checked") else "mtscomp"
        size = bench.sizes.get(name.removesuffix(", checked"))
        ratios = f"{bench.bytes / size:.3f}   {bench.sizes['mtscomp'] / size:.3f}" if size else ""
        print(f"{name:26}{_speed(bench, name):7.0f}   {bench.median(base) / bench.median(name):8.1f}        {ratios}")


def decompression(bench: Bench, rounds: int) -> None:
    cases = {
        "mtscomp": partial(bench.mtscomp_decompress, False),
        "mtscomp's file": partial(bench.decompress, "mtscomp", False),
        "mtscomp, checked": partial(bench.mtscomp_decompress, True),
        "mtscomp's file, checked": partial(bench.decompress, "mtscomp", True),
        "compat-default": partial(bench.decompress, "compat-default", False),
        "access-default": partial(bench.decompress, "access-default", False),
        "limit: inflate mtscomp's": partial(bench.inflate_alone, "mtscomp"),
        "limit: inflate access": partial(bench.inflate_alone, "access-default"),
        "limit: memory copy": bench.copy,
    }
    for name in cases:
        bench.times.pop(name, None)
    bench.run(cases, rounds)
    print("\ndecompression                MB/s   times mtscomp")
    for name in cases:
        base = "mtscomp, checked" if name.endswith("checked") else "mtscomp"
        print(f"{name:26}{_speed(bench, name):7.0f}   {bench.median(base) / bench.median(name):8.1f}")


def reading(bench: Bench, rounds: int) -> None:
    files = {"mtscomp reads its file": ("mtscomp", True), "cbin reads mtscomp's": ("mtscomp", False)}
    files |= {"cbin reads access": ("access-default", False), "mtscomp reads access": ("access-default", True)}
    lengths = {"10 ms": (0.01, False), "1 s": (1.0, False), "1 s aligned": (1.0, True), "5 s": (5.0, False)}
    lengths = {label: length for label, length in lengths.items() if 2 * length[0] < bench.bytes / 23.1e6}
    cases = {
        f"{who}, {label}": partial(bench.read, name, seconds, theirs, aligned)
        for label, (seconds, aligned) in lengths.items()
        for who, (name, theirs) in files.items()
    }
    bench.run(cases, rounds)
    print("\nreading                              ms   times mtscomp")
    for name in cases:
        base = bench.median(f"mtscomp reads its file, {name.split(', ')[1]}")
        print(f"{name:36}{1e3 * bench.median(name):7.2f}   {base / bench.median(name):8.1f}")


def memory(bench: Bench, rounds: int = 1) -> None:
    print("\npeak memory, MB")
    raw, out, back = (repr(str(path)) for path in (bench.raw, bench.folder / "m.cbin", bench.folder / "m.out"))
    for layout in ("access", "compat"):
        calls = {
            "compress": f"{raw}, {out}, layout={layout!r}, n_channels={N_CHANNELS}, sample_rate={RATE}",
            "decompress": f"{out}, {back}",
        }
        for verb, arguments in calls.items():
            code = f"import cbin; cbin.{verb}({arguments}, threads={bench.threads}, overwrite=True)"
            print(f"  {verb} {layout:8}{peak_memory(code):7.0f}")


def scaling(bench: Bench, rounds: int) -> None:
    cases: dict[str, Callable] = {}
    for threads in (1, 2, 3, 4):
        cases[f"compat default {threads}"] = partial(bench.compress, "compat", "default", False, threads)
        cases[f"access default {threads}"] = partial(bench.compress, "access", "default", False, threads)
        cases[f"access fast {threads}"] = partial(bench.compress, "access", "fast", False, threads)
        cases[f"decompress mtscomp's {threads}"] = partial(bench.decompress, "mtscomp", False, threads)
        cases[f"inflate mtscomp's {threads}"] = partial(bench.inflate_alone, "mtscomp", threads)
    bench.run(cases, rounds)
    print("\nscaling, MB/s at             1 thread   2   3   4 threads")
    for name in dict.fromkeys(case[:-2] for case in cases):
        print(f"{name:26}" + "".join(f"{_speed(bench, f'{name} {threads}'):8.0f}" for threads in (1, 2, 3, 4)))


def _speed(bench: Bench, name: str) -> float:
    return bench.bytes / 1e6 / bench.median(name)


if __name__ == "__main__":
    main()
