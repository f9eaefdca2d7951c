"""Transfers by Globus, on a local server that the unmodified SDK talks to: SUCCEEDED is not believed, each file is."""

from __future__ import annotations

import stat
from collections import Counter

import pytest

from exchange.transfers import ledger, plan, run, states
from pipeline import settings
from pipeline.schemas import data, transfer
from tests.exchange.transfers.globus_server import GlobusServer, globus
from tests.exchange.transfers.lab import RAW, add_repository, build, copies, later, want

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture
def service(database, server, tmp_path):
    """A lab with a collection, and a central collection that wants everything."""
    home = tmp_path / "tokens"
    home.mkdir()
    chosen = {**server, "globus_client_id": "11111111-1111-4111-8111-111111111111", "globus_client_secret": "x"}
    with globus() as found, settings.override(**chosen):
        build(tmp_path / "rig")
        lab, central = found.add(tmp_path / "rig"), found.add(tmp_path / "central")
        from exchange.transfers import repositories

        repositories.configure("rig", options={"globus_collection": lab, "globus_root": "/"})
        add_repository("central", "/data", "globus", central)
        want("central")
        plan.plan()
        found.lab, found.central = lab, central
        yield found


def finish(service: GlobusServer) -> run.Summary:
    """Submit what is due, let the tasks end, reconcile."""
    run.run()
    service.wait()
    return run.run()


def items() -> Counter:
    found: Counter = Counter()
    for row in transfer.Transfer.Item().to_dicts():
        found[row["item_state"]] += 1
    return found


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


def test_an_answer_that_is_lost_after_acceptance_makes_no_second_task(service):
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


def test_service_unavailable_for_a_moment_is_waited_out(service):
    service.answers["GET", "/v0.10/submission_id"] = [503, 503]
    assert finish(service).files == 5


def test_cancel_stops_the_task(service):
    service.hold.set()
    run.run()
    (row,) = transfer.Transfer().to_dicts()
    assert run.cancel(row["transfer_id"], "by hand", ledger.database_time()) == 5
    assert items() == {"cancelled": 5} and data.FileRecord & {"repository": "rig"}
    assert {task["nice_status"] for task in service.tasks.values()} == {"CANCELED"}


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
    with globus() as found, settings.override(**chosen):
        monkeypatch.setattr("builtins.input", lambda *_: found.code)
        backend.login()
        assert f"{found.address}v2/oauth2/authorize?" in capsys.readouterr().out
        tokens = tmp_path / "globus" / "tokens.json"
        assert stat.S_IMODE(tokens.stat().st_mode) == 0o600
        monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("a person is asked again"))
        aged = re.sub(r'"expires_at_seconds": \d+', '"expires_at_seconds": 1', tokens.read_text())
        tokens.write_text(aged)
        backend.client([]).task_list(limit=1)
        assert found.grants == ["authorization_code", "refresh_token"]
