"""Trials that a worker takes from its memory are those that the database would give it."""

from __future__ import annotations

import numpy as np
import pytest

import ingest
from pipeline import behavior, behavior_analysis
from pipeline.database import together
from pipeline.schemas.inputs import chosen_task, subject_history, written_trials

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(database, tmp_path):
    """Two sessions with what numbers can be: missing, negative zero, long fractions, integers as floats."""
    for number in ("001", "002"):
        alf = tmp_path / "lab" / "Subjects" / "m1" / "2024-05-06" / number / "alf"
        alf.mkdir(parents=True)
        start = np.cumsum(np.full(40, 1 / 3)) * 7
        np.save(alf / "_ibl_trials.intervals.npy", np.column_stack([start, start + 1.1]))
        np.save(alf / "_ibl_trials.choice.npy", np.tile([1.0, -1.0, np.nan, 0.0], 10))
        np.save(alf / "_ibl_trials.feedbackType.npy", np.tile([1, -1], 20).astype(np.int8))
        np.save(alf / "_ibl_trials.contrastLeft.npy", np.tile([-0.0, np.nan], 20))
        np.save(alf / "_ibl_trials.contrastRight.npy", np.tile([np.nan, 0.0625], 20).astype(np.float32))
        np.save(alf / "_ibl_trials.included.npy", np.tile([True, False], 20))
        np.save(alf / "_ibl_trials.response_times.npy", np.where(np.arange(40) % 7, start + 0.1, np.nan))
    ingest.register(tmp_path)
    return tmp_path


def test_what_is_kept_is_what_the_database_gives(database, folder):
    with together.memory(database):
        behavior.TrialSet.populate()
        rows = [chosen_task.row_of(row) for row in behavior.TrialSet.to_dicts()]
        kept = written_trials.of_tasks(rows)
        assert kept is not None and len(kept) == 2
        for row, trials in zip(rows, kept, strict=True):
            stored = chosen_task.trials_of(row)
            assert {"choice", "included", "contrast_right", "response_times"} <= stored.keys() == trials.keys()
            for name, values in stored.items():
                assert trials[name].dtype == values.dtype, name
                assert np.array_equal(trials[name], values, equal_nan=True), name
        animal = {"lab": rows[0]["lab"], "subject": "m1"}
        assert [len(one.trials["choice"]) for one in subject_history.sessions_of(animal)] == [40, 40]
        assert written_trials.of_tasks([*rows, rows[0] | {"trials_fingerprint": "of other files"}]) is None
    assert written_trials.of_tasks(rows) is None


def test_summaries_are_the_same_with_and_without_memory(database, folder):
    tables = [
        behavior_analysis.SessionPerformance,
        behavior_analysis.PsychometricFit,
        behavior_analysis.BehaviorHistory,
    ]
    with together.memory(database):
        for table in (behavior.TrialSet, *tables):
            table.populate()
    remembered = [table.to_dicts() for table in tables] + [behavior_analysis.DailySummary.to_dicts()]
    for table in tables:
        table.delete(prompt=False, part_integrity="cascade")
        table.populate()
    assert remembered == [table.to_dicts() for table in tables] + [behavior_analysis.DailySummary.to_dicts()]
