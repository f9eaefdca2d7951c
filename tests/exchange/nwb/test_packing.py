"""Chunks that are packed here are what HDF5 reads."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from exchange.nwb import packing


@pytest.mark.parametrize(
    ("shape", "kind", "cuts"),
    [((100_003, 70), "<i2", [0, 5, 40_000, 100_003]), ((200_001,), "<f8", [0, 200_001]), ((50, 3, 4), "<f4", [0, 50])],
)
def test_a_dataset_reads_as_it_was(tmp_path: Path, shape: tuple[int, ...], kind: str, cuts: list[int]) -> None:
    values = (np.random.default_rng(0).normal(0, 300, shape)).astype(kind)
    chunks = packing.chunk_shape(shape) if len(shape) < 3 else (16, 3, 4)
    told = []
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset("x", shape, kind, chunks=chunks, compression="gzip", shuffle=True)
        packing.fill(made, [(a, values[a:b]) for a, b in zip(cuts, cuts[1:], strict=False)], told.append)
    with h5py.File(tmp_path / "a.h5") as file:
        assert np.array_equal(file["x"][:], values)
        assert file["x"].id.get_storage_size() < 1.1 * values.nbytes
    assert sum(told) == values.nbytes


def test_only_noise_is_stored_as_it_is() -> None:
    """Low bytes that repeat look like noise byte by byte, and shrink all the same."""
    ramp = np.arange(65_536, dtype=np.int32)
    assert len(packing.pack(ramp)) < 0.05 * ramp.nbytes
    noise = np.random.default_rng(0).random(65_536)
    assert 0.7 * noise.nbytes < len(packing.pack(noise)) < noise.nbytes
