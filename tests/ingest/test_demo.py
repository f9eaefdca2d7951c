"""`neurojoint demo` ends with a lab that was at work until its last day, and says what came out and what to try."""

from __future__ import annotations

import datetime
import io
import json

import pytest
from click.testing import CliRunner
from rich.console import Console

from ingest import demo
from ingest.simulate import write_lab
from ingest.simulate.calendar import ENDS, ending
from neurojoint.cli import main
from pipeline import action, behavior, data, lab
from pipeline.errors import NeurojointError

LAST = datetime.date(2024, 5, 6)  # a Monday


def test_a_lab_with_a_last_date_ends_on_it_and_differs_in_nothing_but_dates(tmp_path):
    """Half of the mice on it, one the day before, one not for days; all are weighed to the end, none beyond."""
    truths = {}
    for name, last in (("monday", LAST), ("friday", LAST + datetime.timedelta(days=4))):
        truth = json.loads(write_lab(tmp_path / name, 4, 3, last=last, wheel=False).read_text())
        ends = {session["subject"]: session["date"] for session in truth["sessions"]}
        ago = [(last - datetime.date.fromisoformat(day)).days for day in ends.values()]
        assert ago == [0, 0, 1, 5]
        weighed = [line.split(",")[1:3] for line in (tmp_path / name / "weighings.csv").read_text().splitlines()[1:]]
        assert {subject: day[:10] for subject, day in weighed} == dict.fromkeys(ends, last.isoformat())
        truths[name] = [(session["subject"], session["n_correct"], session["weight"]) for session in truth["sessions"]]
    assert truths["monday"] == truths["friday"]


@pytest.mark.parametrize("n_sessions", [1, 8, 9, 25])
def test_all_sessions_fit_before_the_last_date(n_sessions):
    for index in range(4):
        course = ending(LAST, index, n_sessions, twice_every=9)
        days = [course.start + datetime.timedelta(days=item) for item in range((LAST - course.start).days + 1)]
        training = [day for day in days if day.weekday() not in course.rest]
        assert training[0] == course.start
        done = n_days = 0
        while done < n_sessions:
            n_days += 1
            done += 1 if n_days % 9 else 2
        assert len(training) == n_days + ENDS[index]


@pytest.mark.slow
@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_demo_shows_mice_and_what_is_in_quarantine(database, tmp_path):
    """Two mice of three sessions; a second run finds the files there, and reads only what changed."""
    root, lines = tmp_path / "demo", []
    summary = demo.run(root, 2, 3, processes=1, last=LAST, tell=lines.append)
    assert not summary.failed
    assert summary.done["behavior.TrialSet"] == 6
    (refused,) = data.Quarantine.to_dicts()
    assert refused["reason"] == "truncated"
    assert refused["quarantine_path"].startswith(f"simlab/Subjects/slow_002/{LAST}/001/alf/")
    assert max(behavior.TrialSet.to_arrays("session_date")) == LAST
    assert set(action.Weighing.to_arrays("subject")) == {"fast_001", "slow_002"}
    console = Console(width=80, record=True, file=io.StringIO())
    demo.show(console, root)
    said = console.export_text()
    assert refused["quarantine_path"] in said
    assert "2 mice, 6 sessions" in said
    for item in (line.split() for line in said.splitlines() if line.startswith("  neurojoint ")):
        command = main
        for name in item[1:]:
            if not hasattr(command, "commands"):
                break
            command = command.commands[name]
        assert not hasattr(command, "commands"), f"{item} is no command"
    assert not demo.run(root, 2, 3, processes=1).done


def test_the_demo_keeps_out_of_a_real_lab(database, tmp_path):
    lab.Lab.insert1({"lab": "cortexlab"})
    with pytest.raises(NeurojointError, match="holds data of cortexlab"):
        demo.run(tmp_path / "demo")
    assert not (tmp_path / "demo").exists()


def test_the_last_date_may_be_said_in_words(tmp_path):
    run = CliRunner().invoke
    few = ["--mice", "1", "--sessions", "1", "--no-wheel"]
    before = datetime.datetime.now(datetime.UTC).date()
    assert run(main, ["simulate", str(tmp_path / "a"), *few, "--last-date", "today"]).exit_code == 0
    after = datetime.datetime.now(datetime.UTC).date()
    (row,) = json.loads((tmp_path / "a" / "truth.json").read_text())["sessions"]
    assert row["date"] in (before.isoformat(), after.isoformat())
    refused = run(main, ["simulate", str(tmp_path / "b"), *few, "--last-date", "soon"])
    assert refused.exit_code == 2 and "2024-01-31" in refused.stderr
