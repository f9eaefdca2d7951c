"""The version that the pages poll changes with every table that they may show, without a list kept by hand."""

from __future__ import annotations

import datetime

import pytest

from dashboard import data_version
from pipeline.database import registry

pytestmark = pytest.mark.slow


def test_a_row_of_any_table_changes_the_version(database):
    from pipeline.schemas import action, lab, subject

    seen = {data_version.look()}
    lab.Lab.insert1({"lab": "alab"})
    seen.add(data_version.look())
    uuid = "00000000-0000-4000-8000-000000000001"
    subject.Subject.insert1({"lab": "alab", "subject": "m1", "subject_uuid": uuid})
    seen.add(data_version.look())
    when = datetime.datetime(2024, 5, 6, 8)
    action.Weighing.insert1({"lab": "alab", "subject": "m1", "weighing_time": when, "weight": 20.0})
    seen.add(data_version.look())
    assert len(seen) == 4
    assert data_version.look() in seen, "the same rows give the same version"


def test_a_new_table_is_part_of_the_version(database, monkeypatch):
    from pipeline.schemas import behavior, lab

    tables = list(registry.tables())
    monkeypatch.setattr(registry, "tables", lambda: iter([table for table in tables if table is not lab.Lab]))
    without = data_version.look()
    monkeypatch.setattr(registry, "tables", lambda: iter(tables))
    assert data_version.look() != without and behavior.TrialSet in tables
