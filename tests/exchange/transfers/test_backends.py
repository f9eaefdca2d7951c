"""Every backend passes the same tests against a real server: odd names, empty files, cuts, wrong content, big lists."""

from __future__ import annotations

import hashlib
import itertools
import os
import uuid
from pathlib import Path

import pytest

from exchange.transfers.backends import open_backend
from exchange.transfers.backends.folder import INCOMING
from exchange.transfers.protocol import CannotDo, Found, Job, Place, Unavailable
from pipeline.errors import NeurojointError
from tests.exchange.transfers import servers

pytestmark = pytest.mark.slow

SESSION = "lab/Subjects/m1/2020-01-01/001"
NAMES = [
    "alf/_ibl_trials.choice.npy", "alf/#2020-01-01#/_ibl_trials.choice.npy", "alf/a b.c'd\"$(x)`.npy",
    "alf/-rf.x.npy", "alf/ünïcode.x.npy", "raw_ephys_data/probe00/x.ap.cbin",
]  # fmt: skip


def nothing(_: int) -> None:
    pass


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def job(folder: Path, path: str, content: bytes) -> Job:
    local = folder / uuid.uuid4().hex
    local.write_bytes(content)
    return Job(local, path, len(content), md5(content))


@pytest.fixture(params=["local", "ssh", "sftp", "s3"])
def place(request, tmp_path, ssh_server, s3) -> Place:
    """An empty repository of each kind that can be written."""
    root = tmp_path / "far away"
    if request.param == "s3":
        bucket = f"b{uuid.uuid4().hex}"
        place_of_copies = s3.place(bucket)
        backend = open_backend(place_of_copies)
        backend.client.create_bucket(Bucket=bucket)
        return place_of_copies
    root.mkdir()
    token = str(uuid.uuid4())
    if request.param == "local":
        place_of_copies = Place("by_local", "local", str(root), token=token)
    else:
        place_of_copies = ssh_server.place(request.param, root, token=token)
    open_backend(place_of_copies).mark(token)
    return place_of_copies


@pytest.fixture
def backend(place):
    result = open_backend(place)
    yield result
    result.close()


def test_what_was_sent_is_listed_read_and_fetched_as_it_was(backend, tmp_path):
    contents = {
        f"{SESSION}/{name}": os.urandom(size) for name, size in zip(NAMES, (0, 1, 80, 7, 5, 3 << 20), strict=True)
    }
    backend.check(writing=True)
    jobs = [job(tmp_path, path, content) for path, content in contents.items()]
    moved: list[int] = []
    assert {one.path: error for one, error in backend.send(jobs, moved.append)} == dict.fromkeys(contents)
    assert sum(moved) == sum(map(len, contents.values()))
    assert {item.path: item.size for item in backend.list()} == {path: len(one) for path, one in contents.items()}
    assert {item.path for item in backend.list(f"{SESSION}/alf/#2020-01-01#")} == {f"{SESSION}/{NAMES[1]}"}
    by_name = dict(backend.read(list(contents), nothing))
    assert {path: (one.md5, one.size) for path, one in by_name.items()} == {
        path: (md5(content), len(content)) for path, content in contents.items()
    }
    assert {path: one.size for path, one in backend.stat([*contents, "no/such.file"]).items()} == {
        path: len(one) for path, one in contents.items()
    }
    (tmp_path / "back").mkdir()
    back = [Job(tmp_path / "back" / str(n), path, len(one), md5(one)) for n, (path, one) in enumerate(contents.items())]
    assert [error for _, error in backend.fetch(back, nothing)] == [None] * len(back)
    assert [item.local.read_bytes() for item in back] == list(contents.values())
    backend.delete([*contents, "no/such.file"])
    assert list(backend.list()) == []


def test_one_bad_file_costs_only_itself(backend, tmp_path):
    good, bad = job(tmp_path, f"{SESSION}/a.b.npy", b"good"), job(tmp_path, f"{SESSION}/c.d.npy", b"bad")
    bad.local.unlink()
    outcome = {one.path: error for one, error in backend.send([bad, good], nothing)}
    assert outcome[good.path] is None and isinstance(outcome[bad.path], Exception)
    assert [item.path for item in backend.list()] == [good.path]
    by_name = dict(backend.read([good.path, bad.path], nothing))
    assert isinstance(by_name[good.path], Found) and isinstance(by_name[bad.path], FileNotFoundError)
    back = [Job(tmp_path / name, path, 4, "") for name, path in (("x", bad.path), ("y", good.path))]
    outcome = {one.path: error for one, error in backend.fetch(back, nothing)}
    assert outcome[good.path] is None and isinstance(outcome[bad.path], Exception)


def test_content_is_replaced_as_a_whole_also_with_equal_size_and_time(backend, tmp_path):
    path = f"{SESSION}/a.b.npy"
    first, second = job(tmp_path, path, b"first!"), job(tmp_path, path, b"second")
    os.utime(first.local, ns=(10**18, 10**18))
    os.utime(second.local, ns=(10**18, 10**18))
    for item in (first, second):
        assert [error for _, error in backend.send([item], nothing)] == [None]
    assert dict(backend.read([path], nothing))[path].md5 == second.md5


def test_many_files_go_over_in_one_call(backend, tmp_path):
    n_files = 300 if backend.place.kind in ("local", "ssh") else 60  # the others send each by itself
    jobs = [job(tmp_path, f"{SESSION}/alf/o{n % 40}/x.y{n}.npy", b"%d" % n) for n in range(n_files)]
    assert all(error is None for _, error in backend.send(jobs, nothing))
    by_name = dict(backend.read([item.path for item in jobs], nothing))
    assert all(by_name[item.path].md5 == item.md5 for item in jobs)


def test_paths_do_not_leave_the_root(backend, tmp_path):
    one = job(tmp_path, "../outside", b"x")
    with pytest.raises(NeurojointError, match="leads out"):
        raised = [error for _, error in backend.send([one], nothing)]
        raise raised[0]
    assert not (tmp_path / "outside").exists()


def test_a_place_that_is_not_the_repository_is_not_written(place, tmp_path):
    if place.kind == "s3":
        other = Place("other", "s3", "s3://no-such-bucket/x", "", place.options)
    else:
        other = Place("other", place.kind, place.root, place.host, place.options, token="another")
    with pytest.raises(Unavailable, match=r"neurojoint transfer repository other|no-such-bucket"):
        open_backend(other).check(writing=True)


def test_an_unmounted_folder_is_noticed_and_nothing_is_concluded(tmp_path):
    root = tmp_path / "mount"
    place = Place("disk", "local", str(root), token="t")
    with pytest.raises(Unavailable, match="not here"):
        open_backend(place).check()
    root.mkdir()  # the mount point without its disk
    for writing in (True, False):
        with pytest.raises(Unavailable, match="no marker file"):
            open_backend(place).check(writing)
    with pytest.raises(Unavailable, match="is empty"):
        open_backend(Place("disk", "local", str(root))).check()


def test_a_server_that_stops_is_unavailable_and_the_next_attempt_works(tmp_path, tmp_path_factory):
    with servers.sshd(tmp_path_factory.mktemp("sshd")) as server:
        for kind in ("ssh", "sftp"):
            root = tmp_path / kind
            root.mkdir()
            backend = open_backend(server.place(kind, root))
            backend.check()
            server.stop()
            backend.close()  # a child of the server would go on serving an open connection
            with pytest.raises(Unavailable):
                backend.check()
            outcome = list(backend.send([job(tmp_path, "a/b", b"1")], nothing))
            assert isinstance(outcome[0][1], NeurojointError)
            server.start()
            assert [error for _, error in backend.send([job(tmp_path, "a/b", b"1")], nothing)] == [None]
            backend.close()


@pytest.mark.parametrize("kind", ["ssh", "sftp", "s3"])
def test_a_network_that_is_cut_inside_a_file_leaves_no_part_under_its_name(kind, tmp_path, ssh_server, s3):
    cut = servers.Cut(s3.port if kind == "s3" else ssh_server.port, 1_500_000)
    if kind == "s3":
        bucket = f"b{uuid.uuid4().hex}"
        open_backend(s3.place(bucket)).client.create_bucket(Bucket=bucket)
        place = s3.place(bucket, endpoint_url=f"http://127.0.0.1:{cut.port}")
    else:
        (tmp_path / "far").mkdir()
        place = ssh_server.place(kind, tmp_path / "far", token="t")
        open_backend(place).mark("t")
        known = tmp_path / "known_hosts"
        known.write_text(f"[127.0.0.1]:{cut.port} {(ssh_server.folder / 'host.pub').read_text()}")
        place.options.update(port=cut.port, known_hosts_file=str(known))
    jobs = [job(tmp_path, f"{SESSION}/{name}", os.urandom(size)) for name, size in (("a.x.npy", 90), ("b.x", 4 << 20))]
    waiting = {item.path: item for item in jobs}
    for _ in range(4):  # a client may try again by itself
        backend = open_backend(place)
        for one, error in backend.send(list(waiting.values()), nothing):
            if error is None:
                del waiting[one.path]
        backend.close()
        there = {item.path: item.size for item in backend.list()}
        assert all(there.get(item.path, item.size) == item.size for item in jobs)
        if not waiting:
            break
    by_name = dict(backend.read([item.path for item in jobs], nothing))
    assert {path: one.md5 for path, one in by_name.items()} == {item.path: item.md5 for item in jobs}
    assert cut.cuts == 1
    backend.close()
    cut.close()


def test_a_folder_that_somebody_makes_meanwhile_gets_the_files_one_by_one(tmp_path, monkeypatch):
    from exchange.transfers.backends import copying

    backend = open_backend(Place("f", "local", str(tmp_path / "f"), token="t"))
    backend.mark("t")
    sync = copying.sync_file_system

    def made(path: Path) -> None:
        (tmp_path / "f" / SESSION).mkdir(parents=True, exist_ok=True)
        (tmp_path / "f" / SESSION / "theirs.x.npy").write_bytes(b"theirs")
        sync(path)

    monkeypatch.setattr(copying, "sync_file_system", made)
    jobs = [job(tmp_path, f"{place}/x.y{n}.npy", b"%d" % n) for n in range(5) for place in (SESSION, f"{SESSION}/alf")]
    assert [error for _, error in backend.send([*jobs, jobs[0]], nothing)] == [None] * 11
    by_name = dict(backend.read([item.path for item in jobs], nothing))
    assert all(by_name[item.path].md5 == item.md5 for item in jobs)
    assert (tmp_path / "f" / SESSION / "theirs.x.npy").read_bytes() == b"theirs"
    assert list((tmp_path / "f" / INCOMING).iterdir()) == []


def test_a_link_in_the_repository_leads_nothing_out(tmp_path):
    backend = open_backend(Place("f", "local", str(tmp_path / "f"), token="t"))
    backend.mark("t")
    (tmp_path / "outside").mkdir()
    (tmp_path / "f" / "lab").symlink_to(tmp_path / "outside")
    ((_, error),) = backend.send([job(tmp_path, "lab/new/a.x.npy", b"x")], nothing)
    assert isinstance(error, OSError) and not list((tmp_path / "outside").rglob("*.npy"))


def test_a_full_disk_leaves_nothing_behind_and_what_fitted_counts(tmp_path, monkeypatch):
    from exchange.transfers.backends import folder

    root = tmp_path / "full"
    place = Place("full", "local", str(root), token="t")
    backend = open_backend(place)
    backend.mark("t")
    counter = itertools.count()
    write = folder.os.write

    def full(fd: int, block: bytes) -> int:
        if next(counter) >= 3:
            raise OSError(28, "No space left on device")
        return write(fd, block)

    jobs = [job(tmp_path, f"{SESSION}/x.y{n}.npy", b"%d" % n) for n in range(5)]
    monkeypatch.setattr(folder.os, "write", full)
    outcome = [error for _, error in backend.send(jobs, nothing)]
    monkeypatch.undo()
    assert sorted(error is None for error in outcome) == [False, False, True, True, True]
    assert len(list(backend.list())) == 3
    assert list((root / INCOMING).iterdir()) == []


def test_wrong_checksums_that_a_server_accepts_are_not_trusted(s3, tmp_path):
    bucket = f"b{uuid.uuid4().hex}"
    backend = open_backend(s3.place(bucket, trust_checksums=True))
    backend.client.create_bucket(Bucket=bucket)
    one = job(tmp_path, "a/b", b"content")
    assert [error for _, error in backend.send([one], nothing)] == [None]
    assert not backend._service_checks(), "this server takes any checksum"
    assert dict(backend.read(["a/b"], nothing))["a/b"].how == "read back"
    backend.client.put_object(Bucket=bucket, Key="lab data/a/b", Body=b"conteNt", Metadata={"md5": one.md5})
    assert dict(backend.read(["a/b"], nothing))["a/b"].md5 == md5(b"conteNt")


def test_objects_in_several_parts_are_read_back_as_one(s3, tmp_path, monkeypatch):
    from exchange.transfers.backends import s3 as module

    monkeypatch.setattr(module, "PART", 5 << 20)
    bucket = f"b{uuid.uuid4().hex}"
    backend = open_backend(s3.place(bucket))
    backend.client.create_bucket(Bucket=bucket)
    one = job(tmp_path, "a/large.bin", os.urandom(12 << 20))
    assert [error for _, error in backend.send([one], nothing)] == [None]
    assert "-" in backend.client.head_object(Bucket=bucket, Key="lab data/a/large.bin")["ETag"], "not an md5"
    assert dict(backend.read([one.path], nothing))[one.path].md5 == one.md5


def test_a_web_server_is_read_also_after_a_cut_and_never_written(tmp_path):
    folder = tmp_path / "web" / "lab" / "#r# a"
    folder.mkdir(parents=True)
    content = os.urandom(400_000)
    (folder / "x.y.npy").write_bytes(content)
    with servers.web_server(tmp_path / "web") as address:
        backend = open_backend(Place("web", "http", address))
        backend.check()
        path = "lab/#r# a/x.y.npy"
        assert backend.stat([path, "no"])[path].size == 400_000
        servers.Ranges.cuts = 2
        by_name = dict(backend.read([path, "no"], nothing))
        assert by_name[path].md5 == md5(content) and isinstance(by_name["no"], FileNotFoundError)
        with pytest.raises(CannotDo):
            backend.check(writing=True)
