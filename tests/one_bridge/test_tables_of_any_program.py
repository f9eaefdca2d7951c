"""Protects tables that pyarrow, Polars, R or DuckDB wrote: the class, the client over HTTP and the client on the cache
tables load them, and a download is not taken for a damaged file."""

from __future__ import annotations

import logging

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from one.api import One

from ingest import register
from neurojoint.cli import main
from one_bridge import ONE
from pipeline.schemas import acquisition, data
from tests.one_bridge.remote import client

pytestmark = pytest.mark.slow

FOLDER = "simlab/Subjects/m1/2020-01-01/001/alf"
TABLE = {"choice": [1.0, -1.0], "feedbackType": [1.0, -1.0], "intervals_0": [0.0, 1.0], "intervals_1": [1.0, 2.0]}


@pytest.fixture
def root(database, tmp_path):
    folder = tmp_path / "data" / FOLDER
    folder.mkdir(parents=True)
    pq.write_table(pa.table(TABLE), folder / "_ibl_trials.table.pqt")
    np.save(folder / "_ibl_trials.rewardVolume.npy", np.array([1.0, 0.0]))
    register(tmp_path / "data", processes=1)
    return tmp_path / "data"


def check(trials):
    assert list(trials["choice"]) == TABLE["choice"] and trials["intervals"].shape == (2, 2)
    assert list(trials["rewardVolume"]) == [1.0, 0.0]


def test_over_http(root, serve, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HOME", str(tmp_path))
    one = client(serve(root), tmp_path)
    eid = acquisition.Session.fetch1("eid")
    with caplog.at_level(logging.WARNING):
        check(one.load_object(eid, "trials"))
        check(one.load_object(eid, "trials"))  # hash and size of the first download are those of the record
    assert not [message for message in caplog.messages if "mismatch" in message]
    record = one.alyx.rest("datasets", "list", session=eid, name="_ibl_trials.table.pqt")[0]
    assert record["file_size"] > (data.Dataset & {"dataset_id": record["id"]}).fetch1("file_size")
    one.load_cache()
    check(one.load_object(eid, "trials"))


def test_in_the_class_and_on_cache_tables(root):
    eid = acquisition.Session.fetch1("eid")
    check(ONE().load_object(eid, "trials"))
    told = CliRunner().invoke(main, ["cache", str(root)], catch_exceptions=False)
    assert "--mend-tables" in told.output
    before = data.FileRecord.to_arrays("record_hash")
    CliRunner().invoke(main, ["cache", str(root), "--mend-tables"], catch_exceptions=False)
    check(One(root).load_object(eid, "trials"))
    assert len(set(before) ^ set(data.FileRecord.to_arrays("record_hash"))) == 2
    assert (data.Change & {"change_action": "replaced"}).fetch1("change_path").endswith("table.pqt")
    assert "--mend-tables" not in CliRunner().invoke(main, ["cache", str(root)]).output
