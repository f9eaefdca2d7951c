"""From policies to verified copies, and back: nothing is lost, nothing is believed that nobody read."""

from __future__ import annotations

import datetime
import fcntl
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from exchange.transfers import ledger, mover, patrol, plan, policies, repositories, run
from exchange.transfers.free import free, propose
from exchange.transfers.retrieve import retrieve
from one_bridge import dataset_admin
from pipeline.errors import NeurojointError
from pipeline.schemas import acquisition, data, transfer
from tests.exchange.transfers.lab import (
    RAW,
    SESSION,
    add_place,
    add_repository,
    build,
    changes,
    copies,
    later,
    new_bucket,
    want,
)
from tests.ingest.tree import content, ingest, rows

pytestmark = pytest.mark.slow


def states() -> dict[str, str]:
    return dict(rows(transfer.Transfer.Item, "destination_path", "item_state"))


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_policies_bring_copies_everywhere_and_a_second_plan_finds_nothing(database, tmp_path, ssh_server, s3):
    build(tmp_path / "rig", sessions=2)
    bucket = new_bucket(s3)
    for kind in ("ssh", "sftp"):
        (tmp_path / kind).mkdir()
        add_place(kind, ssh_server.place(kind, tmp_path / kind))
    add_place("bucket", s3.place(bucket))
    add_repository("disk", tmp_path / "disk")
    want("ssh", "sftp", "bucket", "disk")
    planned = plan.plan()
    assert (planned.files, len(planned.transfers), planned.no_source) == (40, 4, 0)
    assert plan.plan().files == 0, "what is planned is not planned twice"
    summary = run.run()
    assert (summary.files, summary.failed, summary.waiting) == (40, {}, {})
    for name in ("ssh", "sftp", "bucket", "disk"):
        assert copies(name) == copies("rig")
    assert md5(tmp_path / "ssh" / RAW) == md5(tmp_path / "rig" / RAW)
    assert set(rows(transfer.Transfer, "transfer_state")) == {("verified",)}
    assert plan.plan().files == 0
    assert len(changes("verified")) == 40
    assert ingest(tmp_path / "disk", repository="disk").files_new == 0, "a copy is registered as it is"


def test_a_policy_takes_only_what_it_says(database, tmp_path):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk", for_paths="raw_*, */_ibl_trials.choice.*", largest_size=60_000)
    plan.plan()
    run.run()
    assert set(copies("disk")) == {RAW, f"{SESSION}/alf/_ibl_trials.choice.npy"}
    want("disk", for_types="trials.feedbackType", for_paths="")
    plan.plan()
    run.run()
    assert len(copies("disk")) == 3
    want("disk", for_types="", for_lab="another")
    assert plan.plan().files == 0
    want("disk", for_lab="mylab", smallest_age=36_500)
    assert plan.plan().files == 0
    acquisition_key = (acquisition.Session & {"subject": "m1"}).fetch1("KEY")
    want("disk", smallest_age=0, for_project="p")
    assert plan.plan().files == 0
    from pipeline.schemas import lab

    lab.Project.insert1({"project": "p"})
    acquisition.SessionProject.insert1(acquisition_key | {"project": "p"})
    assert plan.plan().files == 2


def test_a_truncated_or_changed_copy_with_the_right_name_is_never_believed(database, tmp_path, monkeypatch):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    from exchange.transfers.backends import folder

    rename, damage = folder.Folder._rename, ["short", "flipped"]

    def damaged(self, group):
        for job, temporary in group:
            if job.path == RAW and damage:
                blob = bytearray(Path(temporary).read_bytes())
                if damage.pop() == "short":
                    blob = blob[:1000]
                else:
                    blob[77] ^= 1
                Path(temporary).write_bytes(blob)
        yield from rename(self, group)

    monkeypatch.setattr(folder.Folder, "_rename", damaged)
    for attempt in (1, 2):
        summary = run.run()
        assert "it was removed and is made again" in summary.failed[RAW]
        assert RAW not in copies("disk") and not (tmp_path / "disk" / RAW).exists()
        assert (transfer.Transfer.Item & {"item_state": "failed"}).fetch1("item_attempts") == attempt
        assert run.run().files == 0, "it waits before it is tried again"
        later()
    assert run.run().files == 1
    assert copies("disk") == copies("rig")


def test_what_fails_too_often_is_given_up_until_a_person_says_retry(database, tmp_path, monkeypatch):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    other = tmp_path / "disk" / RAW
    other.parent.mkdir(parents=True)
    other.write_bytes(b"somebody's own file")
    want("disk")
    plan.plan()
    summary = run.run()
    assert "another file lies at disk:" in summary.failed[RAW] and summary.files == 4
    assert other.read_bytes() == b"somebody's own file"
    later()
    (row,) = (transfer.Transfer & {"transfer_state": "failed"}).to_dicts()
    other.unlink()
    assert ledger.retry(row["transfer_id"], ledger.database_time()) == 1
    assert run.run().files == 1 and copies("disk") == copies("rig")


def test_a_killed_mover_leaves_work_that_the_next_one_takes_up(database, tmp_path):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    (identifier,) = plan.plan().transfers
    ledger.begin(identifier, ledger.items(identifier), ledger.database_time())
    half = tmp_path / "disk" / RAW
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half of it")
    assert set(states().values()) == {"submitted"}
    summary = run.run()
    assert (summary.files, summary.failed) == (5, {})
    assert copies("disk") == copies("rig") and md5(half) == md5(tmp_path / "rig" / RAW)


class Killed(BaseException):
    """As a kill: nothing that handles errors sees it."""


@pytest.mark.one_database
def test_a_file_that_kills_every_mover_is_found_and_costs_no_other_its_attempts(database, tmp_path, monkeypatch):
    build(tmp_path / "rig", sessions=2)
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    from exchange.transfers.backends import folder

    send, sent = folder.Folder.send, []

    def send_or_die(self, jobs, progress):
        jobs = list(jobs)
        sent.append(len(jobs))
        if RAW in {job.path for job in jobs}:
            raise Killed
        yield from send(self, jobs, progress)

    monkeypatch.setattr(folder.Folder, "send", send_or_die)
    monkeypatch.setattr(mover, "GROUP_FILES", 16)
    for _ in range(9):
        with pytest.raises(Killed):
            run.run()
        later()
        ledger.expire(ledger.database_time())
        if states()[RAW] == "failed":
            break
    assert sent == [10, 4, 6, 4, 1], "fewer at once after each kill"
    tried = dict(rows(transfer.Transfer.Item, "destination_path", "item_attempts"))
    assert tried.pop(RAW) == 1 and set(tried.values()) == {0}, "it alone was under way"
    run.run()
    assert set(copies("rig")) - set(copies("disk")) == {RAW}
    monkeypatch.undo()
    later()
    run.run()
    assert copies("disk") == copies("rig")


def test_two_movers_do_not_work_on_one_transfer(database, tmp_path):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    (identifier,) = plan.plan().transfers
    other = raw_connection()
    lock(other, identifier)
    assert (run.run().elsewhere, copies("disk")) == (1, {})
    other.close()
    for _ in range(100):  # a server needs a moment to notice
        if run.run().files:
            break
    assert copies("disk") == copies("rig")


def raw_connection():
    from pipeline.database import connection

    return connection.raw_connection(ledger.connection().address)


def lock(other, name: str) -> None:
    from pipeline.database import sessions

    name = ledger.lock_name(name)
    postgres = ledger.connection().adapter.backend == "postgresql"
    with other.cursor() as cursor:
        cursor.execute(
            f"SELECT pg_advisory_lock({sessions._key(name)})"
            if postgres
            else f"SELECT GET_LOCK('{sessions._mysql_name(name)}', 9)"
        )


def test_an_unmounted_root_marks_nothing_and_deletes_nothing(database, tmp_path):
    build(tmp_path / "rig", sessions=2)
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    (tmp_path / "disk").rename(tmp_path / "away")
    (tmp_path / "disk").mkdir()
    summary = run.run()
    assert "no marker file" in summary.waiting["disk"] and summary.failed == {}
    assert set(states().values()) == {"planned"} and not list((tmp_path / "disk").iterdir())
    (tmp_path / "disk").rmdir()
    (tmp_path / "away").rename(tmp_path / "disk")
    run.run()
    before = content()
    for name in ("disk", "rig"):
        (tmp_path / name).rename(tmp_path / "away")
        (tmp_path / name).mkdir()
        (tmp_path / name / "lost+found").mkdir()
        report = patrol.verify([name])
        assert report.problems and not report.damaged and not report.gone
        shutil.rmtree(tmp_path / name)
        (tmp_path / "away").rename(tmp_path / name)
    assert content() == before


def test_a_source_that_changed_is_not_copied_and_the_new_version_is(database, tmp_path):
    raw = build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    raw.write_bytes(b"x" * 50_000)  # the same size, another content
    summary = run.run()
    assert RAW in summary.failed and RAW not in copies("disk")
    assert RAW in copies("rig"), "written since it was registered: that is for ingest"
    ingest(tmp_path / "rig", repository="rig")
    plan.plan()
    assert states()[RAW] == "planned"
    run.run()
    assert copies("disk") == copies("rig")


def test_rot_in_an_archive_is_found_recorded_and_mended(database, tmp_path, s3):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    add_place("bucket", s3.place(new_bucket(s3)))
    want("disk", "bucket")
    plan.plan()
    run.run()
    stat = (tmp_path / "disk" / RAW).stat()
    blob = bytearray((tmp_path / "disk" / RAW).read_bytes())
    blob[12_345] ^= 4
    (tmp_path / "disk" / RAW).write_bytes(blob)
    os.utime(tmp_path / "disk" / RAW, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    report = patrol.verify()
    assert list(report.damaged) == [f"disk:{RAW}"] and (report.verified, report.repairs) == (14, 1)
    assert RAW not in copies("disk") and changes("damaged") == [f"disk:{RAW}"]
    assert (tmp_path / "disk" / ".neurojoint-damaged" / RAW).read_bytes() == blob, "kept for a person to look at"
    assert ingest(tmp_path / "disk", repository="disk").files_new == 0, "and not taken for a new version"
    run.run()
    assert copies("disk") == copies("rig") and md5(tmp_path / "disk" / RAW) == md5(tmp_path / "rig" / RAW)
    assert patrol.verify().verified == 15


def test_a_damaged_source_is_replaced_from_a_good_copy(database, tmp_path):
    raw = build(tmp_path / "rig")
    add_repository("z_disk", tmp_path / "z_disk")
    want("z_disk")
    plan.plan()
    run.run()
    good, stat = raw.read_bytes(), raw.stat()
    raw.write_bytes(b"r" + good[1:])
    os.utime(raw, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    add_repository("second", tmp_path / "second")
    want("second")
    plan.plan()
    summary = run.run()
    assert RAW in summary.failed and RAW not in copies("second")
    assert plan.plan().files == 1, "from the good copy"
    run.run()
    assert raw.read_bytes() == good and copies("second") == copies("rig") == copies("z_disk")


def test_a_raw_file_goes_only_after_two_other_copies_were_verified(database, tmp_path):
    raw = build(tmp_path / "rig")
    for name in ("one", "two"):
        add_repository(name, tmp_path / name)
    want("one", "two")
    assert propose(tmp_path / "rig").candidates == [], "no policy lets anything go"
    want(name="free", keep_local=30, for_paths="raw_video_data/*")
    proposal = propose(tmp_path / "rig")
    assert proposal.candidates == [] and "0 verified copies elsewhere, 2 are needed" in proposal.kept[RAW]
    plan.plan()
    run.run()
    (candidate,) = propose(tmp_path / "rig").candidates
    assert (candidate.path, candidate.size) == (RAW, 50_000)
    (tmp_path / "two").rename(tmp_path / "away")  # a copy that cannot be seen now does not count
    assert "1 verified copies" in propose(tmp_path / "rig").kept[RAW]
    (tmp_path / "away").rename(tmp_path / "two")
    proposal = propose(tmp_path / "rig")
    with raw.open() as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        assert "somebody reads it" in free(proposal).kept[RAW] and raw.exists()
    (dataset,) = (data.Dataset & {"rel_path": RAW[len(SESSION) + 1 :]}).to_dicts()
    dataset_admin.define_tag("paper", protected=True)
    data.DatasetTag.insert1({"dataset_id": dataset["dataset_id"], "tag": "paper"})
    assert "the tag paper protects it" in free(proposal).kept[RAW] and raw.exists()
    dataset_admin.define_tag("paper", protected=False)
    before = content()
    done = free(propose(tmp_path / "rig"))
    assert (done.files, done.size, raw.exists()) == (1, 50_000, False)
    assert RAW not in copies("rig") and changes("freed") == [f"rig:{RAW}"]
    assert (data.Dataset & {"rel_path": RAW[len(SESSION) + 1 :]}).fetch1("dataset_online") == 1
    ingest(tmp_path / "rig", repository="rig")
    after = content()
    for table in ("Dataset", "Quarantine", "Session", "AlfObject"):
        gone = {item for item in before[table] if item not in after[table]}
        assert not gone or table == "AlfObject", f"{table}: {gone}"

    summary = retrieve({"rel_path": RAW[len(SESSION) + 1 :]}, days=1)  # three folders are here: to where it was freed
    assert summary.files == 1 and md5(raw) == md5(tmp_path / "one" / RAW)
    assert ingest(tmp_path / "rig", repository="rig").files_new == 0
    assert content()["Dataset"] == before["Dataset"]
    transfer.Retrieval.update1(
        (transfer.Retrieval & {"repository": "rig"}).fetch1("KEY") | {"retrieved_until": datetime.datetime(2020, 1, 1)}
    )
    policies.define("free", policy_enabled=False)
    (candidate,) = propose(tmp_path / "rig").candidates
    assert candidate.reason == "retrieved for a time that is over"


def test_what_changed_after_the_copies_were_verified_stays(database, tmp_path):
    raw = build(tmp_path / "rig")
    for name in ("one", "two"):
        add_repository(name, tmp_path / name)
    want("one", "two", keep_local=30)
    plan.plan()
    run.run()
    copy = tmp_path / "two" / RAW
    good, stat = copy.read_bytes(), copy.stat()
    copy.write_bytes(b"z" * 50_000)  # the same size
    assert "two was written since it was read: neurojoint verify two" in propose(tmp_path / "rig").kept[RAW]
    copy.write_bytes(good)
    assert "two was written since" in propose(tmp_path / "rig").kept[RAW], "nobody read it"
    assert patrol.verify(["two"]).damaged == {} and len(propose(tmp_path / "rig").candidates) == 1
    copy.unlink()
    copy.hardlink_to(tmp_path / "one" / RAW)
    patrol.verify(["two"])
    assert "two leads to the same file" in propose(tmp_path / "rig").kept[RAW]
    copy.unlink()
    copy.write_bytes(good)
    os.utime(copy, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    patrol.verify(["two"])
    proposal = propose(tmp_path / "rig")
    assert len(proposal.candidates) == 1
    raw.write_bytes(b"y" * 50_000)
    assert "changed" in free(proposal).kept[RAW] and raw.exists()
    ingest(tmp_path / "rig", repository="rig")
    assert "0 verified copies" in propose(tmp_path / "rig").kept[RAW]


def test_retrieve_brings_what_is_asked_for_and_nothing_else(database, tmp_path):
    build(tmp_path / "rig", sessions=3)
    add_repository("archive", tmp_path / "archive", access_archive=True)
    add_repository("desk", tmp_path / "desk")
    want("archive")
    plan.plan()
    run.run()
    retrieve({"session_number": 2, "collection": "alf"}, to="desk")
    assert len(copies("desk")) == 4
    assert {path.split("/")[4] for path in copies("desk")} == {"002"}
    with pytest.raises(NeurojointError, match="no dataset fits"):
        retrieve({"session_number": 9}, to="desk")


def test_secrets_do_not_get_into_tables(database, tmp_path):
    add_repository("disk", tmp_path / "disk")
    with pytest.raises(NeurojointError, match="looks like a secret"):
        repositories.configure("disk", options={"aws_secret_access_key": "x"})
    with pytest.raises(NeurojointError, match="two other copies"):
        policies.define("p", ["disk"], minimum_copies=1)


def test_a_recording_that_is_open_is_not_removed(database, tmp_path):
    from pipeline.schemas.inputs import files
    from tests.ingest.test_compression import KEY, record

    raw = record(tmp_path / "rig")
    ingest(tmp_path / "rig", repository="rig")
    for name in ("x_one", "x_two"):
        add_repository(name, tmp_path / name)
    want("x_one", "x_two", keep_local=30, for_paths="raw_ephys_data/*")
    plan.plan()
    run.run()
    with files.open_recording(KEY, "ap", "probe00") as recording:
        assert "somebody reads it" in next(iter(free(propose(tmp_path / "rig")).kept.values()))
    del recording
    assert free(propose(tmp_path / "rig")).files == 1 and not raw.exists()
    next((tmp_path / "x_one").rglob("*.ap.meta")).unlink()
    with files.open_recording(KEY, "ap", "probe00") as recording:
        assert recording.volts_per_bit is not None, "of two copies the one with its header"
    before = content()
    ingest(tmp_path / "rig", repository="rig")
    assert content()["Quarantine"] == [] and content()["Dataset"] == before["Dataset"]
    retrieve({"extension": "ap.bin"}, to="rig")
    ingest(tmp_path / "rig", repository="rig")
    with files.open_recording(KEY, "ap", "probe00") as recording:
        assert recording.shape[1] == 9
