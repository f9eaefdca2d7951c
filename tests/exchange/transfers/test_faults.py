"""Whatever happens in whatever order: every file ends where it should be or a person is told; nothing is lost, nothing
is believed that nobody read."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.transfers import ledger, patrol, plan, run
from exchange.transfers.backends.marker import MARKER
from exchange.transfers.free import free, propose
from exchange.transfers.retrieve import retrieve
from pipeline.database.bulk import fetch_columns
from pipeline.queries.transfers import line
from pipeline.schemas import data, transfer
from tests.conftest import empty_tables
from tests.exchange.transfers.globus_server import md5
from tests.exchange.transfers.lab import add_place, add_repository, build, changes, copies, later, want
from tests.ingest.tree import ingest

pytestmark = [pytest.mark.slow, pytest.mark.one_database]

MOVE = """
import sys, pipeline
from pipeline import settings
from pathlib import Path
options = {name: value for name, value in (one.split("=", 1) for one in sys.argv[1:])}
if "home" in options: options["home"] = Path(options["home"])
with settings.override(**options):
    pipeline.connect(create=False)
    from exchange.transfers import plan, run
    print("begun", flush=True)
    while True:
        plan.plan()
        run.run()
"""


def start_mover(server: dict) -> subprocess.Popen:
    words = [f"{name}={value}" for name, value in server.items()]
    return subprocess.Popen([sys.executable, "-c", MOVE, *words], stdout=subprocess.PIPE)


def assert_true(*names: str) -> None:
    """What the tables say is there is there, with the content that was registered."""
    roots = {row["repository"]: Path(row["repository_root"]) for row in data.Repository().to_dicts()}
    rows = (data.FileRecord & {"file_state": "online"}).to_dicts()
    for row in rows:
        if row["repository"] in names:
            assert md5(roots[row["repository"]] / row["file_path"]) == row["record_hash"], row


def kill_and_finish(server: dict, tmp_path: Path, kills: int, seed: int) -> None:
    dice = random.Random(seed)
    build(tmp_path / "rig", sessions=12)
    for number in range(1, 13):
        large = tmp_path / "rig" / f"mylab/Subjects/m1/2020-01-01/{number:03d}/raw_video_data/_iblrig_body.raw.mp4"
        large.write_bytes(np.random.default_rng(number).bytes(4_000_000))
    ingest(tmp_path / "rig", repository="rig")
    add_repository("disk", tmp_path / "disk")
    add_repository("second", tmp_path / "second")
    want("disk", "second")
    for _ in range(kills):
        process = start_mover(server)
        assert process.stdout.readline() == b"begun\n"
        time.sleep(dice.uniform(0.0, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert_true("disk", "second")
    ledger.expire(ledger.database_time())
    assert "stuck" not in line(), "a program that was killed is no fault of the files"
    for _ in range(200):  # the server needs a moment to notice that the last one is gone
        planned = plan.plan()
        later()
        summary = run.run()
        if copies("disk") == copies("rig") == copies("second"):
            break
        time.sleep(0.2)
    assert copies("disk") == copies("rig") == copies("second"), (planned, summary, ledger.counts())
    assert_true("rig", "disk", "second")
    assert {row["item_state"] for row in transfer.Transfer.Item().to_dicts()} == {"verified"}


def test_a_mover_that_is_killed_again_and_again_loses_nothing(database, server, tmp_path):
    kill_and_finish(server, tmp_path, 4, 1)


@pytest.mark.soak
def test_a_mover_that_is_killed_at_fifty_moments_loses_nothing(database, server, tmp_path):
    kill_and_finish(server, tmp_path, 50, 2)


def test_a_connection_that_is_cut_in_the_middle_is_gone_on_with(database, tmp_path, tmp_path_factory):
    from tests.exchange.transfers import servers

    build(tmp_path / "rig", sessions=2)
    with servers.sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        for kind in ("ssh", "sftp"):
            (tmp_path / kind).mkdir()
            add_place(kind, sshd.place(kind, tmp_path / kind))
        want("ssh", "sftp")
        plan.plan()
        sshd.stop()
        assert set(run.run().waiting) == {"ssh", "sftp"}
        assert {row["item_state"] for row in transfer.Transfer.Item().to_dicts()} == {"planned"}
        sshd.start()
        run.run()
    assert copies("ssh") == copies("sftp") == copies("rig")


def test_the_clock_of_the_computer_does_not_matter(database, tmp_path, monkeypatch):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk", smallest_age=3)
    monkeypatch.setattr(time, "time", lambda: 86_400.0)
    import datetime

    class Wrong(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(1971, 1, 1, tzinfo=tz)

    monkeypatch.setattr("exchange.transfers.ledger.datetime.datetime", Wrong)
    plan.plan()
    assert run.run().files == 5
    monkeypatch.undo()
    verified = fetch_columns(data.FileRecord & {"repository": "disk"}, "verified")["verified"].to_pylist()
    assert all(abs((ledger.database_time() - item).total_seconds()) < 600 for item in verified)


FULL = """
import resource, sys
from pathlib import Path
import pipeline
from pipeline import settings
options = dict(one.split("=", 1) for one in sys.argv[1:])
if "home" in options: options["home"] = Path(options["home"])
with settings.override(**options):
    pipeline.connect(create=False)
    from exchange.transfers import run
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    summary = run.run()
    print(summary.files, *summary.failed.values(), sep="\\n")
"""
"""A mover for which the kernel refuses whatever goes beyond 20 kB of a file."""


def test_a_disk_that_takes_no_more_is_said_and_gone_on_with_later(database, server, tmp_path):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    words = [f"{name}={value}" for name, value in server.items()]
    done = subprocess.run([sys.executable, "-c", FULL, *words], capture_output=True, text=True, check=True)
    files, said = done.stdout.splitlines()[:2]
    assert files == "4" and "File too large" in said
    assert len(copies("disk")) == 4 and not list((tmp_path / "disk").rglob("*.mp4"))
    assert (transfer.Transfer.Item & {"item_state": "failed"}).fetch1("item_message") == said
    later()
    assert run.run().files == 1 and copies("disk") == copies("rig")


def test_two_movers_at_once_carry_every_file_once(database, server, tmp_path):
    build(tmp_path / "rig", sessions=6)
    add_repository("disk", tmp_path / "disk")
    add_repository("second", tmp_path / "second")
    want("disk", "second")
    movers = [start_mover(server) for _ in range(2)]
    try:
        deadline = time.monotonic() + 120
        while not copies("disk") == copies("second") == copies("rig") and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        for mover in movers:
            mover.kill()
            mover.wait()
    assert copies("disk") == copies("second") == copies("rig")
    assert_true("disk", "second")
    rows = transfer.Transfer.Item().to_dicts()
    assert len(rows) == 2 * len(copies("rig"))
    assert {(row["item_state"], row["item_attempts"]) for row in rows} == {("verified", 0)}
    assert len(changes("verified")) == len(rows)


PLACES = ("rig", "disk", "second", "third")
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("flip"), st.sampled_from(PLACES), st.integers(0, 30)),
        st.tuples(st.just("truncate"), st.sampled_from(PLACES[1:]), st.integers(0, 30)),
        st.tuples(st.just("remove"), st.sampled_from(PLACES[1:]), st.integers(0, 30)),
        st.tuples(st.just("change"), st.just("rig"), st.integers(0, 30)),
        st.tuples(st.just("unmount"), st.sampled_from(PLACES[1:]), st.just(0)),
        st.tuples(st.just("mount"), st.sampled_from(PLACES[1:]), st.just(0)),
        *[st.tuples(st.just(item), st.just(""), st.just(0))
          for item in ("plan", "run", "verify", "free", "retrieve", "ingest")],
    ),
    max_size=14,
)  # fmt: skip


class Model:
    """A plain model of a lab: which contents were ever registered, and that each is still somewhere."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.contents: set[str] = set()

    def path(self, name: str) -> Path:
        return self.root / name

    def files(self, name: str) -> list[Path]:
        return sorted(
            path for path in self.path(name).rglob("raw_*/*")
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(self.path(name)).parts)
        )  # fmt: skip

    def registered(self) -> set[str]:
        """The contents of raw datasets as they are registered now."""
        rows = fetch_columns(data.Dataset & "rel_path LIKE 'raw|_%%' ESCAPE '|'", "dataset_hash")
        return set(rows["dataset_hash"].to_pylist())

    def everywhere(self) -> set[str]:
        """The contents that are on any disk, mounted or not, also what was set aside."""
        return {md5(path) for path in self.root.rglob("*") if path.is_file() and path.name != MARKER}


def apply(model: Model, event: tuple[str, str, int]) -> None:
    what, name, number = event
    if what in ("flip", "truncate", "remove", "change"):
        files = model.files(name)
        if not files:
            return
        one = files[number % len(files)]
        stat, blob = one.stat(), bytearray(one.read_bytes())
        if what == "remove":
            one.unlink()
        elif what == "change":
            one.write_bytes(os.urandom(len(blob)))
        else:
            if what == "flip":
                blob[number % len(blob)] ^= 1
            else:
                blob = blob[: len(blob) // 2]
            one.write_bytes(blob)
            os.utime(one, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif what == "unmount" and not model.path(f"{name}.away").exists():
        model.path(name).rename(model.path(f"{name}.away"))
        model.path(name).mkdir()
    elif what == "mount" and model.path(f"{name}.away").exists():
        shutil.rmtree(model.path(name))
        model.path(f"{name}.away").rename(model.path(name))
    elif what == "plan":
        plan.plan()
    elif what == "run":
        later()
        run.run()
    elif what == "verify":
        patrol.verify()
    elif what == "free":
        free(propose(model.path("rig")))
    elif what == "retrieve":
        with contextlib.suppress(Exception):
            retrieve({"session_number": 1}, to="rig")
    elif what == "ingest":
        ingest(model.path("rig"), repository="rig")


@settings(
    max_examples=8, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(EVENTS)
def test_two_verified_copies_or_the_local_file(database, tmp_path, events):
    hold(database, tmp_path, events)


@pytest.mark.soak
@settings(
    max_examples=150, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(EVENTS)
def test_two_verified_copies_or_the_local_file_at_length(database, tmp_path, events):
    hold(database, tmp_path, events)


def hold(database, tmp_path: Path, events: list[tuple[str, str, int]]) -> None:
    """Faults do not take a content from the last place that has it, unless the fault itself did."""
    for path in tmp_path.iterdir():
        shutil.rmtree(path)
    empty_tables(database)
    model = Model(tmp_path)
    build(tmp_path / "rig", sessions=2)
    for name in PLACES[1:]:
        add_repository(name, tmp_path / name)
    want("disk", "second", "third", keep_local=1)
    faults = {"flip", "truncate", "remove", "change"}
    for event in [("plan", "", 0), *events]:
        before = model.everywhere()
        apply(model, event)
        if event[0] not in faults:
            lost = (before & model.registered()) - model.everywhere()
            assert not lost, f"{event} lost {lost}"
        if event[0] in ("free", "run"):
            check_local(model)
    for name in PLACES[1:]:
        apply(model, ("mount", name, 0))
    ingest(tmp_path / "rig", repository="rig")
    there = model.everywhere()
    for _ in range(4):
        patrol.verify()
        plan.plan()
        later()
        run.run()
    assert patrol.verify().damaged == {}
    for row in fetch_columns(data.Dataset(), "dataset_id", "dataset_hash", "rel_path").to_pylist():
        good = data.FileRecord & {"dataset_id": row["dataset_id"], "file_state": "online"}
        held = {item["repository"] for item in good.to_dicts() if item["record_hash"] == row["dataset_hash"]}
        stuck = transfer.Transfer.Item & {"dataset_id": row["dataset_id"], "item_state": "failed"}
        told = bool(stuck) or row["dataset_hash"] not in there
        assert held >= {"disk", "second", "third"} or told, (row, held)
    assert_true(*PLACES)


def check_local(model: Model) -> None:
    """A local raw file that is gone has at least one verified copy on a disk that is there."""
    for row in transfer.Freed().to_dicts():
        key = {"dataset_id": row["dataset_id"]}
        if data.FileRecord & key & {"repository": "rig", "file_state": "online"}:
            continue
        assert len(data.FileRecord & key & {"file_state": "online"}) >= 1 or data.Change & {"change_action": "damaged"}
