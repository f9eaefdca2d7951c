"""What is late or stuck is counted, said in one line, and shown on the site."""

from __future__ import annotations

import datetime

import pytest
from click.testing import CliRunner

from exchange.transfers import ledger, plan, run, states
from pipeline.queries.transfers import line, overview
from pipeline.schemas import transfer
from tests.exchange.transfers.lab import RAW, add_repository, build, want

pytestmark = pytest.mark.slow


def test_late_and_stuck_files_are_counted_and_named(database, tmp_path):
    build(tmp_path / "rig")
    assert line() == ""
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    assert line() == "transfers: 5 waiting"
    name = transfer.Transfer.Item().full_table_name
    (tmp_path / "disk").rename(tmp_path / "away")
    run.run()
    (problem,) = overview().problems
    assert problem["destination"] == "disk" and "mount its disk" in problem["message"] and not problem["stuck"]
    (tmp_path / "away").rename(tmp_path / "disk")
    yesterday = ledger.database_time() - datetime.timedelta(days=1)
    ledger.connection().query(f"UPDATE {name} SET item_due = %s", (yesterday,))
    assert line() == "transfers: 5 waiting, 5 late: neurojoint transfer status"
    (tmp_path / "disk" / RAW).parent.mkdir(parents=True)
    (tmp_path / "disk" / RAW).write_bytes(b"another")
    run.run()
    assert line("mylab") == "transfers: 1 stuck: neurojoint transfer status" and line("no lab") == ""
    rows = overview()
    by_name = {copy.repository: copy for copy in rows.copies}
    assert (by_name["disk"].files, by_name["disk"].stuck, by_name["rig"].files) == (4, 1, 5)
    (problem,) = rows.problems
    assert problem["stuck"] and problem["path"] == RAW and "another file lies" in problem["message"]
    assert problem["attempts"] == states.MOST_ATTEMPTS


def test_commands_say_what_is_done_and_what_to_type_next(database, server, tmp_path):
    from neurojoint.cli import main
    from pipeline import settings

    build(tmp_path / "rig")
    (tmp_path / "disk").mkdir()

    def call(*words: str, code: int = 0) -> str:
        with settings.override(**server):
            done = CliRunner().invoke(main, list(words))
        assert done.exit_code == code, done.output
        return done.output

    call("repository", "define", "disk", "--root", str(tmp_path / "disk"))
    assert "can be reached" in call("transfer", "repository", "disk", "--window", "01:00-02:00", "--bandwidth", "100")
    assert "all: to disk" in call("transfer", "policy", "all", "--to", "disk")
    assert "5 files" in call("transfer", "plan", "--dry-run")
    assert "5 files" in call("transfer", "run") and "copied and verified" in call("transfer", "run")
    assert "disk" in call("transfer", "status")
    assert "10 copies are as they should be" in call("verify")
    assert "0 files" in call("free", str(tmp_path / "rig"), "--dry-run")
    assert "no dataset fits" in call(
        "retrieve", "--to", "rig", "--dataset", "00000000-0000-4000-8000-000000000000", code=1
    )
    answer = call("retrieve", "--to", "disk", "--subject", "m1", "--name", "*leftCamera.raw.mp4,_ibl_trials.choic?.npy")
    assert "0 files" in answer, "all that fit are there"
    assert "no dataset fits" in call("retrieve", "--to", "disk", "--name", "leftCamera.*", code=1)
    assert "no pattern of a file name" in call("retrieve", "--to", "disk", "--name", "*' OR '1", code=1)
    assert "looks like a secret" in call("transfer", "repository", "disk", "--option", "password=x", code=1)
