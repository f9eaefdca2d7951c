"""Small files that unpack into large ones are refused before they are unpacked; files that change are not believed."""

from __future__ import annotations

import io
import zlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.io

from pipeline.alf import reader
from pipeline.errors import InvalidData

LIMIT = 4 << 20


@pytest.fixture
def small_limit(monkeypatch):
    monkeypatch.setattr(reader, "LARGEST_ARRAY", LIMIT)


def test_a_parquet_file_of_repeated_values(small_limit):
    buffer = io.BytesIO()
    pq.write_table(pa.table({"choice": pa.array(np.zeros(2_000_000, np.int64))}), buffer, compression="zstd")
    assert len(buffer.getvalue()) < 50_000
    with pytest.raises(InvalidData, match="unpacked it is larger"):
        reader.load(buffer.getvalue(), "_ibl_trials.table.pqt")


def test_a_matlab_file_of_zeros(small_limit):
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"choice": np.zeros((2_000_000, 1))}, do_compression=True)
    assert len(buffer.getvalue()) < 50_000
    with pytest.raises(InvalidData, match="unpacked it is larger"):
        reader.load(buffer.getvalue(), "_ibl_trials.table.mat")


def test_a_matlab_file_whose_compressed_part_is_damaged():
    buffer = io.BytesIO()
    scipy.io.savemat(buffer, {"choice": np.zeros((20, 1))}, do_compression=True)
    content = bytearray(buffer.getvalue())
    content[150] ^= 0xFF
    with pytest.raises(InvalidData):
        reader.load(bytes(content), "_ibl_trials.table.mat")


def test_an_array_that_claims_more_than_the_file_holds():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(4))
    content = buffer.getvalue().replace(b"(4,)", b"(9999999999,)")
    with pytest.raises(InvalidData):
        reader.load(content, "_ibl_trials.choice.npy")


@pytest.mark.parametrize("name", ["_ibl_trials.choice.npy", "_ibl_trials.table.pqt", "_ibl_trials.table.mat"])
def test_a_compressed_stream_under_another_name_is_not_unpacked(name):
    with pytest.raises(InvalidData):
        reader.load(zlib.compress(bytes(1 << 20)), name)
