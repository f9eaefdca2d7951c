"""Protects data.Aggregate: it is what lies below `aggregates/`, its newest versions are default, damage is named."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pandas as pd
import pytest

from pipeline.schemas import data
from tests.ingest.tree import ingest, rows, write

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

SESSION = "mylab/Subjects/m1/2020-01-01/001"
MOUSE = "aggregates/Subjects/mylab/m1"
NAME = "_ibl_subjectTraining.table.pqt"


@pytest.fixture
def root(database, tmp_path) -> Path:
    write(tmp_path / "root", SESSION)
    return tmp_path / "root"


def save(root: Path, path: str, content: bytes = b"1") -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return file


def actions() -> list[tuple]:
    return [row for row in rows(data.Change, "change_action", "change_path") if row[1].startswith("aggregates")]


def test_what_a_path_says(root):
    save(root, f"{MOUSE}/{NAME}", b"12")
    save(root, f"{MOUSE}/#2022-01-01#/{NAME}")
    save(root, f"aggregates/Tags/2022_release/{NAME}")
    save(root, f"{MOUSE}/.hidden/{NAME}")
    ingest(root)
    columns = ("aggregate_path", "aggregate_relation", "aggregate_identifier", "aggregate_revision",
               "aggregate_default", "aggregate_size")  # fmt: skip
    assert [(*row[:4], bool(row[4]), row[5]) for row in rows(data.Aggregate, *columns)] == [
        (f"{MOUSE}/#2022-01-01#/{NAME}", "subjects", "mylab/m1", "2022-01-01", True, 1),
        (f"{MOUSE}/{NAME}", "subjects", "mylab/m1", "", False, 2),
        (f"aggregates/Tags/2022_release/{NAME}", "tags", "2022_release", "", True, 1),
    ]
    first = data.Aggregate & {"aggregate_size": 2}
    assert first.fetch1("aggregate_hash") == hashlib.md5(b"12", usedforsecurity=False).hexdigest()
    assert not data.Quarantine()


def test_a_second_run_hashes_nothing_and_changes_nothing(root, monkeypatch):
    save(root, f"{MOUSE}/{NAME}")
    ingest(root)
    before, noted = rows(data.Aggregate), actions()
    monkeypatch.setattr("ingest.rows.aggregates._md5", lambda path: pytest.fail(f"{path} is read again"))
    ingest(root)
    assert rows(data.Aggregate) == before
    assert actions() == noted == [("registered", f"{MOUSE}/{NAME}")]


def test_changed_touched_and_lost_files(root):
    """The content of a changed file is noted; a newer version takes the default over and gives it back; QC stays."""
    changed, lost = save(root, f"{MOUSE}/{NAME}"), save(root, f"{MOUSE}/#2022-01-01#/{NAME}")
    ingest(root)
    identity = (data.Aggregate & {"aggregate_revision": ""}).fetch1("aggregate_id")
    data.Aggregate.update1({"aggregate_id": identity, "aggregate_qc": "FAIL"})
    changed.write_bytes(b"other")
    os.utime(lost, ns=(1, 1))
    ingest(root)
    row = (data.Aggregate & {"aggregate_id": identity}).fetch1()
    assert row["aggregate_hash"] == hashlib.md5(b"other", usedforsecurity=False).hexdigest()
    assert (row["aggregate_qc"], row["aggregate_default"]) == ("FAIL", 0)
    lost.unlink()
    ingest(root)
    row = data.Aggregate.fetch1()
    assert row["aggregate_default"] and row["aggregate_id"] == identity
    assert [action for action, _ in actions()] == ["deleted", "registered", "registered", "replaced"]


def test_a_dry_run_writes_nothing(root):
    save(root, f"{MOUSE}/{NAME}")
    save(root, "aggregates/Subjects/stray.txt")
    ingest(root, dry_run=True)
    assert not data.Aggregate() and not actions() and not data.Quarantine()


def test_damage_is_put_into_quarantine_and_the_rest_is_registered(root, tmp_path):
    """One entry each; the sessions are registered all the same, and what is mended is resolved."""
    save(root, f"{MOUSE}/{NAME}")
    save(root, f"{MOUSE}/notes.txt")
    save(root, f"aggregates/Subjects/{NAME}")
    save(root, f"{MOUSE}/#2022-01-01#/more/{NAME}")
    secret = save(tmp_path, "secret.table.pqt", b"outside")
    (root / MOUSE / "outside.table.pqt").symlink_to(secret)
    (root / MOUSE / "lost.table.pqt").symlink_to(root / "nowhere.table.pqt")
    summary = ingest(root)
    assert rows(data.Quarantine, "quarantine_path", "reason") == [
        (f"aggregates/Subjects/{NAME}", "not_alf"),
        (f"{MOUSE}/#2022-01-01#/more/{NAME}", "not_alf"),
        (f"{MOUSE}/lost.table.pqt", "vanished"),
        (f"{MOUSE}/notes.txt", "not_alf"),
        (f"{MOUSE}/outside.table.pqt", "symlink_outside"),
    ]
    assert summary.quarantined == 5 and summary.sessions == 1
    assert rows(data.Aggregate, "aggregate_path") == [(f"{MOUSE}/{NAME}",)]
    (root / MOUSE / "notes.txt").unlink()
    assert ingest(root).resolved == 1


def test_a_file_that_cannot_be_read_keeps_its_row(root, monkeypatch):
    """Until it can be read again; the run ends, and says what is wrong in one entry."""
    file = save(root, f"{MOUSE}/{NAME}")
    ingest(root)
    file.write_bytes(b"changed")

    def refuse(path: Path) -> str:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr("ingest.rows.aggregates._md5", refuse)
        ingest(root)
    assert rows(data.Quarantine, "quarantine_path", "reason") == [(f"{MOUSE}/{NAME}", "permission_denied")]
    assert data.Aggregate.fetch1("aggregate_size") == 1
    assert all(row["run_end"] for row in data.IngestRun().to_dicts())
    assert ingest(root).resolved == 1
    assert data.Aggregate.fetch1("aggregate_size") == 7


def test_a_file_below_another_repository_stays_that_ones(root, tmp_path):
    save(root, f"{MOUSE}/{NAME}", b"first")
    ingest(root, repository="first")
    write(tmp_path / "other", SESSION)
    save(tmp_path / "other", f"{MOUSE}/{NAME}", b"second")
    save(tmp_path / "other", f"{MOUSE}/own.table.pqt")
    ingest(tmp_path / "other", repository="second")
    assert rows(data.Aggregate, "repository", "aggregate_path") == [
        ("first", f"{MOUSE}/{NAME}"), ("second", f"{MOUSE}/own.table.pqt")]  # fmt: skip


def test_a_run_over_a_part_of_the_tree_leaves_aggregates_alone(root):
    file = save(root, f"{MOUSE}/{NAME}")
    ingest(root)
    file.unlink()
    ingest(root / "mylab/Subjects/m1")
    assert len(data.Aggregate()) == 1
    ingest(root)
    assert not data.Aggregate()


def test_the_content_is_not_looked_at(root):
    """A table of any shape is registered; reading it is for who loads it."""
    path = root / MOUSE / NAME
    path.parent.mkdir(parents=True)
    pd.DataFrame({"day": [1]}).to_parquet(path)
    save(root, f"{MOUSE}/empty.table.pqt", b"")
    ingest(root)
    assert len(data.Aggregate()) == 2 and not data.Quarantine()
