"""A release loads without us, is the same to the byte each time, and never half there."""

from __future__ import annotations

import datetime
import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml
from one.api import One

from exchange.public_copy import snapshot
from exchange.releases import build, checks, frozen, packing
from one_bridge import dataset_admin, query
from pipeline import policy, settings
from pipeline.errors import ConflictError, NotFoundError, UserError
from pipeline.policy import pseudonyms
from pipeline.schemas import data, publication
from tests.exchange.releases import lab

pytestmark = pytest.mark.slow


@pytest.fixture
def release(database, tmp_path) -> frozen.Release:
    lab.build(tmp_path / "data")
    result, new = frozen.create("paper", "paper", title="Mice and water", authors=["Curie, Marie"])
    assert new
    return result


def test_the_client_loads_every_dataset_of_the_zip_and_of_the_folder(release, tmp_path):
    built = build.build(release, tmp_path / "out")
    (archive,) = built.zips
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(tmp_path / "unzipped")
    for folder in (built.folder, tmp_path / "unzipped"):
        one = One(cache_dir=folder, mode="local")
        assert len(one.search()) == 3 and len(one.search(subject="m1")) == 2
        files = {file.dataset: file for file in release.files()}
        for eid in one.search():
            rows = one.list_datasets(eid, details=True)
            paths = one.load_datasets(eid, rows["rel_path"].tolist(), download_only=True, check_hash=False)[0]
            for identifier, path in zip(rows.index, paths, strict=True):
                content = Path(path).read_bytes()
                assert hashlib.sha256(content).hexdigest() == files.pop(str(identifier)).sha256
        assert not files, "every dataset was loaded"
        first = one.search(subject="m1", date_range="2020-01-01")[0]
        assert one.load_object(first, "trials")["choice"].tolist() == [-1, -1, 1, 1, -1, 0], "the newest revision"
        assert one.load_object(first, "stimuli")["x"].tolist() == [1, 2], "a table of another program"


@pytest.mark.one_database
def test_two_builds_are_equal_to_the_byte_though_rows_change(release, tmp_path, monkeypatch):
    first = build.build(release, tmp_path / "a")
    dataset_admin.set_qc(query.datasets({}), "FAIL")
    monkeypatch.setattr(build, "FEW", 0)  # by processes; then here, as on a slow disk
    monkeypatch.setattr(build, "SHARE_FILES", 5)
    with settings.override(processes=2):
        second = build.build(frozen.find("paper-v1"), tmp_path / "b", folder=False)
    monkeypatch.setattr(build, "FEW", 10**6)
    monkeypatch.setattr(packing, "SLOW_S", 0.0)
    third = build.build(frozen.find("paper-v1"), tmp_path / "c", folder=False)
    assert first.zips[0].read_bytes() == second.zips[0].read_bytes() == third.zips[0].read_bytes()
    done = subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=first.folder, capture_output=True)
    assert done.returncode == 0, done
    listed = (first.folder / "SHA256SUMS").read_text().splitlines()
    assert len(listed) == sum(path.is_file() for path in first.folder.rglob("*")) - 1


@pytest.mark.one_database
def test_what_describes_it_can_be_read_by_others(release, tmp_path):
    folder = build.build(release, tmp_path / "a", zips=False).folder
    citation = yaml.safe_load((folder / "CITATION.cff").read_text())
    assert citation["authors"] == [{"family-names": "Curie", "given-names": "Marie"}]
    assert citation["title"] == "Mice and water"
    cite = json.loads((folder / "datacite.json").read_text())
    assert cite["rightsList"][0]["rightsIdentifier"] == "CC-BY-4.0"
    assert "One(cache_dir=" in (folder / "README.md").read_text()


@pytest.mark.one_database
def test_a_large_release_goes_into_several_zips(release, tmp_path):
    built = build.build(release, tmp_path / "a", folder=False, zip_size=5_000)
    assert len(built.zips) == 3
    assert checks.verify(tmp_path / "a").problems == {}


@pytest.mark.one_database
def test_the_same_content_is_the_same_release_and_another_a_new_version(release, tmp_path):
    again, new = frozen.create("paper", "paper")
    assert (again.name, new) == ("paper-v1", False)
    dataset_admin.untag("paper", query.datasets({"subject": "m2"}))
    second, new = frozen.create("paper", "paper")
    assert new and second.row["previous_version"] == 1 and second.row["release_title"] == "Mice and water"
    assert len(frozen.find("paper-v1").files()) > len(second.files())
    tag = (data.Tag & {"tag": "paper"}).fetch1()
    assert tag["tag_protected"] and tag["tag_public"]


@pytest.mark.one_database
def test_a_file_that_changed_stops_it_and_nothing_is_half_written(release, tmp_path, monkeypatch):
    wheel = tmp_path / "data" / lab.SESSIONS[1] / "alf" / "wheel.position.npy"
    np.save(wheel, np.zeros(50))
    with pytest.raises(ConflictError, match="no longer what was frozen"):
        build.build(release, tmp_path / "out")
    assert not (tmp_path / "out/paper-v1/SHA256SUMS").exists() and not list((tmp_path / "out").glob("*.zip"))
    assert not list((tmp_path / "out").rglob("*.part*"))
    monkeypatch.setattr(build, "FEW", 0)
    with settings.override(processes=2), pytest.raises(ConflictError, match="no longer what was frozen"):
        build.build(release, tmp_path / "out", folder=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["paper-v1"]
    with pytest.raises(ConflictError, match="not what was registered"):
        frozen.create("other", "paper")
    assert not (publication.Release & {"release": "other"})


@pytest.mark.one_database
def test_a_tag_that_changes_while_it_is_frozen_gives_no_release(database, tmp_path):
    lab.build(tmp_path / "data")

    def change(_: int) -> None:
        if data.DatasetTag & {"tag": "paper"}:
            dataset_admin.untag("paper", query.datasets({"subject": "m2"}))

    with pytest.raises(ConflictError, match="changed while"):
        frozen.create("paper", "paper", progress=change)
    assert not publication.Release()


def test_animals_under_embargo_stay_and_pseudonyms_go(database, tmp_path):
    lab.build(tmp_path / "data")
    publication.Embargo.insert1({"lab": "mylab", "subject": "m2", "embargo_until": "2999-01-01"})
    with settings.override(publication={"subjects": "pseudonym", "dates": "shifted"}):
        result, _ = frozen.create("paper", "paper")
    paths = [file.path for file in result.files()]
    assert len({path.split("/")[2] for path in paths}) == 1 and not any("/m1/" in one or "/m2/" in one for one in paths)
    moved = datetime.timedelta(days=pseudonyms.days("mylab", "m1"))
    dates = [str(datetime.date(2020, 1, day) - moved) for day in (1, 2)]
    assert sorted({path.split("/")[3] for path in paths}) == dates
    folder = build.build(result, tmp_path / "out", zips=False).folder
    one = One(cache_dir=folder, mode="local")
    sessions = sorted(one.eid2path(eid).name for eid in one.search())
    assert sessions == ["001", "001"]
    with pytest.raises(NotFoundError, match="no tag"):
        frozen.create("paper", "unknown")


@pytest.mark.one_database
def test_a_text_file_that_says_the_name_of_its_animal_does_not_leave_under_a_pseudonym(database, tmp_path):
    settings_file = tmp_path / "data" / lab.SESSIONS[0] / "raw_task_data_00" / "_iblrig_taskSettings.raw.json"
    settings_file.parent.mkdir(parents=True)
    settings_file.write_text('{"SUBJECT_NAME": "M1"}')
    lab.build(tmp_path / "data")
    dataset_admin.define_tag("paper", public=True)
    with settings.override(publication={"subjects": "pseudonym"}):
        with pytest.raises(UserError, match=r"1 text files .*taskSettings.*tag remove"):
            frozen.create("paper", "paper")
        with pytest.raises(UserError, match="taskSettings"):
            snapshot.take("paper", policy.current())
        assert not publication.Release()
        dataset_admin.untag("paper", data.Dataset & {"rel_path": "raw_task_data_00/_iblrig_taskSettings.raw.json"})
        assert frozen.create("paper", "paper")[1]


@pytest.mark.one_database
def test_a_disk_that_fills_is_said_and_leaves_no_zip(release, tmp_path, monkeypatch):
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000, limit[1]))  # a write beyond fails as on a full disk
    try:
        with pytest.raises(Exception, match="is full"):
            build.build(release, tmp_path / "out", folder=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert not any((tmp_path / "out").iterdir())
