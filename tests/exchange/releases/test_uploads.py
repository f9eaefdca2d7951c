"""What arrives is what was frozen, once, whatever fails on the way."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from exchange.releases import build, checks, frozen, uploads
from exchange.releases.uploads import service, stores
from one_bridge import dataset_admin, query
from one_bridge.light import ONE
from pipeline.errors import ConflictError, InvalidSettings, PermissionDenied
from pipeline.schemas import publication
from tests.exchange.releases import lab
from tests.exchange.releases.services import TOKEN, Service, md5, services
from tests.exchange.transfers import servers

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("server", ["postgresql"], indirect=True)]


@pytest.fixture
def online(monkeypatch) -> Service:
    monkeypatch.setattr(service, "_wait_s", 0.001)
    monkeypatch.setattr(service, "TRIES", 30)
    with services() as result:
        for name, path in (("FIGSHARE", "/v2"), ("ZENODO", "/api")):
            monkeypatch.setenv(f"NEUROJOINT_{name}_API", f"{result.address}{path}")
            monkeypatch.setenv(f"NEUROJOINT_{name}_TOKEN", TOKEN)
        yield result


@pytest.fixture
def release(database, tmp_path) -> frozen.Release:
    lab.build(tmp_path / "data")
    result, _ = frozen.create("paper", "paper", title="Mice", authors=["Curie, Marie"])
    build.build(result, tmp_path / "out")
    return result


def held(online: Service, target: str) -> dict[str, str]:
    """Name -> md5 of what the one draft of a service holds."""
    if target == "zenodo":
        (one,) = online.depositions.values()
        return {name: md5(content) for name, content in one["files"].items()}
    (article,) = online.articles.values()
    names = [file["name"] for file in article["files"].values()]
    assert len(set(names)) == len(names), "nothing is there twice"
    assert all(file["status"] == "available" for file in article["files"].values())
    return {file["name"]: file["computed_md5"] for file in article["files"].values()}


def built(out: Path) -> dict[str, str]:
    paths = [*out.glob("*.zip"), *(out / "paper-v1.texts").iterdir()]
    return {path.name: md5(path.read_bytes()) for path in paths}


@pytest.mark.parametrize("target", ["figshare", "zenodo"])
def test_services_that_fail_at_every_turn_end_with_the_release_once(release, online, target, tmp_path):
    online.fail_before, online.fail_after = 0.25, 0.25
    uploaded = uploads.upload(release, target, tmp_path / "out", publish=True)
    online.fail_before = online.fail_after = 0
    assert held(online, target) == built(tmp_path / "out")
    assert uploaded.doi.startswith("10.") and frozen.find("paper").row["release_doi"] == uploaded.doi
    with pytest.raises(ConflictError, match="cannot be changed"):
        uploads.upload(release, target, tmp_path / "out")
    address = uploaded.address
    if target == "figshare":
        (number,) = online.articles
        address = f"https://figshare.com/articles/dataset/x/{number}"
    one = ONE(address, download_dir=tmp_path / "read")
    assert one.load_dataset(one.search(subject="m2")[0], "trials.choice").tolist() == [1, -1, 1, 1, -1, 0]
    assert checks.verify(address, release.row["manifest_hash"].strip()).problems == {}


def test_parts_that_arrived_are_not_sent_again_and_expired_ones_are(release, online, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "TRIES", 1)
    online.fail_before = 0.06
    for _ in range(300):
        try:
            uploads.upload(release, "figshare", tmp_path / "out")
            break
        except service.Lost:
            continue
    assert held(online, "figshare") == built(tmp_path / "out")
    (article,) = online.articles.values()
    for number, file in article["files"].items():
        sent = [part for identifier, part in online.part_puts if identifier == number]
        assert sorted(sent) == list(range(1, len(file["parts"]) + 1)), "each part went over once"
    online.fail_before = 0
    monkeypatch.setattr(service, "TRIES", 5)
    first = next(iter(article["files"].values()))
    first |= {"status": "created", "computed_md5": ""}
    online.forget_uploads = True
    uploads.upload(release, "figshare", tmp_path / "out")
    assert held(online, "figshare") == built(tmp_path / "out")


def test_a_new_version_follows_the_one_before_at_zenodo(release, online, tmp_path):
    first = uploads.upload(release, "zenodo", tmp_path / "out", publish=True)
    dataset_admin.untag("paper", query.datasets({"subject": "m2"}))
    second, _ = frozen.create("paper", "paper")
    build.build(second, tmp_path / "second")
    online.fail_before, online.fail_after = 0.2, 0.2
    uploaded = uploads.upload(second, "zenodo", tmp_path / "second", publish=True)
    before, after = online.depositions.values()  # no third one, whatever answers were lost
    assert after["after"] == before["id"] and after["submitted"] and uploaded.doi != first.doi
    texts = tmp_path / "second/paper-v2.texts"
    paths = [*(tmp_path / "second").glob("*.zip"), *texts.iterdir()]
    assert {name: md5(content) for name, content in after["files"].items()} == {
        path.name: md5(path.read_bytes()) for path in paths
    }, "the zip of the first version is not in the second"
    assert {path.name for path in (tmp_path / "out").glob("*.zip")} <= set(before["files"])
    assert first.doi in (texts / "datacite.json").read_text()


def test_tokens_without_rights_and_files_that_others_read_are_refused(release, online, tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROJOINT_FIGSHARE_TOKEN", "wrong")
    with pytest.raises(PermissionDenied, match="does not let this token"):
        uploads.upload(release, "figshare", tmp_path / "out")
    assert not online.articles
    secret = tmp_path / "token"
    secret.write_text(TOKEN)
    monkeypatch.delenv("NEUROJOINT_ZENODO_TOKEN")
    monkeypatch.setenv("NEUROJOINT_ZENODO_TOKEN_FILE", str(secret))
    secret.chmod(0o644)
    with pytest.raises(InvalidSettings, match="others may read"):
        uploads.upload(release, "zenodo", tmp_path / "out")
    secret.chmod(0o600)
    uploads.upload(release, "zenodo", tmp_path / "out")
    assert held(online, "zenodo") == built(tmp_path / "out")
    assert not [row for row in publication.Upload().to_dicts() if TOKEN in str(row)]


def test_folders_buckets_and_other_computers_hold_every_file(release, tmp_path, tmp_path_factory, monkeypatch):
    target = tmp_path / "public"
    uploads.upload(release, str(target), tmp_path / "out")
    assert checks.verify(target).problems == {}
    broken = target / lab.SESSIONS[0] / "alf" / "wheel.position.npy"
    broken.write_bytes(b"x" * broken.stat().st_size)
    uploads.upload(release, str(target), tmp_path / "out", publish=True)
    assert checks.verify(target).problems == {}
    items = uploads.run._items_of_folder(release, tmp_path / "out")
    with servers.s3_server() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", str(s3.options["endpoint_url"]))
        import boto3

        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="papers")
        for _ in range(2):
            stores.put(stores.place("s3://papers/mice", release.row["manifest_hash"]), items, lambda n: None)
        objects = boto3.client("s3", region_name="us-east-1").list_objects_v2(Bucket="papers")["Contents"]
        assert {object_["Key"].removeprefix("mice/"): object_["ETag"].strip('"') for object_ in objects} == {
            item.name: item.md5 for item in items
        }
    with servers.sshd(tmp_path_factory.mktemp("sshd")) as ssh:
        for kind in ("sftp", "ssh"):
            place = ssh.place(kind, tmp_path / kind, token=release.row["manifest_hash"][:36])
            stores.put(place, items, lambda n: None)
            assert checks.verify(tmp_path / kind).problems == {}
    other = stores.place(str(target), "f" * 64)
    with pytest.raises(ConflictError, match="something else"):
        stores.put(other, items, lambda n: None)


@pytest.mark.parametrize("kills", [1, pytest.param(12, marks=pytest.mark.soak)])
def test_killed_at_any_moment_the_next_run_ends_it(release, server, online, tmp_path, kills):
    environment = os.environ | {f"NEUROJOINT_{name.upper()}": str(value) for name, value in server.items()}
    words = ["release", "upload", "paper", "figshare", "--from", str(tmp_path / "out")]
    command = [sys.executable, "-c", "from neurojoint.command import run; run()", *words]
    draw = random.Random(1)  # noqa: S311
    for _ in range(kills):
        before = len(online.part_puts)
        with subprocess.Popen(
            command, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        ) as process:
            more = draw.randint(1, 2)
            while process.poll() is None and len(online.part_puts) < before + more:
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert held(online, "figshare") == built(tmp_path / "out")
    assert (publication.Upload & {"upload_target": "figshare"}).fetch1("upload_state") == "complete"
