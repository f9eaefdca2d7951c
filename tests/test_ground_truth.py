"""From simulated files through all tables: every analysis gives back what generated the data, within tolerances."""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator

import numpy as np
import pytest
from scipy import stats

import ingest
from ingest.simulate import write_lab
from pipeline import acquisition, action, behavior, behavior_analysis, data, subject, worker
from pipeline.database import registry
from pipeline.database.bulk import fetch_columns, to_numpy
from tests import snapshot

pytestmark = pytest.mark.slow

RULES = {"criteria": "ibl_pipeline_2021"}


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict]:
    """A simulated lab on disk, with what generated it."""
    root = tmp_path_factory.mktemp("ground_truth") / "lab0"  # the repository is called so in the snapshot
    root.mkdir()
    truth = json.loads(write_lab(root, n_mice=2, n_sessions=18, seed=3).read_text())
    truth["root"] = root
    return truth


@pytest.fixture
def populated(database, truth: dict) -> dict:
    """That lab in the tables."""
    ingest.register(truth["root"], metadata=[truth["root"]])
    worker.drain(registry.populated_tables())
    for table in registry.populated_tables():
        assert len(table().jobs.errors) == 0, registry.label(table)
    assert len(data.Quarantine()) == 0
    return truth


def key_of(session: dict) -> dict:
    return {
        "lab": "simlab",
        "subject": session["subject"],
        "session_date": datetime.date.fromisoformat(session["date"]),
        "session_number": session["number"],
    }


@pytest.mark.slow
def test_the_tables_hold_the_truth(populated):
    """One test, since the lab is populated once for all of it."""
    if behavior.TrialSet().connection.adapter.backend == "postgresql":
        snapshot.check("demo")
    sessions = populated["sessions"]
    assert len(behavior.TrialSet()) == len(sessions) == len(acquisition.Session())
    facts_of_sessions(sessions)
    counts_and_performance(sessions)
    psychometric_parameters(sessions)
    reaction_times(sessions)
    wheel_movements(populated, sessions[-6:])
    training_course(populated)
    weights_and_water(populated)


def facts_of_sessions(sessions: list[dict]) -> None:
    rows = {(row["subject"], str(row["session_date"]), row["session_number"]): row for row in acquisition.Session()}
    for session in sessions:
        row = rows[session["subject"], session["date"], session["number"]]
        assert session["protocol"] in row["task_protocol"]
        start = datetime.datetime.fromisoformat(session["start_time"]).replace(tzinfo=None)
        assert abs((row["start_time"] - start).total_seconds()) < 1
        assert row["start_delay"] == session["delay"]
        assert row["eid"] == (session["eid"] or row["eid"])


def counts_and_performance(sessions: list[dict]) -> None:
    """Exact: they are counts."""
    for session in sessions:
        assert (behavior.TrialSet & key_of(session)).fetch1("n_trials") == session["n_trials"]
        assert (behavior_analysis.SessionPerformance & key_of(session)).fetch1("n_correct") == session["n_correct"]


def psychometric_parameters(sessions: list[dict]) -> None:
    """Of the identified fits, generating parameters lie within 2 standard errors about as often as they should."""
    z = {name: [] for name in ("bias", "threshold", "lapse_low", "lapse_high")}
    for session in sessions:
        for row in behavior_analysis.PsychometricFit.Block & key_of(session):
            for name in z:
                error = row[f"{name}_error"]
                if row["identifiable"] and error:
                    z[name].append((row[name] - session["blocks"][str(row["block_probability_left"])][name]) / error)
    for name, values in z.items():
        inside = np.mean(np.abs(values) < 2)
        assert len(values) > 10, name
        assert inside > 0.8, f"{name}: {inside:.2f} of {len(values)} within 2 standard errors"
        assert abs(np.median(values)) < 0.75, f"{name} is biased by {np.median(values):.2f} standard errors"


def reaction_times(sessions: list[dict]) -> None:
    """The median of n log-normal times scatters by sigma * 1.25 / sqrt(n) in the logarithm: 4 of these at most."""
    seen = 0
    for session in sessions:
        row = (behavior_analysis.SessionPerformance & key_of(session)).fetch1()
        for contrast, n, median in zip(row["contrasts"], row["contrast_n"], row["contrast_response_time"], strict=True):
            if n >= 30:
                expected = session["rt_median"][f"{abs(contrast):g}"]
                tolerance = 4 * session["rt_sigma"] * 1.25 / np.sqrt(n)
                assert abs(np.log(median / expected)) < tolerance, (session["path"], contrast)
                seen += 1
    assert seen > 100


def wheel_movements(populated: dict, sessions: list[dict]) -> None:
    """At least 95 % of the true movements are found, their onsets at the median within 30 ms."""
    for session in sessions:
        name = f"{session['subject']}_{session['date']}_{session['number']:03d}.npz"
        true = np.load(populated["root"] / "truth" / name, allow_pickle=False)
        moves = to_numpy(fetch_columns(behavior.WheelMoveSet.Move & key_of(session), order_by="move_id"))
        nearest = np.abs(moves["move_onset"][:, None] - true["onsets"][None, :]).min(axis=0)
        assert np.mean(nearest < 0.06) > 0.95, session["path"]
        assert np.median(nearest) < 0.03
        result = np.abs(moves["move_onset"][:, None] - true["onsets"][None, :]).argmin(axis=0)
        same = nearest < 0.06
        sign = np.sign(moves["move_amplitude"][result[same]]) == np.sign(true["amplitudes"][same])
        assert sign.mean() > 0.98
        size = np.abs(moves["move_amplitude"][result[same]] / true["amplitudes"][same])
        assert np.median(size) == pytest.approx(1, abs=0.15)


def training_course(populated: dict) -> None:
    """The fast mouse is trained and goes on to biased sessions; status and days agree with the sessions' dates."""
    fast = {"subject": next(m["subject"] for m in populated["mice"].values() if m["kind"] == "fast")}
    training = (behavior_analysis.SubjectTraining & fast & RULES).fetch1()
    assert "trained_1b" in training["first_dates"] or "trained_1a" in training["first_dates"]
    for status, date in training["first_dates"].items():
        rows = behavior_analysis.SessionTrainingStatus & fast & RULES & {"session_status": status}
        assert str(min(rows.to_arrays("session_date"))) == date
        days = acquisition.Session & fast & f"session_date <= '{date}'"
        assert training["days_to_status"][status] == len(set(days.to_arrays("session_date")))
    summary = behavior_analysis.DailySummary & fast
    dates = {session["date"] for session in populated["sessions"] if session["subject"] == fast["subject"]}
    assert {str(date) for date in summary.to_arrays("session_date")} == dates
    first, last = (summary & f"training_day = {day}" for day in (1, len(dates)))
    assert first.fetch1("day_performance_easy") < last.fetch1("day_performance_easy")
    easy = summary.to_arrays("day_performance_easy", order_by="session_date").astype(float)
    assert stats.spearmanr(np.arange(easy.size), easy).statistic > 0.5, "it learns"


def weights_and_water(populated: dict) -> None:
    for mouse in populated["mice"].values():
        key = {"subject": mouse["subject"]}
        assert (subject.Subject & key).fetch1("sex") == mouse["sex"]
        status = action.WaterStatus & key & "restricted" & "weighed"
        reference = set(status.to_arrays("day_reference_weight"))
        assert reference == {mouse["reference_weight"]}
        rewards = dict(zip(*status.to_arrays("session_date", "water_reward"), strict=True))
        for date in rewards:
            given = [
                session["water"]
                for session in populated["sessions"]
                if session["subject"] == mouse["subject"] and session["date"] == str(date)
            ]
            assert rewards[date] == pytest.approx(sum(given), abs=0.011)
