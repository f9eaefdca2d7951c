"""Rarer faults of each backend: a sentence names the file or the place and the remedy, and nothing is believed."""

from __future__ import annotations

import datetime
import errno
import os
import time
from pathlib import Path

import paramiko
import pytest

from exchange.transfers import plan, run
from exchange.transfers.backends import open_backend
from exchange.transfers.protocol import Place, Unavailable
from pipeline.schemas import transfer
from tests.exchange.transfers import servers
from tests.exchange.transfers.lab import RAW, add_place, add_repository, build, copies, new_bucket, want
from tests.exchange.transfers.test_backends import job, md5, nothing

pytestmark = [pytest.mark.slow, pytest.mark.one_database]


def attempts() -> set[tuple[str, int]]:
    return {(row["item_state"], row["item_attempts"]) for row in transfer.Transfer.Item().to_dicts()}


@pytest.mark.parametrize("fault", ["", "ignored", "another"])
def test_a_web_server_that_cuts_and_knows_no_ranges(tmp_path, monkeypatch, fault):
    monkeypatch.setattr(servers.Ranges, "cut_after", 1_500_000)
    content = os.urandom(3_000_000)
    (tmp_path / "x.y.npy").write_bytes(content)
    with servers.web_server(tmp_path) as address:
        servers.Ranges.cuts, servers.Ranges.fault = 1, fault
        servers.Ranges.ranges.clear()
        (values,) = dict(open_backend(Place("web", "http", address)).read(["x.y.npy"], nothing)).values()
    assert [bool(part) for part in servers.Ranges.ranges] == [False, True], "it goes on where it was"
    if fault == "another":
        assert isinstance(values, Unavailable) and "another part than was asked for" in str(values)
    else:
        assert (values.md5, values.size) == (md5(content), len(content))


@pytest.mark.parametrize(
    ("status", "code", "remedy"),
    [
        (503, "SlowDown", "too busy"),
        (403, "RequestTimeTooSkewed", "set the clock"),
        (403, "AccessDenied", "credentials"),
    ],
)
def test_a_bucket_that_refuses_is_asked_once_and_costs_no_attempts(
    database, tmp_path, monkeypatch, status, code, remedy
):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setattr(servers.Refusing, "code", status)
    monkeypatch.setattr(servers.Refusing, "name", code)
    build(tmp_path / "rig")
    with servers.refusing_s3() as address:
        options = {"endpoint_url": address, "region": "us-east-1"}
        add_place("bucket", Place("bucket", "s3", "s3://b", "", options))
        want("bucket")
        plan.plan()
        monkeypatch.setattr(time, "sleep", nothing)
        summary = run.run()
        monkeypatch.undo()
        assert code in summary.waiting["bucket"] and remedy in summary.waiting["bucket"]
        assert servers.Refusing.requests < 12, "not once for every file"
    assert (summary.files, summary.failed, attempts(), copies("bucket")) == (0, {}, {("planned", 0)}, {})
    assert code in transfer.Transfer().fetch1("transfer_message")


def test_parts_of_an_upload_that_was_killed_are_removed_after_a_while(s3, tmp_path, monkeypatch):
    from exchange.transfers.backends import s3 as module

    backend = open_backend(s3.place(bucket := new_bucket(s3)))
    begun = [
        backend.client.create_multipart_upload(Bucket=bucket, Key=key) for key in ("lab data/a.bin", "others/a.bin")
    ]
    backend.client.upload_part(
        Bucket=bucket, Key="lab data/a.bin", UploadId=begun[0]["UploadId"], PartNumber=1, Body=b"part"
    )
    monkeypatch.setattr(module, "LEFT_OVER", datetime.timedelta(days=99_999))
    backend.check(writing=True)
    assert len(backend.client.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 2, "it may still go on"
    monkeypatch.undo()
    backend.check()
    backend.check(writing=True)
    left = backend.client.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert [item["Key"] for item in left] == ["others/a.bin"], "only below the root of the repository"


def test_a_lost_part_is_not_believed(database, s3, tmp_path, monkeypatch):
    build(tmp_path / "rig")
    add_place("bucket", s3.place(bucket := new_bucket(s3)))
    want("bucket")
    plan.plan()
    from exchange.transfers.backends import s3 as module

    put = module.S3._put

    def lose(self, one, *words):
        put(self, one, *words)
        if one.path == RAW:
            self.client.put_object(Bucket=bucket, Key=f"lab data/{RAW}", Body=one.local.read_bytes()[:20_000])

    monkeypatch.setattr(module.S3, "_put", lose)
    summary = run.run()
    assert "20000 byte" in summary.failed[RAW] and RAW not in copies("bucket") and summary.files == 4
    assert RAW not in {item.path for item in open_backend(s3.place(bucket)).list()}


def test_files_sent_by_sftp_are_put_on_the_disk_before_they_get_their_name(ssh_server, tmp_path, monkeypatch):
    request, asked = paramiko.SFTPClient._request, []

    def listen(self, kind, *words):
        asked.extend(word for word in words if isinstance(word, str) and "@openssh.com" in word)
        return request(self, kind, *words)

    monkeypatch.setattr(paramiko.SFTPClient, "_request", listen)
    backend = open_backend(ssh_server.place("sftp", tmp_path, token="t"))
    backend.mark("t")
    assert [error for _, error in backend.send([job(tmp_path, "lab/a.x.npy", b"1")], nothing)] == [None]
    assert asked == ["fsync@openssh.com", "posix-rename@openssh.com"], "and this server knows both"
    backend.close()


def test_an_sftp_server_without_posix_rename_and_fsync_replaces_files_too(tmp_path, tmp_path_factory):
    program = Path("/usr/lib/openssh/sftp-server")
    if not program.exists():
        pytest.skip("no sftp-server: apt-get install openssh-sftp-server")
    with servers.sshd(tmp_path_factory.mktemp("sshd"), f"{program} -P posix-rename,fsync") as sshd:
        (tmp_path / "far").mkdir()
        backend = open_backend(sshd.place("sftp", tmp_path / "far", token="t"))
        backend.mark("t")
        for content in (b"first", b"second"):
            assert [error for _, error in backend.send([job(tmp_path, "lab/a.x.npy", content)], nothing)] == [None]
        assert (tmp_path / "far" / "lab" / "a.x.npy").read_bytes() == b"second"
        backend.close()


@pytest.mark.parametrize("kind", ["ssh", "sftp"])
def test_a_computer_with_another_key_is_not_talked_to(ssh_server, tmp_path, kind):
    place = ssh_server.place(kind, tmp_path)
    other = tmp_path / "known_hosts"
    other.write_text(f"[127.0.0.1]:{ssh_server.port} {(ssh_server.folder / 'user.pub').read_text()}")
    changed = Place(place.name, kind, place.root, place.host, dict(place.options) | {"known_hosts_file": str(other)})
    with pytest.raises(Unavailable, match=r"is not the one in known_hosts: ask its administrator .*ssh-keygen -R"):
        open_backend(changed).check()


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "make room"), (errno.EROFS, "mount it"), (errno.EDQUOT, "quota")]
)
def test_a_folder_that_takes_nothing_more_waits_and_costs_no_attempts(database, tmp_path, monkeypatch, number, remedy):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    make = os.open

    def refuse(path, flags, *words, **more):
        if flags & os.O_CREAT and ".neurojoint-incoming" in str(path) and "raw_video" not in str(path):
            raise OSError(number, os.strerror(number), str(path))
        return make(path, flags, *words, **more)

    monkeypatch.setattr("exchange.transfers.backends.folder.os.open", refuse)
    summary = run.run()
    monkeypatch.undo()
    assert summary.failed == {} and remedy in summary.waiting["disk"] and "neurojoint transfer run" in str(summary)
    assert f"disk:{Path(RAW).parts[0]}" in summary.waiting["disk"], "it names a file"
    assert {number for _, number in attempts()} == {0}
    run.run()
    assert copies("disk") == copies("rig")


def test_a_folder_in_which_nothing_can_be_made_is_said(database, tmp_path, monkeypatch):
    build(tmp_path / "rig")
    add_repository("disk", tmp_path / "disk")
    want("disk")
    plan.plan()
    (tmp_path / "disk" / ".neurojoint-incoming").write_text("not a folder")
    summary = run.run()
    assert summary.files == 0 and "disk cannot be written" in summary.waiting["disk"]
    assert attempts() == {("planned", 0)}
    (tmp_path / "disk" / ".neurojoint-incoming").unlink()
    assert run.run().files == 5
