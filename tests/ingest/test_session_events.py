"""Protects the tables of what else a session's files say, and the list of what is not understood."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from neurojoint.cli import main
from pipeline import worker
from pipeline.schemas import session_events
from tests.ingest.tree import ingest, rows, write

pytestmark = pytest.mark.slow

SESSION = "mylab/Subjects/m1/2020-01-01/001"
TABLES = [
    session_events.PassiveReplay, session_events.SparseNoise, session_events.SpontaneousActivity,
    session_events.ExtraReward, session_events.Eye, session_events.PublishedWheelMoves,
]  # fmt: skip


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_files_in_published_names_fill_the_tables_and_follow_a_change(database, tmp_path):
    alf = write(tmp_path, SESSION) / "alf"
    np.save(alf / "passiveVisual.times.npy", np.array([[10.0], [12.0]]))
    np.save(alf / "passiveVisual.contrastLeft.npy", np.array([[0.5], [0.0]]))
    np.save(alf / "passiveVisual.contrastRight.npy", np.array([[0.0], [1.0]]))
    np.save(alf / "passiveValveClick.times.npy", np.array([[11.0]]))
    np.save(alf / "sparseNoise.times.npy", np.arange(5.0)[:, None])
    np.save(alf / "sparseNoise.positions.npy", np.array([[0, 1], [0, 1], [2, 1], [2, 2], [0, 1]], float))
    np.save(alf / "spontaneous.intervals.npy", np.array([[100.0, 160.0], [200.0, 250.0]]))
    np.save(alf / "_ibl_extraRewards.times.npy", np.array([7.0, 8.0]))
    np.save(alf / "eye.area.npy", np.array([1.0, 3.0, np.nan, 2.0]))
    np.save(alf / "eye.blink.npy", np.array([False, False, True, False])[:, None])
    np.save(alf / "eye.timestamps.npy", np.array([[0, 5.0], [3, 8.0]]))
    np.save(alf / "_ns_wheelMoves.intervals.npy", np.array([[1.0, 2.0], [3.0, 4.0]]))
    (alf / "_ns_wheelMoves.type.csv").write_text("CW,CW")
    summary = ingest(tmp_path)
    assert summary.reasons == {}
    worker.drain(TABLES)
    events = rows(session_events.PassiveReplay.Event, "replay_start", "replay_kind", "replay_contrast_left")
    assert events == [(10.0, "visual", 0.5), (11.0, "valve", None), (12.0, "visual", 0.0)]
    assert session_events.SparseNoise.fetch1("n_squares", "n_places", "noise_end") == (5, 3, 4.0)
    assert session_events.SpontaneousActivity.fetch1("spontaneous_duration") == 110
    assert rows(session_events.ExtraReward.Reward, "extra_reward_time") == [(7.0,), (8.0,)]
    assert session_events.Eye.fetch1("eye_start", "eye_end", "eye_area", "eye_blink") == (5.0, 8.0, 2.0, 0.25)
    assert rows(session_events.PublishedWheelMoves.Move, "published_onset", "published_type") == [
        (1.0, "CW"),
        (3.0, "CW"),
    ]


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_what_is_not_understood_is_listed_with_its_shape_and_a_suggestion(database, tmp_path):
    alf = write(tmp_path, SESSION) / "alf"
    np.save(alf / "trials.contrast_left.npy", np.zeros(6))
    np.save(alf / "widefield.signal.npy", np.zeros((100, 4)))
    table = {"choice": np.ones(6), "myOwnColumn": np.arange(6)}
    other = write(tmp_path, SESSION.replace("m1", "m2"), choice=None) / "alf"
    pq.write_table(pa.table(table), other / "_ibl_trials.table.pqt")
    root = ["ingest", str(tmp_path), "--no-compress", "--report"]
    result = CliRunner().invoke(main, root, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    said = result.output
    assert "trials.contrast_left.npy: 1 file in 1 session, shape (6,) of float64" in said
    assert "perhaps trials.contrastLeft: stimulus on the left" in said
    assert "widefield.signal.npy: 1 file in 1 session, shape (100, 4) of float64" in said
    assert "no known type has a similar name" in said.partition("widefield.signal.npy")[2].partition("trials.")[0]
    assert "trials.myOwnColumn: a column in 1 session\n    kept as a column of the lab's own" in said
    assert "choice" not in said.partition("not understood")[2].replace("trials.choice", "")
