"""Labs' own computers work off their tasks with nothing but HTTP, and a kill at any moment does no harm."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ingest.agent import sessions
from ingest.agent.agent import Agent, Options
from ingest.agent.desk import DatabaseDesk, HttpDesk, Unreachable
from ingest.agent.service import TaskService
from pipeline.database.bulk import insert_many
from pipeline.errors import ConflictError
from pipeline.queries import timeline
from pipeline.schemas import acquisition, data, lab, subject, task
from pipeline.tasks.kinds import kinds, unregister
from tests.ingest.agent import rigs
from tests.one_bridge.serving import Shared

# One backend: what differs between them is in the tests of the queue and of the server.
pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True, scope="session")]
DAY = "2019-07-01"
LABS = ("lab_a", "lab_b", "lab_c")


@pytest.fixture(scope="module")
def shared(server):
    found = Shared()
    yield found
    found.stop()


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


def session(root: Path, name: str, number: int = 1) -> Path:
    folder = root / name / "Subjects/m" / DAY / f"{number:03d}"
    folder.mkdir(parents=True)
    return folder


def agent(served, tmp_path: Path, name: str, **more) -> Agent:
    token = served.users.issue_token("mia", "agent", labs=[name])
    options = Options(tmp_path / name, tmp_path / f"{name}_scratch", name, f"{name}_rig", cores=2, memory=60_000,
                      quiet=0.0, heartbeat=0.2, **more)  # fmt: skip
    return Agent(HttpDesk(served.url, token), options)


def test_three_labs_with_nothing_but_http_do_every_task_of_their_sessions(central, tmp_path):
    for name in LABS:
        folder = rigs.training(session(tmp_path / name, name))
        (folder / sessions.FLAG).touch()
    rigs.video(tmp_path / "lab_a/lab_a/Subjects/m" / DAY / "001/raw_video_data/_iblrig_leftCamera.raw.avi", 20)
    rigs.sound(tmp_path / "lab_b/lab_b/Subjects/m" / DAY / "001/raw_behavior_data/_iblrig_micData.raw.wav")
    workers = [agent(central, tmp_path, name, remove_raw=True) for name in LABS]
    threads = [threading.Thread(target=worker.run, kwargs={"once": True}) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    for item in workers:
        item.stop()
    rows = task.Task().to_dicts()
    states = {(row["lab"], row["task_name"]): (row["task_state"], row["task_message"]) for row in rows}
    failed = {key: value for key, value in states.items() if value[0] not in ("Complete", "Waiting")}
    # the camera wrote no time stamps, and no pose program is installed: both are said, nothing else failed
    assert set(failed) == {("lab_a", "camera_times_left")}, failed
    assert {key for key, value in states.items() if value[0] == "Waiting"} == {
        ("lab_a", "pose_left"),
        ("lab_a", "pupil_left"),
    }
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
    assert ["camera_times_left" in act.what for act in acts] == [True], "no pose program is no reason to act"
    answer = central.session().get(f"{central.url}/sessions/{eid('lab_a')}/timeline", timeout=30)
    assert len(answer.json()) == len(steps)
    from dashboard.queries import session as page

    assert page.timeline_of(timeline.session_key(f"lab_a/Subjects/m/{DAY}/001")) == steps
    from pipeline.schemas import behavior

    behavior.TrialSet.populate()
    assert set(behavior.TrialSet().to_arrays("n_trials")) == {12} and len(behavior.TrialSet()) == 3


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
    raw = rigs.recording(folder, seconds=2.0)
    samples = np.fromfile(raw, np.int16).reshape(-1, 385) // 4
    at = np.arange(300, len(samples) - 300, 500)
    channels = np.array([20, 150, 300])[np.arange(len(at)) % 3]
    for shift, depth in ((-1, -40), (0, -120), (1, -40)):
        samples[at + shift, channels] = depth
    samples.tofile(raw)
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


SLOW = """
import time, pathlib
from pipeline.tasks import Kind, register

def run(job):
    count = job.folder / "runs.txt"
    with count.open("a") as file:
        file.write("x")
    mode = (job.folder / "mode.txt").read_text()
    if mode == "slow":
        time.sleep(600)
    if mode == "memory":
        hog = bytearray(700 << 20)
        time.sleep(600)
    if mode == "outside":
        job.output("../../../evil.txt")
    if mode == "strange":
        job.output("alf/other.thing.npy").write_bytes(b"x")
    if mode == "link":
        job.output("alf/made.thing.txt").symlink_to("/etc/passwd")
        return
    if mode == "nothing":
        return
    print("done by", job.arguments)
    job.output("alf/made.thing.txt").write_text("made")

KIND = Kind("make_thing", "3", run, outputs=("alf/made.thing.txt",), required=("alf/made.thing.txt",))
register(KIND)
"""


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


def thing(tmp_path, mode: str) -> Path:
    folder = session(tmp_path / "lab_a", "lab_a")
    (folder / "mode.txt").write_text(mode)
    (folder / sessions.FLAG).touch()
    return folder


def the_task() -> dict:
    return (task.Task & {"task_name": "make_thing"}).fetch1()


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


def run_agent(central, tmp_path) -> subprocess.Popen:
    token = central.users.issue_token("mia", "agent", labs=["lab_a"])
    command = [sys.executable, "-c", "from neurojoint.command import run; run()"]
    command += ["agent", "--root", str(tmp_path / "lab_a"), "--server", central.url, "--repository", "lab_a_rig",
                "--name", "one", "--scratch", str(tmp_path / "scratch"), "--quiet", "0", "--module", "mylab_tasks",
                "--memory", "60000"]  # fmt: skip
    environment = os.environ | {"NEUROJOINT_SERVER_TOKEN": token, "NEUROJOINT_HOME": str(tmp_path / "agent_home")}
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for(what, seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.1)


def test_a_killed_agent_takes_its_processes_with_it_and_the_next_one_does_the_task_once(central, tmp_path, module):
    folder = thing(tmp_path, "slow")
    first = run_agent(central, tmp_path)
    wait_for(lambda: (folder / "runs.txt").exists())
    children = [int(part) for part in Path(f"/proc/{first.pid}/task/{first.pid}/children").read_text().split()]
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    wait_for(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert the_task()["task_state"] == "Started" and not (folder / "alf").exists()
    (folder / "mode.txt").write_text("quick")
    second = run_agent(central, tmp_path)
    try:
        wait_for(lambda: the_task()["task_state"] == "Complete")
    finally:
        second.terminate()
        second.wait(30)
    assert (folder / "alf/made.thing.txt").read_text() == "made" and the_task()["task_version"] == "3"
    assert (folder / "runs.txt").read_text() == "xx"
    assert not [path for path in (tmp_path / "scratch").iterdir() if path.is_dir()]


@pytest.mark.soak
def test_an_agent_that_is_killed_each_second_ends_every_task_once(central, tmp_path, module):
    """Killed at 20 random moments, then left alone: all sessions done, each output registered once."""
    rng = np.random.default_rng(7)
    folders = [session(tmp_path / "lab_a", "lab_a", number) for number in range(1, 9)]
    for folder in folders:
        (folder / "mode.txt").write_text("quick")
        (folder / sessions.FLAG).touch()
    for _ in range(20):
        worker = run_agent(central, tmp_path)
        time.sleep(3 + rng.uniform(0.5, 1.5))  # it takes some seconds to begin
        worker.kill()
        worker.wait()
    worker = run_agent(central, tmp_path)
    try:
        wait_for(lambda: len(task.Task & {"task_name": "make_thing", "task_state": "Complete"}) == 8, 400)
    finally:
        worker.terminate()
        worker.wait(30)
    made = task.TaskOutput().to_dicts()
    assert len(made) == len({row["task_uuid"] for row in made}) == 8
    assert {(folder / "alf/made.thing.txt").read_text() for folder in folders} == {"made"}
    assert len(data.Dataset & {"rel_path": "alf/made.thing.txt"}) == 8
    assert not list(tmp_path.rglob("*.part")) and not [
        path for path in (tmp_path / "scratch").iterdir() if path.is_dir()
    ]


class Link:
    """The network between an agent and the server; cut, what is under way breaks off, and nothing new begins."""

    def __init__(self, port: int) -> None:
        self.port, self.is_up, self.sockets = port, True, set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        self.is_up = False
        for item in list(self.sockets):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return  # the test is over
            if not self.is_up:
                near.close()
                continue
            far = socket.create_connection(("127.0.0.1", self.port))
            self.sockets |= {near, far}
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(1 << 16):
                target.sendall(block)
        for item in (source, target):
            with contextlib.suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)


def test_a_link_that_is_cut_again_and_again_loses_nothing_and_does_nothing_twice(central, tmp_path, module):
    """Cut when a task begins, while outputs are delivered, and between: each is registered once, by one attempt."""
    folders = [session(tmp_path / "lab_a", "lab_a", number) for number in range(1, 4)]
    for folder in folders:
        (folder / "mode.txt").write_text("quick")
        (folder / sessions.FLAG).touch()
    link = Link(int(central.url.rpartition(":")[2]))
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    worker.desk = HttpDesk(link.url, central.users.issue_token("mia", "agent", labs=["lab_a"]))
    worker.delivery.desk = worker.desk
    over = threading.Event()
    cuts = 0

    def send(*words, send=worker.desk.send):
        nonlocal cuts
        if cuts % 2 == 0 and cuts < 6:  # every second delivery breaks off
            link.cut()
        cuts += 1
        return send(*words)

    worker.desk.send = send
    thread = threading.Thread(target=worker.run, args=(over.is_set,))
    thread.start()
    try:
        done = task.Task & {"task_name": "make_thing", "task_state": "Complete"}
        until = time.monotonic() + 240
        while len(done) < len(folders):
            assert time.monotonic() < until, [row["task_message"] for row in task.Task().to_dicts()]
            time.sleep(0.3)
            link.is_up = True
    finally:
        over.set()
        thread.join(60)
        worker.stop()
        link.listener.close()
    assert cuts >= 4, "the link was cut"
    rows = (task.Task & {"task_name": "make_thing"}).to_dicts()
    assert {row["task_attempts"] for row in rows} == {1}
    assert {(folder / "runs.txt").read_text() for folder in folders} == {"x"}, "none was done twice"
    assert len(task.TaskOutput()) == len(data.Dataset & {"rel_path": "alf/made.thing.txt"}) == len(folders)
    assert not list(tmp_path.rglob("*.part"))


def test_an_answer_that_is_lost_and_a_kill_while_delivering_register_once(central, tmp_path, module):
    thing(tmp_path, "quick")
    worker = agent(central, tmp_path, "lab_a", modules=("mylab_tasks",))
    finish = worker.desk.finish

    def lost(*words):
        finish(*words)
        raise Unreachable("the answer was lost", "")

    worker.desk.finish = lost
    until = time.monotonic() + 120

    def ended() -> bool:
        stages = {json.loads(path.read_text())["stage"] for path in worker.options.scratch.glob("*/job.json")}
        return time.monotonic() > until or (bool(task.TaskOutput()) and stages == {"delivering"})

    worker.run(ended)
    folders = [path for path in worker.options.scratch.iterdir() if path.is_dir()]
    assert folders, "nobody knows yet whether the outputs have arrived"
    assert {json.loads((folder / "job.json").read_text())["stage"] for folder in folders} == {"delivering"}
    worker._lock.close()
    again = Agent(worker.desk, worker.options)
    again.desk.finish = finish
    assert again.recover() == len(folders)
    again.stop()
    assert the_task()["task_state"] == "Complete" and len(task.TaskOutput()) == 1
    shutil.rmtree(tmp_path / "lab_a")
