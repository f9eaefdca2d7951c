"""A central server with three labs, and a kind of task of a lab's own."""

from __future__ import annotations

import sys

import pytest

from pipeline.database.bulk import insert_many
from pipeline.schemas import data, lab, subject
from pipeline.tasks.kinds import unregister
from tests.ingest.agent.labs import LABS, SLOW
from tests.one_bridge.serving import Shared


@pytest.fixture(scope="module")
def shared(server):
    shared_server = Shared()
    yield shared_server
    shared_server.stop()


@pytest.fixture
def central(shared, database, tmp_path):
    """A server with three labs, each with an animal and the repository of its own computer."""
    insert_many(lab.Lab, {"lab": list(LABS)})
    uuids = [f"7b4ab8f0-5b0c-4d0e-8d8d-11111111111{number}" for number in range(3)]
    insert_many(subject.Subject, {"lab": list(LABS), "subject": ["m"] * 3, "subject_uuid": uuids})
    for name in LABS:
        data.Repository.insert1({"repository": f"{name}_rig", "repository_kind": "ssh", "repository_root": "/data",
                                 "repository_host": name})  # fmt: skip
    (tmp_path / "central").mkdir()
    return shared.serve(database, tmp_path / "central", tmp_path)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A lab's own module with a kind, which the agent and its processes import."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/mylab_tasks.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    sys.modules.pop("mylab_tasks", None)
    import mylab_tasks

    yield mylab_tasks
    unregister("make_thing")
    sys.modules.pop("mylab_tasks", None)
