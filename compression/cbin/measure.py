"""How fast this package is on this machine, on a piece of a real file, against mtscomp where that is installed."""

from __future__ import annotations

import contextlib
import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import cbin

from .archive import open as open_archive
from .archive import pack, unpack
from .errors import FormatError
from .source import thread_count

READS = 15  # per round and duration, each with a reader that has read nothing yet


def measure(
    path: str | os.PathLike[str],
    *,
    seconds: float = 10.0,
    repeats: int = 3,
    threads: int | None = None,
    folder: str | os.PathLike[str] | None = None,
    with_mtscomp: bool | None = None,
    with_archive: bool | None = None,
    **shape: Any,
) -> dict[str, Any]:
    """Compress, decompress and read the first seconds of a recording, in interleaved rounds; everything verified.

    Parameters
    ----------
    path : raw, `.cbin` or archive; `shape` (n_channels, sample_rate, dtype) says what a raw file without `.meta` is
    seconds : length of the piece, s
    folder : where the piece and the outputs are written (and deleted); by default the system's temporary folder
    with_mtscomp, with_archive : by default where mtscomp, numcodecs and pcodec are installed

    Returns
    -------
    dict with `raw_bytes`, `threads`, `ratios` (name -> raw bytes per stored byte) and `seconds` (name -> median wall
    time of the rounds; reads: median of all single reads).
    """
    path, threads = Path(path), thread_count(threads)
    shape = {name: value for name, value in shape.items() if value is not None}
    with_mtscomp = find_spec("mtscomp") is not None if with_mtscomp is None else with_mtscomp
    if with_archive is None:
        with_archive = find_spec("numcodecs") is not None and find_spec("pcodec") is not None
    with tempfile.TemporaryDirectory(dir=folder, prefix="cbin-bench-") as place:
        raw = Path(place) / "piece.bin"
        with cbin.open(path, **shape) as recording:
            rows = min(recording.n_samples, round(seconds * recording.sample_rate))
            if rows == 0:
                raise FormatError("there is nothing to measure.", file=path)
            options = {"n_channels": recording.n_channels, "sample_rate": recording.sample_rate}
            dtype = str(recording.dtype)
            _copy(recording, rows, raw)
        _compile(raw, options, dtype)
        times: dict[str, list[float]] = {}
        outputs: dict[str, Path] = {}
        for _ in range(repeats):
            for name, step in _steps(raw, rows, options, dtype, threads, with_mtscomp, with_archive, outputs):
                times.setdefault(name, []).extend(step())
        stored = {name: _bytes(out) for name, out in outputs.items()}
        return {
            "file": str(path),
            "raw_bytes": raw.stat().st_size,
            "duration": rows / options["sample_rate"],
            "n_channels": options["n_channels"],
            "threads": threads,
            "repeats": repeats,
            "ratios": {name: raw.stat().st_size / size for name, size in stored.items()},
            "seconds": {name: statistics.median(values) for name, values in times.items()},
        }


def table(results: dict[str, Any]) -> str:
    """The results as text, with mtscomp's figures and how many times faster where it took part."""
    raw, seconds, ratios = results["raw_bytes"], results["seconds"], results["ratios"]
    lines = [
        f"{results['file']}: {results['duration']:g} s of {results['n_channels']} channels, "
        f"{results['threads']} threads, median of {results['repeats']} rounds, everything verified",
        f"{'':32s} {'ratio':>6s} {'MB/s':>8s} {'x real time':>12s} {'x mtscomp':>10s}",
    ]
    for name, value in seconds.items():
        what, _, who = name.partition(" ")
        ratio = f"{ratios[who]:.3f}" if what == "compress" and who in ratios else ""
        peer = seconds.get(f"{what} mtscomp")
        if what.startswith("read"):
            rate = f"{value * 1e3:6.2f} ms" + " " * 13
        else:
            rate = f"{raw / 1e6 / value:8.0f} {results['duration'] / value:12.1f}"
        faster = f"{peer / value:.1f}" if peer else ""
        lines.append(f"{what.replace('-', ' '):12s} {who:19s} {ratio:>6s} {rate:>21s} {faster:>10s}")
    return "\n".join(lines)


def _copy(recording: Any, rows: int, out: Path) -> None:
    with out.open("wb") as file:
        for start, samples in recording.iter_chunks():
            file.write(samples[: max(0, rows - start)].data)
            if start + len(samples) >= rows:
                break


def _compile(raw: Path, options: dict[str, Any], dtype: str) -> None:
    """Have numba compile what is measured, on as many samples as that takes."""
    few = raw.with_name("few.bin")
    with raw.open("rb") as file:
        few.write_bytes(file.read(100 * options["n_channels"] * np.dtype(dtype).itemsize))
    for layout in ("compat", "access"):
        report = cbin.compress(few, layout=layout, dtype=dtype, overwrite=True, **options)
        with cbin.open(report.cbin_path) as recording:
            recording[:], recording[10:20]


def _steps(
    raw: Any,
    rows: int,
    options: Any,
    dtype: Any,
    threads: int | None,
    with_mtscomp: bool,
    with_archive: bool,
    outputs: Any,
) -> list[tuple[str, Callable[..., Any]]]:
    """Names and functions of one round; a function gives the seconds it took, or those of each of its reads."""
    place, back = raw.parent, raw.with_name("back.bin")
    common = {"threads": threads, "overwrite": True}
    steps: list[tuple[str, Callable[..., Any]]] = []
    for name, choice in (
        ("cbin", {"layout": "auto"}),
        ("cbin compat", {"layout": "compat"}),
        ("cbin fast", {"layout": "auto", "effort": "fast"}),
    ):
        out = outputs[name] = place / f"{name.replace(' ', '_')}.cbin"
        settings = options | common | choice | {"dtype": dtype}
        steps += [
            (f"compress {name}", _timed(cbin.compress, raw, out, **settings)),
            (f"decompress {name}", _timed(cbin.decompress, out, back, **common)),
        ]
    steps += _reads("cbin", lambda: cbin.open(outputs["cbin"], threads=threads), rows, options["sample_rate"])
    if with_archive:
        out = outputs["archive"] = place / "piece.zarr.zip"
        steps += [
            ("compress archive", _timed(pack, raw, out, dtype=dtype, **options, **common)),
            ("decompress archive", _timed(unpack, out, back, **common)),
        ]
        steps += _reads("archive", lambda: open_archive(out, threads=threads), rows, options["sample_rate"])
    if with_mtscomp:
        steps += _mtscomp_steps(raw, rows, options, dtype, threads, outputs)
    return steps


def _mtscomp_steps(
    raw: Any, rows: int, options: Any, dtype: Any, threads: int | None, outputs: Any
) -> list[tuple[str, Callable[..., Any]]]:
    import mtscomp

    place = raw.parent
    out = outputs["mtscomp"] = place / "mtscomp.cbin"
    meta = out.with_suffix(".ch")

    def compress() -> None:
        mtscomp.compress(raw, out, meta, dtype=dtype, n_threads=threads, check_after_compress=True, **options)

    def decompress(cdata: Path) -> None:
        settings = {"write_output": True, "overwrite": True, "n_threads": threads, "check_after_decompress": True}
        mtscomp.decompress(cdata, cdata.with_suffix(".ch"), place / "back.bin", **settings).close()

    def reader() -> Any:
        opened = mtscomp.Reader(n_threads=threads)
        opened.open(out, meta)
        return contextlib.closing(opened)

    return [
        ("compress mtscomp", _timed(compress)),
        ("decompress mtscomp", _timed(decompress, out)),
        (
            "decompress cbin: its file",
            _timed(cbin.decompress, out, place / "back.bin", threads=threads, overwrite=True),
        ),
        *_reads("mtscomp", reader, rows, options["sample_rate"]),
        *_reads("cbin: its file", lambda: cbin.open(out, threads=threads), rows, options["sample_rate"]),
    ]


def _timed(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
    def step() -> list[float]:
        started = time.perf_counter()
        with contextlib.redirect_stderr(io.StringIO()):  # mtscomp draws progress bars whatever it is told
            function(*args, **kwargs)
        return [time.perf_counter() - started]

    return step


def _reads(name: str, open_reader: Callable[..., Any], rows: int, rate: float) -> list[tuple[str, Callable[..., Any]]]:
    steps = []
    for label, duration in (("read-10ms", 0.01), ("read-1s", 1.0)):
        n = round(duration * rate)
        if rows > 2 * n:
            steps.append((f"{label} {name}", _read_step(open_reader, n, rows)))
    return steps


def _read_step(open_reader: Callable[..., Any], n: int, rows: int) -> Callable[..., Any]:
    def step() -> list[float]:
        rng, taken = np.random.default_rng(n), []
        for start in rng.integers(0, rows - n, READS):
            with open_reader() as reader:
                started = time.perf_counter()
                reader[int(start) : int(start) + n]
                taken.append(time.perf_counter() - started)
        return taken

    return step


def _bytes(out: Path) -> int:
    header = out.with_suffix(".ch")
    return out.stat().st_size + (header.stat().st_size if header.exists() else 0)
