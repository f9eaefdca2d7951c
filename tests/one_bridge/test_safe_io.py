"""Protects the loading of files: as `one.alf.io` loads them, Parquet of any program included, and never a pickle."""

from __future__ import annotations

import json

import numpy as np
import one.alf.io as alfio
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from iblutil.io import parquet

from one_bridge import parquet_metadata, safe_io
from pipeline.errors import InvalidData

TABLE = {"choice": [1.0, -1.0, 0.0], "side": ["left", "right", "left"], "n_0": [1, 2, 3]}


def by_pyarrow(path):
    pq.write_table(pa.table(TABLE), path)


def by_polars(path):
    pytest.importorskip("polars").DataFrame(TABLE).write_parquet(path)


def by_duckdb(path):
    duckdb = pytest.importorskip("duckdb")
    frame = pd.DataFrame(TABLE)  # noqa: F841 - duckdb finds it by its name
    duckdb.sql(f"COPY (SELECT * FROM frame) TO '{path}' (FORMAT parquet)")


def by_dictionaries_and_groups(path):
    table = pa.table(TABLE | {"side": pa.array(TABLE["side"]).dictionary_encode()})
    pq.write_table(table, path, row_group_size=1, compression="zstd", version="1.0")


def by_pandas(path):
    pd.DataFrame(TABLE).to_parquet(path)


WRITERS = [by_pyarrow, by_polars, by_duckdb, by_dictionaries_and_groups, by_pandas]


@pytest.mark.parametrize("write", WRITERS)
def test_tables_of_any_program_are_read(tmp_path, write):
    write(tmp_path / "trials.table.pqt")
    np.save(tmp_path / "trials.rt.npy", np.arange(3.0))
    loaded = safe_io.load_object(tmp_path, "trials")
    assert list(loaded["choice"]) == TABLE["choice"] and list(loaded["side"]) == TABLE["side"]
    assert list(loaded["n_0"]) == TABLE["n_0"] and list(loaded["rt"]) == [0.0, 1.0, 2.0]


@pytest.mark.parametrize("write", WRITERS)
def test_the_client_reads_any_table_with_its_new_footer(tmp_path, write):
    """And nothing of the data changes: bytes before the footer, types, rows."""
    path, served = tmp_path / "a.table.pqt", tmp_path / "b.table.pqt"
    write(path)
    footer = parquet_metadata.missing_footer(path)
    if footer is None:  # the client can read it as it is
        assert parquet.load(path)[0].shape == (3, 3)
        return
    served.write_bytes(b"".join(parquet_metadata.content(path, footer)))
    frame, _ = parquet.load(served)
    pd.testing.assert_frame_equal(frame, pq.read_table(path).to_pandas())
    assert served.read_bytes()[: footer.begin] == path.read_bytes()[: footer.begin]
    assert pq.ParquetFile(served).schema == pq.ParquetFile(path).schema
    assert parquet_metadata.missing_footer(served) is None


def test_what_is_no_parquet_file_is_said(tmp_path):
    path = tmp_path / "a.table.pqt"
    for content in (b"", b"PAR1", b"x" * 100, b"PAR1" + bytes(range(256)) + (9).to_bytes(4, "little") + b"PAR1"):
        path.write_bytes(content)
        with pytest.raises(ValueError):
            parquet_metadata.missing_footer(path)


@pytest.mark.parametrize("short_keys", [False, True])
def test_objects_are_those_of_the_client(tmp_path, short_keys):
    """Metadata files, columns, time scales, extra parts, tables with time scales, timestamps to interpolate."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "obj.matrix.npy", rng.random((6, 2)))
    (tmp_path / "obj.matrix.metadata.json").write_text(json.dumps({"columns": ["a", "b"], "unit": "s"}))
    if short_keys:  # the client takes the file of metadata for an attribute then
        (tmp_path / "obj.matrix.metadata.json").unlink()
    np.save(tmp_path / "obj.times_bpod.npy", rng.random((6, 1)))
    np.save(tmp_path / "obj.timestamps.npy", np.array([[0, 10.0], [5, 11.0]]))
    np.save(tmp_path / "obj.rate.extra.npy", rng.random(6))
    parquet.save(tmp_path / "obj.table_bpod.more.pqt", pd.DataFrame({"x": range(6), "y_0": range(6), "y_1": range(6)}))
    (tmp_path / "obj.names.tsv").write_text("names\n" + "n\n" * 6)
    np.save(tmp_path / "other.times.npy", rng.random(3))
    ours, theirs = (load(tmp_path, "obj", short_keys=short_keys) for load in (safe_io.load_object, alfio.load_object))
    assert list(ours) == list(theirs)
    for key, value in theirs.items():
        if isinstance(value, dict | str):
            assert ours[key] == value
        else:
            np.testing.assert_array_equal(ours[key], value)
            assert type(ours[key]) is type(value)
    for bad in ((tmp_path,), (tmp_path, "absent"), ([tmp_path / "obj.rate.extra.npy", tmp_path / "other.times.npy"],)):
        with pytest.raises((ValueError, alfio.ALFObjectNotFound)):
            safe_io.load_object(*bad)


def test_a_pickle_is_never_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath("sprung").touch, ())

    np.save(tmp_path / "obj.trap.npy", np.array([Trap()], dtype=object), allow_pickle=True)
    (tmp_path / "obj.plain.npy").write_bytes(__import__("pickle").dumps(Trap()))
    for name in ("trap", "plain"):
        with pytest.raises((InvalidData, ValueError)):
            safe_io.load_object([tmp_path / f"obj.{name}.npy"])
    assert not (tmp_path / "sprung").exists()


def test_several_files_of_one_attribute_raise_what_the_reader_of_one_raises(tmp_path):
    files = [tmp_path / name for name in ("trials.choice.npy", "_ibl_trials.choice.npy")]
    for file in files:
        np.save(file, np.zeros(3))
    for reader in (safe_io.load_object, alfio.load_object):
        with pytest.raises(AssertionError, match="restrict"):
            reader(files)
