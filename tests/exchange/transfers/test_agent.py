"""A lab's server without the database copies by HTTP what is due, and only what it read counts."""

from __future__ import annotations

import pytest
import requests

from exchange.transfers import agent, ledger, plan, run
from exchange.transfers.endpoints import add_routes
from pipeline.errors import NeurojointError
from pipeline.schemas import transfer
from tests.exchange.transfers.lab import RAW, add_repository, build, copies, later, want
from tests.one_bridge import serving

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


@pytest.fixture
def bridge(database, tmp_path, monkeypatch):
    """The HTTP server with the endpoints of transfers, a lab with files, and a central folder."""
    create = serving.create_app
    monkeypatch.setattr(serving, "create_app", lambda *words: add_routes(create(*words)))
    build(tmp_path / "rig")
    add_repository("central", tmp_path / "central")
    want("central")
    shared = serving.Shared()
    served = shared.serve(database, tmp_path / "rig", tmp_path)
    answer = requests.post(
        f"{served.url}/auth-token", json={"username": "mia", "password": serving.PASSWORD}, timeout=30
    )
    served.agent = agent.Server(served.url, answer.json()["token"])
    yield served
    shared.stop()


def test_an_agent_copies_verifies_and_reports(bridge):
    assert bridge.agent.post("/sync-file-status", {})["planned"] == 5
    summary = agent.work(bridge.agent, ["rig", "central"])
    assert (summary.files, summary.failed, summary.waiting) == (5, {}, {})
    assert copies("central") == copies("rig")
    assert {row["item_state"] for row in transfer.Transfer.Item().to_dicts()} == {"verified"}
    assert agent.work(bridge.agent, ["rig", "central"]).files == 0


def test_what_is_handed_out_is_not_taken_by_others_until_its_time_is_over(bridge):
    plan.plan()
    claimed = bridge.agent.post("/transfers/claim", {"repositories": ["rig", "central"]})
    assert len(claimed["items"]) == 5
    assert bridge.agent.post("/transfers/claim", {"repositories": ["rig", "central"]}) == {}
    assert run.run().elsewhere == 1 and copies("central") == {}
    ledger.update(claimed["transfer"], task_deadline="2020-01-01")
    assert run.run().files == 5
    late = {"transfer": claimed["transfer"], "lease": claimed["lease"], "items": []}
    with pytest.raises(NeurojointError, match="given to others"):
        bridge.agent.post("/transfers/report", late)


def test_a_report_of_another_content_is_not_believed(bridge):
    plan.plan()
    claimed = bridge.agent.post("/transfers/claim", {"repositories": ["rig", "central"]})
    rows = [{"dataset": item["dataset_id"], "md5": "0" * 32, "size": item["size"]} for item in claimed["items"]]
    body = {"transfer": claimed["transfer"], "lease": claimed["lease"], "items": rows[:3]}
    assert bridge.agent.post("/transfers/report", body) == {"verified": 0, "failed": 3}
    assert copies("central") == {}
    tried = sorted((row["item_state"], row["item_attempts"]) for row in transfer.Transfer.Item().to_dicts())
    assert tried == [("failed", 1)] * 3 + [("planned", 0)] * 2, "what was not reported is given to others"
    later()
    assert agent.work(bridge.agent, ["rig", "central"]).files == 5


def test_bad_requests_and_strangers_are_refused(bridge, tmp_path):
    for path, body in (
        ("/transfers/claim", {}),
        ("/transfers/claim", {"repositories": ["rig", 1]}),
        ("/transfers/report", {"items": "x"}),
        ("/transfers/report", {"items": [{"dataset": "x", "md5": 1}]}),
        ("/transfers/report", {"items": [], "transfer": "'; DROP TABLE x", "lease": ""}),
    ):
        with pytest.raises(NeurojointError, match="answers 400"):
            bridge.agent.post(path, body)
    assert requests.post(f"{bridge.url}/transfers/claim", json={}, timeout=30).status_code in (401, 403)
    plan.plan()
    (tmp_path / "central" / RAW).parent.mkdir(parents=True)
    (tmp_path / "central" / RAW).write_bytes(b"somebody's own file")
    summary = agent.work(bridge.agent, ["rig", "central"])
    assert summary.files == 4 and "another file lies" in summary.failed[RAW]
    assert (transfer.Transfer.Item & {"item_state": "failed"}).fetch1("item_attempts") == 6
