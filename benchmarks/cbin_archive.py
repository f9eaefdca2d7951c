"""Claim: an archive is at least 1.3 times smaller than mtscomp's file, and at least 4 times faster in both directions.

Both write and read the same simulated Neuropixels 1.0 and 2.0 recordings with the same number of threads on a RAM disk,
in turns. When compressing, mtscomp does not check; the archive decodes and compares every chunk, which cannot be
switched off. Decompression is measured without the checks of both and with them. Reads are of 10 ms and 1 s at random
places by readers that have read nothing yet. With ``--candidates`` one second of each goes through the codecs among
which the archive's was chosen, on one thread.

    python benchmarks/cbin_archive.py [--seconds 20] [--repeats 5] [--threads 4] [--folder /dev/shm] [--candidates]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import mtscomp
import numpy as np
from cbin import archive
from cbin.synthetic import write_recording

CLAIMED_RATIO, CLAIMED_SPEED = 1.3, 4.0
SHAPE = {"n_channels": 385, "sample_rate": 30000.0, "dtype": "int16"}
READS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--folder", default="/dev/shm" if Path("/dev/shm").is_dir() else None)  # noqa: S108 - a RAM disk
    parser.add_argument("--candidates", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="cbin-archive-") as place:
        for kind in ("np1", "np2"):
            raw = write_recording(Path(place) / f"{kind}.ap.bin", options.seconds, kind=kind)
            print(f"{kind}: {options.seconds:g} s of 385 channels, {options.threads} threads, {options.repeats} rounds")
            if options.candidates:
                _candidates(np.fromfile(raw, np.int16, 30000 * 385).reshape(-1, 385))
            _against_mtscomp(raw, options.repeats, options.threads)
            raw.unlink()


def _against_mtscomp(raw: Path, repeats: int, threads: int) -> None:
    theirs, ours, back = raw.with_suffix(".cbin"), archive.default_path(raw), raw.with_suffix(".back")
    n = raw.stat().st_size // (2 * SHAPE["n_channels"])

    def mtscomp_reader():
        reader = mtscomp.Reader(n_threads=threads)
        reader.open(theirs, theirs.with_suffix(".ch"))
        return contextlib.closing(reader)

    def decompress(check: bool) -> tuple[Callable, Callable]:
        settings = {"write_output": True, "n_threads": threads, "check_after_decompress": check}
        return (
            lambda: mtscomp.decompress(theirs, theirs.with_suffix(".ch"), back, **settings).close(),
            lambda: archive.unpack(ours, back, threads=threads, verify=check),
        )

    def our_reader():
        return archive.open(ours, threads=threads)

    def mtscomp_compress() -> None:
        settings = {"n_threads": threads, "check_after_compress": False}
        mtscomp.compress(raw, theirs, theirs.with_suffix(".ch"), **SHAPE, **settings)

    archive.pack(raw, ours, threads=threads)  # compiles the kernels
    pairs: dict[str, tuple[Callable, Callable]] = {
        "compress": (
            mtscomp_compress,
            lambda: archive.pack(raw, ours, threads=threads, overwrite=True),
        ),
        "decompress": decompress(check=False),
        "with checks": decompress(check=True),
        "read 10 ms": (_reads(mtscomp_reader, n, 300), _reads(our_reader, n, 300)),
        "read 1 s": (_reads(mtscomp_reader, n, 30000), _reads(our_reader, n, 30000)),
    }
    times = {name: ([], []) for name in pairs}
    for _ in range(repeats):
        for name, functions in pairs.items():
            for function, taken in zip(functions, times[name], strict=True):
                if name in ("decompress", "with checks"):
                    back.unlink(missing_ok=True)  # replacing a file costs time that is not the codec's
                taken.append(_seconds(function))
    if back.read_bytes() != raw.read_bytes():
        raise SystemExit("the archive does not give the recording back")
    size = raw.stat().st_size
    sizes = [size / (theirs.stat().st_size + theirs.with_suffix(".ch").stat().st_size), size / ours.stat().st_size]
    print(f"  {'':12s} {'mtscomp':>12s} {'archive':>12s} {'times better':>13s}")
    print(f"  {'ratio':12s} {sizes[0]:12.3f} {sizes[1]:12.3f} {sizes[1] / sizes[0]:13.2f}  (claimed {CLAIMED_RATIO})")
    for name, (slow, fast) in times.items():
        slow, fast = statistics.median(slow), statistics.median(fast)
        if name.startswith("read"):
            shown, claim = [f"{x / READS * 1e3:.2f} ms" for x in (slow, fast)], ""
        else:
            shown, claim = [f"{size / 1e6 / x:.0f} MB/s" for x in (slow, fast)], f"  (claimed {CLAIMED_SPEED})"
        print(f"  {name:12s} {shown[0]:>12s} {shown[1]:>12s} {slow / fast:13.1f}{claim}")


def _reads(open_reader: Callable, n: int, rows: int) -> Callable:
    """Reads at random places, each by a new reader, as one function."""
    starts = np.random.default_rng(rows).integers(0, n - rows, READS)

    def read() -> None:
        for start in starts:
            with open_reader() as reader:
                reader[int(start) : int(start) + rows]

    return read


def _seconds(function: Callable) -> float:
    with contextlib.redirect_stderr(io.StringIO()):  # mtscomp draws progress bars whatever it is told
        start = time.perf_counter()
        function()
        return time.perf_counter() - start


def _candidates(samples: np.ndarray) -> None:
    """Ratio and rate of the codecs on one chunk, one thread, channel after channel; the transposition is not timed."""
    from numcodecs import Blosc, Delta, Shuffle, Zstd, blosc
    from numcodecs.pcodec import PCodec

    blosc.set_nthreads(1)
    flat = np.ascontiguousarray(samples.T).ravel()
    delta = Delta("<i2")
    pcodec = {"mode_spec": "classic", "delta_encoding_order": 1, "equal_pages_up_to": 30000}
    chains = {
        "Delta, Zstd 1": [delta, Zstd(1)],
        "Delta, Shuffle, Zstd 1": [delta, Shuffle(2), Zstd(1)],
        "Delta, Blosc zstd 1 shuffle": [delta, Blosc("zstd", 1, Blosc.SHUFFLE)],
        "Delta, Blosc zstd 1 bitshuffle": [delta, Blosc("zstd", 1, Blosc.BITSHUFFLE)],
        "Delta, Blosc zstd 9 bitshuffle": [delta, Blosc("zstd", 9, Blosc.BITSHUFFLE)],
        "PCodec 4": [PCodec(4, **pcodec)],
        "PCodec 8 (the archive's)": [PCodec(8, **pcodec)],
        "PCodec 12": [PCodec(12, **pcodec)],
        "zig-zag, planes, Zstd 1 (no numcodecs)": [_ZigZagPlanes(), Zstd(1)],
    }
    for name, chain in chains.items():
        encode, decode, stored = [], [], flat
        for _ in range(3):
            start = time.perf_counter()
            stored = flat
            for codec in chain:
                stored = codec.encode(stored)
            middle = time.perf_counter()
            decoded = stored
            for codec in reversed(chain):
                decoded = codec.decode(decoded)
            encode.append(middle - start)
            decode.append(time.perf_counter() - middle)
        if not np.array_equal(np.frombuffer(decoded, np.int16), flat):
            raise SystemExit(f"{name} is not lossless")
        rates = [flat.nbytes / 1e6 / min(taken) for taken in (encode, decode)]
        print(f"  {name:40s} {flat.nbytes / len(bytes(stored)):.3f}  {rates[0]:5.0f} / {rates[1]:5.0f} MB/s")


class _ZigZagPlanes:
    """Differences with the sign in the lowest bit, low bytes before high bytes: no filter of numcodecs does this."""

    def encode(self, flat: np.ndarray) -> np.ndarray:
        d = np.diff(flat, prepend=np.int16(0))
        return np.ascontiguousarray(((d << 1) ^ (d >> 15)).view(np.uint8).reshape(-1, 2).T)

    def decode(self, stored) -> np.ndarray:
        planes = np.frombuffer(stored, np.uint8).reshape(2, -1)
        z = np.ascontiguousarray(planes.T).view(np.uint16).ravel()
        return np.cumsum((z >> 1).view(np.int16) ^ -(z & 1).view(np.int16), dtype=np.int16)


if __name__ == "__main__":
    main()
