"""`neurojoint task …`: what a technician types to see, hold, abandon and run tasks again."""

from __future__ import annotations

import uuid

import pytest
from click.testing import CliRunner

from neurojoint.cli import main
from pipeline.database.bulk import insert_many
from pipeline.schemas import acquisition, data, lab, subject, task
from pipeline.tasks import get
from pipeline.tasks.queue import New, Outcome, Queue

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]
KEY = {"lab": "a", "subject": "m", "session_date": "2024-01-02", "session_number": 1}


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["task", *words])
    assert result.exit_code == code, result.output + repr(result.exception)
    return result.output


@pytest.fixture
def ids(database) -> dict[str, str]:
    """A video that was compressed by an older version, and its dependent rows."""
    insert_many(lab.Lab, {"lab": ["a"]})
    insert_many(subject.Subject, {"lab": ["a"], "subject": ["m"], "subject_uuid": [str(uuid.uuid4())]})
    acquisition.Session.insert1(KEY | {"eid": str(uuid.uuid4()), "start_time": "2024-01-02 10:00:00"})
    queue = Queue()
    version = {"task_version": get("compress_video").version}
    new = [New("compress_video_left", "compress_video", {"label": "left"}, columns=version),
           New("motion_energy_left", "motion_energy", {"label": "left"}, ("compress_video_left",))]  # fmt: skip
    added = queue.add(new, KEY)
    token = str(uuid.uuid4())
    assert queue.take(added["compress_video_left"], "pc", token)
    queue.log(added["compress_video_left"], token, 0, "33 frames\n")
    queue.finish(added["compress_video_left"], token, Outcome("Complete", elapsed=2.0, version="0.9"))
    return added


def state(identifier: str) -> tuple[str, bool]:
    row = (task.Task & {"task_uuid": identifier}).fetch1()
    return row["task_state"], bool(row["task_held"])


def test_tasks_are_listed_with_why_they_wait_and_run_again_where_a_person_says_so(ids):
    video, motion = ids["compress_video_left"], ids["motion_energy_left"]
    listed = run("list", "lab=a")
    assert "m/2024-01-02/001" in listed and "no computer takes it: none works on the data root" in listed
    assert "motion_energy" not in run("list", "status=Complete") and "no tasks" in run("list", "status=errored")
    assert "use status, lab" in run("list", "colour=red", code=1)
    assert "33 frames" in run("log", video[:8])
    before = state(video), state(motion)
    told = run("rerun", "--stale", "--dry-run")
    assert "compress_video_left  version 0.9" in told and "1 tasks would run again, and 1 that wait" in told
    assert (state(video), state(motion)) == before, "a dry run changes nothing"
    assert "say which" in run("rerun", code=2)
    assert "2 tasks run again" in run("rerun", "kind=compress_video")
    assert state(video) == ("Waiting", False)


def test_tasks_are_held_abandoned_and_restarted_by_command(ids):
    motion = ids["motion_energy_left"]
    for name, expected in (("hold", ("Waiting", True)), ("unhold", ("Waiting", False)),
                           ("abandon", ("Abandoned", False)), ("restart", ("Waiting", False))):  # fmt: skip
        assert run(name, motion[:8]).startswith("1 task ")
        assert state(motion) == expected, name
    assert {"held", "abandoned"} <= set(data.Change().to_arrays("change_action"))
    assert "no task begins with" in run("hold", "zzzz", code=1)
