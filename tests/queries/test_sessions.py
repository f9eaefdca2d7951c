"""Protects the search of sessions: by what the checks of their trials found, by status, kind and date."""

from __future__ import annotations

import datetime

import pytest
from click.testing import CliRunner

import pipeline
from neurojoint.cli import main
from pipeline import acquisition, behavior, entry
from pipeline.errors import UserError
from pipeline.queries.sessions import find_sessions
from tests.dashboard import rows

ANIMAL = {"lab": "lab", "subject": "m1"}
DAYS = [datetime.date(2026, 1, 5), datetime.date(2026, 1, 6)]
CONTRADICTS = {"check": "outcome", "outcome": "FAIL", "n_trials": 600, "detail": "feedback contradicts choice and side"}

pytestmark = pytest.mark.slow


@pytest.fixture
def sessions(database):
    """A sound session of training, and one of a biased task whose columns contradict each other."""
    entry.write("lab.Lab", [{"lab": "lab"}], user="ada", source="test")
    entry.write("subject.Subject", [ANIMAL], user="ada", source="test")
    judged = {"training_fingerprint": "0" * 32, "n_training_sessions": 1, "first_dates": {}, "days_to_status": {}}
    state = {"training_status": "trained_1a", "missing_for_next": []}
    rows.write("behavior_analysis.SubjectTraining", ANIMAL | rows.RULES | judged | state)
    of_days = zip(DAYS, ("training", "biased"), ("PASS", "FAIL"), ([], [CONTRADICTS]), strict=True)
    for number, (day, kind, qc, checks) in enumerate(of_days):
        key = ANIMAL | {"session_date": day, "session_number": 1}
        acquisition.Session.insert1(key | {"eid": f"00000000-0000-4000-8000-00000000000{number}"})
        key |= {"task_collection": "alf"}
        acquisition.SessionTask.insert1(key | {"task_number": 0})
        lists = {f"columns_{name}": [] for name in ("present", "absent", "other")} | {"columns_refused": {}}
        trials = {"trials_fingerprint": "0" * 32, "n_trials": 600, "trials_complete": True, "task_kind": kind}
        trials |= {"trials_qc": qc, "trials_checks": checks}
        behavior.TrialSet.insert1(key | trials | lists, allow_direct_insert=True)
        rows.write("behavior_analysis.SessionPerformance", key | {"performance_easy": 0.75})
        status = ("in_training", "trained_1a")[number]
        rows.write("behavior_analysis.SessionTrainingStatus", key | rows.RULES | {"session_status": status})
    return database


def test_sessions_are_found_by_what_the_checks_found_and_by_status(sessions):
    def dates(**asked):
        return find_sessions(**asked)["session_date"].to_pylist()

    assert dates() == DAYS
    assert dates(trials_qc="fail,warning") == dates(kind="biased") == dates(status="trained_1a+") == DAYS[1:]
    assert dates(trials_qc="PASS") == dates(until="2026-01-05") == DAYS[:1]
    assert dates(qc="CRITICAL") == dates(subject="m2") == []
    (row,) = find_sessions(trials_qc="FAIL").to_pylist()
    assert (row["trials_findings"], row["performance_easy"]) == ([CONTRADICTS["detail"]], 0.75)
    for wrong in ({"trials_qc": "BAD"}, {"kind": "gonogo"}):
        with pytest.raises(UserError, match="choose from"):
            find_sessions(**wrong)


def test_the_command_says_what_is_wrong(sessions, monkeypatch):
    monkeypatch.setattr(pipeline, "connect", lambda create: sessions)
    shown = CliRunner().invoke(main, ["find", "sessions", "--trials-qc", "FAIL"])
    assert shown.exit_code == 0, shown.output
    assert "lab/m1/2026-01-06/001 alf biased: 600 trials, 75 % of easy ones correct; trials FAIL" in shown.output
    assert "    feedback contradicts choice and side" in shown.output
    table = CliRunner().invoke(main, ["find", "sessions", "--csv"])
    assert table.exit_code == 0 and table.output.count("\n") == 3 and '"feedback contradicts' in table.output
