"""Transfers by Globus, on a local server that the unmodified SDK talks to: SUCCEEDED is not believed, each file is."""

from __future__ import annotations

import stat
import time
from collections import Counter
from types import SimpleNamespace

import pytest

from exchange.transfers import ledger, plan, run, states
from exchange.transfers.protocol import Place, Unavailable
from pipeline import settings
from pipeline.queries.transfers import overview
from pipeline.schemas import data, transfer
from tests.exchange.transfers.globus_server import GlobusServer, globus
from tests.exchange.transfers.lab import RAW, add_repository, build, copies, later, want

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture
def hurry(monkeypatch):
    """The SDK tries again at once what it would try after seconds."""
    from globus_sdk.transport import requests

    monkeypatch.setattr(requests, "time", SimpleNamespace(sleep=lambda seconds: None, time=time.time))


@pytest.fixture
def service(database, server, tmp_path):
    """A lab with a collection, and a central collection that wants everything."""
    home = tmp_path / "tokens"
    home.mkdir()
    chosen = {**server, "globus_client_id": "11111111-1111-4111-8111-111111111111", "globus_client_secret": "x"}
    with globus() as result, settings.override(**chosen):
        build(tmp_path / "rig")
        lab, central = result.add(tmp_path / "rig"), result.add(tmp_path / "central")
        from exchange.transfers import repositories

        repositories.configure("rig", options={"globus_collection": lab, "globus_root": "/"})
        add_repository("central", "/data", "globus", central)
        want("central")
        plan.plan()
        result.lab, result.central = lab, central
        yield result


def finish(service: GlobusServer) -> run.Summary:
    """Submit what is due, let the tasks end, reconcile."""
    run.run()
    service.wait()
    return run.run()


def items() -> Counter:
    counts: Counter = Counter()
    for row in transfer.Transfer.Item().to_dicts():
        counts[row["item_state"]] += 1
    return counts


def test_one_task_carries_all_and_each_file_is_verified(service, tmp_path):
    service.hold.set()
    summary = run.run()
    assert (summary.files, summary.elsewhere) == (0, 1) and items() == {"submitted": 5}
    assert run.run().elsewhere == 1
    service.hold.clear()
    service.wait()
    before = len(service.calls)
    summary = run.run()
    assert summary.files == 5 and copies("central") == copies("rig")
    assert len(service.tasks) == 1
    asked = [path for _, path in service.calls[before:] if "/task/" in path]
    assert len(asked) == 2, "how it is, and which files"
    from pipeline.settings import settings as current

    tokens = current().home / "globus" / "tokens.json"
    assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
    assert plan.plan().files == 0


def test_an_answer_that_is_lost_after_acceptance_makes_no_second_task(service, hurry):
    service.answers["POST", "/v0.10/transfer"] = ["drop after"] * 8  # also the SDK's own attempts
    summary = run.run()
    assert "cannot be reached" in summary.waiting["central"]
    (row,) = transfer.Transfer().to_dicts()
    assert row["submission_id"] and not row["task_id"], "stored before it was submitted"
    service.answers.clear()
    run.run()
    service.wait()
    assert run.run().files == 5 and len(service.tasks) == 1
    assert copies("central") == copies("rig")


def test_a_task_that_succeeded_with_skipped_files_counts_file_by_file(service):
    service.skip.add(RAW.rsplit("/", 1)[-1])
    summary = finish(service)
    assert summary.files == 4 and "PERMISSION_DENIED" in summary.failed[RAW]
    assert items() == {"verified": 4, "failed": 1} and RAW not in copies("central")
    service.skip.clear()
    later()
    assert finish(service).files == 1 and copies("central") == copies("rig")


def test_a_file_that_the_service_only_claims_to_have_copied_is_not_believed(service):
    service.pretend.add(RAW.rsplit("/", 1)[-1])
    assert finish(service).files == 4
    assert items() == {"verified": 4, "failed": 1}


def test_a_damaged_copy_fails_alone_and_the_others_go_on(service):
    service.damage.add("_ibl_trials.choice.npy")
    finish(service)
    assert items() == {"planned": 4, "failed": 1}
    assert finish(service).files == 4, "while the one that failed waits"
    for _ in range(states.MOST_ATTEMPTS - 1):
        later()
        finish(service)
    assert items() == {"verified": 4, "failed": 1}
    assert (transfer.Transfer.Item & {"item_state": "failed"}).fetch1("item_due") == states.NEVER


def test_a_collection_that_is_not_connected_waits_and_nothing_is_concluded(service):
    service.offline.add(service.central)
    assert "not connected" in run.run().waiting["central"]
    assert items() == {"planned": 5}
    service.offline.clear()
    assert finish(service).files == 5


def test_a_task_that_hangs_is_cancelled_in_the_end_and_tried_again(service):
    service.hold.set()
    run.run()
    (row,) = transfer.Transfer().to_dicts()
    ledger.update(row["transfer_id"], task_deadline="2020-01-01")
    summary = run.run()
    assert len(summary.failed) == 5 and items() == {"failed": 5}
    service.hold.clear()
    later()
    assert finish(service).files == 5 and len(service.tasks) == 2


def test_a_task_that_the_service_forgot_is_tried_again(service):
    run.run()
    service.wait()
    service.tasks.clear()
    assert len(run.run().failed) == 5
    later()
    assert finish(service).files == 5


def test_service_unavailable_for_a_moment_is_waited_out(service, hurry):
    service.answers["GET", "/v0.10/submission_id"] = [503, 503]
    assert finish(service).files == 5


def test_cancel_stops_the_task(service):
    service.hold.set()
    run.run()
    (row,) = transfer.Transfer().to_dicts()
    assert run.cancel(row["transfer_id"], "by hand", ledger.database_time()) == 5
    assert items() == {"cancelled": 5} and data.FileRecord & {"repository": "rig"}
    assert {task["nice_status"] for task in service.tasks.values()} == {"CANCELED"}


def test_a_task_that_the_service_rejects_is_made_again_and_does_not_wait_for_ever(service, hurry):
    service.answers["POST", "/v0.10/transfer"] = [400]
    run.run()
    assert items() == {"failed": 5} and not transfer.Transfer().fetch1("submission_id")
    assert "rejects the task: 400" in (transfer.Transfer.Item & {"item_attempts": 1}).to_dicts()[0]["item_message"]
    later()
    service.answers["POST", "/v0.10/transfer"] = ["drop after"] * 8
    run.run()
    row = transfer.Transfer().fetch1()
    assert row["task_deadline"] is not None and row["submission_id"] and items() == {"submitted": 5}
    service.answers["POST", "/v0.10/transfer"] = [403]  # since then nobody may
    assert "transfer login" in run.run().waiting["central"] and items() == {"submitted": 5}
    ledger.update(row["transfer_id"], task_deadline="2020-01-01")
    run.run()
    assert items() == {"failed": 5} and "did not take it in time" in transfer.Transfer().fetch1("transfer_message")
    later()
    assert finish(service).files == 5 and copies("central") == copies("rig")


def test_a_paused_task_is_said_and_one_that_expires_keeps_what_it_carried(service, tmp_path):
    service.hold.set()
    run.run()
    (task,) = service.tasks.values()
    task |= {"status": "INACTIVE", "nice_status": "PAUSED_BY_ADMIN"}
    assert "PAUSED_BY_ADMIN; look at the task" in run.run().waiting["central"]
    (problem,) = overview().problems
    assert "PAUSED_BY_ADMIN" in problem["message"] and items() == {"submitted": 5}
    sent = sorted(copies("rig"))[:3]
    for path in sent:
        there = tmp_path / "central" / "data" / path
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_bytes((tmp_path / "rig" / path).read_bytes())
    task["done"] = [{"source_path": f"/{path}", "destination_path": f"/data/{path}"} for path in sent]
    task |= {"status": "FAILED", "nice_status": "EXPIRED"}
    service.tokens.clear()  # those of the application are over too: it gets new ones
    assert run.run().files == 3 and items() == {"verified": 3, "failed": 2}
    service.hold.clear()
    later()
    assert finish(service).files == 2 and copies("central") == copies("rig")


def test_no_more_tasks_than_the_service_takes(service, monkeypatch):
    monkeypatch.setattr("exchange.transfers.service.MOST_TASKS", 1)
    service.hold.set()
    ids = sorted(row["dataset_id"] for row in transfer.Transfer.Item().to_dicts())
    (row,) = transfer.Transfer().to_dicts()
    run.cancel(row["transfer_id"], "made again as two", ledger.database_time())
    for some in (ids[:2], ids[2:]):
        plan.plan_copies(ledger.in_list("dataset_id", some), "central", "publish")
    run.run()
    assert len(service.tasks) == 1 and set(items()) == {"submitted", "planned", "cancelled"}
    assert any("1 tasks are running" in row["transfer_message"] for row in transfer.Transfer().to_dicts())
    service.hold.clear()
    for _ in range(2):
        service.wait()
        run.run()
    assert len(service.tasks) == 2 and set(items()) == {"verified", "cancelled"}
    assert copies("central") == copies("rig")


def test_a_poll_of_many_files_takes_two_requests(service):
    from exchange.transfers.backends.globus import GlobusService

    service.tasks["t"] = {
        "task_id": "t", "status": "SUCCEEDED", "files_skipped": 0, "bytes_transferred": 1, "skipped": [],
        "done": [{"source_path": f"/{n}", "destination_path": f"/data/{n}"} for n in range(1_000)],
    }  # fmt: skip
    carrier = GlobusService()
    carrier.reserve()  # logs in
    before = len(service.calls)
    assert len(carrier.poll("t").arrived) == 1_000
    assert len(service.calls) - before <= 2


def test_a_person_logs_in_once_and_tokens_are_renewed(tmp_path, monkeypatch, capsys):
    """Without a secret a person is shown an address and brings the code; from then on nobody is asked."""
    import re

    from exchange.transfers.backends import globus as backend

    chosen = {
        "home": tmp_path,
        "globus_client_id": "11111111-1111-4111-8111-111111111111",
        "globus_client_secret": None,
    }
    with globus() as result, settings.override(**chosen):
        monkeypatch.setattr("builtins.input", lambda *_: result.code)
        backend.login()
        assert f"{result.address}v2/oauth2/authorize?" in capsys.readouterr().out
        tokens = tmp_path / "globus" / "tokens.json"
        assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a person is asked again"))
        aged = re.sub(r'"expires_at_seconds": \d+', '"expires_at_seconds": 1', tokens.read_text())
        tokens.write_text(aged)
        backend.client([]).task_list(limit=1)
        assert result.grants == ["authorization_code", "refresh_token"]
        tokens.write_text(re.sub(r'"expires_at_seconds": \d+', '"expires_at_seconds": 1', tokens.read_text()))
        result.revoked = True
        with pytest.raises(Unavailable, match=r"neurojoint transfer login"):
            backend.Collection(Place("c", "globus", "/", result.add(tmp_path / "c"))).check()
        tokens.unlink()
        with pytest.raises(Unavailable, match="nobody is logged in"):
            backend.client([])
