"""A session whose files come from two data roots has the objects of both, whichever was registered first."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline import settings
from pipeline.schemas import acquisition, data
from pipeline.schemas.inputs import files
from tests.conftest import empty_tables
from tests.ingest.tree import ingest, rows, write

SESSION = "lab/Subjects/m1/2020-01-01/001"
pytestmark = [pytest.mark.slow, pytest.mark.one_database]
KEY = {"lab": "lab", "subject": "m1", "session_date": "2020-01-01", "session_number": 1}
CONTRASTS = {"contrastLeft": None, "contrastRight": None}
CHOICES = {"choice": None, "feedbackType": None}


def objects() -> list[tuple]:
    recorded = rows(data.AlfObject, "object_collection", "object_name", "object_fingerprint", "accepted_columns",
                 "refused_columns")  # fmt: skip
    return [(*row[:3], "".join(sorted(row[3].split(","))), str(row[4])) for row in recorded]


def tasks() -> list[tuple]:
    return rows(acquisition.SessionTask, "task_collection", "task_number")


def wheel(root: Path) -> None:
    folder = root / SESSION / "alf"
    folder.mkdir(parents=True, exist_ok=True)
    np.save(folder / "_ibl_wheel.position.npy", np.arange(5.0))
    np.save(folder / "_ibl_wheel.timestamps.npy", np.arange(5.0))


@pytest.fixture
def roots(tmp_path) -> list[Path]:
    """The choices of the trials in one root, their contrasts in another, the wheel and copies in a third."""
    parts = [tmp_path / name for name in ("one", "two", "three")]
    write(parts[0], SESSION, **CONTRASTS)
    write(parts[1], SESSION, **CHOICES)
    write(parts[2], SESSION, **CHOICES)
    wheel(parts[2])
    return parts


def test_the_objects_of_a_session_are_those_of_all_its_roots(database, roots, tmp_path):
    whole = tmp_path / "whole"
    write(whole, SESSION)
    wheel(whole)
    ingest(whole)
    expected, of_tasks = objects(), tasks()
    assert len(expected) == 2 and of_tasks
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        empty_tables(database)
        for number in order:
            ingest(roots[number])
        assert objects() == expected and tasks() == of_tasks, order
        for root in roots:
            assert ingest(root).sessions_changed == 0
        assert objects() == expected, order
    read = files.read_object(KEY, "trials", ["choice", "contrast_left"])
    assert len(read.values["choice"]) == len(read.values["contrast_left"]) == 6


def test_what_one_root_loses_another_still_has(database, roots):
    for root in roots:
        ingest(root)
    before = objects()
    shutil.rmtree(roots[1] / "lab")  # its contrasts are in the third, too
    (roots[1] / "lab/Subjects/m1").mkdir(parents=True)
    ingest(roots[1], accept_missing=True)
    assert objects() == before and tasks()
    shutil.rmtree(roots[0] / "lab")
    (roots[0] / "lab/Subjects/m1").mkdir(parents=True)
    ingest(roots[0], accept_missing=True)
    ((_, _, _, accepted, _),) = [row for row in objects() if row[1] == "trials"]
    assert "contrast" in accepted and "choice" not in accepted


def test_a_column_that_does_not_fit_the_others_is_refused_whichever_root_it_is_in(database, roots, tmp_path):
    one, two = tmp_path / "a", tmp_path / "b"
    write(one, SESSION, contrastRight=None)
    write(two, SESSION, **CHOICES, contrastLeft=None, contrastRight=np.ones(9))
    collected = []
    for order in ((one, two), (two, one)):
        empty_tables(database)
        for root in order:
            ingest(root)
        collected.append(objects())
    assert collected[0] == collected[1]
    ((*_, accepted, refused),) = collected[0]
    assert "contrast_right" in refused and "unequal_length" in refused and "choice" in "".join(accepted)


def test_a_root_that_is_away_is_remembered(database, roots):
    ingest(roots[0])
    ingest(roots[1])
    before = objects()
    away = roots[0].with_name("away")
    roots[0].rename(away)
    (roots[1] / SESSION / "alf/_ibl_trials.contrastLeft.npy").touch()
    ingest(roots[1])
    assert objects() == before
    away.rename(roots[0])
    with settings.override():
        assert ingest(roots[0]).sessions_changed == 0 and objects() == before
