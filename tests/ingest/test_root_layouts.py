"""Protects the layout of a data root: decided once, kept, and no lab is invented from the name of a folder."""

from __future__ import annotations

import pytest

from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, data, lab, subject
from tests.ingest.tree import ingest, write

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def test_a_new_folder_does_not_change_the_layout_of_a_root(database, tmp_path):
    root = tmp_path / "mylab"
    write(root, "Subjects/m1/2020-01-01/001")
    assert ingest(root).sessions == 1
    assert data.RepositoryLayout.fetch1("layout", "layout_lab") == ("subjects_folder", "mylab")
    write(root, "other/Subjects/m1/2020-01-02/001")
    summary = ingest(root)
    assert (summary.sessions, summary.sessions_vanished, summary.withheld, summary.quarantined) == (1, 0, 0, 1)
    assert "mixed layouts" in data.Quarantine.fetch1("detail") and len(lab.Lab()) == 1
    assert ingest(root, layout="labs", accept_missing=True).sessions_new == 1
    assert data.RepositoryLayout.fetch1("layout") == "labs"
    assert {row["lab"] for row in acquisition.Session.to_dicts()} == {"mylab", "other"}


def test_the_lab_that_was_given_once_is_remembered(database, tmp_path):
    write(tmp_path / "data", "m1/2020-01-01/001")
    ingest(tmp_path / "data", lab="mylab")
    write(tmp_path / "data", "m1/2020-01-02/001")
    assert ingest(tmp_path / "data").sessions_new == 1
    assert [row["lab"] for row in lab.Lab.to_dicts()] == ["mylab"]


def test_no_lab_is_named_after_a_root_whose_animals_another_lab_has(database, tmp_path):
    lab.Lab.insert1({"lab": "mylab"})
    subject.Subject.insert1({"lab": "mylab", "subject": "m1", "subject_uuid": "7b4ab8f0-5b0c-4d0e-8d8d-111111111111"})
    write(tmp_path / "backup", "Subjects/m1/2020-01-01/001")
    with pytest.raises(NeurojointError, match="--lab mylab"):
        ingest(tmp_path / "backup")
    assert len(lab.Lab()) == 1 and not acquisition.Session()
    assert ingest(tmp_path / "backup", lab="mylab").sessions_new == 1
