"""Whoever has only the address of a release gets what they ask for, checked, and nothing that lies gets in."""

from __future__ import annotations

import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner
from one.api import One

from exchange.releases import checks
from neurojoint.cli import main
from one_bridge import cache, frames
from one_bridge.light import ONE, fetch, manifest, places
from pipeline.errors import AmbiguousError, NeurojointError, NotFoundError
from tests.exchange.transfers.servers import Ranges, web_server

EIDS = {
    "mylab/Subjects/m1/2020-01-01/001": "01234567-89ab-4def-8123-456789abcdef",
    "mylab/Subjects/m2/2020-01-02/001": "11234567-89ab-4def-8123-456789abcdef",
}


def make(folder: Path) -> Path:
    """A release as `release build` writes it, without a database."""
    import pyarrow.parquet as pq

    files, rows = [], []
    for number, (session, eid) in enumerate(EIDS.items()):
        for place, name in enumerate(("alf/_ibl_trials.choice.npy", "alf/probe00/spikes.times.npy",
                                      "alf/probe01/spikes.times.npy", "alf/big.x.npy")):  # fmt: skip
            path = folder / session / name
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, np.random.default_rng(number).random(40_000) if "big" in name else np.arange(5) + number)
            content = path.read_bytes()
            md5, sha256 = hashlib.md5(content, usedforsecurity=False).hexdigest(), hashlib.sha256(content).hexdigest()
            identifier = f"{number}{place}234567-89ab-4def-8123-456789abcdef"
            files.append(manifest.File(f"{session}/{name}", len(content), md5, sha256, identifier, eid))
            rows.append((eid, identifier, name, len(content), md5))
    table = manifest.dump(files)
    about = {"format": 1, "name": "paper", "version": 1, "manifest": {"sha256": hashlib.sha256(table).hexdigest()}}
    marks = {"date_created": "2020-01-01 00:00", "origin": "x", "min_api_version": cache.OLDEST_CLIENT}
    sessions = {
        "eid": list(EIDS.values()), "lab": ["mylab"] * 2, "subject": ["m1", "m2"],
        "date": pa.array(["2020-01-01", "2020-01-02"]).cast(pa.date32()), "number": [1, 1],
        "task_protocol": [""] * 2, "projects": [""] * 2,
    }  # fmt: skip
    names = ("eid", "id", "rel_path", "file_size", "hash")
    datasets = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True)) | {
        "exists": [True] * len(rows), "qc": ["NOT_SET"] * len(rows), "default_revision": [True] * len(rows),
    }  # fmt: skip
    for name, columns in (("sessions", sessions), ("datasets", datasets)):
        pq.write_table(frames.table(name, pa.table(columns), marks), folder / f"{name}.pqt")
    (folder / "manifest.tsv").write_bytes(table)
    (folder / "release.json").write_text(json.dumps(about))
    sums = {file.path: file.sha256 for file in files}
    for name in ("sessions.pqt", "datasets.pqt", "manifest.tsv", "release.json"):
        sums[name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "SHA256SUMS").write_text("".join(f"{value}  {name}\n" for name, value in sorted(sums.items())))
    return folder


@pytest.fixture(scope="module")
def released(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("release") / "paper-v1"
    make(folder)
    shutil.make_archive(str(folder), "zip", folder)
    return folder


@pytest.fixture
def copy(released, tmp_path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "copy"))


class Counting(Ranges):
    """A web server that remembers what it was asked for."""

    asked: list[str] = []  # noqa: RUF012 - shared by all requests

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()


def get(*words: object) -> str:
    result = CliRunner().invoke(main, ["release", "get", *map(str, words)])
    assert result.exit_code == 0, result.output
    return result.output


def test_one_mouse_comes_alone_and_the_client_loads_it(released, tmp_path, monkeypatch):
    monkeypatch.setattr("tests.exchange.transfers.servers.Ranges", Counting)
    Counting.asked.clear()
    with web_server(released) as address:
        assert "4 files" in get(address, tmp_path / "dest", "--subject", "m2")
        assert not any("/m1/" in path for path in Counting.asked)
        assert "0 files" in get(address, tmp_path / "dest", "--subject", "m2")
        one = One(cache_dir=tmp_path / "dest", mode="local")
        assert [str(eid) for eid in one.search()] == list(EIDS.values())[1:]
        assert one.load_dataset(one.search()[0], "_ibl_trials.choice.npy").tolist() == [1, 2, 3, 4, 5]
        get(address, tmp_path / "dest", "--datasets", "trials.choice")
    assert len(One(cache_dir=tmp_path / "dest", mode="local").search()) == 2


def test_a_download_that_breaks_off_goes_on(released, tmp_path, monkeypatch):
    monkeypatch.setattr(places, "_WAIT_S", 0.001)
    with web_server(released) as address:
        Ranges.cuts = 3
        assert "8 files" in get(address, tmp_path / "dest")
        assert Ranges.cuts == 0
    assert checks.verify(released).problems == {}


def test_a_part_of_an_earlier_try_is_used(released, tmp_path):
    name = f"{next(iter(EIDS))}/alf/big.x.npy"
    partial = (tmp_path / name).with_name(".big.x.npy.part")
    partial.parent.mkdir(parents=True)
    partial.write_bytes((released / name).read_bytes()[:100_000])
    came = []
    obtained = places.read_manifest(places.open_place(released))
    fetch.fetch(
        places.open_place(released), obtained, obtained.choose(datasets=["big"], subject="m1"), tmp_path, came.append
    )
    assert sum(came) == (released / name).stat().st_size - 100_000


def test_the_old_calls_load_from_a_web_server_and_from_a_zip_on_one(released, tmp_path):
    with web_server(released.parent) as address:
        for number, where in enumerate((f"{address}/paper-v1", f"{address}/paper-v1.zip", released)):
            one = ONE(download_dir=tmp_path / str(number))
            one.set_figshare_url(where)
            (session,) = one.search(["trials", "spikes.times"], subject="m1")
            assert one.load_dataset(session, "trials.choice").tolist() == [0, 1, 2, 3, 4]
            assert one.load_object(session, "trials").choice.tolist() == [0, 1, 2, 3, 4]
            for asked in ("_ibl_trials.*", "_ibl_trials.choice", "_ibl_trials"):  # as scripts of that time have it
                assert session in one.search([asked])
            assert one.load_dataset(session, "_ibl_trials.choice").tolist() == [0, 1, 2, 3, 4]
            assert one.load_object(session, "_ibl_trials").choice.tolist() == [0, 1, 2, 3, 4]
            assert "alf/big.x.npy" in one.list(session)
            with pytest.raises(AmbiguousError, match="probe00"):
                one.load_object(session, "spikes")
            assert one.load_object(session, "alf/probe01/spikes").times.tolist() == [0, 1, 2, 3, 4]
            with pytest.raises(NotFoundError, match="has no"):
                one.load_dataset(session, "wheel.position")
            assert not list((tmp_path / str(number)).rglob("big.x.npy"))
        assert one.search("lever") == [] and len(one.search()) == 2


def test_a_file_that_is_not_what_the_manifest_says_is_not_kept(copy, tmp_path):
    name = f"{next(iter(EIDS))}/alf/_ibl_trials.choice.npy"
    np.save(copy / name, np.arange(5) + 7)
    result = CliRunner().invoke(main, ["release", "get", str(copy), str(tmp_path / "dest")])
    assert result.exit_code == 1 and "is not what the release says" in result.output
    assert not (tmp_path / "dest" / name).exists() and not list((tmp_path / "dest").rglob("*.part"))
    result = CliRunner().invoke(main, ["release", "verify", str(copy)])
    assert result.exit_code == 1 and f"{name}: has another content" in result.output


LIES = {
    "out": lambda text: text.replace("mylab/Subjects/m1/2020-01-01/001/alf/big", "mylab/../../../../etc/big"),
    "twice": lambda text: text + text.splitlines()[0] + "\n",
    "no hash": lambda text: text.replace(text.splitlines()[0].split("\t")[3], "zz"),
    "no columns": lambda text: text + "x\n",
}


@pytest.mark.parametrize("lie", LIES)
def test_a_manifest_that_lies_is_refused(copy, tmp_path, lie):
    table = LIES[lie]((copy / "manifest.tsv").read_text()).encode()
    (copy / "manifest.tsv").write_bytes(table)
    with pytest.raises(manifest.DamagedRelease, match=r"release\.json"):
        places.read_manifest(places.open_place(copy))
    about = json.loads((copy / "release.json").read_text())
    about["manifest"]["sha256"] = hashlib.sha256(table).hexdigest()
    (copy / "release.json").write_text(json.dumps(about))
    with pytest.raises(manifest.DamagedRelease):
        places.read_manifest(places.open_place(copy))


def test_a_zip_that_leads_out_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../evil", b"x")
    result = CliRunner().invoke(main, ["release", "get", str(tmp_path / "x.zip"), str(tmp_path / "dest")])
    assert result.exit_code == 1 and "leads out of the release" in result.output
    assert not (tmp_path / "dest").exists()


def test_another_release_in_the_folder_is_not_mixed(copy, released, tmp_path):
    get(released, tmp_path / "dest", "--subject", "m1")
    about = json.loads((copy / "release.json").read_text())
    table = (copy / "manifest.tsv").read_bytes().splitlines(keepends=True)[0]
    about["manifest"]["sha256"] = hashlib.sha256(table).hexdigest()
    (copy / "manifest.tsv").write_bytes(table)
    (copy / "release.json").write_text(json.dumps(about))
    obtained = places.read_manifest(places.open_place(copy))
    with pytest.raises(NeurojointError, match="another release"):
        fetch.fetch(places.open_place(copy), obtained, obtained.files, tmp_path / "dest")


@pytest.mark.parametrize("address", ["/nowhere", "http://127.0.0.1:9/x"])
def test_an_address_without_a_release_is_said(address, monkeypatch):
    monkeypatch.setattr(places, "_WAIT_S", 0.001)
    result = CliRunner().invoke(main, ["release", "get", address, "x"])
    assert result.exit_code == 1 and ("is no release" in result.output or "cannot be read" in result.output)
