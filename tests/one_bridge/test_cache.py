"""The real client reads the exported tables on the data root, and finds the database's ids, QC, revisions and files."""

from __future__ import annotations

import datetime
import json
import os
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from one.api import One

from neurojoint.cli import main
from one_bridge import cache, dataset_admin
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, data
from tests.one_bridge.trees import File, Session, build, dataset_id

pytestmark = pytest.mark.slow

FILES = [
    File("alf/_ibl_trials.choice.npy", np.ones(3), "PASS", default=False),
    File("alf/#2021-01-01#/_ibl_trials.choice.npy", np.zeros(3), "WARNING"),
    File("alf/_ibl_trials.intervals.npy", np.ones((3, 2))),
]
SESSION = Session(projects=("b", "a"), protocol="training", files=FILES, probes=("probe01", "probe00"))


@pytest.fixture
def root(database, tmp_path) -> Path:
    build(tmp_path / "data", [SESSION, Session(number=2)])
    return tmp_path / "data"


def test_the_client_works_on_the_data_root(root):
    cache.export(root)
    one = One(root)
    assert one.search(project="a", task="training") == [SESSION.eid]
    assert one.load_dataset(SESSION.eid, "_ibl_trials.choice.npy").tolist() == [0, 0, 0]
    assert one.load_object(SESSION.eid, "trials").intervals.shape == (3, 2)
    assert one.list_datasets(SESSION.eid, qc="PASS") == ["alf/_ibl_trials.choice.npy", "alf/_ibl_trials.intervals.npy"]
    assert one._cache["_meta"]["loaded_time"]
    pids = one._cache["insertions"].loc[SESSION.eid]
    assert dict(zip(pids["name"], pids.index, strict=True))["probe00"] == uuid.uuid3(SESSION.eid, "probe00")


def test_types_and_marks_are_those_the_client_demands(root):
    cache.export(root)
    sessions, datasets = pd.read_parquet(root / "sessions.pqt"), pd.read_parquet(root / "datasets.pqt")
    assert sessions.index.name == "id"
    assert list(datasets.index.names) == ["eid", "id"]
    assert sessions.index.is_monotonic_increasing
    assert datasets.index.is_monotonic_increasing
    assert isinstance(sessions["date"].iloc[0], datetime.date)
    assert sessions["number"].dtype == np.uint16
    assert str(datasets["file_size"].dtype) == "UInt64"
    assert datasets["file_size"].notna().all()
    assert datasets["hash"].str.len().eq(32).all()
    assert datasets["qc"].cat.ordered
    assert datasets["qc"].cat.categories.tolist() == ["NOT_SET", "PASS", "WARNING", "FAIL", "CRITICAL"]
    assert not sessions[["projects", "task_protocol"]].isna().any().any()
    assert sorted(sessions["projects"]) == ["", "a,b"]
    assert datasets["default_revision"].sum() == 2
    info = json.loads((root / "cache_info.json").read_text())
    marks = json.loads(pq.read_schema(root / "datasets.pqt").metadata[b"one_metadata"])
    assert marks["origin"] == info["origin"] == cache.ORIGIN
    assert datetime.datetime.fromisoformat(marks["date_created"])
    assert info["tables"]["datasets.pqt"] == {"nrecs": 3}


def test_an_empty_database_gives_tables_that_load(database, tmp_path):
    cache.export(tmp_path)
    one = One(tmp_path)
    assert one.search() == []
    assert one.list_datasets() == []


def test_a_tag_has_tables_of_its_own(root):
    dataset_admin.define_tag("release")
    dataset_admin.tag("release", data.Dataset & {"alf_attribute": "intervals"})
    cache.export(root / "release", "release")
    one = One(root, tables_dir=root / "release")
    assert one.list_datasets() == ["alf/_ibl_trials.intervals.npy"]
    assert one.search() == [SESSION.eid]
    assert json.loads((root / "release/cache_info.json").read_text())["database_tags"] == ["release"]
    with pytest.raises(NeurojointError, match="tags are: release"):
        cache.export(root, "x")


def test_a_failure_leaves_the_old_tables_and_no_scraps(root, monkeypatch):
    cache.export(root)
    before = {path.name: path.read_bytes() for path in root.glob("*.*") if path.is_file()}
    acquisition.Session.update1((acquisition.Session & {"session_number": 2}).keys()[0] | {"task_protocol": "new"})
    written = pq.write_table

    def fail_at_datasets(table, file, **options):
        if "rel_path" in table.column_names:
            raise OSError(28, os.strerror(28), str(file))
        written(table, file, **options)

    monkeypatch.setattr(cache.pq, "write_table", fail_at_datasets)
    with pytest.raises(OSError, match="No space"):
        cache.export(root)
    assert {path.name: path.read_bytes() for path in root.iterdir() if path.is_file()} == before


def test_commands_write_tables_tag_and_judge(root):
    run = CliRunner()

    def command(*words: str) -> str:
        result = run.invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.output

    assert str(root / "out/sessions.pqt") in command("cache", str(root / "out"))
    command("tag", "define", "release", "--protected", "--description", "first")
    assert command("tag", "add", "release", "--subject", "KS014", "--name", "_ibl_trials.choice.npy") == (
        "2 datasets added to release\n"
    )
    assert command("tag", "add", "release", "--revision", "2021").startswith("0 datasets")
    assert command("tag", "remove", "release", "--revision", "2021").startswith("1 datasets")
    assert command("tag", "list") == "release  1  protected  first\n"
    command("tag", "define", "release", "--public")
    assert command("tag", "list") == "release  1  protected  public  first\n"
    assert command("qc", "FAIL", "--session", str(SESSION.eid)) == "1 sessions changed to FAIL\n"
    assert (acquisition.Session & {"session_qc": "FAIL"}).to_dicts()[0]["eid"] == str(SESSION.eid)
    assert command("qc", "CRITICAL", "--name", "_ibl_trials.intervals.npy") == "1 datasets changed to CRITICAL\n"
    assert (data.Dataset & {"dataset_qc": "CRITICAL"}).to_dicts()[0]["dataset_id"] == str(
        dataset_id(SESSION, "alf/_ibl_trials.intervals.npy")
    )
    assert {"tagged", "untagged", "qc"} <= set(data.Change.to_arrays("change_action"))
    for words, message in (
        (("qc", "PASS"), "nothing is named"),
        (("tag", "add", "nonsense", "--lab", "simlab"), "there is no tag"),
        (("tag", "define", "a/b"), "cannot be a tag"),
        (("tag", "add", "release", "--date", "2020-99-99"), "no range of dates"),
    ):
        result = run.invoke(main, words)
        assert result.exit_code == 1
        assert message in result.output


def test_commands_edit_revisions_and_repositories(root, tmp_path):
    run = CliRunner()

    def command(*words: str) -> str:
        result = run.invoke(main, words)
        assert result.exit_code == 0, result.output
        return result.output

    command("revision", "define", "2021-01-01", "--description", "spikes sorted again")
    command("revision", "define", "test")
    assert command("revision", "list") == "2021-01-01  1  spikes sorted again\ntest  0\n"
    command("revision", "remove", "test")
    assert data.Revision().to_dicts() == [{"revision": "2021-01-01", "revision_description": "spikes sorted again"}]
    command("repository", "define", "archive", "--kind", "http", "--root", "https://x.org/data")
    (tmp_path / "moved").mkdir()
    command("repository", "define", "local", "--root", str(tmp_path / "moved"))
    assert command("repository", "list") == (
        f"archive  0  http  https://x.org/data\nlocal  3  local  {tmp_path / 'moved'}\n"
    )
    command("repository", "remove", "archive")
    assert data.Repository().fetch1("repository") == "local"
    assert {"created", "changed", "removed"} <= set(data.Change.to_arrays("change_action"))
    for words, message in (
        (("revision", "remove", "2021-01-01"), "1 datasets have the revision"),
        (("revision", "remove", "x"), "there are: 2021-01-01"),
        (("revision", "define", "a/b"), "cannot be a revision"),
        (("repository", "remove", "local"), "3 files are recorded"),
        (("repository", "define", "new"), "give --root"),
    ):
        result = run.invoke(main, words)
        assert result.exit_code == 1 and message in result.output, result.output
