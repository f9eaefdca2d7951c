"""Labs' own computers work off their tasks with nothing but HTTP, and a kill at any moment does no harm."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.agent import sessions
from ingest.agent.agent import Agent, Options
from ingest.agent.desk import DatabaseDesk
from ingest.agent.service import TaskService
from one_bridge import ONE
from pipeline.database.bulk import insert_many
from pipeline.errors import ConflictError
from pipeline.queries import timeline
from pipeline.schemas import acquisition, data, lab, subject, task
from pipeline.tasks.kinds import kinds
from tests.ingest.agent import rigs
from tests.ingest.agent.labs import DAY, LABS, agent, run_agent, session, the_task, thing, wait_for

# One backend: what differs between them is in the tests of the queue and of the server.
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True, scope="session")]


def test_three_labs_with_nothing_but_http_do_every_task_of_their_sessions(central, tmp_path):
    for name in LABS:
        folder = rigs.training(session(tmp_path / name, name))
        (folder / sessions.FLAG).touch()
    rigs.video(tmp_path / "lab_a/lab_a/Subjects/m" / DAY / "001/raw_video_data/_iblrig_leftCamera.raw.avi", 20)
    rigs.sound(tmp_path / "lab_b/lab_b/Subjects/m" / DAY / "001/raw_behavior_data/_iblrig_micData.raw.wav")
    raw, at = rigs.recording_of_known_spikes(tmp_path / "lab_c/lab_c/Subjects/m" / DAY / "001")
    tracker, sorter = tmp_path / "tracker.py", Path(__file__).parents[1] / "toy_sorter.py"
    tracker.write_text(rigs.TRACKER)
    programs = ("--env", f"pose={sys.executable} {tracker} {{video}} {{output}}",
                "--env", f"sorting={sys.executable} {sorter} {{job}}")  # fmt: skip
    options = ("--remove-raw", "--once", "--cores", "2", *programs)
    processes = [run_agent(central, tmp_path, *options, name=name) for name in LABS]
    assert [process.wait(300) for process in processes] == [0, 0, 0]
    rows = task.Task().to_dicts()
    states = {(row["lab"], row["task_name"]): (row["task_state"], row["task_message"]) for row in rows}
    failed = {key: value for key, value in states.items() if value[0] != "Complete"}
    # the camera wrote no time stamps: that is said, nothing else failed or waits
    assert set(failed) == {("lab_a", "camera_times_left")}, failed
    assert not raw.exists() and raw.with_suffix(".cbin").exists(), "compressed and verified before it went"
    place = central.root / f"lab_c/Subjects/m/{DAY}/001/alf/probe00/toy_sorter"
    np.testing.assert_allclose(np.sort(np.load(place / "spikes.times.npy")), at / 30_000, atol=1e-9)
    assert {row["task_attempts"] for row in rows if row["task_state"] == "Complete"} == {1}
    video = tmp_path / "lab_a/lab_a/Subjects/m" / DAY / "001/raw_video_data/_iblrig_leftCamera.raw.mp4"
    assert video.exists() and not video.with_suffix(".avi").exists()
    assert (data.FileRecord & {"repository": "lab_a_rig"}).to_arrays("file_path").tolist() == [
        f"lab_a/Subjects/m/{DAY}/001/raw_video_data/_iblrig_leftCamera.raw.mp4"
    ]
    for name in LABS:  # small outputs are on the central machine, registered as all files are
        path = central.root / name / "Subjects/m" / DAY / "001/alf/_ibl_trials.table.pqt"
        assert len(pd.read_parquet(path)) == 12
        assert (path.parents[1] / "raw_behavior_data/_iblrig_taskSettings.raw.json").exists()
        assert not (tmp_path / name / name / "Subjects/m" / DAY / "001" / sessions.FLAG).exists()
    assert not list(tmp_path.rglob("received/*/*"))
    assert {row["host_labs"] for row in task.TaskHost().to_dicts()} == set(LABS)
    steps = timeline.of_session(timeline.session_key(f"lab_a/Subjects/m/{DAY}/001"))
    assert any(step.mark == "!" and "camera_times_left" in step.what and step.who for step in steps)
    assert any("compress_video_left on lab_a" in step.what for step in steps)
    (acts,) = timeline.to_do({"lab": "lab_a"}).values()
    assert ["camera_times_left" in act.what for act in acts] == [True]
    answer = central.session().get(f"{central.url}/sessions/{eid('lab_a')}/timeline", timeout=30)
    assert len(answer.json()) == len(steps)
    from dashboard.queries import session as page

    assert page.timeline_of(timeline.session_key(f"lab_a/Subjects/m/{DAY}/001")) == steps
    from pipeline.schemas import behavior

    behavior.TrialSet.populate()
    assert set(behavior.TrialSet().to_arrays("n_trials")) == {12} and len(behavior.TrialSet()) == 3
    one = ONE()
    assert {len(one.load_object(session_id, "trials")["choice"]) for session_id in one.search()} == {12}


def eid(name: str) -> str:
    return (acquisition.Session & {"lab": name}).fetch1("eid").strip()


def test_the_same_agent_works_on_the_central_machine_without_http(database, tmp_path):
    insert_many(lab.Lab, {"lab": ["lab_a"]})
    insert_many(
        subject.Subject, {"lab": ["lab_a"], "subject": "m", "subject_uuid": "7b4ab8f0-5b0c-4d0e-8d8d-111111111111"}
    )
    root = tmp_path / "data"
    rigs.training(session(root, "lab_a"))
    (root / "lab_a/Subjects/m" / DAY / "notes").mkdir()
    service = TaskService("root", None, root, tmp_path / "received")
    worker = Agent(
        DatabaseDesk(service), Options(root, tmp_path / "scratch", "central", cores=1, memory=60_000, quiet=0.0)
    )
    with pytest.raises(ConflictError, match="another agent"):
        Agent(DatabaseDesk(service), worker.options)
    assert worker.run(once=True) == 3
    worker.stop()
    assert set(task.Task().to_arrays("task_state")) == {"Complete"}
    there = set(data.Dataset().to_arrays("rel_path"))
    assert {"alf/_ibl_trials.table.pqt", "alf/_ibl_wheel.position.npy"} <= there


def test_spikes_are_sorted_by_a_program_of_others_and_become_rows(central, tmp_path):
    """Known spikes of three channels: compressed, sorted by a program that speaks the sorters' files, registered."""
    folder = session(tmp_path / "lab_a", "lab_a")
    _, at = rigs.recording_of_known_spikes(folder)
    (folder / sessions.FLAG).touch()
    program = Path(__file__).parents[1] / "toy_sorter.py"
    worker = agent(central, tmp_path, "lab_a", environments={"sorting": [sys.executable, str(program), "{job}"]})
    assert worker.options.cores < kinds()["sort_spikes"].needs.cores, "it gets what there is"
    worker.run(once=True)
    worker.stop()
    states = {row["task_name"]: (row["task_state"], row["task_message"]) for row in task.Task().to_dicts()}
    assert {state for state, _ in states.values()} == {"Complete"}, states
    place = central.root / f"lab_a/Subjects/m/{DAY}/001/alf/probe00/toy_sorter"
    times, clusters = np.load(place / "spikes.times.npy"), np.load(place / "spikes.clusters.npy")
    np.testing.assert_allclose(np.sort(times), at / 30_000, atol=1e-9)
    assert len(np.unique(clusters)) == 3 and len(list(place.glob("spikes.*"))) > 2
    made = {row["output_path"] for row in task.TaskOutput().to_dicts()}
    assert {"alf/probe00/toy_sorter/spikes.times.npy", "alf/probe00/toy_sorter/spikes.clusters.npy"} <= made
    from pipeline.schemas import ephys

    ephys.ClusterSet.populate()
    assert (ephys.Clustering().to_arrays("probe_label").tolist(), ephys.ClusterSet().to_arrays("n_clusters").tolist()) \
        == (["probe00"], [3])  # fmt: skip


@pytest.mark.parametrize(
    ("mode", "words"),
    [("outside", "is no path below the session folder"), ("strange", "alf/other.thing.npy is no output"),
     ("link", "is a link"), ("nothing", "was not made"), ("memory", "of memory")],
)  # fmt: skip
def test_a_task_that_misbehaves_fails_with_a_sentence_and_leaves_nothing(central, tmp_path, module, mode, words):
    folder = thing(tmp_path, mode)
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    if mode == "memory":
        object.__setattr__(module.KIND.needs, "memory", 400)
    worker.run(once=True)
    worker.stop()
    row = the_task()
    assert row["task_state"] == "Waiting" and words in row["task_message"], row["task_message"]
    assert not (folder / "alf").exists() and not list(tmp_path.rglob("evil.txt"))
    assert not [path for path in worker.options.scratch.iterdir() if path.is_dir()]


def test_a_task_that_a_person_gives_up_is_ended(central, tmp_path, module):
    folder = thing(tmp_path, "slow")
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    worker.look()
    wait_for(lambda: worker.claim() + worker.tend() >= 0 and (folder / "runs.txt").exists())
    (running,) = [item for item in worker.running if item.task["name"] == "make_thing"]
    http = central.session()
    assert http.post(f"{central.url}/tasks/{running.task['id']}/abandon", json={}, timeout=30).status_code == 200
    wait_for(lambda: not worker.tend() and not worker.running)
    assert running.process.poll() is not None and the_task()["task_state"] == "Abandoned"
    worker.stop()


def test_what_a_server_refuses_ends_the_task_and_not_the_agent(central, tmp_path, module):
    folder = thing(tmp_path, "quick")
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    (folder / "alf").mkdir()
    (folder / "alf/made.thing.txt").write_text("as it was released")
    worker.desk.protected = lambda *_: ["alf/made.thing.txt"]
    worker.run(once=True)
    worker.stop()
    assert the_task()["task_state"] == "Errored" and "is protected" in the_task()["task_message"]
    assert (folder / "alf/made.thing.txt").read_text() == "as it was released"
