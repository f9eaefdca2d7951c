"""Protects columns of Parquet tables as arrays, for clients that cannot read Parquet."""

from __future__ import annotations

import datetime
import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from one_bridge.server import parquet_columns
from one_bridge.server.endpoint_model import BadInput

UTC = datetime.UTC


@pytest.fixture
def path(tmp_path):
    table = pa.table(
        {
            "whole": pa.array([1, 2, 3], pa.int16()),
            "gaps": pa.array([1, None, 3], pa.int32()),
            "flags": [True, False, True],
            "unsure": [True, None, False],
            "real": pa.array([0.5, None, 1.5], pa.float32()),
            "text": ["a", None, "cde"],
            "kind": pa.array(["x", "y", "x"]).dictionary_encode(),
            "none": pa.nulls(3),
            "when": pa.array([datetime.datetime(2020, 1, 1, tzinfo=UTC)] * 3, pa.timestamp("ns", "UTC")),
            "rows": [[1, 2], [3, 4], [5, 6]],
            "ragged": [[1], [2, 3], []],
            "words": [["a"], ["b"], ["c"]],
            "bytes": [b"a", b"b", b"c"],
        }
    )
    pq.write_table(table, tmp_path / "t.pqt", row_group_size=2)
    return tmp_path / "t.pqt"


def column(path, name):
    return np.load(io.BytesIO(parquet_columns.as_npy(path, name)))


def test_numbers_keep_their_type_and_gaps_are_nan(path):
    assert column(path, "whole").dtype == np.int16 and column(path, "whole").tolist() == [1, 2, 3]
    assert column(path, "flags").tolist() == [True, False, True] and column(path, "flags").dtype == bool
    assert column(path, "real").dtype == np.float32
    for name, expected in (("gaps", [1, np.nan, 3]), ("unsure", [1, np.nan, 0]), ("real", [0.5, np.nan, 1.5])):
        np.testing.assert_array_equal(column(path, name), expected)


def test_text_times_and_rows(path):
    assert column(path, "text").tolist() == ["a", "", "cde"] and column(path, "kind").tolist() == ["x", "y", "x"]
    assert column(path, "none").tolist() == [""] * 3
    assert column(path, "when").tolist() == [datetime.datetime(2020, 1, 1, tzinfo=UTC).timestamp()] * 3
    assert column(path, "rows").tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize("name", ["ragged", "words", "bytes"])
def test_what_fits_into_no_array_is_refused(path, name):
    with pytest.raises(BadInput, match="fit into no array"):
        parquet_columns.as_npy(path, name)


def test_columns_are_named_and_others_refused(path, tmp_path, monkeypatch):
    assert parquet_columns.names(path)[:2] == ["whole", "gaps"]
    with pytest.raises(BadInput, match="no column 'colour'; it has whole"):
        parquet_columns.as_npy(path, "colour")
    monkeypatch.setattr(parquet_columns, "LARGEST", 1)
    with pytest.raises(BadInput, match="is larger than"):
        parquet_columns.as_npy(path, "whole")
    (tmp_path / "a.npy").write_bytes(b"no table")
    with pytest.raises(BadInput, match="Only Parquet"):
        parquet_columns.names(tmp_path / "a.npy")
