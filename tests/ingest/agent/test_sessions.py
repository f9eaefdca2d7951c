"""What an agent takes for a session, and what it does with names that a server sends."""

from __future__ import annotations

import json
import time

import pytest

from ingest.agent import sessions
from ingest.agent.agent import Agent, Options
from ingest.agent.child import run
from ingest.agent.desk import DatabaseDesk
from pipeline.errors import NotFoundError
from pipeline.tasks import Kind, register
from pipeline.tasks.kinds import unregister


def test_what_a_server_names_is_looked_up_and_never_imported_or_run(tmp_path):
    folder = tmp_path / "task"
    folder.mkdir()
    for kind in ("os:system", "../../evil", "subprocess.run", "no_such_kind"):
        (folder / "job.json").write_text(json.dumps({"kind": kind, "folder": str(tmp_path), "arguments": {}}))
        run(folder)
        content = json.loads((folder / "result.json").read_text())
        assert content["state"] == "Errored" and "there is no task kind" in content["message"]
    options = Options(tmp_path / "root", tmp_path / "scratch", "x")
    options.root.mkdir()
    worker = Agent(DatabaseDesk(None), options)
    with pytest.raises(NotFoundError, match="leads out"):
        worker.session_folder({"lab": "../..", "subject": "..", "date": "..", "number": 1})
    worker.stop()


def test_sessions_are_ready_with_a_flag_or_when_they_have_been_quiet(tmp_path):
    folder = tmp_path / "lab_a/Subjects/m/2019-07-01/001"
    (folder / "raw_behavior_data").mkdir(parents=True)
    (folder / "raw_behavior_data/a.b.npy").write_bytes(b"x")
    assert not list(sessions.ready(tmp_path, quiet=3600))
    assert len(list(sessions.ready(tmp_path, quiet=3600, now=time.time() + 3601))) == 1
    (folder / sessions.FLAG).touch()
    (ready,) = sessions.ready(tmp_path)
    sessions.note_planned(ready)
    assert not list(sessions.ready(tmp_path, quiet=0))
    (folder / "raw_behavior_data/c.d.npy").write_bytes(b"x")
    assert len(list(sessions.ready(tmp_path, quiet=0, now=time.time() + 1))) == 1


def test_a_kind_of_a_lab_is_registered_from_a_module():
    mine = register(Kind("of_a_lab", "1", "x:y"))
    try:
        assert mine.name == "of_a_lab"
    finally:
        unregister("of_a_lab")
