"""The main job on real input: from a tree of ALF files to populated behaviour tables, and what is known to come out."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import numpy as np
import pytest

import ingest
from pipeline import acquisition, behavior, behavior_analysis, data, worker
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, to_numpy
from tests import snapshot

pytestmark = pytest.mark.slow

KS014 = {"lab": "ibl_KS014", "subject": "KS014"}
RULES = {"criteria": "ibl_pipeline_2021"}


@pytest.fixture
def populated(database, real_data: Path) -> Path:
    """The real recordings, registered with their metadata and populated."""
    ingest.register(real_data, metadata=[real_data / "sessions.json"])
    worker.drain(registry.populated_tables())
    return real_data


@pytest.mark.slow
def test_real_recordings_become_tables(populated):
    """One long test, since the real recordings are registered and populated once for all of it."""
    if behavior.TrialSet().connection.adapter.backend == "postgresql":
        snapshot.check("realdata")
    for table in registry.populated_tables():
        assert len(table().jobs.errors) == 0, registry.label(table)

    sessions = behavior.TrialSet & KS014
    assert len(sessions) == 15
    assert sum(sessions.to_arrays("n_trials")) == 10_310

    stated = json.loads((populated / "sessions.json").read_text())
    eids = {path: facts["eid"] for path, facts in stated.items() if "eid" in facts}
    assert len(eids) == 15
    for row in (acquisition.Session & KS014).to_dicts():
        path = f"ibl_KS014/Subjects/KS014/{row['session_date']}/{row['session_number']:03d}"
        assert row["eid"] == eids[path], "the real eids"
        assert str(row["start_time"]).startswith(stated[path]["start_time"].replace("T", " ")[:19])

    status = behavior_analysis.SessionTrainingStatus & KS014 & RULES
    reached = {str(row["session_date"]): row for row in status.to_dicts()}
    first = min(date for date, row in reached.items() if row["session_status"] == "trained_1a")
    assert first == "2019-08-22"
    fit = [reached[first][f"window_{name}"] for name in ("bias", "threshold", "lapse_low", "lapse_high")]
    assert fit == pytest.approx([-2.78, 10.46, 0.131, 0.095], abs=0.006)
    training = (behavior_analysis.SubjectTraining & KS014 & RULES).fetch1()
    assert training["training_status"] == "trained_1a"
    assert training["first_dates"]["trained_1a"] == "2019-08-22"
    assert training["next_status"] == "trained_1b"
    assert any("reaction time" in words for words in training["missing_for_next"]), "KS014 has no times, and it says so"

    last = KS014 | {"session_date": datetime.date(2019, 8, 23), "session_number": 1}
    assert (behavior_analysis.SessionPerformance & last).fetch1("performance") == pytest.approx(0.777, abs=5e-4)

    without_times = (behavior.TrialSet & last).fetch1()
    assert without_times["trials_start"] is None
    assert "response_times" in without_times["columns_absent"]
    assert not without_times["trials_complete"]
    assert set(behavior.fetch_trials(last)) == set(without_times["columns_present"])
    assert (behavior_analysis.SessionPerformance & last).fetch1("response_time") is None
    assert (behavior_analysis.PsychometricFit.Block & last & {"block": 50}).fetch1("threshold") > 0

    fixtures = behavior.TrialSet & {"lab": "ibllib_fixtures"}
    assert len(fixtures) == 11
    biased = acquisition.Session & "task_protocol LIKE '%%biased%%'" & {"lab": "ibllib_fixtures"}
    assert set((behavior_analysis.PsychometricFit.Block & biased.proj()).to_arrays("block")) == {20, 50, 80}
    photometry = (behavior.TrialSet & {"lab": "ibl_photometry"}).fetch1()
    assert photometry["n_trials"] == 617
    assert {"first_movement_times", "response_times", "reward_volume"} <= set(photometry["columns_present"])

    for expected in populated.glob("ibllib_fixtures/Subjects/wheel_test/*/001/expected_moves.npz"):
        key = {"subject": "wheel_test", "session_date": expected.parts[-3]}
        moves = to_numpy(fetch_columns(behavior.WheelMoveSet.Move & key, order_by="move_id"))
        truth = np.load(expected, allow_pickle=False)
        np.testing.assert_allclose(moves["move_onset"], truth["onsets"], atol=1e-3)
        np.testing.assert_allclose(moves["move_offset"], truth["offsets"], atol=1e-3)

    refused = data.Quarantine & "resolved IS NULL"
    assert set(refused.to_arrays("reason")) == {"not_alf"}, "only the files whose names are not ALF"
