"""Protects registration: a second run changes nothing, any history of files ends as a fresh run over the last state."""

from __future__ import annotations

import datetime
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest

from ingest.files import inspect_session
from ingest.rows.lock import repository_lock
from pipeline.alf import identity
from pipeline.errors import InvalidData, NeurojointError
from pipeline.schemas import acquisition, data, subject
from pipeline.schemas.inputs import files
from pipeline.settings import settings
from tests.ingest.tree import content, ingest, rows, write

pytestmark = pytest.mark.slow

SESSION = "mylab/Subjects/m1/2020-01-01/001"
KEY = {"lab": "mylab", "subject": "m1", "session_date": datetime.date(2020, 1, 1), "session_number": 1}


def changes() -> list[tuple[str, str]]:
    recorded = rows(data.Change, "change_action", "change_path")
    return [(action, path.rpartition("/")[2]) for action, path in recorded if "/alf/" in path]


def test_real_recordings_are_registered_with_their_eids(database, real_data):
    summary = ingest(real_data, metadata=[real_data / "sessions.json"])
    assert (summary.labs, summary.subjects, summary.sessions, summary.files_new) == (3, 5, 30, 159)
    assert summary.reasons == {"not_alf": 4}
    told = json.loads((real_data / "sessions.json").read_text())
    registered = {
        identity.session_path(*row[:4]): row[4]
        for row in rows(acquisition.Session, *acquisition.Session.primary_key, "eid")
    }
    for path, fields in told.items():
        assert registered[path] == fields.get("eid", identity.eid(path))
    key = (acquisition.Session & {"subject": "KS014", "session_date": "2019-08-06"}).fetch1()
    assert key["start_time"] == datetime.datetime(2019, 8, 6, 10, 35, 49, 367000)
    trials = files.read_object(key, "trials", required=["choice"])
    assert trials.collection == "alf" and set(trials.values["choice"]) <= {-1, 0, 1} and not trials.refused


def test_a_second_run_reads_and_changes_nothing(database, tmp_path, monkeypatch):
    write(tmp_path, SESSION)
    ingest(tmp_path)
    before, n_changes = content(), len(data.Change())
    monkeypatch.setattr(inspect_session, "examine", lambda *_: pytest.fail("an unchanged folder was read"))
    summary = ingest(tmp_path)
    assert (summary.sessions, summary.sessions_new, summary.files_new) == (1, 0, 0)
    assert content() == before and len(data.Change()) == n_changes


def test_a_dry_run_counts_the_same_and_writes_nothing(database, tmp_path):
    write(tmp_path, SESSION, choice=np.full(6, 9))
    empty = content()
    dry = ingest(tmp_path, dry_run=True)
    assert content() == empty and not data.IngestRun()
    real = ingest(tmp_path)
    assert dry.as_dict() | {"dry_run": False, "seconds": 0, "run_id": ""} == real.as_dict() | {
        "seconds": 0,
        "run_id": "",
    }


def test_processes_give_what_one_process_gives(database, tmp_path, monkeypatch):
    from ingest import registration

    for day in range(1, 5):
        write(tmp_path, f"mylab/Subjects/m{day % 2}/2020-01-{day:02d}/001", choice=np.full(6, day))
    monkeypatch.setattr(registration, "FEW_TO_LOOK_AT", 0)
    monkeypatch.setattr(registration, "FEW_TO_READ", 0)
    monkeypatch.setattr(registration, "SESSIONS_PER_TASK", 1)
    ingest(tmp_path, processes=3)
    several = content()
    for table in (data.Quarantine, data.AlfObject, data.SessionScan, data.FileRecord, data.Dataset, data.SourceRow):
        table.delete_quick()
    for table in (acquisition.SessionTask, acquisition.Session):
        table.delete_quick()
    ingest(tmp_path)
    assert content() == several and len(several["Dataset"]) == 16


def test_replaced_deleted_and_restored_files_leave_their_history(database, tmp_path):
    session = write(tmp_path, SESSION)
    ingest(tmp_path)
    choice = session / "alf" / "_ibl_trials.choice.npy"
    old = choice.read_bytes()
    first = files.read_object(KEY, "trials")

    np.save(choice, np.array([1, 1, 1, 1, 1, 1]))
    with pytest.raises(InvalidData, match="changed since it was registered"):
        files.read_object(KEY, "trials")
    summary = ingest(tmp_path)
    assert (summary.files_replaced, summary.sessions_changed) == (1, 1)
    second = files.read_object(KEY, "trials")
    assert second.fingerprint != first.fingerprint and second.values["choice"].sum() == 6
    row = (data.Change & {"change_action": "replaced"}).fetch1()
    assert row["old_hash"] != row["new_hash"] == (data.Dataset & {"alf_attribute": "choice"}).fetch1("dataset_hash")

    choice.unlink()
    assert ingest(tmp_path).files_missing == 1
    assert "choice" in files.read_object(KEY, "trials").absent
    assert (data.FileRecord & {"file_state": "missing"}).fetch1("file_path").endswith("choice.npy")

    choice.write_bytes(old)
    assert ingest(tmp_path).files_restored == 1
    assert files.read_object(KEY, "trials").fingerprint == first.fingerprint
    name = "_ibl_trials.choice.npy"
    assert changes() == [("deleted", name), ("replaced", name), ("restored", name)]


def test_a_touched_file_is_only_looked_at(database, tmp_path):
    session = write(tmp_path, SESSION)
    ingest(tmp_path)
    path = session / "alf" / "_ibl_trials.choice.npy"
    os.utime(path, ns=(1, 1_600_000_000_000_000_000))
    summary = ingest(tmp_path)
    assert (summary.files_replaced, summary.sessions_changed) == (0, 0) and not changes()
    assert 1_600_000_000_000_000_000 in {ns for (ns,) in rows(data.FileRecord, "modified_ns")}
    assert files.read_object(KEY, "trials").values


def test_a_good_file_replaced_by_a_broken_one_is_not_served(database, tmp_path):
    session = write(tmp_path, SESSION)
    ingest(tmp_path)
    path = session / "alf" / "_ibl_trials.choice.npy"
    path.write_bytes(path.read_bytes()[:-8])
    summary = ingest(tmp_path)
    assert (summary.files_missing, summary.reasons) == (1, {"truncated": 1})
    contents = files.read_object(KEY, "trials")
    assert contents.refused == {"choice": "truncated"} and "choice" not in contents.values
    with pytest.raises(InvalidData, match="choice"):
        files.read_object(KEY, "trials", required=["choice"])


def test_default_versions_are_those_that_one_loads(database, tmp_path):
    import pandas as pd
    from one.alf.path import ALFPath
    from one.util import filter_revision_last_before

    session = write(tmp_path, SESSION)
    for number, revision in enumerate(("2024-01-01", "2024-01-01a", "2023-12-31")):
        folder = session / "alf" / f"#{revision}#"
        folder.mkdir()
        np.save(folder / "_ibl_trials.choice.npy", np.full(6, number - 1))
    ingest(tmp_path)
    chosen = {path for path, default in rows(data.Dataset, "rel_path", "default_dataset") if default}
    paths = [path for (path,) in rows(data.Dataset, "rel_path")]
    frame = pd.DataFrame({"rel_path": sorted(paths)})
    assert chosen == set(filter_revision_last_before(frame, assert_unique=False)["rel_path"])
    assert "alf/#2024-01-01a#/_ibl_trials.choice.npy" in chosen and len(chosen) == 4
    assert files.read_object(KEY, "trials").values["choice"].tolist() == [0] * 6
    assert ALFPath("alf/#2024-01-01a#/_ibl_trials.choice.npy").name in {path.name for path in session.rglob("*.npy")}
    (session / "alf" / "#2024-01-01a#" / "_ibl_trials.choice.npy").unlink()
    ingest(tmp_path)
    assert files.read_object(KEY, "trials").values["choice"].tolist() == [-1] * 6


def test_a_uuid_in_a_file_name_is_the_identifier_of_the_dataset(database, tmp_path):
    session = write(tmp_path, SESSION)
    given = str(uuid.uuid4())
    np.save(session / "alf" / f"spikes.times.{given}.npy", np.arange(3.0))
    other = write(tmp_path, SESSION.replace("001", "002"))
    np.save(other / "alf" / f"spikes.times.{given}.npy", np.arange(3.0))  # a copy of the file in another session
    ingest(tmp_path)
    datasets = rows(data.Dataset & {"alf_object": "spikes"}, "session_number", "dataset_id", "rel_path")
    assert datasets[0] == (1, given, "alf/spikes.times.npy")
    assert datasets[1][1] == identity.dataset_id(SESSION.replace("001", "002"), "alf/spikes.times.npy")
    assert files.read_attribute(KEY, "spikes", "times").tolist() == [0, 1, 2]


def test_many_vanished_sessions_are_not_marked_missing_unless_accepted(database, tmp_path):
    for day in range(1, 11):
        write(tmp_path, f"mylab/Subjects/m1/2020-01-{day:02d}/001")
    ingest(tmp_path)
    for day in range(1, 9):
        shutil.rmtree(tmp_path / f"mylab/Subjects/m1/2020-01-{day:02d}")
    assert ingest(tmp_path).withheld == 8
    assert not data.FileRecord & {"file_state": "missing"}
    summary = ingest(tmp_path, accept_missing=True)
    assert (summary.sessions_vanished, summary.files_missing) == (8, 32)
    assert len(data.AlfObject()) == 2
    write(tmp_path, "mylab/Subjects/m1/2020-01-03/001")
    assert ingest(tmp_path).files_restored == 4


def test_a_root_that_is_empty_or_not_there_says_so(database, tmp_path):
    with pytest.raises(NeurojointError, match="cannot be read"):
        ingest(tmp_path / "nowhere")
    (tmp_path / "lab" / "Subjects").mkdir(parents=True)
    with pytest.raises(NeurojointError, match="no session folders"):
        ingest(tmp_path)


def test_a_folder_below_a_known_root_is_part_of_its_repository(database, tmp_path):
    write(tmp_path, SESSION)
    write(tmp_path, "mylab/Subjects/m2/2020-01-01/001")
    ingest(tmp_path, repository="main")
    write(tmp_path, "mylab/Subjects/m1/2020-01-02/001", choice=np.full(6, 9))
    write(tmp_path, "mylab/Subjects/m2/2020-01-02/001")
    shutil.rmtree(tmp_path / "mylab/Subjects/m2/2020-01-01")
    summary = ingest(tmp_path / "mylab/Subjects/m1")
    assert (summary.repository, summary.sessions, summary.sessions_new, summary.files_missing) == ("main", 2, 1, 0)
    assert rows(data.Repository, "repository") == [("main",)]
    assert ingest(tmp_path / "mylab/Subjects/m1/2020-01-02/001").quarantined == 1


def test_a_copy_in_a_second_repository_is_a_second_record(database, tmp_path):
    write(tmp_path / "a", SESSION)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    ingest(tmp_path / "a")
    summary = ingest(tmp_path / "b")
    assert (len(data.Dataset()), len(data.FileRecord()), summary.sessions_new) == (4, 8, 0)
    shutil.rmtree(tmp_path / "a")
    assert files.read_object(KEY, "trials").paths[0].is_relative_to(tmp_path / "b")


def test_a_second_ingest_of_one_repository_is_refused(database, server, tmp_path, monkeypatch):
    from ingest.rows import lock
    from pipeline.database import connection

    monkeypatch.setattr(lock, "PATIENCE", 0.1)
    write(tmp_path, SESSION)
    name = tmp_path.name
    raw = connection.resolve(settings())
    other = connection.Connection(raw)
    with repository_lock(other, settings().prefix, name), pytest.raises(NeurojointError, match="is running"):
        ingest(tmp_path)
    other.close()
    assert ingest(tmp_path).sessions_new == 1


def test_a_step_can_put_another_file_in_the_place_of_one_with_its_history(database, tmp_path):
    """What compression will do between reading and writing."""
    session = write(tmp_path, SESSION)

    def step(report, root):
        raw = next((file for file in report.files if (file.attribute, file.extension) == ("choice", "npy")), None)
        if raw is None:
            return report
        path = root / raw.file_path
        path.rename(path.with_suffix(".cbin"))
        again = inspect_session.examine(root, report.folder.key, report.folder.path, {})
        packed = next(file for file in again.files if file.extension == "cbin")
        again.changes.append(("compressed", packed.file_path, "by a test", raw.md5, packed.md5))
        return again

    ingest(tmp_path)
    (session / "alf" / "_ibl_trials.choice.npy").touch()
    ingest(tmp_path, steps=[step])
    row = (data.Change & {"change_action": "compressed"}).fetch1()
    assert row["old_hash"] and row["change_path"].endswith("choice.cbin")
    assert {path.rpartition(".")[2]: state for path, state in rows(data.FileRecord, "file_path", "file_state")} == {
        "npy": "online", "cbin": "online",
    }  # fmt: skip
    assert len(data.FileRecord & {"file_state": "missing"}) == 1
    assert ingest(tmp_path).sessions_changed == 0


def test_any_history_of_files_ends_as_a_fresh_run_over_the_last_state(database, tmp_path):
    """Adds, replaces, breaks and deletes files at random; what counts in the end is what is there."""
    rng = random.Random(4)  # noqa: S311 - a reproducible history
    root = tmp_path / "root"
    days = [f"mylab/Subjects/m{i % 2}/2020-01-{i:02d}/001" for i in range(1, 5)]
    for step in range(8):
        for day in days:
            if rng.random() < 0.5:
                write(root, day, choice=np.full(6, rng.choice([1, -1, 3])), response=np.arange(rng.choice([6, 5])))
            elif (root / day).exists() and rng.random() < 0.4:
                rng.choice(sorted((root / day).rglob("*.npy")) or [root / day]).unlink(missing_ok=True)
        write(root, days[0])
        ingest(root, accept_missing=True, repository="r")
        assert step or data.Dataset()
    lived = content()
    online = {row[0] for row in rows(data.FileRecord & {"file_state": "online"}, "dataset_id")}
    for table in (data.Quarantine, data.AlfObject, data.SessionScan, data.FileRecord, data.Dataset):
        table.delete_quick()
    acquisition.SessionTask().delete_quick()
    acquisition.Session().delete_quick()
    ingest(root, repository="r")
    fresh = content()
    for name in ("Session", "AlfObject", "SessionScan"):
        assert lived[name] == fresh[name], name
    for name in ("Dataset", "FileRecord"):
        assert [row for row in lived[name] if row[0] in online] == fresh[name], name


@pytest.mark.slow
@pytest.mark.parametrize("attempts", [6, pytest.param(20, marks=pytest.mark.soak)])
def test_killed_at_any_moment_the_next_run_ends_as_an_undisturbed_one(database, server, tmp_path, attempts):
    from ingest.simulate import write_lab, write_many

    root = tmp_path / "root"
    write_lab(root, n_mice=2, n_sessions=6, wheel=False, damaged=True)
    write_many(root, 600, 25)
    script = (
        "import sys, json, warnings; warnings.simplefilter('ignore')\n"
        "import pipeline\nfrom pipeline import settings\nfrom ingest import register\n"
        "if __name__ == '__main__':\n"
        "    with settings.override(**json.loads(sys.argv[1])):\n"
        "        pipeline.connect()\n        print('ready', flush=True)\n"
        "        register(sys.argv[2], repository='r', metadata=[sys.argv[2]], processes=2)\n"
    )
    chosen = {name: str(value) for name, value in server.items()}
    command = [sys.executable, "-c", script, json.dumps(chosen), str(root)]
    rng = random.Random(1)  # noqa: S311
    killed = 0
    for attempt in range(attempts):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        process.stdout.readline()
        time.sleep(rng.uniform(0.02, 0.35))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            killed += 1
        process.wait()
        assert attempt or killed, "the run was too fast to be killed"
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    disturbed = content()
    assert killed >= attempts / 2 and len(disturbed["Session"]) > 600
    from tests.conftest import empty_tables

    empty_tables(database)
    ingest(root, repository="r", metadata=[root])
    undisturbed = content()
    for name, expected in undisturbed.items():
        assert disturbed[name] == expected, name
    assert subject.Subject()


@pytest.mark.slow
def test_ctrl_c_ends_with_one_line_and_the_next_run_continues(database, server, tmp_path):
    from ingest.simulate import write_many

    write_many(tmp_path, 250, 25)
    names = {"home": "NEUROJOINT_HOME", "database_url": "NEUROJOINT_DATABASE_URL"}
    environment = os.environ | {names[name]: str(value) for name, value in server.items()}
    command = [
        sys.executable,
        "-c",
        "from neurojoint.cli import main; main()",
        "ingest",
        str(tmp_path),
        "--processes",
        "2",
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not data.IngestRun() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert said.strip().splitlines()[-1].endswith("stopped: run the same command again to continue")
    assert "Traceback" not in said
    assert ingest(tmp_path).sessions == 250
    assert len(acquisition.Session()) == 250 and not data.Quarantine()


def test_sessions_in_a_folder_that_cannot_be_read_are_not_missing(database, tmp_path, monkeypatch):
    """The superuser reads everything, so the refusal is put in by hand."""
    for number in range(1, 3):
        write(tmp_path, f"mylab/Subjects/m{number}/2020-01-01/001")
    ingest(tmp_path)
    before = content()
    real = os.scandir

    def scandir(path):
        if str(path).endswith("Subjects/m1"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", scandir)
        summary = ingest(tmp_path)
    assert (summary.files_missing, summary.sessions_vanished, summary.reasons) == (0, 0, {"permission_denied": 1})
    assert content() | {"Quarantine": []} == before
    assert ingest(tmp_path).resolved == 1
