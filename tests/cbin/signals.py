"""Small recordings for the tests of cbin: files on disk and the arrays that were written to them."""

from __future__ import annotations

from pathlib import Path

import mtscomp
import numpy as np

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
FLOATS = ["float16", "float32", "float64"]


def neural(n_samples: int = 700, n_channels: int = 7, seed: int = 0) -> np.ndarray:
    """int16 samples with noise of one band per channel, noise in common, and a channel of sync."""
    rng = np.random.default_rng(seed)
    walk = np.cumsum(rng.normal(0, 3, (n_samples, n_channels)), axis=0)
    samples = rng.normal(0, 4, (n_samples, n_channels)) + 0.2 * walk + rng.normal(0, 5, (n_samples, 1))
    samples[:, -1] = 64 * (np.arange(n_samples) // 50 % 2)
    return np.rint(samples).astype(np.int16)


def write_raw(path: Path, samples: np.ndarray) -> Path:
    path.write_bytes(np.ascontiguousarray(samples).tobytes())
    return path


def read_with_mtscomp(cbin: Path, meta: Path | None = None) -> np.ndarray:
    """All samples as mtscomp's own reader gives them."""
    reader = mtscomp.Reader(n_threads=1, quiet=True)
    reader.open(str(cbin), str(meta) if meta else None)
    try:
        chunks = [reader.read_chunk(*chunk) for chunk in reader.iter_chunks()]
    finally:
        reader.close()
    return np.concatenate(chunks)


def write_with_mtscomp(raw: Path, out: Path, samples: np.ndarray, sample_rate: float = 100.0, **options) -> Path:
    """Compress with mtscomp, with its own check off (it refuses some of what it writes)."""
    writer = mtscomp.Writer(n_threads=1, quiet=True, check_after_compress=False, **options)
    writer.open(str(raw), sample_rate=sample_rate, n_channels=samples.shape[-1], dtype=samples.dtype)
    writer.write(str(out), str(out.with_suffix(".ch")))
    return out


def same_bytes(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal in shape, type and every bit (NaN included)."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
