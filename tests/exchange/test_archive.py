"""Archives: what is published is there, what lies there is found, what is asked for comes back, and only that."""

from __future__ import annotations

import shutil

import pytest

from exchange.archive import discover, publish
from exchange.transfers.retrieve import retrieve
from pipeline.errors import NeurojointError
from pipeline.schemas import data
from tests.exchange.transfers import servers
from tests.exchange.transfers.lab import RAW, SESSION, add_place, add_repository, build, copies, new_bucket
from tests.ingest.tree import ingest, rows

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture(scope="module")
def s3():
    with servers.s3_server() as server:
        yield server


def forget() -> None:
    """A database that never saw the lab; the repositories stay."""
    from pipeline.provenance.delete import delete
    from pipeline.schemas import subject

    delete(subject.Subject, "a test")


def test_raw_files_are_published_and_a_laboratory_that_never_had_them_finds_them(database, tmp_path, s3):
    build(tmp_path / "rig", sessions=2)
    add_place("bucket", s3.place(new_bucket(s3)), access_archive=True)
    summary = publish({"session_number": 1}, "bucket")
    assert summary.files == 1 and set(copies("bucket")) == {RAW}
    publish({"session_number": 2}, "bucket", everything=True)
    assert len(copies("bucket")) == 6
    with pytest.raises(NeurojointError, match="no raw file fits"):
        publish({"session_number": 3}, "bucket")
    before = set(rows(data.Dataset, "dataset_id", "rel_path", "dataset_hash", "file_size", "dataset_online"))
    expected = copies("bucket")
    from pipeline.schemas import transfer

    for table in (transfer.Transfer.Item, transfer.Transfer):
        table.delete_quick()
    forget()
    discovered = discover("bucket", dry_run=True)
    assert (discovered.new, discovered.known) == (6, 0) and not data.Dataset()
    discovered = discover("bucket")
    assert (discovered.new, discovered.sessions, discovered.differing, discovered.unknown) == (6, 2, {}, [])
    assert copies("bucket") == expected
    after = set(rows(data.Dataset, "dataset_id", "rel_path", "dataset_hash", "file_size", "dataset_online"))
    assert after <= before and len(after) == 6
    assert discover("bucket").known == 6, "a second look reads nothing"
    add_repository("desk", tmp_path / "desk")
    retrieve({"session_number": 1}, to="desk")
    assert set(copies("desk")) == {RAW}
    assert ingest(tmp_path / "desk", repository="desk").quarantined == 0


def test_what_differs_or_is_no_file_of_a_session_is_said_and_not_recorded(database, tmp_path):
    build(tmp_path / "rig")
    shutil.copytree(tmp_path / "rig", tmp_path / "old")
    (tmp_path / "old" / RAW).write_bytes(b"another")
    (tmp_path / "old" / "notes.pdf").write_bytes(b"x")
    (tmp_path / "old" / SESSION / "alf" / "README.md").write_bytes(b"passed over, as ever")
    add_repository("old", tmp_path / "old")
    discovered = discover("old")
    assert (discovered.recorded, discovered.new) == (4, 0)
    assert list(discovered.differing) == [RAW] and discovered.unknown == ["notes.pdf"]
    assert RAW not in copies("old") and len(copies("old")) == 4
    (tmp_path / "old" / SESSION / "alf" / "_ibl_trials.choice.npy").unlink()
    assert discover("old").absent == [f"{SESSION}/alf/_ibl_trials.choice.npy"]
    assert len(copies("old")) == 4, "that it is gone is for a check to decide"
